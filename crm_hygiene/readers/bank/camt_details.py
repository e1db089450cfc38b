"""Who, why and how much of one camt transaction: parties, references, remittance, charges, exchange.

Element names follow ISO 20022; they are matched without their namespace, so versions .01 to .13 read
alike: .08 puts parties under `Pty` and the status under `Cd`. What does not belong here: statements and
batches (`camt`).
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any

from crm_hygiene.readers.bank.entry import Row, decimal, folded, is_iban, plain, reference

# Bank transaction codes of ISO 20022 external code sets: sub-families that are no payment.
_CHARGES = frozenset(("CHRG", "COMM", "FEES", "COMT", "ADJT", "TAXE"))
_INTEREST = frozenset(("INTR", "DINT", "CINT"))
_RETURNS = frozenset(("RRTN", "PRDD", "UPDD", "UPCT", "RPCR", "RPMT", "UPCQ", "RCHQ", "ARET"))
_REVERSALS = frozenset(("RRCT", "RCDD", "RVRS", "REVR"))


class Node:
    """An element without its namespace: `text`, `currency` (attribute Ccy) and `children` by local name.

    Some sixty paths are looked up in each entry, which in lxml's own tree costs four times the parsing.
    """

    __slots__ = ("children", "currency", "text")
    children: dict[str, list[Node]]

    def __init__(self, element: Any) -> None:
        self.text: str | None = element.text
        self.currency: str = element.get("Ccy", "")
        if not len(element):
            self.children = _NO_CHILDREN
            return
        children: dict[str, list[Node]] = {}
        for child in element:
            name = _local(child.tag)
            if name in children:
                children[name].append(Node(child))
            else:
                children[name] = [Node(child)]
        self.children = children


_NO_CHILDREN: dict[str, list[Node]] = {}


@lru_cache(maxsize=4096)
def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def name_of(element: Any) -> str:
    """Local name of an lxml element; empty for comments and the like."""
    tag = element.tag
    return _local(tag) if isinstance(tag, str) else ""


@lru_cache(maxsize=4096)
def _steps(path: str) -> tuple[str, tuple[str, ...]]:
    first, *rest = path.split("/")
    return first, tuple(rest)


def every(element: Node | None, path: str) -> list[Node]:
    """Descendants along a path of local names."""
    if element is None:
        return []
    first, rest = _steps(path)
    found = element.children.get(first)
    if found is None:
        return []
    for step in rest:
        if len(found) == 1:
            found = found[0].children.get(step, [])
        else:
            found = [child for parent in found for child in parent.children.get(step, ())]
    return found


def text_of(element: Node | None, *paths: str) -> str:
    """Text of the first path that has any, blanks folded; else empty."""
    if element is None:
        return ""
    children = element.children
    for path in paths:
        # Most paths are not there: that is told by their first step.
        if _steps(path)[0] in children:
            for found in every(element, path):
                text = folded(found.text)
                if text:
                    return text
    return ""


def signed(element: Node, default: str = "") -> tuple[str, Decimal | None, str]:
    """Amount as written with its sign, as a number, and its currency; debits are negative."""
    text = text_of(element, "Amt")
    amount = decimal(text)
    currency = next((a.currency for a in every(element, "Amt")), "")
    if (text_of(element, "CdtDbtInd") or default) == "DBIT" and amount is not None:
        return (f"-{text}" if amount else text), -amount, currency
    return text, amount, currency


def signed_detail(detail: Node, side: str) -> tuple[str, Decimal | None, str]:
    """Amount of a transaction; versions before .04 keep it under AmtDtls/TxAmt."""
    direct = signed(detail, side)
    if direct[1] is not None:
        return direct
    for holder in every(detail, "AmtDtls/TxAmt"):
        text, amount, currency = signed(holder)
        if amount is not None and (text_of(detail, "CdtDbtInd") or side) == "DBIT":
            return (f"-{text}" if amount else text), -amount, currency
        return text, amount, currency
    return "", None, ""


def charges_of(element: Node, currency: str) -> Decimal:
    """Charges stated in `currency`, those the bank took positive; those in other currencies are left out."""
    total = Decimal(0)
    for charges in every(element, "Chrgs"):
        records = every(charges, "Rcrd")
        stated = [signed(r, "DBIT") for r in records] if records else [signed(charges, "DBIT")]
        if not records and stated[0][1] is None:
            summed = next(iter(every(charges, "TtlChrgsAndTaxAmt")), None)
            amount = decimal(text_of(charges, "TtlChrgsAndTaxAmt"))
            stated = (
                [("", -amount if amount is not None else None, summed.currency)] if summed is not None else []
            )
        total -= sum((a for _, a, c in stated if a is not None and c == currency), Decimal(0))
    return total


def kind_of(element: Node, detail: Node | None, is_reversal: bool) -> str:
    """payment, charge, interest, reversal, return or other, from the bank transaction code."""
    if is_reversal:
        return "reversal"
    if every(detail, "RtrInf"):
        return "return"
    return _kind_of_codes(_codes(detail) or _codes(element))


@lru_cache(maxsize=4096)
def _kind_of_codes(codes: tuple[str, ...]) -> str:
    for kind, known in (
        ("charge", _CHARGES),
        ("interest", _INTEREST),
        ("return", _RETURNS),
        ("reversal", _REVERSALS),
    ):
        if known.intersection(codes):
            return kind
    return "payment"


def _codes(element: Node | None) -> tuple[str, ...]:
    """Domain, family and sub-family of the bank transaction code, those that are given."""
    if element is None or "BkTxCd" not in element.children:
        return ()
    codes = (
        text_of(element, "BkTxCd/Domn/Cd"),
        text_of(element, "BkTxCd/Domn/Fmly/Cd"),
        text_of(element, "BkTxCd/Domn/Fmly/SubFmlyCd"),
    )
    return tuple(c for c in codes if c)


def code_of(element: Node) -> str:
    """Bank transaction code as `PMNT/RCDT/ESCT`, else the proprietary one."""
    return "/".join(_codes(element)) or text_of(element, "BkTxCd/Prtry/Cd")


def _account(parties: Node | None, side: str) -> str:
    return text_of(parties, f"{side}Acct/Id/IBAN", f"{side}Acct/Id/Othr/Id").replace(" ", "")


def details_of(
    entry: Node, detail: Node | None, account: str, side: str, is_reversal: bool, booked: str
) -> Row:
    """What one transaction says, in the columns of `entry.COLUMNS`; `booked` is the entry's reference."""
    parties = next(iter(every(detail, "RltdPties")), None)
    own_side = text_of(detail, "CdtDbtInd") or side
    # Who paid stays the debtor when a booking is reversed, so then the other side is the counterparty.
    paid_by_them = (own_side == "CRDT") != is_reversal
    them, us = ("Dbtr", "Cdtr") if paid_by_them else ("Cdtr", "Dbtr")
    theirs, ours = _account(parties, them), _account(parties, us)
    theirs = "" if theirs == account else theirs
    name = text_of(parties, f"{them}/Pty/Nm", f"{them}/Nm", f"{them}/Agt/FinInstnId/Nm")
    name = name or text_of(parties, f"Ultmt{them}/Pty/Nm", f"Ultmt{them}/Nm", f"{them}Acct/Nm")
    agent = f"RltdAgts/{them}Agt/FinInstnId"
    references = [r for r in (folded(e.text) for e in every(detail, "RmtInf/Strd/CdtrRefInf/Ref")) if r]
    end_to_end = reference(text_of(detail, "Refs/EndToEndId"))
    kind = kind_of(entry, detail, is_reversal)
    row: Row = {
        "PaymentKind": kind,
        "CounterpartyName": name or None,
        "CounterpartyIban": theirs if is_iban(theirs) else None,
        "CounterpartyAccount": theirs if theirs and not is_iban(theirs) else None,
        "CounterpartyBic": text_of(detail, f"{agent}/BICFI", f"{agent}/BIC") or None,
        "CounterpartyTaxId": _tax_id(detail, parties, them) or None,
        "VirtualAccount": ours if ours and ours != account else None,
        "Remittance": _remittance(entry, detail, references) or None,
        "EndToEndId": end_to_end or None,
        "CreditorReference": references[0] if references else None,
        "BankReference": reference(text_of(detail, "Refs/AcctSvcrRef")) or booked or None,
        "TransactionCode": (code_of(detail) if detail is not None else "") or code_of(entry) or None,
    }
    if kind in ("reversal", "return"):
        # A return carries the references of the payment it takes back.
        row["ReversedReference"] = (
            end_to_end
            or reference(text_of(detail, "Refs/TxId", "Refs/InstrId", "Refs/AcctSvcrRef", "Refs/MndtId"))
            or None
        )
    return row | _exchange(entry, detail)


