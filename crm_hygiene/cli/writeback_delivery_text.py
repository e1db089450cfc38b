"""Applies, undos and how the targets stand, as text on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.console import Console
from rich.markup import escape

from crm_hygiene.writeback.delivery.report import Report
from crm_hygiene.writeback.delivery.standing import TargetStanding

#: Dead letters and things left by an undo that are listed; `--json` has them all.
_LISTED = 20


def _list(console: Console, lines: Sequence[str]) -> None:
    for line in lines[:_LISTED]:
        console.print(f"    {escape(line)}", highlight=False, soft_wrap=True)
    if len(lines) > _LISTED:
        console.print(f"    {len(lines) - _LISTED:,} more (--json lists them all)")


#: States in the words of what an apply did; the others say it themselves.
_WORDS = {
    "already": "there before",
    "conflict": "left alone",
    "expired": "no longer planned",
    "found": "found there when looked up",
    "retry": "to be sent again",
    "uncertain": "without an answer",
    "written": "written to files",
}


def _done(report: Report) -> str:
    return ", ".join(f"{n:,} {_WORDS.get(state, state)}" for state, n in report.done.items())


def _time(milliseconds: int) -> str:
    """Milliseconds for a person: 34 ms, 12 s, 25 min."""
    if milliseconds < 10_000:
        return f"{milliseconds:,} ms"
    seconds = milliseconds / 1000
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:,.0f} min"


def show_reports(reports: Iterable[Report], console: Console, is_dry: bool) -> None:
    """What each apply did, or would do."""
    for report in reports:
        head = f"[bold]{escape(report.target)}[/bold]"
        if is_dry:
            told = ", ".join(f"{n:,} {escape(kind)}" for kind, n in report.by_kind.items()) or "nothing"
            console.print(f"{head}: would send {told}; nothing was sent", highlight=False)
        elif not report.due and not report.done and report.stopped_by is None:
            console.print(f"{head}: nothing to send", highlight=False)
        else:
            told = _done(report) or "nothing sent"
            console.print(f"{head}: {told} (apply {report.apply_id})", highlight=False)
        beside = {
            "waiting for the next apply": 0 if is_dry else report.waiting,
            "dead letters (writeback status lists them)": report.dead,
            "held back: parked, or undone before (writeback unpark lets them go)": report.withheld,
            "left out because the person is suppressed": report.suppressed,
        }
        _list(console, [f"{count:,} {words}" for words, count in beside.items() if count])
        if report.stopped_by is not None:
            console.print(f"    stopped ({report.stopped_by}): {escape(report.message)}", highlight=False)


def show_undo(report: Report, undone: str, console: Console) -> None:
    """What an undo took back, and what it left."""
    count = report.done.get("undone", 0)
    sent = ", ".join(
        f"{n:,} {_WORDS.get(state, state)}" for state, n in report.done.items() if state != "undone"
    )
    told = (f"{count:,} undone" if count else "nothing undone") + (f" ({sent})" if sent else "")
    console.print(f"[bold]{escape(report.target)}[/bold]: undo of {undone}: {told}", highlight=False)
    if count:
        console.print(
            "  what was undone is not planned again unless golden changes; "
            "`crm-hygiene writeback unpark` lets it go",
            highlight=False,
        )
    if report.left:
        console.print(f"  left as they are: {len(report.left):,}", highlight=False)
        _list(
            console,
            [
                f"{left.object} {left.record_id or ''} {', '.join(left.fields)}: {left.reason}"
                for left in report.left
            ],
        )
    if report.stopped_by is not None:
        console.print(f"  stopped ({report.stopped_by}): {escape(report.message)}", highlight=False)


def _figures(s: TargetStanding) -> list[str]:
    """What there is to tell of a target, most urgent first; what is nought is left out."""
    told = {
        "dead letters: a person must look at them": len(s.dead_letters),
        "may have arrived; the next apply looks them up": s.unsure,
        "wait for the next apply": s.waiting,
        "in files; their result files or the next export tell more": s.in_files,
        "delivered; the next export confirms them": s.delivered,
        "confirmed by an export": s.confirmed,
        "not held by a later export, so planned again": s.reopened,
        "undone": s.undone,
    }
    lines = [f"{count:,} {words}" for words, count in told.items() if count] or ["nothing was ever sent"]
    lines.append(f"{s.planned:,} changes in the plan of the last night")
    pace = f"{s.budget_left:,} records left of today's budget"
    if s.latency_p50 is not None and s.latency_p95 is not None:
        pace += f"; half of the answers within {_time(s.latency_p50)}, 95% within {_time(s.latency_p95)}"
    if s.breaker != "closed":
        lines.append(f"the target did not answer; its breaker is {s.breaker}")
    return [*lines, pace]


def _by_record(places: Sequence[tuple[str, str, str]]) -> list[str]:
    """A line per record, with its fields."""
    ordered = groupby(sorted(places), key=lambda place: place[:2])
    return [f"{name} {record} {', '.join(p[2] for p in fields)}" for (name, record), fields in ordered]


def show_standings(standings: Sequence[TargetStanding], console: Console) -> None:
    """How the targets stand, then their dead letters and parked fields."""
    for s in standings:
        console.print(f"[bold]{escape(s.target)}[/bold] ({s.connector})", highlight=False)
        _list(console, _figures(s))
    for s in standings:
        if s.dead_letters:
            console.print(f"[bold]{escape(s.target)}[/bold]: dead letters, by reason")
            _list(console, [f"{n:,} {reason}" for reason, n in s.dead_by_reason.items()])
            _list(
                console,
                [
                    f"{d.operation_id[:12]} {' '.join(p for p in (d.object, d.record_id) if p)}"
                    f"{' ' if d.fields else ''}{', '.join(d.fields)}: {d.state}, {d.reason or d.code}"
                    for d in s.dead_letters
                ],
            )
        if s.parked:
            console.print(f"[bold]{escape(s.target)}[/bold]: parked fields (writeback unpark lets them go)")
            _list(console, _by_record(s.parked))
        if s.held_back:
            console.print(
                f"[bold]{escape(s.target)}[/bold]: undone, so not planned again "
                "(writeback unpark lets them go)"
            )
            _list(console, _by_record(s.held_back))
