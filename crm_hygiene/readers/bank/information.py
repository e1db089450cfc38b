"""Field :86: of MT940 and MT942, information to the account owner, read from its raw text.

Three notations are in use: German `?20` subfields (DFÜ agreement annex 3; `>20` at some Dutch banks) with
SEPA keywords like `EREF+`, code words between slashes (`/EREF/`, SWIFT and Dutch banks), and free text.
Nothing is cut: libraries that tokenise this field lose the ends of long references.
"""

from __future__ import annotations

import re
from collections import defaultdict

from crm_hygiene.readers.bank.entry import Row, folded, is_iban, reference

_FIELD_WIDTH = 65
_SUBFIELD = re.compile(r"[?>](\d\d)")
_SEPA = re.compile(
    r"(EREF|KREF|MREF|CRED|DEBT|COAM|OAMT|SVWZ|ABWA|ABWE|IBAN|BIC|PURP|RREF|RTRN|SQTP|TRX)[+:]\s?"
)
_WORDS = (
    "ABWC|ACCW|BENM|BIC|CACC|CHGS|CNTP|CREF|CSID|DACC|EREF|EXCH|IBAN|INFO|IREF|ISDT|MARF|NAME|NRTX|OAMT|OCMT|"
    "ORDP|ORIG|PREF|PURP|REMI|RREF|RTRN|SUBS|SVCL|TRCD|TRTP|ULTB|ULTC|ULTD|ULTO|ADDR|ISCR|FX"
)
_WORD = re.compile(rf"(?:(?<=/)|^/|/)({_WORDS})/")
# Business transaction codes of the DFÜ agreement: 109, 159, 108... are returns, 8xx are the bank's own.
_RETURNS = frozenset(("108", "109", "159", "184", "185", "168", "183", "188"))
_CHARGES = frozenset(("805", "806", "807", "808", "809", "810", "811", "812", "813", "818", "819", "827"))
_INTEREST = frozenset(("814", "815", "816", "817", "822"))


def joined(lines: list[str]) -> str:
    """Lines of a field as one text: a full line runs on into the next, a shorter one ended."""
    text = ""
    for number, line in enumerate(lines):
        text += line
        if number + 1 < len(lines) and len(line) < _FIELD_WIDTH - 1:
            text += " "
    return text


def read_information(lines: list[str]) -> Row:
    """What field :86: says, in the columns of `entry.COLUMNS`; `GVC` is the business transaction code."""
    # Structured notations know where a subfield ends, so line ends mean nothing there.
    glued = "".join(line.rstrip("\r") for line in lines)
    head = re.match(r"(\d{3})?[?>]\d\d", glued)
    if head and (head.group(1) or len(_SUBFIELD.findall(glued)) > 1):
        return _subfields(glued)
    if _WORD.match(glued):
        return _code_words(glued)
    free = folded(joined(lines))
    row: Row = {"Remittance": free or None}
    _take_keywords(row, free)
    return row


def _subfields(text: str) -> Row:
    code = text[:3] if text[:3].isdigit() else ""
    found: dict[str, str] = defaultdict(str)
    pieces = _SUBFIELD.split(text)
    for number, value in zip(pieces[1::2], pieces[2::2], strict=True):
        # Names and remittance run on over subfields that are cut at 27 characters.
        found[number] += value
    numbers = [f"{n:02d}" for n in (*range(20, 30), *range(60, 64))]
    said = ""
    for number in numbers:
        value = found.get(number, "")
        if said and value and len(said.rstrip()) != len(said) and not value.startswith(" "):
            said = said.rstrip() + " "
        said += value
    account = found.get("31", "").replace(" ", "")
    bank = found.get("30", "").strip()
    row: Row = {
        "GVC": code or None,
        "CounterpartyName": folded(found.get("32", "") + found.get("33", "")) or None,
        "CounterpartyIban": account if is_iban(account) else None,
        "CounterpartyAccount": account if account and not is_iban(account) else None,
        "CounterpartyBic": bank if re.fullmatch(r"[A-Z]{6}[A-Z0-9]{2,5}", bank) else None,
        "Remittance": folded(said) or folded(found.get("00")) or None,
        "PaymentKind": kind_of(code),
    }
    _take_keywords(row, said)
    return row


def kind_of(code: str) -> str | None:
    """Kind of payment of a business transaction code, None where it tells nothing."""
    for kind, codes in (("return", _RETURNS), ("charge", _CHARGES), ("interest", _INTEREST)):
        if code in codes:
            return kind
    return None


def _take_keywords(row: Row, text: str) -> None:
    """SEPA keywords: each value ends where the next keyword begins; text before the first is remittance."""
    pieces = _SEPA.split(text)
    if len(pieces) == 1:
        return
    found: dict[str, str] = {}
    for word, value in zip(pieces[1::2], pieces[2::2], strict=True):
        found.setdefault(word, folded(value))
    row["EndToEndId"] = reference(found.get("EREF")) or None
    remittance = folded(" ".join(p for p in (pieces[0], found.get("SVWZ", "")) if p))
    row["Remittance"] = remittance or folded(found.get("RTRN")) or None
    iban = found.get("IBAN", "").replace(" ", "")
    if is_iban(iban) and not row.get("CounterpartyIban"):
        row["CounterpartyIban"] = iban
    if "RTRN" in found or "RREF" in found:
        row["PaymentKind"] = "return"
    for word, column in (("OAMT", "InstructedAmount"), ("COAM", "ChargesAmount")):
        amount = re.match(r"([A-Z]{3})?\s?(\d+(?:[.,]\d*)?)", found.get(word, ""))
        if amount:
            row[column] = amount.group(2).replace(",", ".").rstrip(".")
            if column == "InstructedAmount" and amount.group(1):
                row["InstructedCurrency"] = amount.group(1)


def _code_words(text: str) -> Row:
    pieces = _WORD.split(text)
    found: dict[str, str] = {}
    for word, value in zip(pieces[1::2], pieces[2::2], strict=True):
        found.setdefault(word, folded(value.strip("/")))
    row: Row = {
        "EndToEndId": reference(found.get("EREF")) or None,
        "CounterpartyName": found.get("NAME") or None,
        "CounterpartyBic": found.get("BIC") or None,
    }
    if found.get("CNTP"):
        # ING: /CNTP/account/BIC/name/city/
        account, bic, name, *_ = [*found["CNTP"].split("/"), "", "", ""]
        row |= {"CounterpartyName": name or row["CounterpartyName"], "CounterpartyBic": bic or None}
        found.setdefault("IBAN", account)
    account = found.get("IBAN", "").replace(" ", "")
    row["CounterpartyIban" if is_iban(account) else "CounterpartyAccount"] = account or None
    said = found.get("REMI", "")
    structured = re.match(r"STRD/(?:CUR|ISO)/([^/]+)|CUR/([^/]+)", said)
    if structured:
        row["CreditorReference"] = structured.group(1) or structured.group(2)
    said = re.sub(r"^(USTD|STRD)/{1,2}", "", said)
    row["Remittance"] = said or found.get("INFO") or None
    if "RTRN" in found:
        row["PaymentKind"] = "return"
    return row
