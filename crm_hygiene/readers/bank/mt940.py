"""MT940 statements and MT942 interim reports (SWIFT category 9; DFÜ agreement annex 3).

Fields are split and field :61: is read here; field :86: in `information`. A statement proves its
balances page by page (60M, 62M), an interim report the counts and sums of :90D: and :90C:.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

from crm_hygiene.errors import FileRefused
from crm_hygiene.readers.bank.entry import (
    Identities,
    Row,
    Statement,
    Told,
    folded,
    is_iban,
    plain,
    reference,
)
from crm_hygiene.readers.bank.information import read_information
from crm_hygiene.readers.bank.proof import Proof
from crm_hygiene.readers.encodings import Text

# Only these begin a field; `:26:` in the middle of a wrapped time of day does not.
_FIELD = re.compile(r"^:(13D?|20|21|25P?|28C?|34F|60[FM]|61|62[FM]|64|65|86|90[CD]|NS):")
_LINE = re.compile(
    r"(?P<value>\d{6})(?P<entry>\d{4})?\s*(?P<mark>R?[CD])(?P<funds>[A-Z])?\s*"
    r"(?P<amount>\d+(?:,\d*)?|,\d+)\s*(?P<code>[A-Z][A-Z0-9 ]{3})?(?P<rest>.*)$"
)
_BALANCE = re.compile(r"\s*(?P<mark>[CD])(?P<day>\d{6})(?P<currency>[A-Z]{3})(?P<amount>\d*,?\d*)\s*$")
_TOTAL = re.compile(r"\s*(?P<number>\d+)\s*(?P<currency>[A-Z]{3})(?P<amount>\d*,?\d*)")
_SWIFT_END = re.compile(r"^-\}?|\{5:")
# Words in place of the owner's reference that only say where it stands.
_POINTERS = frozenset(("EREF", "PREF", "MARF", "KREF", "NONREF"))
_MAX_LINES = 200_000


@dataclass
class _Field:
    tag: str
    lines: list[str]

    @property
    def text(self) -> str:
        return "".join(self.lines)


@dataclass
class _Page:
    """A statement or report as its fields tell it so far."""

    statement: Statement
    pending: tuple[Row, Decimal, str, list[str]] | None = None
    intermediate: bool = False
    totals: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    is_interim: bool = False


def _fields(text: Text) -> Iterator[_Field]:
    """Fields in file order; blank lines, SWIFT envelopes and banks' own header lines are passed over."""
    current: _Field | None = None
    for line, _ in text.lines():
        line = line.rstrip("\r\n").replace("\0", "").lstrip("\1\ufeff")
        found = _FIELD.match(line)
        if found:
            if current is not None:
                yield current
            current = _Field(found.group(1), [line[found.end() :]])
        elif line.startswith("{1:") or _SWIFT_END.match(line):
            if current is not None:
                yield current
            current = None
            # A new message may begin on the line that ends the last one.
            begun = line.rpartition("{4:")[2] if "{4:" in line else ""
            if start := _FIELD.match(begun):
                current = _Field(start.group(1), [begun[start.end() :]])
        elif current is not None and line.strip() and len(current.lines) < _MAX_LINES:
            current.lines.append(line)
    if current is not None:
        yield current


def _amount(text: str) -> Decimal:
    return Decimal(text.replace(",", ".").strip(".") or "0") if text.strip(",") else Decimal(0)


def _day(text: str) -> str | None:
    """ISO date of YYMMDD; 30 February, interest's own day, is the month's last."""
    year, month, day = int(text[:2]), int(text[2:4]), int(text[4:6])
    year += 2000 if year < 80 else 1900
    if not 1 <= month <= 12:
        return None
    last = calendar.monthrange(year, month)[1]
    if month == 2 and last < day <= 30:
        day = last
    return date(year, month, day).isoformat() if 1 <= day <= last else None


