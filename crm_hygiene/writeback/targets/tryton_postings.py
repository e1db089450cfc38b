"""Postings: a payment set against an invoice is a line of the bank statement it came on.

In Tryton a statement's `origins` are what the bank said and its `lines` are what they are for. A posting is a
line: our payment is its origin, our invoice what it is related to. The bookkeeper validates and posts the
statement; until then the line can be taken back. What does not belong here: sending (`tryton`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from crm_hygiene.writeback.targets.tryton_values import Unfit, as_text

OBJECT = "account.statement.line"

#: Model, ids and fields to rows by id.
Read = Callable[[str, Sequence[int], Sequence[str]], dict[int, dict[str, Any]]]

_ORIGIN = (
    "amount", "pending_amount", "date", "number", "statement", "statement.state", "statement.currency.code"
)  # fmt: skip
_INVOICE = ("state", "type", "party", "account", "currency.code")

#: Fields of a posting -> what `search_read` is asked for.
READ_AS = {"currency": "currency.code"}


def held_text(field: str, row: Mapping[str, Any]) -> str | None:
    """A line's field as text; `currency` is its ISO code, `related_to` is `model,id`."""
    if field == "currency":
        nested = row["currency."]
        return None if nested is None else str(nested["code"])
    return as_text(row[field])


def normal_text(field: str, text: str | None) -> str | None:
    """A posting's text as `held_text` gives it back."""
    if text is None:
        return None
    if field == "related_to":
        return text if "," in text else f"account.invoice,{text}"
    if field == "amount":
        try:
            return as_text(Decimal(text))
        except InvalidOperation:
            return text
    return text.strip()


def line_values(postings: Sequence[Mapping[str, str | None]], read: Read) -> list[dict[str, Any] | Unfit]:
    """What `account.statement.line.create` takes for each posting, or why it is not made.

    Parameters
    ----------
    postings
        texts by field: `origin`, `related_to`, `amount`, and optionally `currency`, `date` and any own field.
    read
        rows of a model by id.

    Returns
    -------
    list
        in the same order. Several postings on one origin share its pending amount, first come first served.
    """
    origins = read("account.statement.origin", _ids(postings, "origin"), _ORIGIN)
    invoices = read("account.invoice", _ids(postings, "related_to"), _INVOICE)
    pending = {number: origin["pending_amount"] for number, origin in origins.items()}
    lines: list[dict[str, Any] | Unfit] = []
    for posting in postings:
        try:
            line = _line(posting, origins, invoices, pending)
        except Unfit as unfit:
            lines.append(unfit)
            continue
        pending[line["origin"]] -= line["amount"]
        lines.append(line)
    return lines


def _line(
    posting: Mapping[str, str | None],
    origins: Mapping[int, Mapping[str, Any]],
    invoices: Mapping[int, Mapping[str, Any]],
    pending: Mapping[int, Decimal],
) -> dict[str, Any]:
    origin = origins.get(_id(posting.get("origin")) or 0)
    invoice = invoices.get(_id(posting.get("related_to")) or 0)
    if origin is None:
        raise Unfit("the statement has no such entry")
    if invoice is None:
        raise Unfit("no such invoice")
    statement = origin["statement."]
    if statement["state"] != "draft":
        raise Unfit(f"the statement is {statement['state']}; only a draft takes postings")
    if invoice["state"] != "posted":
        raise Unfit(f"the invoice is {invoice['state']}; only a posted one is paid")
    currency = statement["currency."]["code"]
    if posting.get("currency") not in (None, currency) or invoice["currency."]["code"] != currency:
        raise Unfit("the currencies of the posting, the invoice and the statement differ")
    amount = _amount(posting.get("amount"))
    left = pending[origin["id"]]
    if amount == 0 or (amount > 0) != (left > 0) or abs(amount) > abs(left):
        raise Unfit("more than the statement's entry has left")
    own = {
        k: v for k, v in posting.items() if k not in ("origin", "related_to", "amount", "currency", "date")
    }
    return {
        "statement": origin["statement"],
        "origin": origin["id"],
        "date": origin["date"],
        "number": origin["number"],
        "amount": amount,
        "party": invoice["party"],
        "account": invoice["account"],
        "related_to": f"account.invoice,{invoice['id']}",
        **own,
    }


def _ids(postings: Sequence[Mapping[str, str | None]], field: str) -> list[int]:
    return sorted({number for p in postings if (number := _id(p.get(field))) is not None})


def _id(text: str | None) -> int | None:
    """The id in `12` or `account.invoice,12`."""
    digits = (text or "").rpartition(",")[2]
    return int(digits) if digits.isdigit() else None


def _amount(text: str | None) -> Decimal:
    try:
        return Decimal(text or "")
    except InvalidOperation:
        raise Unfit("the amount is no number") from None
