"""One night in a process of its own: `python -m bench.one_night hygiene.yaml result.json`.

Writes what only this process can tell: the seconds of every step. Wall, CPU and memory are taken by
the process that waits for this one.
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


def _step_seconds(run_id: str) -> dict[str, float]:
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        steps = instance.get_run_step_stats(run_id)
    return {
        s.step_key: round(s.end_time - s.start_time, 2)
        for s in sorted(steps, key=lambda s: s.start_time or 0.0)
        if s.start_time is not None and s.end_time is not None
    }


def run_night_of(folder: Path, name: str) -> dict[str, Any]:
    """Run one night of `folder`; wall and CPU in seconds, peak memory in MiB."""
    result = folder / f"{name}.json"
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(folder),
        "GX_ANALYTICS_ENABLED": "false",
        "PYTHONPATH": str(PROJECT),
    }
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.one_night", str(folder / "hygiene.yaml"), str(result)],
        cwd=folder,  # dagster.yaml names its storage relative to the working folder
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=(folder / f"{name}.log").open("w"),
    )
    # wait4 tells this child's own usage; RUSAGE_CHILDREN is the greatest of all children so far.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    measured = {
        "wall_s": round(wall, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mib": usage.ru_maxrss // 1024,
    }
    if process.returncode or not result.exists():
        return {**measured, "is_success": False, "failures": {"": f"see {folder / f'{name}.log'}"}}
    return {**measured, **json.loads(result.read_text())}


def main() -> None:
    """Run the night and write {is_success, failures, steps, notes} to the path given second."""
    from assets.night import run_night

    config, result = (Path(argument) for argument in sys.argv[1:3])
    outcome = run_night(config, lambda step, what: None)
    result.write_text(
        json.dumps(
            {
                "is_success": outcome.is_success,
                "failures": outcome.failures,
                "steps": _step_seconds(outcome.run_id),
                "notes": outcome.notes,
            }
        )
    )


if __name__ == "__main__":
    main()
