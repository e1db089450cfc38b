"""The one shape in which every bank format hands on its entries, and who an entry is across files.

A bank tells of one booking many times: in overlapping statements, in an intraday report and again in
the statement, as a batch and later with its transactions. `EntryKey` with `BookedOn`, `EntryAmount`
and `Occurrence` says which tellings are of one booking; which of them stands is decided when payments
are conformed. What does not belong here: any one format.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from crm_hygiene.standardise.references import NO_REFERENCE

COLUMNS = (
    "EntryId",
    "EntryKey",
    "EntryAmount",
    "Occurrence",
    "PartCount",
    "BatchId",
    "StatementId",
    "StatementNumber",
    "StatementKind",
    "OpeningBalance",
    "AccountIban",
    "AccountNumber",
    "BookedOn",
    "ValueOn",
    "Amount",
    "Currency",
    "Status",
    "PaymentKind",
    "IsReversal",
    "ReversedReference",
    "CounterpartyName",
    "CounterpartyIban",
    "CounterpartyAccount",
    "CounterpartyBic",
    "CounterpartyTaxId",
    "VirtualAccount",
    "Remittance",
    "EndToEndId",
    "CreditorReference",
    "BankReference",
    "InstructedAmount",
    "InstructedCurrency",
    "ExchangeRate",
    "ChargesAmount",
    "TransactionCode",
)

#: Longer texts are cut before they land; the file itself keeps the rest.
MAX_TEXT = 20_000

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_NOT_WORD = re.compile(r"[\W_]+")

Row = dict[str, str | None]
Told = tuple[Row, str, str]
"""A row, the reason to refuse it (empty: none), and its text in the file."""


def folded(text: str | None) -> str:
    """Blanks folded, ends trimmed, at most `MAX_TEXT` characters."""
    if not text:
        return ""
    # Ten megabytes of blanks need not be walked through to be cut.
    return " ".join(text[: 4 * MAX_TEXT].split())[:MAX_TEXT]


def reference(text: str | None) -> str:
    """A reference as stated, empty where it says that there is none."""
    found = folded(text)
    if found.upper().strip(" .") in NO_REFERENCE or not any(c.isalnum() and c != "0" for c in found):
        return ""
    return found


def is_iban(text: str) -> bool:
    """Whether a text, without blanks, has the form of an IBAN."""
    return _IBAN.fullmatch(text) is not None


def decimal(text: str) -> Decimal | None:
    """A plain finite number, else None."""
    if not text:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def plain(amount: Decimal) -> str:
    """A number as digits, never with an exponent."""
    return format(amount, "f")


@dataclass
class Statement:
    """What a statement, report or notification says of itself.

    `kind` is statement, notification or interim. `opening`, `closing`: booked balances with their
    currency. `credits`, `debits`: number and sum of entries so far. `stated`: totals as the bank has them,
    under `number of` and `sum of` `entries`, `credits` and `debits`.
    """

    kind: str
    statement_id: str = ""
    account: str = ""
    currency: str = ""
    opening: tuple[Decimal, str] | None = None
    closing: tuple[Decimal, str] | None = None
    entries: int = 0
    credits: list[Decimal] = field(default_factory=lambda: [Decimal(0), Decimal(0)])
    debits: list[Decimal] = field(default_factory=lambda: [Decimal(0), Decimal(0)])
    booked: Decimal = Decimal(0)
    currencies: set[str] = field(default_factory=set)
    stated: dict[str, Decimal] = field(default_factory=dict)

    def count(self, amount: Decimal, currency: str, is_booked: bool = True) -> None:
        """Add an entry to the sums; `amount` is signed."""
        self.entries += 1
        side = self.credits if amount >= 0 else self.debits
        side[0] += 1
        side[1] += abs(amount)
        if is_booked:
            self.booked += amount
            self.currencies.add(currency)


class Identities:
    """Gives entries of one file their identity; two equal ones on a day are the first and the second.

    A statement that the file holds twice tells of the same entries again.
    """

    def __init__(self) -> None:
        self._number = 0
        self._current: Statement | None = None
        self._here: Counter[tuple[str, ...]] = Counter()
        self._total: Counter[tuple[str, ...]] = Counter()
        self._of: dict[tuple[object, ...], Counter[tuple[str, ...]]] = {}

    def _begin(self, statement: Statement) -> None:
        self._current = statement
        self._number += 1
        self._here = Counter()
        same = (statement.account, statement.kind, statement.statement_id, statement.opening)
        self._total.subtract(self._of.get(same, Counter()))
        self._of[same] = self._here

    def identify(self, row: Row, statement: Statement, amount: Decimal, bank_reference: str) -> None:
        """Set what a row tells of its statement, EntryKey, EntryId, EntryAmount, Occurrence and PartCount.

        With the servicer's reference the entry is that reference on that account; without one it is what
        it says. Amount and day always count: banks reuse references.
        """
        if statement is not self._current:
            self._begin(statement)
        account = statement.account
        row["AccountIban" if is_iban(account) else "AccountNumber"] = account or None
        row["StatementId"] = statement.statement_id or None
        row["StatementNumber"] = str(self._number)
        row["StatementKind"] = statement.kind
        opening = statement.opening
        row["OpeningBalance"] = plain(opening[0]) if opening and statement.kind == "statement" else None
        # 5 and 5.00 are one amount.
        sum_text = plain(amount.normalize()) if amount else "0"
        if bank_reference:
            stem = bank_reference
        else:
            said = (
                account,
                row.get("BookedOn") or row.get("ValueOn") or "",
                sum_text,
                row.get("Currency") or "",
                *(
                    _NOT_WORD.sub("", row.get(c) or "").upper()
                    for c in ("EndToEndId", "CreditorReference", "Remittance", "CounterpartyIban")
                ),
            )
            stem = "~" + hashlib.sha256("\0".join(said).encode("utf-8", "replace")).hexdigest()[:20]
        key = f"{account}/{stem}"
        entry = (key, row.get("BookedOn") or "", sum_text)
        self._here[entry] += 1
        self._total[entry] += 1
        row["EntryKey"] = key
        row["EntryId"] = stem if bank_reference else key
        row["EntryAmount"] = sum_text
        # A reference told again in another statement is the same entry; two entries that only say the same,
        # in two statements of a file, are two.
        row["Occurrence"] = str((self._here if bank_reference else self._total)[entry])
        row["PartCount"] = "1"


_STATEMENT = (
    "AccountIban", "AccountNumber", "StatementId", "StatementNumber", "StatementKind", "OpeningBalance",
)  # fmt: skip


def parts_of(whole: Row, parts: list[Row]) -> Iterator[Row]:
    """The transactions of a batch as rows that share the identity of the batch's entry."""
    for number, part in enumerate(parts, start=1):
        part |= {c: whole.get(c) for c in ("EntryKey", "EntryAmount", "Occurrence")}
        part |= {c: whole.get(c) for c in _STATEMENT}
        part["EntryId"] = f"{whole['EntryId']}/{number}"
        part["PartCount"] = str(len(parts))
        yield part
