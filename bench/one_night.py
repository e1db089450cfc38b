"""One night in a process of its own: `python -m bench.one_night hygiene.yaml result.json`.

Writes what only this process can tell: the seconds of every step. Wall, CPU and memory are taken by
the process that waits for this one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import dagster as dg

from assets.night import run_night


def _step_seconds(run_id: str) -> dict[str, float]:
    with dg.DagsterInstance.get() as instance:
        steps = instance.get_run_step_stats(run_id)
    return {
        s.step_key: round(s.end_time - s.start_time, 2)
        for s in sorted(steps, key=lambda s: s.start_time or 0.0)
        if s.start_time is not None and s.end_time is not None
    }


def main() -> None:
    """Run the night and write {is_success, failures, steps} to the path given second."""
    config, result = (Path(argument) for argument in sys.argv[1:3])
    outcome = run_night(config, lambda step, what: None)
    result.write_text(
        json.dumps(
            {
                "is_success": outcome.is_success,
                "failures": outcome.failures,
                "steps": _step_seconds(outcome.run_id),
            }
        )
    )


if __name__ == "__main__":
    main()