def _exchange(entry: Node, detail: Node | None) -> Row:
    """Instructed amount and the bank's rate, of the transaction else of the entry."""
    row: Row = {}
    for holder in (detail, entry):
        if holder is None or "AmtDtls" not in holder.children:
            continue
        for instructed in every(holder, "AmtDtls/InstdAmt"):
            text, amount, currency = signed(instructed)
            if amount is not None and currency and "InstructedAmount" not in row:
                row |= {"InstructedAmount": text, "InstructedCurrency": currency}
        for path in ("CntrValAmt", "TxAmt", "InstdAmt", "AnncdPstngAmt"):
            rate = decimal(text_of(holder, f"AmtDtls/{path}/CcyXchg/XchgRate"))
            if rate is not None and rate > 0 and "ExchangeRate" not in row:
                row["ExchangeRate"] = plain(rate)
    return row


def _tax_id(detail: Node | None, parties: Node | None, them: str) -> str:
    """A number the bank calls a tax number, or one of the Belgian register, which is the VAT number."""
    given = text_of(detail, f"Tax/{them}/TaxId")
    if given:
        return given
    for prefix in (f"{them}/Pty", them):
        if not every(parties, f"{prefix}/Id"):
            continue
        for kind in ("OrgId", "PrvtId"):
            for other in every(parties, f"{prefix}/Id/{kind}/Othr"):
                if text_of(other, "SchmeNm/Cd") == "TXID" or text_of(other, "Issr") == "KBO-BCE":
                    return text_of(other, "Id")
    return ""


def _remittance(entry: Node, detail: Node | None, references: list[str]) -> str:
    """Unstructured text, document numbers and further references; else what the bank added."""
    parts: list[str] = []
    for path in ("RmtInf/Ustrd", "RmtInf/Strd/RfrdDocInf/Nb", "RmtInf/Strd/AddtlRmtInf"):
        parts += [folded(e.text) for e in every(detail, path)]
    said = folded(" ".join(p for p in (*parts, *references[1:]) if p))
    if said or references:
        return said
    return text_of(detail, "AddtlTxInf") or text_of(entry, "AddtlNtryInf")
