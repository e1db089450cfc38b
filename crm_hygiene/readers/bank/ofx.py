"""OFX 1 (SGML), OFX 2 (XML) and QFX: transactions of bank, credit card and cash side of brokerage accounts.

Tags are walked through as both versions write them, with or without end tags. OFX states a closing ledger
balance only, so there is nothing to add up; what the server answered with an error is refused.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from crm_hygiene.errors import FileRefused
from crm_hygiene.readers.bank.entry import (
    Identities,
    Row,
    Statement,
    Told,
    decimal,
    folded,
    is_iban,
    plain,
    reference,
)
from crm_hygiene.readers.bank.proof import Proof
from crm_hygiene.readers.encodings import Text

_TOKEN = re.compile(rb"<!\[CDATA\[(.*?)\]\]>|<(/?)([A-Za-z][A-Za-z0-9_.]*)[^<>]*?(/?)>|([^<]+)|<", re.DOTALL)
_STATEMENTS = frozenset(("STMTRS", "CCSTMTRS", "INVSTMTRS"))
_ACCOUNTS = frozenset(("BANKACCTFROM", "CCACCTFROM", "INVACCTFROM"))
_KINDS = {
    "FEE": "charge",
    "SRVCHG": "charge",
    "INT": "interest",
    "DIV": "other",
    "XFER": "payment",
}
_MAX_BYTES = 512 * 1024 * 1024


def _tokens(data: bytes, encoding: str) -> Iterator[tuple[str, str]]:
    """Name and text of each element: text is empty where others are inside; `/name` where one ends."""
    begun = ""
    parts: list[bytes] = []

    def told() -> str:
        return folded(html.unescape(b"".join(parts)[:1_000_000].decode(encoding, "replace")))

    for found in _TOKEN.finditer(data):
        cdata, closing, name, selfclosing, text = found.groups()
        if name is None:
            if begun:
                parts.append(cdata if cdata is not None else (text or b"<"))
            continue
        if begun:
            yield begun, told()
            parts, begun = [], ""
        tag = name.decode("ascii").upper()
        if closing:
            yield f"/{tag}", ""
        elif selfclosing:
            yield tag, ""
        else:
            begun = tag
    if begun:
        yield begun, told()


def _date(text: str) -> str | None:
    """ISO date of `20260131120000.000[-5:EST]`; the day is the bank's own, whatever the time zone."""
    digits = text[:8]
    if len(digits) < 8 or not digits.isdigit():
        return None
    year, month, day = digits[:4], digits[4:6], digits[6:]
    from_calendar = (31, 29 if int(year) % 4 == 0 and (int(year) % 100 or int(year) % 400 == 0) else 28)
    lengths = (*from_calendar, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not 1 <= int(month) <= 12 or not 1 <= int(day) <= lengths[int(month) - 1]:
        return None
    return f"{year}-{month}-{day}"


def _amount(text: str) -> Decimal | None:
    """A number with point or comma for the decimals; thousands are not separated in OFX."""
    text = text.strip().removeprefix("+")
    if "," in text and "." not in text and text.count(",") == 1:
        text = text.replace(",", ".")
    return decimal(text) if re.fullmatch(r"-?\d*\.?\d*", text) else None


def read_ofx(path: Path, text: Text, proof: Proof) -> Iterator[Told]:
    """Transactions of all accounts, in their order.

    Raises
    ------
    FileRefused
        if there is no statement in it, the server answered with an error, a statement lacks its account
        or currency, or breaks off.
    """
    with text.open() as stream:
        data = stream.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise FileRefused(f"{path}: is larger than {_MAX_BYTES >> 20} MiB; ask the bank for shorter periods")
    identities = Identities()
    statement: Statement | None = None
    aggregate: list[str] = []
    fields: dict[str, str] | None = None
    statements, ended, status, errors = 0, False, "", list[str]()
    for name, value in _tokens(data, "utf-8"):
        if name == "CODE" and "STATUS" in aggregate[-1:]:
            status = value
        elif name == "MESSAGE" and "STATUS" in aggregate[-1:] and status not in ("", "0"):
            errors[-1:] = [f"{status} {value}"]
        elif name == "SEVERITY" and value.upper() == "ERROR":
            errors.append(status)
        if name.startswith("/"):
            ended = ended or name == "/OFX"
            if name == "/STMTTRN" and fields is not None and statement is not None:
                yield _transaction(fields, statement, identities)
                fields = None
            elif name[1:] in _STATEMENTS:
                statement = None
            if name[1:] in aggregate:
                while aggregate and aggregate.pop() != name[1:]:
                    pass
            continue
        if not value:
            aggregate.append(name)
            if name in _STATEMENTS:
                statement = Statement("statement", statement_id=str(statements + 1))
                statements += 1
            elif name == "STMTTRN":
                if statement is None or not statement.currency or not statement.account:
                    lacks = "account" if statement and statement.currency else "currency"
                    raise FileRefused(
                        f"{path}: statement {statements} states no {lacks} before its transactions; "
                        "fetch the file again from the bank"
                    )
                fields = {}
            continue
        if fields is not None:
            place = next((a for a in reversed(aggregate) if a in _INNER), "")
            fields.setdefault(f"{place}/{name}" if place else name, value)
        elif statement is not None:
            if name == "CURDEF":
                statement.currency = value.upper()
            elif name == "ACCTID" and not statement.account and set(aggregate) & _ACCOUNTS:
                statement.account = value.replace(" ", "")
            elif name == "DTEND":
                statement.statement_id = f"{statement.statement_id}/{value[:8]}"
    if statements == 0:
        said = f"; the bank answered with error {'; '.join(errors)}" if errors else ""
        raise FileRefused(f"{path}: holds no account statement{said}; download the transactions again")
    if errors:
        proof.warnings.append(f"the bank answered a part of the request with error {'; '.join(errors)}")
    if not ended:
        raise FileRefused(f"{path}: ends without </OFX>, so it was cut off; fetch it again from the bank")
    proof.warnings.append("OFX states no opening balance, so its entries cannot be checked against balances")


_INNER = frozenset(("CURRENCY", "ORIGCURRENCY", "BANKACCTTO", "CCACCTTO", "PAYEE"))


def _transaction(fields: dict[str, str], statement: Statement, identities: Identities) -> Told:
    amount = _amount(fields.get("TRNAMT", ""))
    booked = _date(fields.get("DTPOSTED", ""))
    fitid = fields.get("FITID", "")
    if amount is None or booked is None:
        what = (
            f"amount {fields.get('TRNAMT', '')!r}"
            if amount is None
            else f"date {fields.get('DTPOSTED', '')!r}"
        )
        statement.entries += 1
        raw = " ".join(f"<{k}>{v}" for k, v in fields.items())
        return {}, f"transaction {fitid or statement.entries}: its {what} cannot be read", raw
    # CURRENCY says that the amount itself is in another currency, ORIGCURRENCY that it was converted.
    currency = fields.get("CURRENCY/CURSYM") or statement.currency
    # A transaction's own number may be a placeholder; zeros are no number.
    servicer = reference(fitid)
    name = fields.get("PAYEE/NAME") or fields.get("NAME")
    memo = fields.get("MEMO", "")
    kind = _KINDS.get(fields.get("TRNTYPE", "").upper(), "payment")
    is_correction = "CORRECTFITID" in fields
    account = fields.get("BANKACCTTO/ACCTID", "").replace(" ", "")
    row: Row = {
        "BookedOn": booked,
        "ValueOn": _date(fields.get("DTAVAIL", "")) or booked,
        "Amount": plain(amount),
        "Currency": currency.upper(),
        "PaymentKind": "reversal" if is_correction else kind,
        "IsReversal": "true" if is_correction else "false",
        "ReversedReference": fields.get("CORRECTFITID"),
        "CounterpartyName": name or None,
        "CounterpartyIban": account if is_iban(account) else None,
        "CounterpartyAccount": account if account and not is_iban(account) else None,
        "Remittance": memo or None,
        "EndToEndId": reference(fields.get("REFNUM")) or reference(fields.get("CHECKNUM")) or None,
        "BankReference": servicer or None,
        "TransactionCode": fields.get("TRNTYPE"),
    }
    if fields.get("ORIGCURRENCY/CURSYM"):
        row["InstructedCurrency"] = fields["ORIGCURRENCY/CURSYM"].upper()
        rate = _amount(fields.get("ORIGCURRENCY/CURRATE", ""))
        row["ExchangeRate"] = plain(rate) if rate is not None and rate > 0 else None
    statement.count(amount, currency)
    identities.identify(row, statement, amount, servicer)
    return row, "", ""
