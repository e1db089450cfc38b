"""Telephone numbers to E.164.

The numbering plans are libphonenumber's, shipped with phonenumbers. Plainly written numbers are read by
whole columns with the plans' own patterns; whatever that does not recognise as valid goes through
phonenumbers one by one, so the outcome is always phonenumbers' outcome and only the speed differs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import phonenumbers
import polars as pl
from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    NumberParseException,
    PhoneMetadata,
    PhoneNumberFormat,
    PhoneNumberType,
)

from crm_hygiene.standardise.placeholders import is_placeholder
from crm_hygiene.standardise.text import any_of, cleaned, complaint, text_column

# Digits of an international number, the calling code included (ITU-T E.164, 6.2); some plans allow more.
_MOST_DIGITS = 15

# Below this many numbers of one plan, compiling its patterns costs more than asking phonenumbers.
COLUMN_THRESHOLD = 400

_EXTENSION = r"(?i)[ ,;]*(?:;ext=|ext(?:ension|n)?|x|#|dw|durchwahl|poste)[ .:=\-]*[0-9]{1,7}$"
_PLAIN = r"^[+(]?[0-9 ().\-/+]*$"
_OTHER_KINDS = (
    "premium_rate",
    "toll_free",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
)


@dataclass(frozen=True)
class _Pattern:
    """One description of a numbering plan: a regular expression and the lengths it allows."""

    expression: str
    lengths: tuple[int, ...]

    def fits(self, number: pl.Expr, length: pl.Expr) -> pl.Expr:
        matched = number.str.contains(f"^(?:{self.expression})$")
        return matched & length.is_in(self.lengths) if self.lengths else matched


@dataclass(frozen=True)
class _Plan:
    """What is_valid_number and number_type look at, for one region."""

    general: _Pattern
    mobile: _Pattern | None
    fixed: _Pattern | None
    others: tuple[_Pattern, ...]
    same_pattern: bool
    leading_digits: str | None
    prefix: str | None
    prefix_is_simple: bool


def _pattern(description: Any) -> _Pattern | None:
    if description is None or not description.national_number_pattern:
        return None
    lengths = tuple(n for n in description.possible_length if n > 0)
    # An unused kind is marked with the length -1 and matches nothing.
    return (
        None if -1 in description.possible_length else _Pattern(description.national_number_pattern, lengths)
    )


@cache
def _plan(region: str) -> _Plan | None:
    """The numbering plan of a region, or None where libphonenumber has none."""
    metadata = PhoneMetadata.metadata_for_region(region, None)
    general = _pattern(metadata.general_desc) if metadata else None
    if metadata is None or general is None:
        return None
    prefix = metadata.national_prefix_for_parsing
    return _Plan(
        general=general,
        mobile=_pattern(metadata.mobile),
        fixed=_pattern(metadata.fixed_line),
        others=tuple(p for k in _OTHER_KINDS if (p := _pattern(getattr(metadata, k)))),
        same_pattern=metadata.same_mobile_and_fixed_line_pattern,
        leading_digits=metadata.leading_digits,
        prefix=prefix,
        prefix_is_simple=not metadata.national_prefix_transform_rule
        and (prefix is None or re.compile(prefix).groups == 0),
    )


def _kind_in(plan: _Plan) -> pl.Expr:
    """mobile, fixed, other, or null where `_number` is no valid number of the plan (number_type)."""
    number, length = pl.col("_number"), pl.col("_length")
    no = pl.lit(False)
    other = pl.any_horizontal(no, *(p.fits(number, length) for p in plan.others))
    mobile = plan.mobile.fits(number, length) if plan.mobile else no
    fixed = plan.fixed.fits(number, length) if plan.fixed else no
    either = fixed if plan.same_pattern else fixed & mobile
    if plan.same_pattern:
        mobile = no
    return pl.when(plan.general.fits(number, length)).then(
        pl.when(other | either)
        .then(pl.lit("other"))
        .when(fixed)
        .then(pl.lit("fixed"))
        .when(mobile)
        .then(pl.lit("mobile"))
    )


@cache
def _kind_under(calling_code: int) -> pl.Expr:
    """Kind of `_number` among the regions that share the calling code (region_code_for_number)."""
    regions = COUNTRY_CODE_TO_REGION_CODE[calling_code]
    plans = [p for r in regions if (p := _plan(r))]
    if len(plans) == 1:
        return _kind_in(plans[0])
    kinds = [_kind_in(p) for p in plans]
    result: pl.Expr = pl.lit(None, dtype=pl.String)
    for plan, kind in zip(reversed(plans), reversed(kinds), strict=True):
        if plan.leading_digits:
            claimed = pl.col("_number").str.contains(f"^(?:{plan.leading_digits})")
            result = pl.when(claimed).then(kind).otherwise(result)
        else:
            result = pl.coalesce(kind, result)
    return result


def _by_column(group: pl.DataFrame, calling_code: int, region: str) -> pl.DataFrame:
    """[_row, _national] -> [_row, phone, phone_kind] of one calling code, read by `region`'s prefixes."""
    plan = _plan(region)
    if plan is None:
        return group.select(
            "_row", phone=pl.lit(None, dtype=pl.String), phone_kind=pl.lit(None, dtype=pl.String)
        )
    number = pl.col("_national")
    if plan.prefix:
        lead = f"^(?:{plan.prefix})"
        has_prefix = number.str.contains(lead)
        if plan.prefix_is_simple:
            cut = number.str.replace(lead, "")
            general = f"^(?:{plan.general.expression})$"
            keeps = number.str.contains(general) & ~cut.str.contains(general)
            number = pl.when(has_prefix & ~keeps).then(cut).otherwise(number)
        else:
            number = pl.when(~has_prefix).then(number)
    return (
        group.with_columns(_number=number)
        .with_columns(_length=pl.col("_number").str.len_chars().cast(pl.Int64))
        .with_columns(phone_kind=_kind_under(calling_code))
        .select(
            "_row",
            phone=pl.when(pl.col("phone_kind").is_not_null()).then(
                pl.concat_str(pl.lit(f"+{calling_code}"), pl.col("_number"))
            ),
            phone_kind="phone_kind",
        )
    )


