"""Postal addresses: blanks folded, regions to codes, postal codes in their country's spacing.

Streets are not parsed: house numbers and abbreviations stay as written.
"""

from __future__ import annotations

from functools import cache

import polars as pl

from crm_hygiene.standardise.placeholders import without_placeholders
from crm_hygiene.standardise.text import cleaned, fold, folded

_US = (
    "AL Alabama,AK Alaska,AZ Arizona,AR Arkansas,CA California,CO Colorado,CT Connecticut,DE Delaware,"
    "DC District of Columbia,FL Florida,GA Georgia,HI Hawaii,ID Idaho,IL Illinois,IN Indiana,IA Iowa,"
    "KS Kansas,KY Kentucky,LA Louisiana,ME Maine,MD Maryland,MA Massachusetts,MI Michigan,MN Minnesota,"
    "MS Mississippi,MO Missouri,MT Montana,NE Nebraska,NV Nevada,NH New Hampshire,NJ New Jersey,"
    "NM New Mexico,NY New York,NC North Carolina,ND North Dakota,OH Ohio,OK Oklahoma,OR Oregon,"
    "PA Pennsylvania,RI Rhode Island,SC South Carolina,SD South Dakota,TN Tennessee,TX Texas,UT Utah,"
    "VT Vermont,VA Virginia,WA Washington,WV West Virginia,WI Wisconsin,WY Wyoming,PR Puerto Rico,"
    "GU Guam,VI Virgin Islands,AS American Samoa,MP Northern Mariana Islands,DC Washington DC,CA Calif,"
    "MA Mass,PA Penn"
)
_CA = (
    "AB Alberta,BC British Columbia,MB Manitoba,NB New Brunswick,NL Newfoundland and Labrador,"
    "NL Newfoundland,NS Nova Scotia,NT Northwest Territories,NU Nunavut,ON Ontario,"
    "PE Prince Edward Island,QC Québec,SK Saskatchewan,YT Yukon,YT Yukon Territory,QC PQ"
)
_AU = (
    "ACT Australian Capital Territory,NSW New South Wales,NT Northern Territory,QLD Queensland,"
    "SA South Australia,TAS Tasmania,VIC Victoria,WA Western Australia"
)
REGION_LISTS = {"US": _US, "CA": _CA, "AU": _AU}


@cache
def _regions() -> pl.DataFrame:
    """country_code, _region_key (folded name or code), _region_code."""
    rows: dict[tuple[str, str], str] = {}
    for country, listed in REGION_LISTS.items():
        for entry in listed.split(","):
            code, name = entry.split(" ", 1)
            rows[country, code.lower()] = code
            rows[country, fold(name)] = code
    return pl.DataFrame(
        [(country, key, code) for (country, key), code in rows.items()],
        schema=["_country", "_region_key", "_region_code"],
        orient="row",
    )


def _upper(code: pl.Expr) -> pl.Expr:
    """Capitals, where the code is ASCII as postal codes are; anything else is left as written."""
    return pl.when(code.str.contains(r"^[\x00-\x7f]*$")).then(code.str.to_uppercase()).otherwise(code)


@cache
def _postal_code() -> pl.Expr:
    """`_postal` in the spacing of `country_code`; what does not fit the country's form stays as it is."""
    code, country = pl.col("_postal"), pl.col("_country")
    compact = code.str.replace_all(r"[ \-]", "")
    # Spreadsheets turn 02134 into 2134 or 2134.0.
    digits = code.str.replace(r"^([0-9]{3,5})\.0+$", "$1")
    return (
        pl.when((country == "GB") & compact.str.contains(r"^[A-Z]{1,2}[0-9][A-Z0-9]?[0-9][A-Z]{2}$"))
        .then(compact.str.replace(r"^(.*)(.{3})$", "$1 $2"))
        .when((country == "CA") & compact.str.contains(r"^[A-Z][0-9][A-Z][0-9][A-Z][0-9]$"))
        .then(compact.str.replace(r"^(.{3})(.{3})$", "$1 $2"))
        .when((country == "NL") & compact.str.contains(r"^[0-9]{4}[A-Z]{2}$"))
        .then(compact.str.replace(r"^(.{4})(.{2})$", "$1 $2"))
        .when((country == "US") & digits.str.contains(r"^[0-9]{3,5}$"))
        .then(digits.str.zfill(5))
        .when((country == "US") & compact.str.contains(r"^[0-9]{9}$"))
        .then(compact.str.replace(r"^(.{5})(.{4})$", "$1-$2"))
        .otherwise(code)
    )


def standardise_addresses(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns [raw_street, .., country_code] -> adds street, city, region and postal_code.

    The inputs are raw_street, raw_city, raw_region, raw_postal_code and country_code.
    Placeholders become null. Lines of a street are joined by ', '. Names of states of US, CA and AU
    become their codes. US ZIP codes get their leading zeros back; ZIP+4 is kept.
    """
    lines = (
        pl.col("raw_street")
        .cast(pl.String)
        .str.replace_all(r"[ \t]*,?\s*[\r\n\u2028\u2029]\s*", "\n")
        .str.strip_chars("\n ")
        .str.replace_all("\n", ", ")
    )
    region_key = folded("_region").str.replace_all(r"[.,]", "").str.strip_chars(" ")
    return (
        frame.with_columns(
            street=without_placeholders(cleaned(lines)),
            city=without_placeholders(cleaned("raw_city")),
            _region=without_placeholders(cleaned("raw_region")),
            _postal=_upper(without_placeholders(cleaned("raw_postal_code"))),
            _country=pl.col("country_code").cast(pl.String),
        )
        .with_columns(_region_key=region_key)
        .join(_regions(), on=["_country", "_region_key"], how="left", maintain_order="left")
        .with_columns(region=pl.coalesce("_region_code", "_region"), postal_code=_postal_code())
        .drop("_region", "_postal", "_country", "_region_key", "_region_code")
    )