def _entry_day(value: str, entry: str) -> str | None:
    """ISO booking date of MMDD: the year is the value date's, or a neighbour's at the turn of the year."""
    month, value_month = int(entry[:2]), int(value[5:7])
    year = int(value[:4]) + (1 if value_month - month > 6 else -1 if month - value_month > 6 else 0)
    return _day(f"{year % 100:02d}{entry}")


def account_of(text: str) -> str:
    """Field :25: as an IBAN where it is one, else as stated; blanks and a currency behind it are dropped."""
    compact = re.sub(r"\s", "", text)
    for candidate in (compact, compact.rpartition("/")[2], compact.partition("/")[0]):
        trimmed = re.sub(r"(?<=\d)[A-Z]{3}$", "", candidate)
        if is_iban(trimmed):
            return trimmed
    return re.sub(r"(?<=\d)/?[A-Z]{3}$", "", compact)


def read_mt940(path: Path, text: Text, proof: Proof) -> Iterator[Told]:
    """Entries of all statements of a file, in their order.

    Raises
    ------
    FileRefused
        if a statement lacks its account, breaks off or a balance cannot be read; by `proof`.
    """
    identities = Identities()
    page: _Page | None = None
    last_closing: dict[str, tuple[Decimal, str]] = {}
    number = 0
    for item in _fields(text):
        if item.tag == "20" or (item.tag == "25" and page is None):
            if page is not None:
                yield from _finish(path, page, identities, proof, last_closing)
            number += 1
            page = _Page(Statement("statement", statement_id=str(number)))
        if page is None:
            raise FileRefused(
                f"{path}: field :{item.tag}: stands outside a statement, which begins with :20: and "
                ":25:; only a piece of one was delivered; fetch the file again from the bank"
            )
        yield from _take(path, item, page, identities)
    if page is not None:
        yield from _finish(path, page, identities, proof, last_closing)


def _take(path: Path, item: _Field, page: _Page, identities: Identities) -> Iterator[Told]:
    """Take one field in; the entry before it is handed on once its text is complete."""
    statement, tag = page.statement, item.tag
    if tag in ("25", "25P"):
        statement.account = account_of(item.lines[0])
    elif tag in ("28", "28C"):
        statement.statement_id = folded(item.text)
    elif tag in ("34F", "13", "13D"):
        page.is_interim = True
        statement.kind = "interim"
        if tag == "34F":
            statement.currency = item.text.strip()[:3]
    elif tag[:2] in ("60", "62"):
        yield from _flush(page, identities)
        found = _BALANCE.match(item.text)
        if not found:
            raise FileRefused(
                f"{path}: statement {statement.statement_id}: balance :{tag}:{item.text[:40]} cannot be "
                "read; fetch the file again from the bank"
            )
        amount = _amount(found.group("amount"))
        balance = (-amount if found.group("mark") == "D" else amount, found.group("currency"))
        statement.currency = balance[1]
        if tag[:2] == "60":
            statement.opening = balance
            page.intermediate = tag == "60M"
        else:
            statement.closing = balance
    elif tag == "61":
        yield from _flush(page, identities)
        yield from _statement_line(item, page)
    elif tag == "86" and page.pending is not None and statement.closing is None:
        page.pending[3].extend(item.lines)
    elif tag[:2] == "90":
        yield from _flush(page, identities)
        total = _TOTAL.match(item.text)
        if total:
            page.totals[tag[2]] = (Decimal(total.group("number")), _amount(total.group("amount")))
    elif tag == "NS" and page.pending is not None:
        # Non-SWIFT lines of some banks: two digits of subfield, then text.
        page.pending[3].extend(f"?{line}" if re.match(r"\d\d", line) else line for line in item.lines)


