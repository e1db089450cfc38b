"""camt.053 statements, camt.054 notifications and camt.052 reports (ISO 20022, versions .01 to .13).

An entry that lists its transactions gives one row each, once their sum is the entry's amount; charges
that the bank kept back from a batch are a row of their own. Read as a stream; only one entry is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from lxml import etree

from crm_hygiene.errors import FileRefused
from crm_hygiene.readers.bank.camt_details import (
    Node,
    charges_of,
    details_of,
    every,
    name_of,
    signed,
    signed_detail,
    text_of,
)
from crm_hygiene.readers.bank.entry import (
    Identities,
    Row,
    Statement,
    Told,
    decimal,
    folded,
    parts_of,
    plain,
    reference,
)
from crm_hygiene.readers.bank.proof import Proof
from crm_hygiene.readers.snapshot import Snapshot

# The message's element, and what one statement, report or notification is called in it.
_MESSAGES = {
    "BkToCstmrStmt": ("Stmt", "statement"),
    "BkToCstmrDbtCdtNtfctn": ("Ntfctn", "notification"),
    "BkToCstmrAcctRpt": ("Rpt", "interim"),
}
_KINDS = dict(_MESSAGES.values())
# Entries that are not booked move no balance and are no payment yet.
_BOOKED = frozenset(("BOOK", ""))
# The parser stops for these only; a statement has a hundred times as many other elements.
_HANDLED = ("Stmt", "Ntfctn", "Rpt", "Id", "Acct", "Bal", "TxsSummry", "Ntry")


def _parser(snapshot: Snapshot, events: tuple[str, ...], names: tuple[str, ...] = ("*",)) -> Any:
    # No entities, no DTD, no network. Huge text is let through, and cut: it must not cost the other entries.
    return etree.iterparse(
        str(snapshot.path),
        events=events,
        tag=[f"{{*}}{name}" for name in names],
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=True,
        remove_comments=True,
        remove_pis=True,
    )


def _malformed(path: Path, error: Exception) -> FileRefused:
    return FileRefused(
        f"{path}: not well-formed XML: {error}; was the file cut off? Fetch it again from the bank"
    )


def check_root(path: Path, snapshot: Snapshot) -> None:
    """Look at the first two elements.

    Raises
    ------
    FileRefused
        if it is not well-formed, declares a document type, or is no camt message.
    """
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
            names.append(name_of(element))
            if len(names) == 2:
                break
    except etree.XMLSyntaxError as error:
        if len(names) < 2:
            raise _malformed(path, error) from error
    # Version .01 adds its number to the element's name.
    if any(name.split("V0")[0] in _MESSAGES for name in names[1:2]):
        return
    raise FileRefused(
        f"{path}: is not a camt.052, .053 or .054 message but <{'/'.join(names)}> {namespace}".rstrip()
        + "; deliver the bank's statement, or map the file to another format"
    )


def read_camt(path: Path, snapshot: Snapshot, proof: Proof) -> Iterator[Told]:
    """Rows in file order, each with a problem (then it is refused) and its XML text.

    Raises
    ------
    FileRefused
        if it is not well-formed XML or holds no statement; by `proof`, if balances, counts or batch sums
        do not hold.
    """
    identities = Identities()
    statement = Statement("statement")
    count = 0
    try:
        for event, element in _parser(snapshot, ("start", "end"), _HANDLED):
            name = name_of(element)
            parent = element.getparent()
            inside = name_of(parent) if parent is not None else ""
            if event == "start":
                if name in _KINDS:
                    statement = Statement(_KINDS[name])
                    count += 1
                continue
            if name in _KINDS:
                proof.balances(statement, required=statement.kind == "statement")
                proof.totals(statement)
            elif inside in _KINDS:
                if name == "Id":
                    statement.statement_id = folded(element.text)
                elif name == "Acct":
                    account = Node(element)
                    statement.account = text_of(account, "Id/IBAN", "Id/Othr/Id", "Id/PrtryAcct/Id").replace(
                        " ", ""
                    )
                    statement.currency = text_of(account, "Ccy")
                elif name == "Bal":
                    _take_balance(Node(element), statement)
                elif name == "TxsSummry":
                    _take_summary(Node(element), statement)
                elif name == "Ntry":
                    yield from _entry(element, statement, identities, proof)
            if name in _KINDS or name == "Ntry":
                element.clear()
                while element.getprevious() is not None:
                    del parent[0]
    except etree.XMLSyntaxError as error:
        raise _malformed(path, error) from error
    if count == 0:
        raise FileRefused(f"{path}: the message holds no statement; fetch it again from the bank")


def _take_balance(element: Node, statement: Statement) -> None:
    kind = text_of(element, "Tp/CdOrPrtry/Cd", "Tp/CdOrPrtry/Prtry", "Tp/Cd")
    _, amount, currency = signed(element)
    if amount is None:
        return
    if kind == "OPBD" or (kind == "PRCD" and statement.opening is None):
        statement.opening = (amount, currency)
    elif kind == "CLBD":
        statement.closing = (amount, currency)


def _take_summary(element: Node, statement: Statement) -> None:
    """Stated numbers and sums of entries, which come before the entries themselves."""
    for path, what in (("TtlNtries", "entries"), ("TtlCdtNtries", "credits"), ("TtlDbtNtries", "debits")):
        number, total = (decimal(text_of(element, f"{path}/{step}")) for step in ("NbOfNtries", "Sum"))
        if number is not None:
            statement.stated[f"number of {what}"] = number
        if total is not None:
            statement.stated[f"sum of {what}"] = total


def _entry(element: Any, statement: Statement, identities: Identities, proof: Proof) -> Iterator[Told]:
    entry = Node(element)
    text, amount, currency = signed(entry)
    status = text_of(entry, "Sts/Cd", "Sts")
    servicer = reference(text_of(entry, "AcctSvcrRef"))
    is_reversal = text_of(entry, "RvslInd") in ("true", "1")
    common: Row = {
        "BookedOn": text_of(entry, "BookgDt/Dt", "BookgDt/DtTm")[:10] or None,
        "ValueOn": text_of(entry, "ValDt/Dt", "ValDt/DtTm")[:10] or None,
        "Currency": currency or statement.currency or None,
        "Status": status,
        "IsReversal": "true" if is_reversal else "false",
    }
    if amount is None:
        statement.entries += 1
        xml = etree.tostring(element, encoding="unicode", with_tail=False)
        yield common, f"entry {servicer or statement.entries}: amount {text!r} is not a number", xml
        return
    statement.count(amount, currency, status in _BOOKED)
    side = text_of(entry, "CdtDbtInd")
    details = every(entry, "NtryDtls/TxDtls")

    def of(detail: Node | None) -> Row:
        return details_of(entry, detail, statement.account, side, is_reversal, servicer)

    alone = of(details[0] if len(details) == 1 else None)
    if len(details) > 1:
        alone["Remittance"] = folded(" ".join(r for r in (of(d)["Remittance"] for d in details) if r)) or None
    whole = common | alone | {"Amount": text}
    charges = charges_of(entry, currency)
    if not charges and len(details) == 1:
        charges = charges_of(details[0], currency)
    if charges:
        whole["ChargesAmount"] = plain(charges)
    identities.identify(whole, statement, amount, servicer)
    batches = every(entry, "NtryDtls/Btch")
    whole["BatchId"] = (
        next((b for b in (reference(text_of(b, "PmtInfId", "MsgId")) for b in batches) if b), "") or None
    )
    if len(details) > 1:
        parts = _exploded(entry, details, amount, currency, charges, proof)
        if parts is not None:
            rows = [
                common | {"BatchId": whole["BatchId"] or servicer or None, "Amount": part_text, **more}
                for part_text, more in ((t, of(d) if d is not None else _charge(entry)) for t, d in parts)
            ]
            yield from ((row, "", "") for row in parts_of(whole, rows))
            return
    elif len(details) == 1:
        foreign, _, foreign_currency = signed_detail(details[0], side)
        if (
            foreign
            and foreign_currency
            and foreign_currency != currency
            and not whole.get("InstructedAmount")
        ):
            whole |= {"InstructedAmount": foreign, "InstructedCurrency": foreign_currency}
    if not details:
        _prove_batches(batches, amount, currency, f"entry {whole['EntryId']}", proof)
    yield whole, "", ""


def _charge(entry: Node) -> Row:
    return {"PaymentKind": "charge", "Remittance": text_of(entry, "AddtlNtryInf") or None}


def _prove_batches(batches: list[Node], amount: Decimal, currency: str, who: str, proof: Proof) -> None:
    """The stated totals of an entry's batches, where no transactions are listed, are its amount."""
    totals = [decimal(text_of(b, "TtlAmt")) for b in batches]
    currencies = {a.currency for b in batches for a in every(b, "TtlAmt")}
    if totals and None not in totals and currencies <= {currency}:
        proof.equal(who, "batches of", sum(t for t in totals if t is not None), abs(amount))


