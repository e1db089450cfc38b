"""The summary of a night as a person reads it on the terminal."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from crm_hygiene.cash.money import grouped
from crm_hygiene.cli.tables import table
from crm_hygiene.summary import Summary

PROGRAM = "crm-hygiene"


def show_summary(summary: Summary, console: Console) -> None:
    """Print the summary for a person."""
    console.print()
    if not summary.is_success:
        console.print(
            "[bold red]The night stopped.[/bold red] Tables behind the failing step are as they were."
        )
        for step, reason in summary.failures.items():
            console.print(f"  [red]{escape(step)}[/red]: {escape(reason)}")
    elif summary.published:
        console.print(
            f"[bold green]The night is done[/bold green], {len(summary.published)} tables published."
        )
    else:
        console.print("[bold green]Nothing new.[/bold green] Every table is as the last night left it.")
    _show_arrivals(summary, console)
    _show_identity(summary, console)
    _show_cash(summary, console)
    if summary.changes:
        console.print(
            table(
                "Changes planned, nothing sent",
                [
                    ("target", "left"),
                    ("object", "left"),
                    ("kind", "left"),
                    ("records", "right"),
                    ("fields", "right"),
                ],
                (
                    (c["target"], c["object"], c["change_kind"], c["records"], c["changes"])
                    for c in summary.changes
                ),
            )
        )
    _show_notes(summary.notes, console)
    _show_next(summary, console)


def _show_notes(notes: list[str], console: Console) -> None:
    """What the night warned of; a layout that lacks columns is common and gets one line for all files."""
    lacking = [note for note in notes if "the file has no columns for" in note]
    lines = [note for note in notes if note not in lacking]
    if lacking:
        lines.append(f"{len(lacking)} files lack columns their mapping could use: landing.files.warnings")
    if not lines:
        return
    console.print("[bold]Worth knowing[/bold]")
    for line in lines[:12]:
        console.print(f"  · {escape(line)}", highlight=False)
    if len(lines) > 12:
        console.print(f"  · and {len(lines) - 12} more in Dagster's log")


def _program() -> str:
    """How this person calls the program: by name, or by the path that was typed."""
    called = Path(sys.argv[0])
    if called.name != PROGRAM or shutil.which(PROGRAM):
        return PROGRAM
    return min(os.path.relpath(called), str(called), key=len)


def _show_arrivals(summary: Summary, console: Console) -> None:
    if summary.landed:
        console.print(
            table(
                "What came in",
                [("source", "left"), ("files", "right"), ("rows", "right"), ("unreadable rows", "right")],
                ((s["source"], s["files"], s["row_count"], s["refused_count"] or "") for s in summary.landed),
            )
        )
    by_reason: dict[str, list[str]] = {}
    for file in summary.refused_files:
        by_reason.setdefault(file["reason"], []).append(file["file"])
    for reason, names in by_reason.items():
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        console.print(f"  [red]refused[/red] {escape(shown)}: {escape(reason)}", highlight=False)
    for name in summary.unclaimed_files[:10]:
        console.print(f"  [yellow]no source claims[/yellow] {escape(name)}", highlight=False)
    if len(summary.unclaimed_files) > 10:
        console.print(f"  … and {len(summary.unclaimed_files) - 10} more files without a source")
    if summary.quarantine:
        console.print(
            table(
                "In quarantine, and why",
                [("rows", "right"), ("table", "left"), ("reason", "left"), ("sources", "left")],
                (
                    (q["rows"], q["table_name"].removeprefix("conformed."), q["reason"], q["sources"])
                    for q in summary.quarantine[:12]
                ),
            )
        )
        if len(summary.quarantine) > 12:
            console.print(f"  … and {len(summary.quarantine) - 12} more kinds of reason")


def _show_identity(summary: Summary, console: Console) -> None:
    console.print(
        table(
            "Who is who",
            [("", "left"), ("records", "right"), ("became", "right"), ("", "left")],
            (
                (
                    "people",
                    summary.people_records,
                    summary.people,
                    f"{summary.suppressed:,} must not be contacted",
                ),
                ("organisations", summary.organisation_records, summary.organisations, ""),
            ),
        )
    )


def _show_cash(summary: Summary, console: Console) -> None:
    if summary.invoices:
        console.print(
            table(
                "Invoices against the bank",
                [
                    ("state", "left"),
                    ("currency", "left"),
                    ("invoices", "right"),
                    ("amount", "right"),
                    ("open", "right"),
                ],
                (
                    (
                        i["status"].replace("_", " "),
                        i["currency"],
                        i["invoices"],
                        grouped(i["amount"], i["currency"]),
                        grouped(i["open_amount"], i["currency"]),
                    )
                    for i in summary.invoices
                ),
            )
        )
    if summary.payments:
        parts = ", ".join(f"{p['payments']:,} {p['status'].replace('_', ' ')}" for p in summary.payments)
        console.print(f"  payments: {parts}", highlight=False)
    if summary.exceptions:
        parts = ", ".join(f"{e['rows']:,} {e['exception_type']}" for e in summary.exceptions)
        console.print(f"  for finance to decide: {parts}", highlight=False)


def _show_next(summary: Summary, console: Console) -> None:
    console.print("\n[bold]Where to look next[/bold]")
    program = _program()
    lines = [("the night on one page, for a browser", summary.report)] if summary.report else []
    lines += [
        ("golden customers", f'{program} query "select * from golden.contacts limit 20"'),
        ("where a cell came from", f'{program} query "select * from golden.provenance limit 20"'),
    ]
    if summary.quarantine:
        lines.append(("refused rows", f'{program} query "select * from quality.quarantine"'))
    if summary.charts:
        lines.append(("how records were linked, as charts", summary.charts))
    if summary.questions:
        lines.append(
            (
                f"{summary.questions:,} questions for a steward",
                f"{program} review list",
            )
        )
    if summary.exceptions:
        lines.append(("cash exceptions", f"{program} review cash list"))
    lines += [("runs, checks and lineage", "make ui"), ("analysts open", summary.catalog)]
    width = max(len(what) for what, _ in lines)
    for what, how in lines:
        console.print(f"  {what:<{width}}  [cyan]{escape(how)}[/cyan]", highlight=False, soft_wrap=True)
    console.print()