def _statement_line(item: _Field, page: _Page) -> Iterator[Told]:
    found = _LINE.match(item.lines[0].rstrip())
    value = _day(found.group("value")) if found else None
    if found is None or value is None:
        page.statement.entries += 1
        what = "date" if found else "field"
        raw = "\n".join(item.lines)
        yield {}, f":61: entry {page.statement.entries}: the {what} cannot be read", raw
        return
    entry, mark = found.group("entry"), found.group("mark")
    amount = _amount(found.group("amount"))
    # The reversal of a credit takes money out, that of a debit brings it back.
    amount = -amount if mark in ("D", "RC") else amount
    code = (found.group("code") or "").strip()
    owner, _, servicer = found.group("rest").partition("//")
    owner, servicer = folded(owner), folded(servicer)
    # A reference that is too long for the field continues on the next line, as banks' own text does.
    row: Row = {
        "BookedOn": (_entry_day(value, entry) if entry else None) or value,
        "ValueOn": value,
        "IsReversal": "true" if mark.startswith("R") else "false",
        "TransactionCode": code or None,
        "Amount": plain(amount),
        "EndToEndId": (reference(owner) if owner.upper() not in _POINTERS else "") or None,
    }
    row["BankReference"] = reference(servicer) or None
    if len(item.lines) > 1:
        row["Remittance"] = folded(" ".join(item.lines[1:])) or None
    page.pending = (row, amount, mark, [])


def _kind(code: str, mark: str, told: str | None) -> str:
    if mark.startswith("R"):
        return "reversal"
    if told:
        return told
    # SWIFT transaction type codes behind N, F or S.
    return {"CHG": "charge", "COM": "charge", "INT": "interest", "RTI": "return", "BRF": "charge"}.get(
        code[1:4], "payment"
    )


def _flush(page: _Page, identities: Identities) -> Iterator[Told]:
    if page.pending is None:
        return
    row, amount, mark, lines = page.pending
    page.pending = None
    supplement = row.get("Remittance")
    told = read_information(lines) if lines else {}
    code = told.pop("GVC", None)
    kind = _kind(row.get("TransactionCode") or "", mark, told.get("PaymentKind"))
    # The field :86: knows better than the line above it, where it says anything.
    row |= {k: v for k, v in told.items() if v}
    row["Remittance"] = told.get("Remittance") or supplement
    if code:
        row["TransactionCode"] = f"{row.get('TransactionCode') or ''}+{code}".lstrip("+")
    row["PaymentKind"] = kind
    if kind in ("reversal", "return"):
        row["ReversedReference"] = row.get("EndToEndId")
    statement = page.statement
    row["Currency"] = statement.currency or None
    statement.count(amount, statement.currency)
    identities.identify(row, statement, amount, row.get("BankReference") or "")
    yield row, "", ""


def _finish(
    path: Path,
    page: _Page,
    identities: Identities,
    proof: Proof,
    last_closing: dict[str, tuple[Decimal, str]],
) -> Iterator[Told]:
    """The statement's last entry, then its proofs."""
    yield from _flush(page, identities)
    statement = page.statement
    who = f"statement {statement.statement_id}"
    if not statement.account:
        raise FileRefused(
            f"{path}: {who} names no account (:25:); only a piece of one was delivered; "
            "fetch the file again from the bank"
        )
    if not statement.currency:
        raise FileRefused(
            f"{path}: {who} has neither a balance (:60F:) nor a floor limit (:34F:), so its currency is not "
            "known; only a piece of one was delivered; fetch the file again from the bank"
        )
    if not page.is_interim or statement.opening or statement.closing:
        proof.balances(statement, required=True)
    if (
        page.intermediate
        and statement.opening
        and last_closing.get(statement.account, statement.opening) != statement.opening
    ):
        proof.fail(f"{who}: opens with {statement.opening[0]}, the page before closes otherwise")
    if statement.closing:
        last_closing[statement.account] = statement.closing
    for letter, what in (("C", "credits"), ("D", "debits")):
        if letter in page.totals:
            statement.stated[f"number of {what}"], statement.stated[f"sum of {what}"] = page.totals[letter]
    proof.totals(statement)
