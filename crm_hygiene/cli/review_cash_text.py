"""Exceptions, cash decisions and their imports as a clerk reads them on the terminal.

Whatever a bank or a payer wrote is shown by `printable` and escaped: it can move no cursor and set no style.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.markup import escape

from crm_hygiene.cash.money import text, units
from crm_hygiene.cash_desk.bulk import CashImport
from crm_hygiene.cash_desk.case import Case, Suggestion, invoice_of, payment_of, printable
from crm_hygiene.cash_desk.deciding import Decided
from crm_hygiene.cash_desk.decision_log import taken_back_of
from crm_hygiene.cash_desk.reversing import REVERSAL
from crm_hygiene.cash_desk.revocation import CashRevocation
from crm_hygiene.cash_desk.worklist import Worklist
from crm_hygiene.cli.review_text import say, show_refused
from crm_hygiene.cli.tables import table
from crm_hygiene.linkage.records import written

_SHOWN = 10  # rows of a kind before "and n more"
_ENTRY = (
    "booked_date", "value_date", "payment_kind", "statement_kind", "payer_name", "payer_iban", "payer_tax_id",
    "virtual_account", "creditor_reference", "end_to_end_id", "bank_reference", "reversed_reference",
    "instructed_amount", "instructed_currency", "exchange_rate", "charges_amount",
)  # fmt: skip


def _money(amount: Any, currency: str | None) -> str:
    return "" if amount is None else text(units(amount), currency or "")


def show_worklist(found: Worklist, console: Console) -> None:
    """The open exceptions one a line, and what to type next."""
    rows = list(found.rows.iter_rows(named=True))
    if rows:
        cells = [
            (
                row["exception_id"][:10],
                row["exception_type"],
                _money(row["amount_at_stake"], row["currency"]),
                "" if row["age_days"] is None else f"{row['age_days']} d",
                escape(printable(row["payer_name"], 30)),
                escape(printable(row["reason"], 90)),
            )
            for row in rows
        ]
        heads = [("exception", "left"), ("type", "left"), ("at stake", "right"), ("age", "right")]
        console.print(table(None, [*heads, ("payer", "left"), ("why", "left")], cells))
    else:
        say(console, "No open exceptions.")
    if found.left_out:
        say(console, f"{found.left_out:,} more (--limit)")
    if found.decided:
        say(console, f"{found.decided:,} decided since the last night and not shown; the next posts them")
    if found.parked:
        say(console, f"{found.parked:,} parked and not shown: crm-hygiene review cash decisions")
    if rows:
        first = rows[0]["exception_id"][:10]
        say(console, f"look closer   crm-hygiene review cash show {first}")
        say(console, f"decide        crm-hygiene review cash decide {first} --suggestion 1")


def _suggested(suggestion: Suggestion) -> str:
    lines = [
        f"{line.allocation_kind.replace('_', ' ')} {text(line.amount, line.currency)}"
        + (f" on {line.invoice_number or '?'} ({written(line.invoice)})" if line.invoice else "")
        for line in suggestion.lines
    ]
    return "; ".join(printable(line, 160) for line in lines)


def show_case(case: Case, console: Console) -> None:
    """One exception with all that helps to decide it."""
    row, entry = case.row, case.entry
    short = row["exception_id"][:10]
    say(console, f"{row['exception_id']}  {row['exception_type']}: {printable(row['reason'])}", "bold")
    age = "" if row["age_days"] is None else f", waiting {row['age_days']} days"
    say(console, f"at stake {_money(row['amount_at_stake'], row['currency'])}{age}")
    record = payment_of(row)
    if record is not None:
        facts = [("payment", written(record))]
        if case.payment is not None:
            paid = case.payment
            facts.append(("amount", _money(paid["amount"], paid["currency"])))
            facts.append(("left to decide", text(case.unapplied, paid["currency"])))
            facts.append(("status", str(paid["status"])))
        facts += [(name, printable(str(entry[name]))) for name in _ENTRY if entry.get(name) is not None]
        facts.append(("text", printable(entry.get("remittance_text")) or "(none)"))
        cells = [(name.replace("_", " "), escape(value)) for name, value in facts]
        console.print(table(None, [("", "left"), ("", "left")], cells))
    for suggestion in case.suggestions:
        why = ", ".join(printable(reason, 160) for reason in suggestion.reasons)
        say(console, f"{suggestion.rank}. {_suggested(suggestion)}  (score {suggestion.score})")
        say(console, f"   {suggestion.hypothesis_kind.replace('_', ' ')}: {why}")
    if not case.suggestions:
        say(console, "no suggestions")
    if case.candidates:
        candidates = [
            (
                escape(written(c.record)),
                escape(printable(c.row["invoice_number"], 40)),
                escape(printable(c.row["customer_name"], 30)),
                str(c.row["due_date"] or ""),
                _money(c.row["amount"], c.row["currency"]),
                text(c.open, c.row["currency"] or ""),
                c.why,
            )
            for c in case.candidates
        ]
        heads = [("invoice", "left"), ("number", "left"), ("customer", "left"), ("due", "left")]
        amounts = [("amount", "right"), ("open", "right"), ("because", "left")]
        console.print(table(None, [*heads, *amounts], candidates))
    if case.payments:
        back = [
            (
                escape(written(p.record)),
                str(p.row["booked_date"] or ""),
                escape(printable(p.row["payer_name"], 30)),
                _money(p.row["amount"], p.row["currency"]),
                p.row["status"],
            )
            for p in case.payments
        ]
        heads = [("may take back", "left"), ("booked", "left"), ("payer", "left")]
        console.print(table(None, [*heads, ("amount", "right"), ("status", "left")], back))
    _some(console, "Decided:", [_decision_text(d) for d in case.decisions])
    is_back = row["exception_type"] == REVERSAL
    word = "--payment PAYMENT" if is_back else "--invoice INVOICE"
    take = " --suggestion 1" if case.suggestions and not is_back else f" apply {word}"
    say(console, f"decide        crm-hygiene review cash decide {short}{take}")
    say(console, "or            apply, split, write-off, refund, park: crm-hygiene review cash decide --help")


def case_json(case: Case) -> dict[str, Any]:
    """A case as plain data; amounts are texts."""
    currency = case.row["currency"] or ""
    return {
        **case.row,
        "payment": case.payment,
        "entry": {**case.entry, "remittance_text": printable(case.entry.get("remittance_text"), 20_000)},
        "left_to_decide": text(case.unapplied, currency),
        "suggestions": [
            {
                "rank": s.rank,
                "hypothesis_kind": s.hypothesis_kind,
                "score": s.score,
                "reasons": list(s.reasons),
                "lines": [
                    {
                        "allocation_kind": line.allocation_kind,
                        "invoice": None if line.invoice is None else written(line.invoice),
                        "invoice_number": line.invoice_number,
                        "amount": text(line.amount, line.currency),
                    }
                    for line in s.lines
                ],
            }
            for s in case.suggestions
        ],
        "candidates": [
            {**c.row, "left_open": text(c.open, c.row["currency"] or ""), "because": c.why}
            for c in case.candidates
        ],
        "payments": [p.row for p in case.payments],
        "decisions": list(case.decisions),
    }


def _some(console: Console, heading: str, lines: Iterable[str]) -> None:
    listed = list(lines)
    if not listed:
        return
    say(console, heading)
    for line in listed[:_SHOWN]:
        say(console, f"  {line}")
    if len(listed) > _SHOWN:
        say(console, f"  and {len(listed) - _SHOWN:,} more")


def _decision_text(row: Mapping[str, Any]) -> str:
    """What a row of the log says, who said it, when and why."""
    payment, invoice = payment_of(dict(row)), invoice_of(dict(row))
    words = [row["decision_kind"].replace("_", " ")]
    if row["amount"] is not None:
        words.append(_money(row["amount"], row["currency"]))
    if payment is not None:
        words.append(f"of {written(payment)}")
    if row["used_amount"] is not None:
        words.append(f"for {_money(row['used_amount'], row['used_currency'])}")
    if invoice is not None:
        words.append(f"on {written(invoice)}")
    if row["exchange_amount"]:
        named = "loss" if row["exchange_amount"] > 0 else "gain"
        words.append(f"with an exchange {named} of {_money(abs(row['exchange_amount']), row['currency'])}")
    taken_back = taken_back_of(dict(row))
    if taken_back is not None:
        words.append(f"taking back {written(taken_back)}")
    if row["until_date"] is not None:
        words.append(f"until {row['until_date']}")
    why = f": {printable(row['reason'], 200)}" if row["reason"] else ""
    when = f"{row['decided_at']:%Y-%m-%d %H:%M} UTC"
    return f"{row['cash_decision_id']}  {' '.join(words)}, by {row['decided_by']} on {when}{why}"


def show_decided(done: Decided, console: Console) -> None:
    """What deciding came to."""
    _some(console, "Decided already, nothing added:", map(_decision_text, done.repeated))
    if done.rows.is_empty():
        return
    _some(console, "Decided:", map(_decision_text, done.rows.iter_rows(named=True)))
    for note in done.notes:
        say(console, f"note: {printable(note, 200)}")
    say(console, "The next night posts it.")
    say(console, f"To take it back: crm-hygiene review cash revoke {done.group}")


def show_cash_revocation(done: CashRevocation, console: Console) -> None:
    """What revoking came to."""
    _some(
        console,
        "Revoked before, nothing added:",
        [f"{row['revokes_decision_id']} by {row['decided_by']}" for row in done.already],
    )
    _some(console, "Revoked:", map(_decision_text, done.revoked))
    posted = sum(1 for row in done.revoked if row["is_posted"])
    if posted:
        say(console, f"{posted:,} of it is posted; the next night posts the contra lines.")
    if done.revoked:
        say(console, "The exception is asked again from the next night on.")


def show_cash_decisions(rows: pl.DataFrame, not_shown: int, console: Console, limit: int) -> None:
    """The log newest first; `not_shown` rows were left out."""
    if rows.is_empty() and not not_shown:
        say(console, "Nothing has been decided yet; `crm-hygiene review cash list` has the exceptions.")
        return
    for row in rows.head(limit).iter_rows(named=True):
        said = f"revokes {row['revokes_decision_id']}: " if row["revokes_decision_id"] else ""
        say(console, f"{row['state']:<10}  {said}{_decision_text(row)}  {row['decision_group']}")
    more = rows.height - limit
    counted = "1 row" if rows.height == 1 else f"{rows.height:,} rows"
    say(console, counted + (f", {more:,} more not shown (--limit)" if more > 0 else ""))
    if not_shown:
        say(console, f"{not_shown:,} more were revoked or are revocations (--all)")


def show_cash_import(done: CashImport, file: Path, is_strict: bool, console: Console) -> None:
    """What an import came to."""
    _some(console, "Decided:", map(_decision_text, done.rows.iter_rows(named=True)))
    if done.repeated:
        say(console, f"decided already, nothing added: {_count(done.repeated)}")
    if done.revoked_before:
        say(
            console,
            f"decided so before and revoked since, nothing added: {_count(done.revoked_before)}; to decide "
            "so again, use `review cash decide`",
        )
    if done.blank:
        say(console, f"{file}: lines left open, without a decision: {done.blank:,}")
    if done.refused:
        show_refused([(line.number, line.reason) for line in done.refused], is_strict, console)
    elif done.rows.is_empty() and not done.repeated and not done.revoked_before:
        say(console, f"{file}: no decision in it, nothing to do")


def _count(lines: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, lines[:_SHOWN]))
    return f"line {shown}" + (f" and {len(lines) - _SHOWN:,} more" if len(lines) > _SHOWN else "")
