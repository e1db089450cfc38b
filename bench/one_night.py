"""One night in a process of its own: `python -m bench.one_night hygiene.yaml result.json`.

Writes what only this process can tell: of every step its seconds of wall and CPU and its own peak of
memory, processes that the night begins included, and the CPU of all of them: some end after this one, so
whoever waits for this one is not told of theirs. Wall is taken by the process that waits (`bench.child`).
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.child import reported
from bench.process_tree import Peak, cpu_seconds


def _peak_mib() -> int:
    """The process's peak of resident memory since it was last reset, MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    return 0


def _reset_peak() -> None:
    """Begin the peak anew (Linux: `5` in clear_refs, man 5 proc); refused, it goes on growing."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


@dataclass
class StepMeter:
    """Wall, CPU and peak memory (MiB) from the start of one step to the start of the next.

    A night runs one step after the other, so what is between two starts is the first
    step's: its own work, its gate, its commits and what Dagster writes of it.
    """

    steps: dict[str, dict[str, float]] = field(default_factory=dict)
    current: str = "start"
    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=cpu_seconds)
    peak: Peak = field(default_factory=Peak)

    def __call__(self, step: str, text: str) -> None:
        """Called as a step starts (`text` empty) and as it tells of itself."""
        if not text:
            self.begin(step)

    def begin(self, step: str) -> None:
        """End what is running and begin `step`."""
        wall, cpu = time.perf_counter(), cpu_seconds()
        found = self.steps.setdefault(self.current, {"wall_s": 0.0, "cpu_s": 0.0, "peak_mib": 0})
        found["wall_s"] = round(found["wall_s"] + wall - self.wall, 2)
        found["cpu_s"] = round(found["cpu_s"] + cpu - self.cpu, 2)
        found["peak_mib"] = max(found["peak_mib"], _peak_mib(), self.peak.taken())
        _reset_peak()
        self.current, self.wall, self.cpu = step, wall, cpu


def run_night_of(folder: Path, name: str) -> dict[str, Any]:
    """Run one night of `folder`; wall and CPU in seconds, peak memory in MiB, the same of every step."""
    night = reported(
        "bench.one_night",
        [str(folder / "hygiene.yaml")],
        folder / f"{name}.json",
        folder,
        DAGSTER_HOME=folder,
    )
    # A peak that was begun anew is begun anew for the parent as well.
    peaks = [int(step["peak_mib"]) for step in night.get("steps", {}).values()]
    return {**night, "peak_mib": max([night["peak_mib"], *peaks])}


def main() -> None:
    """Run the night and write {is_success, failures, cpu_s, steps, notes} to the path given second."""
    meter = StepMeter()
    from assets.night import run_night

    config, result = (Path(argument) for argument in sys.argv[1:3])
    outcome = run_night(config, meter)
    meter.begin("end")
    result.write_text(
        json.dumps(
            {
                "is_success": outcome.is_success,
                "failures": outcome.failures,
                "cpu_s": round(sum(step["cpu_s"] for step in meter.steps.values()), 1),
                "steps": meter.steps,
                "notes": outcome.notes,
            }
        )
    )


if __name__ == "__main__":
    main()
