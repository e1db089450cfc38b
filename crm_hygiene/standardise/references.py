"""References of payments: structured ones with their check digits, and words that say there is none.

Known by their check digits: RF creditor references (ISO 11649), Swiss QRR references (27 digits, modulo 10
recursive) and Belgian OGM/VCS communications (12 digits, modulo 97). Others, such as Finnish or Norwegian
ones, are any digits to a stranger and stay as they are stated.
"""

from __future__ import annotations

import re
from typing import Any

import polars as pl
from stdnum import iso11649
from stdnum.be import ogm_vcs
from stdnum.ch import esr
from stdnum.exceptions import ValidationError

from crm_hygiene.standardise.text import any_of, complaint, text_column

#: What banks write where there is no reference, in upper case.
NO_REFERENCE = frozenset(
    (
        "",
        "NOTPROVIDED",
        "NOT PROVIDED",
        "NOTAVAILABLE",
        "NOT AVAILABLE",
        "NONREF",
        "NOREF",
        "NO REF",
        "NONE",
        "NULL",
        "UNKNOWN",
        "N/A",
        "NA",
        "-",
    )
)

_RF = re.compile(r"(?<![A-Z0-9])RF[0-9]{2}(?: ?[A-Z0-9]{1,4}){1,6}")
_QRR = re.compile(r"(?<![0-9])(?:[0-9]{27}|[0-9]{2}(?: [0-9]{5}){5})(?![0-9])")
_OGM = re.compile(r"(\+{3}|\*{3}) ?([0-9]{3} ?/ ?[0-9]{4} ?/ ?[0-9]{5}) ?\1")
_MAY_HOLD = r"(?i)RF[0-9]{2}|[0-9]{27}|[0-9]{2}(?: [0-9]{5}){5}|\+{3}|\*{3}"
_STRUCTURED = r"(?i)^\s*RF\s*[0-9]{2}|^[\s0-9]{27,}$|[0-9]{3} ?/ ?[0-9]{4} ?/ ?[0-9]{5}"


def is_no_reference(column: str) -> pl.Expr:
    """Whether a text says that there is no reference: `NOTPROVIDED`, `NONREF`, only zeros and signs."""
    text = pl.col(column).str.strip_chars(" .").str.to_uppercase()
    return text.is_in(any_of(tuple(sorted(NO_REFERENCE)))) | ~text.str.contains(r"[1-9\p{L}]")


def _valid(module: Any, number: str) -> str | None:
    try:
        return str(module.validate(number)).upper()
    except (ValidationError, ValueError):
        return None


def _stated(text: str) -> tuple[str | None, str | None]:
    """The reference of a field that holds nothing else, or why not."""
    compact = re.sub(r"[^A-Z0-9]", "", text.upper())
    if re.fullmatch(r"RF[0-9]{2}[A-Z0-9]+", compact):
        found = _valid(iso11649, compact)
    elif re.fullmatch(r"[0-9]{27}", compact):
        found = _valid(esr, compact)
        # Leading zeros belong to a QRR reference.
        found = compact if found else None
    elif "/" in text and re.fullmatch(r"[0-9]{12}", compact):
        found = compact if _valid(ogm_vcs, compact) else None
    else:
        return text, None
    return (found, None) if found else (None, "has wrong check digits")


def _found(text: str) -> str | None:
    """The one structured reference in free text whose check digits hold; None where there are several."""
    text = text.upper()
    found: set[str] = set()
    for match in _RF.finditer(text):
        pieces = match.group().split(" ")
        # Words may follow the reference: the longest run whose check digits hold is it.
        for end in range(len(pieces), 0, -1):
            number = "".join(pieces[:end])
            if 5 <= len(number) <= 25 and _valid(iso11649, number):
                found.add(number)
                break
    for match in _QRR.finditer(text):
        number = match.group().replace(" ", "")
        if int(number) and _valid(esr, number):
            found.add(number)
    for match in _OGM.finditer(text):
        number = re.sub(r"[^0-9]", "", match.group(2))
        if _valid(ogm_vcs, number):
            found.add(number)
    return found.pop() if len(found) == 1 else None


def standardise_creditor_references(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns [raw, remittance] -> adds creditor_reference and problem.

    A structured reference becomes its compact form; with wrong check digits it is null with a problem. Where
    none is stated, the one in the remittance text counts if its check digits hold and it is the only one.
    """
    raw = pl.col("raw").str.strip_chars()
    frame = frame.with_columns(_text=pl.when(~is_no_reference("raw")).then(raw))
    structured = frame["_text"].str.contains(_STRUCTURED).fill_null(False).arg_true()
    read = [_stated(text) for text in frame["_text"].gather(structured)]
    lacks = frame["_text"].is_null() & frame["remittance"].str.contains(_MAY_HOLD).fill_null(False)
    where = lacks.arg_true()
    found = [_found(text) for text in frame["remittance"].gather(where)]
    values = frame["_text"].clone().scatter(structured, text_column([r[0] for r in read]))
    values = values.scatter(where, text_column(found)).alias("creditor_reference")
    why = text_column([None] * frame.height).scatter(structured, text_column([r[1] for r in read]))
    return (
        frame.with_columns(values, why.alias("_why"))
        .with_columns(problem=complaint("reference", "_text", pl.col("_why")))
        .drop("_text", "_why")
    )
