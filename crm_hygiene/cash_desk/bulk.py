"""Decisions from a CSV file: the worksheet filled in, or a plain list of exceptions and decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from crm_hygiene.cash.money import text, units
from crm_hygiene.cash_desk.amounts import plain, read_amount
from crm_hygiene.cash_desk.balances import PAYMENTS, rows_of
from crm_hygiene.cash_desk.case import EXCEPTIONS, invoice_of, payment_of
from crm_hygiene.cash_desk.deciding import Desk, WriteOffRefused
from crm_hygiene.cash_desk.decision_log import CashLog, DecisionKind, Line, taken_back_of
from crm_hygiene.cash_desk.exchange import read_rate
from crm_hygiene.cash_desk.invoice_names import InvoiceNames
from crm_hygiene.cash_desk.proposals import Proposal, Wish, parts_in, split_of
from crm_hygiene.contract import contract_of, nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.lake import Lake
from crm_hygiene.linkage.records import Record, written
from crm_hygiene.night import Night
from crm_hygiene.stewardship.bulk import RefusedLine
from crm_hygiene.stewardship.spreadsheet import read_csv
from crm_hygiene.stewardship.suggestions import UnknownTarget, closest
from crm_hygiene.stewardship.targets import parse_record

_COLUMNS = (
    "decision", "invoice", "amount", "paid", "rate", "takes_back", "until", "reason", "exception_id",
    "payment",
)  # fmt: skip
_REST = "write off rest"
_WORDS: dict[str, DecisionKind] = {
    "apply": "apply",
    "split": "split",
    "write off": "write_off",
    "refund": "refund",
    "park": "park",
}


@dataclass(frozen=True)
class CashImport:
    """What an import came to.

    Attributes
    ----------
    rows
        rows added to stewardship.cash_decisions.
    repeated
        lines that say what stands already.
    revoked_before
        lines whose decision was taken back since; nothing was added for them.
    refused
        lines that were not taken, with the reason.
    blank
        lines without a decision.
    """

    rows: pl.DataFrame
    repeated: tuple[int, ...]
    revoked_before: tuple[int, ...]
    refused: tuple[RefusedLine, ...]
    blank: int


def _word(cell: str) -> str:
    return " ".join(cell.strip().casefold().replace("_", " ").replace("-", " ").split())


def _kind(cell: str) -> DecisionKind:
    word = _word(cell)
    if word in _WORDS:
        return _WORDS[word]
    raise ConfigurationError(
        f"decision '{cell.strip()[:40]}' is not one of {', '.join(_WORDS)}, or the number of a suggestion"
        f"{nearest(word, list(_WORDS))}"
    )


def _until(cell: str) -> date | None:
    if not cell.strip():
        return None
    try:
        return date.fromisoformat(cell.strip())
    except ValueError:
        raise ConfigurationError(f"until '{cell.strip()[:40]}' is not a day; write it 2026-12-31") from None


def _suggested(
    cells: Mapping[str, str], currency: str, reason: str | None, invoices: InvoiceNames
) -> Proposal:
    """The suggestion of the worksheet's own cell: tonight's may have changed their order since."""
    rank = cells["decision"].strip()
    cell = cells.get(f"suggestion_{rank}", "").strip()
    if not cell:
        raise ConfigurationError(f"the line has no suggestion {rank} that can be taken as a whole")
    paid, _, short = cell.partition("|")
    parts, rest = parts_in(paid, currency), parts_in(short, currency)
    kind: DecisionKind = "apply" if len(parts) == 1 else "split"
    return Proposal(
        (
            *(Wish(kind, invoices.find(word), amount) for word, amount in parts),
            *(Wish("write_off", invoices.find(word), amount) for word, amount in rest),
        ),
        reason or f"suggestion {rank} of the worksheet",
    )


def _proposal(cells: Mapping[str, str], currency: str, invoices: InvoiceNames) -> Proposal:
    reason = cells.get("reason", "").strip() or None
    if cells["decision"].strip().isdigit():
        return _suggested(cells, currency, reason, invoices)
    is_rest = _word(cells["decision"]) == _REST
    kind: DecisionKind = "write_off" if is_rest else _kind(cells["decision"])
    named, amount = cells.get("invoice", "").strip(), cells.get("amount", "").strip()
    if kind == "park":
        return Proposal((Wish("park"),), reason, _until(cells.get("until", "")))
    if kind == "split":
        parts = parts_in(named, currency)
        return split_of([(invoices.find(word), value) for word, value in parts], reason)
    more = {name: cells.get(name, "").strip() for name in ("paid", "rate", "takes_back")}
    if kind != "apply" and any(more.values()):
        raise ConfigurationError("paid, rate and takes_back go with apply; empty them")
    if more["takes_back"]:
        if named or amount or more["paid"] or more["rate"]:
            raise ConfigurationError("takes_back says it all; empty invoice, amount, paid and rate")
        return Proposal((Wish("apply", takes_back=parse_record(more["takes_back"])),), reason)
    if kind == "apply" and not named:
        raise ConfigurationError("apply needs the invoice in the column invoice")
    if kind == "refund" and named:
        raise ConfigurationError("a refund goes to the payer, not to an invoice; empty the column invoice")
    if is_rest and named:
        raise ConfigurationError("write off rest is of the payment; empty the column invoice")
    if kind == "write_off" and not amount and not is_rest:
        raise ConfigurationError("a write-off needs its amount in the column amount")
    invoice = invoices.find(named) if named else None
    told_in = invoices.currencies[invoice] if invoice else currency
    value = read_amount(amount, told_in) if amount else None
    used = read_amount(more["paid"], currency) if more["paid"] else None
    rate = read_rate(more["rate"]) if more["rate"] else None
    return Proposal((Wish(kind, invoice, value, used, rate, is_rest=is_rest),), reason)


@dataclass
class _Claim:
    """A line with a decision, and the exception it is about; that is its own word where none is left."""

    number: int
    exception: dict[str, Any]
    proposal: Proposal
    unapplied: int | None
    is_open: bool


def _exceptions(lake: Lake, lines: list[dict[str, str]]) -> dict[str, dict[str, Any]]:
    ids = pl.Series([_id_in(cells) for cells in lines], dtype=pl.String).implode()
    rows = lake.scan(contract_of(EXCEPTIONS)).filter(pl.col("exception_id").is_in(ids)).collect()
    return {row["exception_id"]: row for row in rows.iter_rows(named=True)}


def _words(cells: Mapping[str, str]) -> set[str]:
    """Every text of a line that may name an invoice."""
    found = {cells.get("invoice", "").strip()}
    for name, cell in cells.items():
        if name == "invoice" or name.startswith("suggestion_"):
            pieces = cell.replace("|", ";").split(";")
            found.update(piece.rpartition("=")[0].strip() for piece in pieces)
    return found


def _id_in(cells: Mapping[str, str]) -> str:
    return cells.get("exception_id", "").strip().removeprefix("E-")


def _as_written(cells: Mapping[str, str]) -> dict[str, Any]:
    """An exception that is gone, as the line itself tells it: enough to see whether it was decided so."""
    word = cells.get("payment", "").strip()
    payment: tuple[str | None, str | None] = parse_record(word) if word else (None, None)
    return {
        "exception_id": _id_in(cells),
        "payment_source": payment[0],
        "payment_record_id": payment[1],
        "invoice_source": None,
        "invoice_record_id": None,
        "currency": cells.get("currency", "").strip(),
    }


def _claim(
    number: int, cells: Mapping[str, str], exception: dict[str, Any] | None, invoices: InvoiceNames
) -> _Claim:
    row = exception or _as_written(cells)
    told = cells.get("unapplied_amount", "").strip()
    proposal = _proposal(cells, row["currency"] or "", invoices)
    unapplied = None
    if told and exception is not None:
        sign = -1 if told.startswith("-") else 1
        body = told.removeprefix("-")
        unapplied = 0 if body.strip("0.,") == "" else sign * read_amount(body, row["currency"] or "")
    return _Claim(number, row, proposal, unapplied, exception is not None)


def _history(claim: _Claim, log: CashLog) -> str | None:
    """`standing` or `revoked` where every line of the claim was said before in these very words."""
    fates = set()
    for wish in claim.proposal.wishes:
        payment = payment_of(claim.exception)
        if wish.kind == "park":
            line = Line("park", payment, None, until=claim.proposal.until)
        else:
            if wish.is_open:
                return _taken_whole(claim, wish, log)
            line = Line(wish.kind, payment, wish.invoice, wish.amount, claim.exception["currency"])
        _, standing, taken_back = log.said_before(line)
        fates.add("standing" if standing else "revoked" if taken_back else None)
    if None in fates:
        return None
    return "revoked" if "revoked" in fates else "standing"


def _taken_whole(claim: _Claim, wish: Wish, log: CashLog) -> str | None:
    """The same for a decision that left its amount open."""
    for row in log.frame.sort("decided_at", descending=True).iter_rows(named=True):
        if (
            row["decision_kind"] == wish.kind
            and row["exception_id"] == claim.exception["exception_id"]
            and invoice_of(row) == wish.invoice
            and taken_back_of(row) == wish.takes_back
        ):
            return "revoked" if row["cash_decision_id"] in log.revoked else "standing"
    return None


def _check_fresh(claim: _Claim, payments: Mapping[Record, dict[str, Any]]) -> None:
    """Refuse a line whose exception is no longer the one that the file shows."""
    if not claim.is_open:
        raise ConfigurationError(
            f"exception E-{claim.exception['exception_id']} is not open any more; export the worksheet anew"
        )
    payment = payment_of(claim.exception)
    if claim.unapplied is None or payment not in payments or payment is None:
        return
    now = units(payments[payment]["unapplied_amount"])
    if now != claim.unapplied:
        currency = claim.exception["currency"] or ""
        raise ConfigurationError(
            f"payment {written(payment)} has {text(now, currency)} unapplied by now, the file says "
            f"{plain(claim.unapplied)}; export the worksheet anew"
        )


def import_decisions(
    night: Night, path: Path, by: str, is_strict: bool = False, now: datetime | None = None
) -> CashImport:
    """Take the decisions of a CSV file in one commit; the caller holds the night lock.

    The file needs the columns `decision` (apply, split, write off, refund, park, or the number of a
    suggestion in the file) and `exception_id`; `invoice`, `amount`, `until` and `reason` as the decision
    asks for. Other columns are ignored. The same file adds nothing a second time, even where a
    decision was revoked since.

    Parameters
    ----------
    is_strict
        one refused line refuses the file.

    Raises
    ------
    ConfigurationError
        if the file cannot be read, is no CSV file or lacks the columns.
    LakeError
        if the lake cannot be written; nothing is written then.
    """
    _, header, lines = read_csv(path, _COLUMNS)
    for name in ("decision", "exception_id"):
        if name not in header:
            named = ", ".join(column for column in header[:8] if column) or "none"
            raise ConfigurationError(
                f"{path}: no column '{name}'{nearest(name, header)}; columns found: {named}"
            )
    filled = [line for line in lines if line.cells.get("decision", "").strip()]
    exceptions = _exceptions(night.lake, [line.cells for line in filled])
    refused: list[RefusedLine] = []
    claims: list[_Claim] = []
    names = InvoiceNames.read(night.lake, [word for line in filled for word in _words(line.cells)])
    for line in filled:
        try:
            claims.append(_claim(line.number, line.cells, exceptions.get(_id_in(line.cells)), names))
        except ConfigurationError as error:
            refused.append(RefusedLine(line.number, _reason(night.lake, line.cells, exceptions, error)))
    payments = [key for claim in claims if (key := payment_of(claim.exception)) is not None]
    payments += [w.takes_back for claim in claims for w in claim.proposal.wishes if w.takes_back]
    invoices = [wish.invoice for claim in claims for wish in claim.proposal.wishes if wish.invoice]
    invoices += [key for claim in claims if (key := invoice_of(claim.exception)) is not None]
    desk = Desk.open(night, payments, invoices, by, now or datetime.now(UTC))
    before, books = desk.log, rows_of(night.lake, PAYMENTS, payments)
    repeated: list[int] = []
    revoked: list[int] = []
    for claim in claims:
        fate = _history(claim, before)
        if fate is not None:
            (repeated if fate == "standing" else revoked).append(claim.number)
            continue
        try:
            _check_fresh(claim, books)
            added, _ = desk.consider(claim.exception, claim.proposal)
        except (ConfigurationError, WriteOffRefused) as error:
            refused.append(RefusedLine(claim.number, str(error)))
            continue
        if not added:
            repeated.append(claim.number)
    listed = tuple(sorted(refused, key=lambda line: line.number))
    if is_strict and listed:
        desk.acts.clear()
    rows = desk.write(night)
    return CashImport(rows, tuple(repeated), tuple(revoked), listed, len(lines) - len(filled))


def _reason(
    lake: Lake, cells: Mapping[str, str], known: Mapping[str, dict[str, Any]], error: ConfigurationError
) -> str:
    """Why a line was refused; one that names no exception at all is told the nearest."""
    word = _id_in(cells)
    if word in known or isinstance(error, UnknownTarget):
        return str(error)
    ids = lake.scan(contract_of(EXCEPTIONS)).select("exception_id").collect()["exception_id"]
    return f"no exception '{word}'{closest(word, ids)}"
