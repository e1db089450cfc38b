"""The worklist as a worksheet: one line per exception, room to decide, the suggestions ready to be taken."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from crm_hygiene.cash.money import units
from crm_hygiene.cash.rules import CashRules
from crm_hygiene.cash_desk.amounts import plain
from crm_hygiene.cash_desk.balances import rows_of
from crm_hygiene.cash_desk.case import Suggestion, payment_of, printable, suggestions_of
from crm_hygiene.cash_desk.proposals import parts_text, proposal_of
from crm_hygiene.cash_desk.worklist import worklist
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.lake import Lake
from crm_hygiene.linkage.records import written
from crm_hygiene.stewardship.spreadsheet import write_csv

# E- in front keeps a spreadsheet from taking the id for a number.
LEADING = (
    "decision", "invoice", "amount", "until", "reason", "exception_id", "exception_type", "amount_at_stake",
    "currency", "age_days", "payment", "booked_date", "unapplied_amount", "payer_name", "remittance_text",
    "question",
)  # fmt: skip
_TEXT = 300


def suggestion_cell(suggestion: Suggestion) -> str:
    """What a suggestion would post, as `import` reads it: `INVOICE=AMOUNT; ...`, write-offs after `|`.

    Empty for a suggestion that cannot be taken as a whole.
    """
    try:
        wishes = proposal_of(suggestion, None).wishes
    except ConfigurationError:
        return ""
    if any(w.exchange is not None for w in wishes):
        return ""
    paid = [(w.invoice, w.amount) for w in wishes if w.kind != "write_off" and w.invoice and w.amount]
    short = [(w.invoice, w.amount) for w in wishes if w.kind == "write_off" and w.invoice and w.amount]
    return parts_text(paid) + (f" | {parts_text(short)}" if short else "")


def export_worksheet(
    lake: Lake,
    path: Path,
    rules: CashRules,
    today: date,
    exception_type: str | None = None,
    min_amount: int = 0,
    limit: int | None = None,
) -> int:
    """Write the open exceptions, the most pressing first, to a CSV file that `import_decisions` reads back.

    Returns how many.

    Raises
    ------
    ConfigurationError
        if the file cannot be written.
    """
    rows = list(worklist(lake, today, exception_type, min_amount, limit).rows.iter_rows(named=True))
    payments = [key for row in rows if (key := payment_of(row)) is not None]
    entries = rows_of(lake, "conformed.payments", payments)
    books = rows_of(lake, "reconciled.payments", payments)
    suggested = suggestions_of(lake, [row["exception_id"] for row in rows])
    cells = []
    for row in rows:
        key = payment_of(row)
        entry, book = (entries.get(key, {}), books.get(key, {})) if key else ({}, {})
        by_rank = {s.rank: suggestion_cell(s) for s in suggested.get(row["exception_id"], ())}
        cells.append(
            [
                "", "", "", "", "", f"E-{row['exception_id']}", row["exception_type"],
                "" if row["amount_at_stake"] is None else plain(units(row["amount_at_stake"])),
                row["currency"], "" if row["age_days"] is None else str(row["age_days"]),
                written(key) if key else "",
                "" if row["booked_date"] is None else row["booked_date"].isoformat(),
                plain(units(book["unapplied_amount"])) if book else "",
                printable(row["payer_name"], _TEXT), printable(entry.get("remittance_text"), _TEXT),
                printable(row["reason"], _TEXT),
                *(by_rank.get(rank, "") for rank in range(1, rules.max_suggestions + 1)),
            ]
        )  # fmt: skip
    columns = [*LEADING, *(f"suggestion_{rank}" for rank in range(1, rules.max_suggestions + 1))]
    write_csv(path, columns, cells)
    return len(rows)