def _one(text: str, region: str | None) -> tuple[str | None, str | None]:
    """phonenumbers' reading of one text: (E.164, kind), or two Nones."""
    for attempt in (text, "+" + text[2:]) if text.startswith("00") else (text,):
        try:
            number = phonenumbers.parse(attempt, region)
        except NumberParseException:
            continue
        kind = phonenumbers.number_type(number)
        # A number has a type exactly when it is valid, so one walk through the plan answers both.
        if kind != PhoneNumberType.UNKNOWN:
            name = {PhoneNumberType.MOBILE: "mobile", PhoneNumberType.FIXED_LINE: "fixed"}.get(kind, "other")
            return str(phonenumbers.format_number(number, PhoneNumberFormat.E164)), name
    return None, None


@cache
def _abroad(region: str) -> str:
    """How a region dials abroad, a pattern."""
    metadata = PhoneMetadata.metadata_for_region(region, None)
    return str(metadata.international_prefix or "") if metadata else ""


def _regions(named: pl.Series) -> pl.DataFrame:
    """_region, _home (its calling code), _abroad; opens the plans of no other regions than those named."""
    regions = [(r, phonenumbers.country_code_for_region(r), _abroad(r)) for r in named.drop_nulls().unique()]
    return pl.DataFrame(
        regions, schema={"_region": pl.String, "_home": pl.Int64, "_abroad": pl.String}, orient="row"
    )


def _routed(frame: pl.DataFrame) -> pl.DataFrame:
    """Adds `_code` (calling code) and `_national` (digits after it), null where one by one is needed."""
    digits, text = pl.col("_digits"), pl.col("_text")
    codes = any_of(tuple(str(c) for c, rs in sorted(COUNTRY_CODE_TO_REGION_CODE.items()) if rs != ("001",)))
    plain = text.str.contains(_PLAIN) & (digits.str.len_chars() >= 5)
    plus = text.str.contains(r"^\(?\+") & (text.str.count_matches("+", literal=True) == 1)
    zeros = digits.str.starts_with("00") & ~text.str.contains("+", literal=True)
    abroad = plus | (zeros & ((pl.col("_abroad") == "00") | pl.col("_region").is_null()))
    after = pl.when(plus).then(digits).otherwise(digits.str.slice(2))
    code = pl.coalesce(
        *(pl.when(after.str.slice(0, k).is_in(codes)).then(after.str.slice(0, k)) for k in (1, 2, 3))
    )
    home = ~text.str.contains("+", literal=True) & ~zeros & pl.col("_home").is_not_null()
    return (
        frame.join(_regions(frame["_region"]), on="_region", how="left", maintain_order="left")
        .with_columns(_is_abroad=plain & abroad, _is_home=plain & home, _after=after, _found=code)
        .with_columns(
            _code=pl.when("_is_abroad")
            .then(pl.col("_found").cast(pl.Int64))
            .when("_is_home")
            .then(pl.col("_home")),
            _national=pl.when("_is_abroad")
            .then(pl.col("_after").str.slice(pl.col("_found").str.len_chars()))
            .when("_is_home")
            .then(digits),
            _abroad=pl.col("_abroad"),
        )
        .drop("_after", "_found")
    )