def _exploded(
    entry: Node, details: list[Node], amount: Decimal, currency: str, charges: Decimal, proof: Proof
) -> list[tuple[str, Node | None]] | None:
    """Amounts of a batch's transactions, None where it cannot be exploded; a None element is the charges.

    The sum must be the entry's amount, or differ from it by the charges the entry states.
    """
    side = text_of(entry, "CdtDbtInd")
    who = f"entry {reference(text_of(entry, 'AcctSvcrRef')) or text_of(entry, 'NtryRef') or plain(amount)}"
    for block in every(entry, "NtryDtls"):
        listed = every(block, "TxDtls")
        for batch in every(block, "Btch"):
            number = decimal(text_of(batch, "NbOfTxs"))
            if listed and number is not None and number < len(listed):
                proof.fail(f"{who}: lists {len(listed)} transactions of a batch of {number}")
                return None
            if listed and number is not None and number > len(listed):
                proof.warnings.append(
                    f"{who}: lists {len(listed)} of its batch's {number} transactions; taken as one"
                )
                return None
    parts = [signed_detail(d, side) for d in details]
    if any(a is None or (c or currency) != currency for _, a, c in parts):
        proof.warnings.append(
            f"{who}: its {len(details)} transactions are not all in {currency} with an amount; taken as one"
        )
        return None
    rest = amount - sum((a for _, a, _ in parts if a is not None), Decimal(0))
    told: list[tuple[str, Node | None]] = [(t, d) for (t, _, _), d in zip(parts, details, strict=True)]
    if rest and charges and abs(rest) == abs(charges):
        return [*told, (plain(rest), None)]
    if rest:
        proof.fail(
            f"{who}: its {len(details)} transactions do not add up to {plain(amount)} {currency}, "
            f"{plain(abs(rest))} is {'missing' if (rest > 0) == (amount > 0) else 'too much'}"
        )
        return None
    return told
