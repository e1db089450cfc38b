"""Tax and VAT numbers: compact, with check digits verified by python-stdnum.

Schemes: EU VAT (prefix belongs to the number), else the VAT module of the country, else its general tax
number. A country without a scheme in python-stdnum keeps a plausible number as it is.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import polars as pl
from stdnum import get_cc_module
from stdnum.eu import vat as eu_vat
from stdnum.exceptions import ValidationError

from crm_hygiene.standardise.placeholders import is_placeholder
from crm_hygiene.standardise.text import cleaned, complaint, text_column

_PLAUSIBLE = re.compile(r"[A-Z0-9]{5,20}")
# Greece's VAT prefix is EL while its ISO code is GR.
_VAT_PREFIXES = {"GR": "EL"}
EU_PREFIXES = frozenset(c.upper() for c in eu_vat.MEMBER_STATES) - {"GR"} | {"EL"}
# Where the VAT number is the register number and a word ("MWST", "MVA"), the register number says it all.
_REGISTERS = {"CH": "uid", "LI": "uid", "NO": "orgnr"}
_VAT_WORDS = re.compile(r"(?<=[0-9])(?:MWST|TVA|IVA|TPV|MVA)$")


@cache
def _scheme(country: str) -> Any:
    """python-stdnum's module for the country's VAT or tax numbers, or None."""
    home = "CH" if country == "LI" else country
    for name in (_REGISTERS[country],) if country in _REGISTERS else ("vat", "tin"):
        try:
            module = get_cc_module(home.lower(), name)
        except (ImportError, AttributeError):
            module = None
        if module is not None:
            return module
    return None


def _valid(module: Any, number: str) -> str | None:
    try:
        return str(module.validate(number)).upper()
    except (ValidationError, ValueError, TypeError, IndexError, KeyError):
        return None


def _eu(number: str) -> str | None:
    found = _valid(eu_vat, number)
    return "EL" + found[2:] if found and found[:2] == "GR" else found


def _read(compact: str, country: str | None) -> tuple[str | None, str | None]:
    """The number in its one form, or the reason why not."""
    prefix = compact[:2]
    if country in ("GB", "IM") or (country is None and prefix == "GB"):
        found = _valid(_scheme("GB"), compact.removeprefix("GB"))
        return (f"GB{found}", None) if found else (None, "is not a valid VAT number of GB")
    if country is None or _VAT_PREFIXES.get(country, country) in EU_PREFIXES:
        if prefix in EU_PREFIXES and (found := _eu(compact)):
            return found, None
        if country is None:
            return None, "has no country and is not a valid EU VAT number"
        found = _eu(_VAT_PREFIXES.get(country, country) + compact)
        return (found, None) if found else (None, f"is not a valid VAT number of {country}")
    module = _scheme(country)
    if country in _REGISTERS:
        compact = _VAT_WORDS.sub("", compact)
    if module is not None and (
        found := _valid(module, compact) or _valid(module, compact.removeprefix(country))
    ):
        return found, None
    if prefix in EU_PREFIXES and (found := _eu(compact)):
        return found, None
    if module is not None:
        return None, f"is not a valid tax number of {country}"
    return (compact, None) if _PLAUSIBLE.fullmatch(compact) else (None, "is not a tax number")


def standardise_tax_ids(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns [raw, country_code] -> adds tax_id (compact, with country prefix for VAT numbers) and problem.

    A valid EU prefix in the number outweighs the record's country. Without a country only EU and GB VAT
    numbers can be told, everything else is a problem: equal digits of two countries must not look alike.
    """
    frame = frame.with_columns(
        _text=cleaned("raw"), _country=pl.col("country_code").cast(pl.String).str.to_uppercase()
    )
    frame = frame.with_columns(
        _compact=pl.col("_text")
        .str.to_uppercase()
        .str.replace(r"^(?:VAT|UST-?ID(?:-?NR)?|TVA|NIF|CIF|TAX ID)[.:# ]+", "")
        .str.replace_all(r"[^\p{L}\p{N}]", "")
    )
    absent = is_placeholder("_text") | (pl.col("_compact") == "")
    where = frame.select(pl.col("_compact").is_not_null() & ~absent)["_compact"].fill_null(False).arg_true()
    read = [
        _read(number, country) if number.isascii() else (None, "is not a tax number")
        for number, country in zip(
            frame["_compact"].gather(where), frame["_country"].gather(where), strict=True
        )
    ]
    empty = text_column([None] * frame.height)
    return (
        frame.with_columns(
            empty.clone().scatter(where, text_column([r[0] for r in read])).alias("tax_id"),
            empty.clone().scatter(where, text_column([r[1] for r in read])).alias("_why"),
        )
        .with_columns(
            problem=complaint(
                "tax id",
                "_text",
                pl.when(absent).then(pl.lit("is a placeholder")).otherwise(pl.col("_why")),
            )
        )
        .drop("_text", "_compact", "_country", "_why")
    )
