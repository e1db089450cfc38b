"""One phase of the benchmark in a process of its own, so that its peak of memory is its own.

What does not belong here: what a phase does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent


class PhaseError(Exception):
    """A phase ended with an error; the message names its log."""


def measured(module: str, arguments: list[str], log: Path, threads: int | None = None) -> dict[str, float]:
    """Run `python -m module arguments`; wall and CPU in seconds, peak of resident memory in MiB.

    Parameters
    ----------
    log
        file for what the process says
    threads
        threads of Polars, all where not given

    Raises
    ------
    PhaseError
        if the process fails
    """
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    if threads is not None:
        environment["POLARS_MAX_THREADS"] = str(threads)
    started = time.perf_counter()
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=PROJECT,
            env=environment,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        # wait4 tells this child's own usage; RUSAGE_CHILDREN is the greatest of all children so far.
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise PhaseError(f"{module} ended with {process.returncode}, see {log}")
    return {
        "wall_s": round(time.perf_counter() - started, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mib": usage.ru_maxrss // 1024,
    }
