"""camt.053 bank statements (ISO 20022, versions .02 to .13): one row per booking.

An entry that lists several transactions gives one row each, if their amounts add up to the entry's;
else one row for the entry. Statements are checked: opening balance plus booked entries must be the
closing balance. Element names are matched without their namespace, so every version reads alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
from lxml import etree

from crm_hygiene.errors import FileRefused
from crm_hygiene.mapping import HeaderMatch, Mapping
from crm_hygiene.readers.batches import accept_header, shape_batch
from crm_hygiene.readers.landed_file import BATCH_ROWS, RefusedRow
from crm_hygiene.readers.snapshot import Snapshot

COLUMNS = (
    "EntryId",
    "StatementId",
    "AccountIban",
    "BookedOn",
    "ValueOn",
    "Amount",
    "Currency",
    "Status",
    "IsReversal",
    "CounterpartyName",
    "CounterpartyIban",
    "CounterpartyBic",
    "CounterpartyTaxId",
    "Remittance",
    "EndToEndId",
    "CreditorReference",
    "BankReference",
    "TransactionAmount",
    "TransactionCurrency",
    "TransactionCode",
)

_NO_REFERENCE = frozenset({"", "NOTPROVIDED", "NONREF", "NOT PROVIDED"})
# Entries that are not booked move no balance and are no payment yet.
_BOOKED = frozenset({"BOOK", ""})
# The parser stops for these only; a statement has a hundred times as many other elements.
_HANDLED = ("BkToCstmrStmt", "Stmt", "Id", "Acct", "Bal", "Ntry")
_OTHER_MESSAGES = {
    "BkToCstmrAcctRpt": "a camt.052 intraday report",
    "BkToCstmrDbtCdtNtfctn": "a camt.054 notification",
}

Element = Any
Row = dict[str, str | None]


@lru_cache(maxsize=4096)
def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _name(element: Element) -> str:
    tag = element.tag
    return _local(tag) if isinstance(tag, str) else ""


def _all(element: Element | None, path: str) -> list[Element]:
    """Descendants along a path of local names."""
    found = [] if element is None else [element]
    for step in path.split("/"):
        if not found:
            break
        found = [child for parent in found for child in parent.iterchildren(f"{{*}}{step}")]
    return found


def _text(element: Element | None, *paths: str) -> str:
    """Text of the first path that has any, trimmed; else empty."""
    for path in paths:
        for found in _all(element, path):
            text = " ".join((found.text or "").split())
            if text:
                return text
    return ""


@dataclass
class _Statement:
    """What is known of the statement being read."""

    statement_id: str = ""
    iban: str = ""
    opening: tuple[Decimal, str] | None = None
    closing: tuple[Decimal, str] | None = None
    booked: Decimal = Decimal(0)
    currencies: set[str] = field(default_factory=set)
    ordinal: int = 0


def read_camt053(
    path: Path, snapshot: Snapshot, mapping: Mapping, warnings: list[str], refused: list[RefusedRow]
) -> tuple[list[str], Iterator[pl.DataFrame]]:
    """Header and batches of a statement file; consuming them refuses balances that do not add up.

    Raises
    ------
    FileRefused
        if it is not well-formed XML, declares a document type, or is no camt.053.
    """
    match = accept_header(path, list(COLUMNS), mapping, warnings)
    _check_root(path, snapshot)
    return list(COLUMNS), _batches(path, snapshot, match, mapping, warnings, refused)


def _parser(snapshot: Snapshot, events: tuple[str, ...], names: tuple[str, ...] = ("*",)) -> Any:
    # No entities, no DTD, no network, no huge nodes: a bank's file needs none of them.
    return etree.iterparse(
        str(snapshot.path),
        events=events,
        tag=[f"{{*}}{name}" for name in names],
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def _malformed(path: Path, error: Exception) -> FileRefused:
    return FileRefused(
        f"{path}: not well-formed XML: {error}; was the file cut off? Fetch it again from the bank"
    )


def _check_root(path: Path, snapshot: Snapshot) -> None:
    """Look at the first two elements."""
    names: list[str] = []
    namespace = ""
    try:
        for _, element in _parser(snapshot, ("start",)):
            if not names:
                namespace = etree.QName(element).namespace or ""
                if element.getroottree().docinfo.doctype:
                    raise FileRefused(
                        f"{path}: declares a document type (DOCTYPE), which no bank statement needs; "
                        "it may be an attack; ask the bank"
                    )
            names.append(_name(element))
            if len(names) == 2:
                break
    except etree.XMLSyntaxError as error:
        if len(names) < 2:
            raise _malformed(path, error) from error
    if names[1:2] == ["BkToCstmrStmt"]:
        return
    other = next(
        (what for root, what in _OTHER_MESSAGES.items() if names[1:] and names[1].startswith(root)), ""
    )
    if other:
        raise FileRefused(
            f"{path}: is {other}; only booked statements (camt.053) are read, because "
            "notifications repeat what the statement books; ask the bank for camt.053"
        )
    raise FileRefused(
        f"{path}: is not a camt.053 statement but <{'/'.join(names)}> {namespace}".rstrip()
        + "; deliver camt.053, or map the file to another format"
    )


def _batches(
    path: Path,
    snapshot: Snapshot,
    match: HeaderMatch,
    mapping: Mapping,
    warnings: list[str],
    refused: list[RefusedRow],
) -> Iterator[pl.DataFrame]:
    rows: list[Row] = []
    numbers: list[int] = []
    number = 0
    for row, problem, text in _rows(path, snapshot, mapping, warnings):
        number += 1
        if problem:
            refused.append(RefusedRow.of(number, problem, text))
            continue
        rows.append(row)
        numbers.append(number)
        if len(rows) == BATCH_ROWS:
            yield _shape(rows, numbers, match, mapping)
            rows, numbers = [], []
    if rows:
        yield _shape(rows, numbers, match, mapping)
    if number == 0:
        warnings.append("the file has no entries")


def _shape(rows: list[Row], numbers: list[int], match: HeaderMatch, mapping: Mapping) -> pl.DataFrame:
    raw = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String))
    return shape_batch(raw, match, mapping, pl.Series(numbers, dtype=pl.Int64))


def _rows(
    path: Path, snapshot: Snapshot, mapping: Mapping, warnings: list[str]
) -> Iterator[tuple[Row, str, str]]:
    """Rows in file order, each with a problem (then it is refused) and its XML text."""
    statement = _Statement()
    ids: Counter[str] = Counter()
    count = 0
    try:
        for event, element in _parser(snapshot, ("start", "end"), _HANDLED):
            name = _name(element)
            parent = element.getparent()
            inside = _name(parent) if parent is not None else ""
            if event == "start":
                if name == "Stmt":
                    statement = _Statement()
                    count += 1
                continue
            if name == "Stmt":
                _check_balance(path, statement, mapping, warnings)
            elif name == "BkToCstmrStmt" and count == 0:
                warnings.append("the message holds no statement")
            elif inside == "Stmt":
                if name == "Id":
                    statement.statement_id = (element.text or "").strip()
                elif name == "Acct":
                    statement.iban = _text(element, "Id/IBAN", "Id/Othr/Id")
                elif name == "Bal":
                    _take_balance(element, statement)
                elif name == "Ntry":
                    statement.ordinal += 1
                    yield from _entry(element, statement, ids, warnings)
            if name in ("Stmt", "Ntry"):
                element.clear()
                while element.getprevious() is not None:
                    del parent[0]
    except etree.XMLSyntaxError as error:
        raise _malformed(path, error) from error


def _money(text: str) -> Decimal | None:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def _signed(element: Element, default: str = "") -> tuple[str, Decimal | None, str]:
    """Amount as written with its sign, as a number, and its currency; debits are negative."""
    text = _text(element, "Amt")
    amount = _money(text)
    currency = next((a.get("Ccy", "") for a in _all(element, "Amt")), "")
    if (_text(element, "CdtDbtInd") or default) == "DBIT" and amount is not None:
        return (f"-{text}" if amount else text), -amount, currency
    return text, amount, currency


def _take_balance(element: Element, statement: _Statement) -> None:
    kind = _text(element, "Tp/CdOrPrtry/Cd", "Tp/CdOrPrtry/Prtry")
    _, amount, currency = _signed(element)
    if amount is None:
        return
    if kind == "OPBD" or (kind == "PRCD" and statement.opening is None):
        statement.opening = (amount, currency)
    elif kind == "CLBD":
        statement.closing = (amount, currency)


def _check_balance(path: Path, statement: _Statement, mapping: Mapping, warnings: list[str]) -> None:
    """Opening plus booked must be closing (ISO 20022 message definition report, balances OPBD and CLBD)."""
    who = f"statement {statement.statement_id or '?'}"
    if statement.opening is None or statement.closing is None:
        lacks = " and ".join(
            n for n, b in (("opening", statement.opening), ("closing", statement.closing)) if b is None
        )
        warnings.append(f"{who}: no {lacks} balance, so its entries cannot be checked against it")
        return
    currencies = {statement.opening[1], statement.closing[1], *statement.currencies}
    if len(currencies) > 1:
        named = ", ".join(sorted(currencies))
        warnings.append(f"{who}: balances and entries in several currencies ({named}) cannot be added up")
        return
    expected = statement.opening[0] + statement.booked
    if expected != statement.closing[0]:
        said = (
            f"{who}: opening {statement.opening[0]} plus entries {statement.booked} is {expected}, "
            f"but the closing balance is {statement.closing[0]}"
        )
        if mapping.strict_balances:
            raise FileRefused(
                f"{path}: {said}; entries are missing or doubled; fetch the statement again, or set "
                "`strict_balances: false`"
            )
        warnings.append(said)


def _entry(
    entry: Element, statement: _Statement, ids: Counter[str], warnings: list[str]
) -> Iterator[tuple[Row, str, str]]:
    text, amount, currency = _signed(entry)
    status = _text(entry, "Sts/Cd", "Sts")
    if amount is not None and status in _BOOKED:
        statement.booked += amount
        statement.currencies.add(currency)
    reference = _reference(_text(entry, "AcctSvcrRef"))
    own = _reference(_text(entry, "NtryRef")) or str(statement.ordinal)
    # A NtryRef is unique within its statement only.
    entry_id = reference or "/".join(p for p in (statement.iban, statement.statement_id, own) if p)
    ids[entry_id] += 1
    if ids[entry_id] > 1:
        entry_id = f"{entry_id}#{ids[entry_id]}"
    reversal = _text(entry, "RvslInd") in ("true", "1")
    common: Row = {
        "StatementId": statement.statement_id,
        "AccountIban": statement.iban,
        "BookedOn": _text(entry, "BookgDt/Dt", "BookgDt/DtTm"),
        "ValueOn": _text(entry, "ValDt/Dt", "ValDt/DtTm"),
        "Currency": currency,
        "Status": status,
        "IsReversal": "true" if reversal else "false",
        "TransactionCode": "/".join(
            t
            for t in (_text(entry, f"BkTxCd/{p}") for p in ("Domn/Cd", "Domn/Fmly/Cd", "Domn/Fmly/SubFmlyCd"))
            if t
        )
        or _text(entry, "BkTxCd/Prtry/Cd"),
    }
    if amount is None:
        xml = etree.tostring(entry, encoding="unicode", with_tail=False)
        yield common, f"entry {entry_id}: amount {text!r} is not a number", xml
        return
    side = _text(entry, "CdtDbtInd")
    details = _all(entry, "NtryDtls/TxDtls")
    # One transaction: the entry's amount is what was booked; the transaction's may be in another currency.
    if len(details) > 1:
        parts = [_signed(d, side) for d in details]
        parts = [_signed_nested(d, side) if p[1] is None else p for p, d in zip(parts, details, strict=True)]
        adds_up = all(a is not None and (c or currency) == currency for _, a, c in parts) and amount == sum(
            a for _, a, _ in parts if a is not None
        )
        if adds_up:
            for i, (detail, part) in enumerate(zip(details, parts, strict=True), start=1):
                row = common | {"EntryId": f"{entry_id}/{i}", "Amount": part[0]}
                yield row | _details(entry, detail, statement, side, reversal, reference), "", ""
            return
        warnings.append(
            f"entry {entry_id}: its {len(details)} transactions do not add up to {text} {currency}; "
            "taken as one"
        )
    row = common | {"EntryId": entry_id, "Amount": text}
    detail = details[0] if len(details) == 1 else None
    if detail is not None:
        foreign, _, foreign_currency = _signed(detail, side)
        if foreign and (foreign_currency, foreign) != (currency, text):
            row |= {"TransactionAmount": foreign, "TransactionCurrency": foreign_currency}
    row |= _details(entry, detail, statement, side, reversal, reference)
    if len(details) > 1:
        row["Remittance"] = " ".join(t for t in (_remittance(entry, d) for d in details) if t) or None
    yield row, "", ""


def _signed_nested(detail: Element, side: str) -> tuple[str, Decimal | None, str]:
    """Amount of a transaction of version .02, which keeps it under AmtDtls/TxAmt."""
    for holder in _all(detail, "AmtDtls/TxAmt"):
        text, amount, currency = _signed(holder)
        if amount is not None and (_text(detail, "CdtDbtInd") or side) == "DBIT":
            return (f"-{text}" if amount else text), -amount, currency
        return text, amount, currency
    return "", None, ""


def _reference(text: str) -> str:
    return "" if text.upper() in _NO_REFERENCE else text


def _details(
    entry: Element, detail: Element | None, statement: _Statement, side: str, reversal: bool, reference: str
) -> Row:
    """Who and why of one transaction."""
    parties = next(iter(_all(detail, "RltdPties")), None)
    own_side = _text(detail, "CdtDbtInd") or side
    # Who paid stays the debtor when a booking is reversed, so then the other side is the counterparty.
    paid_by_them = (own_side == "CRDT") != reversal
    them = "Dbtr" if paid_by_them else "Cdtr"
    iban = _text(parties, f"{them}Acct/Id/IBAN", f"{them}Acct/Id/Othr/Id")
    name = _text(parties, f"{them}/Pty/Nm", f"{them}/Nm", f"{them}/Agt/FinInstnId/Nm")
    name = name or _text(parties, f"Ultmt{them}/Pty/Nm", f"Ultmt{them}/Nm", f"{them}Acct/Nm")
    agent = f"RltdAgts/{them}Agt/FinInstnId"
    references = [
        " ".join((e.text or "").split())
        for e in _all(detail, "RmtInf/Strd/CdtrRefInf/Ref")
        if (e.text or "").strip()
    ]
    return {
        "CounterpartyName": name or None,
        "CounterpartyIban": (iban if iban != statement.iban else "") or None,
        "CounterpartyBic": _text(detail, f"{agent}/BICFI", f"{agent}/BIC") or None,
        "CounterpartyTaxId": _tax_id(detail, parties, them) or None,
        "Remittance": _remittance(entry, detail) or None,
        "EndToEndId": _reference(_text(detail, "Refs/EndToEndId")) or None,
        "CreditorReference": references[0] if references else None,
        "BankReference": _reference(_text(detail, "Refs/AcctSvcrRef")) or reference or None,
    }


def _tax_id(detail: Element | None, parties: Element | None, them: str) -> str:
    """A number the bank calls a tax number, or one of the Belgian register, which is the VAT number."""
    given = _text(detail, f"Tax/{them}/TaxId")
    if given:
        return given
    for prefix in (f"{them}/Pty", them):
        for kind in ("OrgId", "PrvtId"):
            for other in _all(parties, f"{prefix}/Id/{kind}/Othr"):
                if _text(other, "SchmeNm/Cd") == "TXID" or _text(other, "Issr") == "KBO-BCE":
                    return _text(other, "Id")
    return ""


def _remittance(entry: Element, detail: Element | None) -> str:
    """Unstructured text, document numbers and further references; else what the bank added."""
    parts: list[str] = []
    for path in (
        "RmtInf/Ustrd",
        "RmtInf/Strd/RfrdDocInf/Nb",
        "RmtInf/Strd/AddtlRmtInf",
    ):
        parts += [" ".join((e.text or "").split()) for e in _all(detail, path)]
    references = [" ".join((e.text or "").split()) for e in _all(detail, "RmtInf/Strd/CdtrRefInf/Ref")]
    parts += references[1:]
    said = " ".join(p for p in parts if p)
    if said or references:
        return said
    return _text(detail, "AddtlTxInf") or _text(entry, "AddtlNtryInf")
