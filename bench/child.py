"""A part of a benchmark in a process of its own, so that its CPU and its peak of memory are its alone.

What does not belong here: what a part does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent


class PhaseError(Exception):
    """A part ended with an error; the message names its log."""

    def __init__(self, message: str, figures: dict[str, float]) -> None:
        super().__init__(message)
        self.figures = figures


def measured(
    module: str,
    arguments: list[str],
    log: Path,
    threads: int | None = None,
    folder: Path = PROJECT,
    python: str = sys.executable,
    **environment: object,
) -> dict[str, float]:
    """Run `python -m module arguments`; wall and CPU in seconds, peak of resident memory in MiB.

    Parameters
    ----------
    log
        file for what the process says
    threads
        threads of Polars, all where not given
    folder
        its working folder
    python
        the interpreter, this one's own where not given
    environment
        variables beside those of this process

    Raises
    ------
    PhaseError
        if the process fails; its `figures` are what it cost until then
    """
    variables = {**os.environ, "GX_ANALYTICS_ENABLED": "false", "PYTHONPATH": str(PROJECT)}
    variables |= {name: str(value) for name, value in environment.items()}
    if threads is not None:
        variables["POLARS_MAX_THREADS"] = str(threads)
    started = time.perf_counter()
    with log.open("w") as said:
        process = subprocess.Popen(
            [python, "-m", module, *arguments],
            cwd=folder,
            env=variables,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        # wait4 tells this child's own usage; RUSAGE_CHILDREN is the greatest of all children so far.
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    figures = {
        "wall_s": round(time.perf_counter() - started, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mib": usage.ru_maxrss // 1024,
    }
    if process.returncode:
        raise PhaseError(f"{module} ended with {process.returncode}, see {log}", figures)
    return figures


def reported(
    module: str,
    arguments: list[str],
    result: Path,
    folder: Path = PROJECT,
    python: str = sys.executable,
    **environment: object,
) -> dict[str, Any]:
    """Run `python -m module *arguments result` and add what it wrote, a JSON object, to what it cost.

    A process that fails is a finding too: `is_success` is false and `failures` names the log, which stands
    beside the result.
    """
    result.unlink(missing_ok=True)
    log = result.with_suffix(".log")
    try:
        figures = measured(
            module, [*arguments, str(result)], log, folder=folder, python=python, **environment
        )
    except PhaseError as error:
        return {**error.figures, "is_success": False, "failures": {module: f"see {log.name} in {folder}"}}
    return {**figures, "is_success": True, **json.loads(result.read_text(encoding="utf-8"))}
