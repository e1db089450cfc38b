"""BAI2 cash management files (BAI Cash Management Balance Reporting Specifications, version 2).

Records 01 file, 02 group, 03 account, 16 transaction, 88 continuation, 49, 98 and 99 trailers with control
sums and counts, all of which are proven. Amounts are whole minor units of the currency.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
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
from crm_hygiene.readers.bank.proof import Proof
from crm_hygiene.readers.encodings import Text
from crm_hygiene.standardise.money import MINOR_UNITS

# Some banks put several records on a line, each ended by a slash.
_NEXT = re.compile(r"/\s+(?=(?:01|02|03|16|49|88|98|99),)")
_KNOWN = frozenset(("01", "02", "03", "16", "49", "88", "98", "99"))
_INTEGER = re.compile(r"[+-]?\d+")
_KEYED = re.compile(r"(EREF|REMI|DBNM|CRNM|DACT|CACT|IDNM|CREF|DABA|CABA)\s*:\s*")
# Type codes of the specification's appendix A.
_CHARGES = frozenset((661, 662, 666, 667, 668, 669, 672, 674, 676, 682, 684, 690, 693, 694, 698))
_INTEREST = frozenset((354, 654, 681))
_RETURNS = frozenset((255, 257, 260, 261, 263, 555, 557, 560, 561, 563))
_REVERSALS = frozenset((252, 258, 262, 552, 558, 562))


@dataclass
class _Record:
    """A record with its continuations: `fields` up to the text, `number` of the first line, `lines` many."""

    code: str
    fields: list[str]
    number: int
    lines: int = 1
    continued: list[str] = field(default_factory=list)


@dataclass
class _Level:
    """Control sums of a file, group or account, as they are added up."""

    total: int = 0
    records: int = 0
    children: int = 0


def _records(path: Path, text: Text) -> Iterator[_Record]:
    current: _Record | None = None
    number = 0
    for raw, _ in text.lines():
        raw = raw.strip("\r\n\0 \t\ufeff\x1a")
        for line in _NEXT.split(raw):
            if not line:
                continue
            number += 1
            code, comma, rest = line.partition(",")
            code = code.strip()
            if code == "88" and comma and current is not None:
                current.lines += 1
                current.continued.append(rest)
                continue
            if code in _KNOWN and comma and code != "88":
                if current is not None:
                    yield current
                current = _Record(code, rest.split(","), number)
            elif current is not None and current.code in ("16", "88"):
                # A line break within a transaction's text; no record of its own.
                current.continued.append(line)
            else:
                raise FileRefused(
                    f"{path}: line {number} is no BAI2 record but {line[:40]!r}; "
                    "fetch the file again from the bank"
                )
    if current is not None:
        yield current


def _slashless(text: str) -> str:
    """Text without the record delimiter at its end."""
    return text.rstrip().removesuffix("/")


def _flat(record: _Record) -> list[str]:
    """Fields of an 03 record and its continuations, one list; the delimiter ends each line."""
    lines = [",".join(record.fields), *record.continued]
    fields: list[str] = []
    for line in lines:
        fields += _slashless(line).split(",")
    return [f.strip() for f in fields]


def _whole(text: str) -> int | None:
    return int(text) if _INTEGER.fullmatch(text) else None


def _date(text: str) -> str | None:
    text = text.strip()
    if len(text) == 8 and text.isdigit():
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    if len(text) != 6 or not text.isdigit():
        return None
    century = "20" if int(text[:2]) < 80 else "19"
    return f"{century}{text[:2]}-{text[2:4]}-{text[4:]}"


@dataclass
class _Account:
    statement: Statement
    day: str | None
    minor: int
    level: _Level
    summaries: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    credited: int = 0
    debited: int = 0
    credits: int = 0
    debits: int = 0


def read_bai2(path: Path, text: Text, proof: Proof) -> Iterator[Told]:
    """Transactions of all accounts, in their order.

    Raises
    ------
    FileRefused
        if the file has not the nesting of file, group and account with a trailer for each; by `proof`.
    """
    identities = Identities()
    open_levels: dict[str, _Level] = {}
    account: _Account | None = None
    currency, day = "USD", None

    def stray(record: _Record) -> FileRefused:
        return FileRefused(
            f"{path}: line {record.number}: record {record.code} stands out of place; the file is cut off or "
            "put together wrongly; fetch it again from the bank"
        )

    def close(record: _Record, trailer: str, what: str, level: _Level, children: str | None) -> None:
        fields = [_slashless(f).strip() for f in record.fields]
        stated = [_whole(f) for f in fields[: 3 if children else 2]]
        if not stated or stated[0] is None:
            raise stray(record)
        who = f"{what} that ends on line {record.number}"
        proof.equal(who, f"a control total ({trailer}) of", stated[0], level.total)
        if children and len(stated) > 1 and stated[1] is not None:
            proof.equal(who, f"a number of {children} ({trailer}) of", stated[1], level.children)
        if stated[-1] is not None and len(stated) == (3 if children else 2):
            proof.equal(who, f"a number of records ({trailer}) of", stated[-1], level.records)

    for record in _records(path, text):
        for level in open_levels.values():
            level.records += record.lines
        if record.code == "01":
            if open_levels:
                raise stray(record)
            version = _slashless(record.fields[7]).strip() if len(record.fields) > 7 else ""
            if version not in ("2", ""):
                raise FileRefused(f"{path}: is BAI version {version}; ask the bank for BAI2")
            open_levels["01"] = _Level(records=record.lines)
        elif record.code == "02":
            if "01" not in open_levels or "02" in open_levels:
                raise stray(record)
            fields = [*(_slashless(f).strip() for f in record.fields), *[""] * 7]
            currency, day = fields[5] or "USD", _date(fields[3])
            open_levels["02"] = _Level(records=record.lines)
        elif record.code == "03":
            if "02" not in open_levels or account is not None:
                raise stray(record)
            account = _open_account(record, currency, day)
            open_levels["03"] = account.level
        elif record.code == "16":
            if account is None:
                raise stray(record)
            yield _transaction(record, account, identities)
        else:
            own = {"49": "03", "98": "02", "99": "01"}.get(record.code, "")
            nested = {"49": None, "98": "03", "99": "02"}.get(record.code)
            if own not in open_levels or (nested and nested in open_levels):
                raise stray(record)
            level = open_levels.pop(own)
            what, children = {"03": ("account", None), "02": ("group", "accounts"), "01": ("file", "groups")}[
                own
            ]
            close(record, record.code, what, level, children)
            if account is not None and own == "03":
                _prove_account(account, proof)
                account = None
            outer = {"03": "02", "02": "01"}.get(own)
            if outer:
                open_levels[outer].total += level.total
                open_levels[outer].children += 1
    if open_levels:
        lacks = {"03": "49", "02": "98", "01": "99"}[list(open_levels)[-1]]
        raise FileRefused(
            f"{path}: ends without its trailer {lacks}, so it was cut off; fetch it again from the bank"
        )


def _open_account(record: _Record, currency: str, day: str | None) -> _Account:
    fields = _flat(record)
    number = fields[0] if fields else ""
    currency = (fields[1] if len(fields) > 1 else "") or currency
    account = _Account(
        Statement(
            "statement",
            account=number.replace(" ", ""),
            currency=currency,
            statement_id=f"{number}/{day or ''}",
        ),
        day,
        MINOR_UNITS.get(currency, 2),
        _Level(records=record.lines),
    )
    at = 2
    # Groups of type code, amount, item count, funds type; the funds type may bring fields of its own.
    while at < len(fields):
        code = fields[at]
        if not code:
            at += 1
            continue
        amount = _whole(fields[at + 1]) if at + 1 < len(fields) else None
        count = _whole(fields[at + 2]) if at + 2 < len(fields) else None
        funds = fields[at + 3].upper() if at + 3 < len(fields) else ""
        if amount is not None:
            account.level.total += amount
            account.summaries[code] = (amount, count)
        at += 4 + _funds_width(funds, fields, at + 4)
    return account


def _funds_width(funds: str, fields: list[str], at: int) -> int:
    """Number of fields that a funds type brings: S three amounts, V date and time, D pairs after a count."""
    if funds == "S":
        return 3
    if funds == "V":
        return 2
    if funds == "D":
        pairs = _whole(fields[at]) if at < len(fields) else None
        return 1 + 2 * max(0, pairs or 0)
    return 0


def _transaction(record: _Record, account: _Account, identities: Identities) -> Told:
    lines = [",".join(record.fields), *record.continued]
    raw = "\n".join(["16," + lines[0], *lines[1:]])
    fields = lines[0].split(",")
    # Until its text begins a transaction may run on over continuations.
    used = 1
    while used < len(lines) and len(fields) <= 2 + _funds_width(_at(fields, 2).upper(), fields, 3) + 2:
        fields = [*_slashless(",".join(fields)).split(","), *lines[used].split(",")]
        used += 1
    code, amount = _whole(_at(fields, 0)), _whole(_at(fields, 1) or "0")
    if code is None or amount is None:
        return {}, f"line {record.number}: type code or amount of the transaction cannot be read", raw
    account.level.total += amount
    funds = _at(fields, 2).upper()
    at = 3 + _funds_width(funds, fields, 3)
    side = (
        1
        if 100 <= code <= 399 or 920 <= code <= 959
        else -1
        if 400 <= code <= 699 or 960 <= code <= 999
        else 0
    )
    if side == 0:
        why = "moves no money" if 890 <= code <= 919 else "has no side"
        return {}, f"line {record.number}: type code {code} {why}, so it is no payment", raw
    if side > 0:
        account.credited, account.credits = account.credited + amount, account.credits + 1
    else:
        account.debited, account.debits = account.debited + amount, account.debits + 1
    money = side * Decimal(amount).scaleb(-account.minor)
    text = [_slashless(",".join(fields[at + 2 :])), *(_slashless(line) for line in lines[used:])]
    servicer = reference(_slashless(_at(fields, at)))
    kind = "payment"
    for name, codes in (
        ("charge", _CHARGES),
        ("interest", _INTEREST),
        ("return", _RETURNS),
        ("reversal", _REVERSALS),
    ):
        if code in codes:
            kind = name
    row: Row = {
        "BookedOn": account.day,
        "ValueOn": (_date(_at(fields, 3)) if funds == "V" else None) or account.day,
        "Amount": plain(money),
        "Currency": account.statement.currency,
        "PaymentKind": kind,
        "IsReversal": "true" if kind == "reversal" else "false",
        "EndToEndId": reference(_slashless(_at(fields, at + 1))) or None,
        "BankReference": servicer or None,
        "TransactionCode": f"{code:03d}",
    }
    row |= _keyed(text, side)
    if kind in ("reversal", "return"):
        row["ReversedReference"] = row["EndToEndId"]
    account.statement.count(money, account.statement.currency)
    identities.identify(row, account.statement, money, servicer)
    return row, "", ""


def _at(fields: list[str], index: int) -> str:
    return fields[index].strip() if index < len(fields) else ""


def _keyed(lines: list[str], side: int) -> Row:
    """Text of a transaction; `EREF:`, `REMI:` and names stand on continuations of their own at some banks."""
    found: dict[str, str] = {}
    free: list[str] = []
    for line in lines:
        key = _KEYED.match(line)
        if key:
            found[key.group(1)] = folded(line[key.end() :])
        else:
            free.append(line)
    row: Row = {"Remittance": folded(found.get("REMI") or " ".join(free)) or None}
    if reference(found.get("EREF")):
        row["EndToEndId"] = reference(found.get("EREF"))
    row["CounterpartyName"] = found.get("DBNM" if side > 0 else "CRNM") or None
    account = found.get("DACT" if side > 0 else "CACT", "").replace(" ", "")
    row["CounterpartyIban" if is_iban(account) else "CounterpartyAccount"] = account or None
    return row


def _prove_account(account: _Account, proof: Proof) -> None:
    """Opening ledger 010 plus credits 100 minus debits 400 is closing ledger 015; items give the totals."""
    who = f"account {account.statement.account}"
    amounts = {code: amount for code, (amount, _) in account.summaries.items()}
    for code, what, total, number in (
        ("100", "credits", account.credited, account.credits),
        ("400", "debits", account.debited, account.debits),
    ):
        if code not in account.summaries or not (account.credits or account.debits):
            continue  # a summary without items is a balance report
        stated, count = account.summaries[code]
        if total < stated and (count is None or number < count):
            # Banks may detail a part only; the control totals still prove what is there.
            proof.warnings.append(f"{who}: details {total} of its {what} of {stated}")
            continue
        proof.equal(who, f"a total of {what} ({code}) of", stated, total)
        if count is not None:
            proof.equal(who, f"a number of {what} ({code}) of", count, number)
    if "010" in amounts and "015" in amounts:
        moved = amounts.get("100", account.credited) - amounts.get("400", account.debited)
        if amounts["010"] + moved != amounts["015"]:
            proof.fail(
                f"{who}: opening {amounts['010']} plus movements {moved} is {amounts['010'] + moved}, "
                f"but the closing ledger balance is {amounts['015']}"
            )