def _read_by_columns(routed: pl.DataFrame) -> pl.DataFrame:
    """[_row, phone, phone_kind] for every number that whole columns can vouch for."""
    ready = routed.filter(pl.col("_code").is_not_null()).with_columns(
        _rules=pl.when("_is_abroad")
        .then(
            pl.col("_code").replace_strict(
                {c: r[0] for c, r in COUNTRY_CODE_TO_REGION_CODE.items()},
                default=None,
                return_dtype=pl.String,
            )
        )
        .otherwise(pl.col("_region"))
    )
    done = []
    for (code, rules, is_abroad), group in sorted(
        ready.select("_row", "_national", "_code", "_rules", "_is_abroad", "_abroad")
        .partition_by("_code", "_rules", "_is_abroad", as_dict=True, include_key=True)
        .items(),
        key=_plan_order,
    ):
        if group.height < COLUMN_THRESHOLD:
            continue
        # Digits that may be this region's way of dialling abroad are left to phonenumbers.
        exit_code = group["_abroad"][0]
        if not is_abroad and exit_code:
            group = group.filter(~pl.col("_national").str.contains(f"^(?:{exit_code})"))
        done.append(_by_column(group, int(str(code)), str(rules)))
    empty = pl.DataFrame(schema={"_row": pl.UInt32, "phone": pl.String, "phone_kind": pl.String})
    return pl.concat([empty, *done]).filter(pl.col("phone").is_not_null())


def _plan_order(item: tuple[tuple[Any, ...], pl.DataFrame]) -> tuple[str, ...]:
    """Order of plans, so that work is done in the same order whatever the rows' order."""
    return tuple(str(part) for part in item[0])


def standardise_phones(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns [raw, country_code] -> adds phone (E.164), phone_kind (mobile, fixed, other) and problem.

    `country_code` (ISO 3166-1 alpha-2) reads numbers without an international prefix. Extensions are cut.
    Where a plan does not tell mobile from fixed (North America), the kind is other. Numbers that are not
    valid in their plan, possible or not, or longer than E.164 allows, become null with a problem.
    """
    tidy = cleaned("raw").str.replace(r"(?i)^(?:tel|phone|fax|mob|mobile)\s*[.:]\s*", "")
    base = frame.with_columns(_text=tidy, _region=pl.col("country_code").cast(pl.String).str.to_uppercase())
    work = (
        base.select("_text", "_region")
        .with_row_index("_row")
        .with_columns(
            _text=pl.col("_text").str.replace(_EXTENSION, ""),
            _region=pl.when(
                pl.col("_region").is_in(any_of(tuple(sorted(phonenumbers.SUPPORTED_REGIONS))))
            ).then(pl.col("_region")),
        )
        .with_columns(_digits=pl.col("_text").str.replace_all("[^0-9]", ""))
    )
    quick = _read_by_columns(_routed(work))
    rest = work.join(quick, on="_row", how="anti", maintain_order="left").filter(
        pl.col("_text").is_not_null()
        & (pl.col("_region").is_not_null() | pl.col("_text").str.contains(r"[+＋]|^00"))
        & (pl.col("_text").str.len_chars() <= 80)
    )
    read = [_one(t, r) for t, r in zip(rest["_text"], rest["_region"], strict=True)]
    slow = pl.DataFrame(
        {
            "_row": rest["_row"],
            "phone": text_column([n for n, _ in read]),
            "phone_kind": text_column([k for _, k in read]),
        }
    )
    found = work.select("_row").join(pl.concat([quick, slow]), on="_row", how="left", maintain_order="left")
    # libphonenumber takes German numbers of 16 digits for valid; no exchange has to.
    is_long = (pl.col("phone").str.len_bytes() > 1 + _MOST_DIGITS).fill_null(value=False)
    found = found.with_columns(
        pl.when(~is_long).then("phone"), pl.when(~is_long).then("phone_kind"), _is_long=is_long
    )
    text, region = pl.col("_text"), pl.col("_region")
    why = (
        pl.when(is_placeholder(text))
        .then(pl.lit("is a placeholder"))
        .when("_is_long")
        .then(pl.lit(f"has more than the {_MOST_DIGITS} digits of E.164"))
        .when(region.is_null() & ~text.str.contains(r"^\W*\+|^00"))
        .then(pl.lit("has neither an international prefix nor a country"))
        .when(region.is_null())
        .then(pl.lit("is not a valid number"))
        .otherwise(pl.format("is not a number of {}", region))
    )
    return (
        base.with_columns(found["phone"], found["phone_kind"], found["_is_long"])
        .with_columns(
            problem=pl.when(text.is_not_null() & pl.col("phone").is_null()).then(
                complaint("phone", text, why)
            )
        )
        .drop("_text", "_region", "_is_long")
    )
