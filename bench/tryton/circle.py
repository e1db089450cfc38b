"""The whole circle on a real Tryton server of its own: does write-back keep what it promises?

A server in a new folder, dirty parties, export, night, plan, apply, export, night: the second plan is empty.
Then undo, and the export equals the first one to the byte. Every step is the command that a user types; each
promise is checked, and the exit code is 1 if one is broken. `make circle-tryton` runs it.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.tryton.dirty import PEOPLE, seed
from bench.tryton.server import DATABASE, NOT_BUILT, PASSWORD, USER, TrytonServer, is_built

ROOT = Path(__file__).parents[2]

_HYGIENE = """\
landing: {folder: landing}
lake: {uri: lake}
targets: [tryton]
target_files: [tryton.yaml]
"""

#: Whole small books are touched at once here; a real policy would ask a person first.
_POLICY = """\
target: tryton
connection: {url: "%s", database: %s, user: %s}
halt: {share: "1.0", floor: 1000}
pace: {batch: 100, per_second: 1000.0, per_day: 100000}
"""

_COMMAND = "from crm_hygiene.cli.main import main; main()"


class PromiseBroken(Exception):  # noqa: N818 - named as what happened
    """What was promised is not so; the message says what."""


@dataclass
class Circle:
    """One project folder beside one server; every step tells on `console` and checks."""

    folder: Path
    server: TrytonServer
    console: Console
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        """Where hygiene.yaml is."""
        return self.folder / "project"

    def set_up(self) -> None:
        """A project of four lines and a policy that says where Tryton is."""
        self.project.mkdir(parents=True)
        (self.project / "hygiene.yaml").write_text(_HYGIENE)
        (self.project / "tryton.yaml").write_text(_POLICY % (self.server.url, DATABASE, USER))
        shutil.copyfile(ROOT / "dagster.yaml", self.project / "dagster.yaml")

    def export(self) -> dict[str, bytes]:
        """Tryton's export landed; its files."""
        self._run("export", "-m", "crm_hygiene.writeback.targets.tryton_export", "--config", "hygiene.yaml")
        return {p.name: p.read_bytes() for p in sorted((self.project / "landing" / "tryton").glob("*.csv"))}

    def night(self) -> None:
        """`crm-hygiene run`."""
        self._hygiene("night", "run")

    def plan(self) -> list[dict[str, str]]:
        """`crm-hygiene writeback plan`; its rows."""
        plan = self.project / "plan.csv"
        plan.unlink(missing_ok=True)
        self._hygiene("plan", "writeback", "plan", "--csv", plan.name)
        return list(csv.DictReader(io.StringIO(plan.read_text("utf-8-sig")))) if plan.exists() else []

    def apply(self) -> dict[str, Any]:
        """`crm-hygiene writeback apply`; its report."""
        return dict(
            json.loads(self._hygiene("apply", "writeback", "apply", "--target", "tryton", "--json"))[0]
        )

    def confirmed(self) -> str:
        """`crm-hygiene writeback status`; what the landing said of the deliveries."""
        told = json.loads(self._hygiene("status", "writeback", "status", "--target", "tryton", "--json"))[0]
        _promise(not told["reopened"], f"{told['reopened']} deliveries do not show in the export")
        return f"{told['confirmed']} deliveries confirmed by the landing, {told['delivered']} not shown by it"

    def undo(self) -> dict[str, Any]:
        """`crm-hygiene writeback undo`; its report."""
        return dict(json.loads(self._hygiene("undo", "writeback", "undo", "--target", "tryton", "--json")))

    def _hygiene(self, step: str, *words: str) -> str:
        return self._run(step, "-c", _COMMAND, *words)

    def _run(self, step: str, *words: str) -> str:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DAGSTER_HOME": str(self.project),
            "TRYTON_PASSWORD": PASSWORD,
        }
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - started
        if done.returncode != 0:
            raise PromiseBroken(
                f"{step} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            )
        return done.stdout


def run_circle(folder: Path, console: Console) -> None:
    """All of it.

    Raises
    ------
    PromiseBroken
        at the first promise that is not kept.
    """
    with TrytonServer(folder / "server") as server:
        circle = Circle(folder, server, console)
        circle.set_up()
        made = seed(server.session())
        console.print("1 seeded: " + ", ".join(f"{len(ids)} {what}" for what, ids in made.items()))

        first = circle.export()
        console.print(f"2 exported {len(first)} files, {sum(len(b) for b in first.values()):,} bytes")

        circle.night()
        rows = circle.plan()
        planned = Counter((row["change_kind"], row["column_name"]) for row in rows)
        console.print(f"3 night and plan: {len(rows)} changes, nothing sent")
        for (kind, name), count in sorted(planned.items()):
            console.print(f"    {kind:10} {name:16} {count}")
        for kind in ("update", "merge", "reparent", "posting"):
            _promise(any(k == kind for k, _ in planned), f"the plan has no {kind}")
        _promise(("update", "name") in planned, "the plan does not mend the shortened name")
        silent = {str(made["people"][i]) for i, (_, _, categories, _) in enumerate(PEOPLE) if categories}
        touched = silent & {row["record_id"] for row in rows if row["object"] == "party.party"}
        _promise(not touched, f"the plan touches who opted out: {sorted(touched)}")
        _promise(circle.export() == first, "planning changed something")

        report = circle.apply()
        console.print(f"4 applied: {_told(report)}")
        _promise(not report["dead"] and not report["waiting"], f"not all of it arrived: {report}")
        second = circle.export()
        _promise(second != first, "the export is the same after the apply")
        _show_difference(first, second, console)

        again = circle.apply()
        console.print(f"5 applied again: {_told(again)}")
        _promise(not again["due"], "a second apply of the same plan sends something")
        _promise(circle.export() == second, "a second apply of the same plan changed something")

        circle.night()
        left = circle.plan()
        console.print(f"6 second night: {len(left)} changes planned")
        _promise(not left, f"the second plan is not empty: {left}")

        console.print(f"  {circle.confirmed()}")

        report = circle.undo()
        console.print(f"7 undone: {_told(report)}")
        _promise(not report["left"], f"the undo leaves something: {report['left']}")
        third = circle.export()
        for name, content in first.items():
            _promise(third[name] == content, f"{name} is not as it was:\n{_difference(content, third[name])}")
        console.print("8 the export after the undo equals the first one to the byte")
        spent = ", ".join(f"{step} {seconds:.1f}" for step, seconds in circle.seconds.items())
        console.print(f"  seconds: {spent}")


def _promise(is_kept: bool, words: str) -> None:
    if not is_kept:
        raise PromiseBroken(words)


def _told(report: dict[str, Any]) -> str:
    """`apply_id`, operations by kind and what they came to."""
    counts = [f"{count} {kind}" for kind, count in sorted(report["by_kind"].items()) if report["due"]]
    states = [f"{count} {state}" for state, count in sorted(report["done"].items())]
    sent = ", ".join([*counts, *states]) or "nothing sent"
    return f"{report['apply_id']}: {report['due']} operations due, {sent}"


def _rows(content: bytes) -> dict[str, dict[str, str]]:
    return {row["id"]: row for row in csv.DictReader(io.StringIO(content.decode()))}


def _difference(before: bytes, after: bytes) -> str:
    """One line per cell that differs, and per row that came or went."""
    old, new = _rows(before), _rows(after)
    lines = [f"{i}: new" for i in new if i not in old] + [f"{i}: gone" for i in old if i not in new]
    for i in (i for i in old if i in new):
        lines += [f"{i}.{c}: {v!r} -> {new[i][c]!r}" for c, v in old[i].items() if new[i][c] != v]
    return "\n".join(f"    {line}" for line in lines)


def _show_difference(first: dict[str, bytes], second: dict[str, bytes], console: Console) -> None:
    for name, content in first.items():
        if second[name] != content:
            console.print(f"  {name}\n{_difference(content, second[name])}", markup=False, highlight=False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--keep`: where to leave server and project for a look."""
    parser.add_argument("--keep", type=Path, default=None, help="leave server and project in this new folder")


def command(given: argparse.Namespace, console: Console) -> None:
    """Run it and exit with 1 if a promise is broken."""
    if not is_built():
        console.print(NOT_BUILT)
        raise SystemExit(2)
    folder = given.keep or Path(tempfile.mkdtemp(prefix="circle-tryton-"))
    try:
        run_circle(folder, console)
    except PromiseBroken as broken:
        console.print(f"[red]broken:[/red] {broken}", highlight=False)
        raise SystemExit(1) from None
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    console.print("[green]all promises kept[/green]")
