"""Standardise the raw columns of one table, each distinct value once.

Which raw column needs which standardiser follows from the contract: the column's name decides for
identity values (e-mail, phone, address), its type for the rest. What cannot be standardised
becomes null with a line in `problems`; the raw value stays in landing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

import polars as pl

from crm_hygiene import standardise as std
from crm_hygiene.conform.bank_entries import NOTES
from crm_hygiene.contract import Contract
from crm_hygiene.mapping import Mapping

Standardiser = Callable[[pl.DataFrame], pl.DataFrame]

_NAME_PARTS = ("name_prefix", "given_name", "middle_name", "family_name", "name_suffix", "full_name")
_ADDRESS_PARTS = ("street", "city", "region", "postal_code")
_PHONES = ("phone", "mobile_phone")
_IBANS = ("iban", "account_iban", "payer_iban", "payee_iban")
_TAX_IDS = ("tax_id", "payer_tax_id", "customer_tax_id")
_AMOUNTS = {
    "amount": "currency",
    "paid_amount": "currency",
    "discount_amount": "currency",
    "instructed_amount": "instructed_currency",
    "charges_amount": "currency",
    "annual_revenue_amount": "annual_revenue_currency",
}

_PROBLEM = "_problem"

#: Holds for every text that `plain` would change: control characters, blanks at an end, beside each other
#: or other than the plain one; and the empty text.
_NOT_PLAIN = r"[\p{Cc}\p{Cf}]|[^\S ]|  |^ | $|^$"


def _per_distinct(
    frame: pl.DataFrame,
    inputs: dict[str, str],
    function: Standardiser,
    outputs: dict[str, str],
    about: str,
    context: str | None = None,
) -> pl.DataFrame:
    """Apply `function` to the distinct combinations of some columns and bring the results back.

    Parameters
    ----------
    inputs
        the function's input column -> column of `frame`. A row in which all but `context` are null says
        nothing, and nothing comes of it.
    outputs
        the function's output column -> column to set in `frame`.
    about
        name that starts each line in `problems`.
    context
        the one of the inputs that only helps to read the others.
    """
    keys = list(dict.fromkeys(inputs.values()))
    says = [pl.col(column).is_not_null() for name, column in inputs.items() if name != context]
    distinct = frame.lazy().select(keys).filter(pl.any_horizontal(says)).unique(maintain_order=True).collect()
    result = function(distinct.select(pl.col(column).alias(name) for name, column in inputs.items()))
    found = [result[name].alias(column) for name, column in outputs.items()]
    # Inputs that come back as they are stay in their place; others make room for what became of them.
    replaced = [c for c in outputs.values() if c in frame.columns]
    raw = {c: f"_raw_{c}" for c in keys if c in replaced}
    if "problem" in result.columns and result["problem"].null_count() < result.height:
        problem = result.select(pl.concat_str([pl.lit(f"{about}: "), "problem"]).alias(f"{_PROBLEM}_{about}"))
        found.append(problem.to_series())
    read = distinct.rename(raw).with_columns(found)
    kept = frame.lazy().rename(raw).drop([c for c in replaced if c not in raw])
    joined = kept.join(
        read.lazy(), on=[raw.get(c, c) for c in keys], how="left", nulls_equal=True, maintain_order="left"
    )
    return joined.drop(list(raw.values())).collect()


def plain(text: pl.Expr) -> pl.Expr:
    """Text without control characters, blanks folded, null where nothing is left."""
    return text.map_batches(_plain_all, return_dtype=pl.String, is_elementwise=True)


def _plain_all(values: pl.Series) -> pl.Series:
    """Only texts with anything to fold or cut are written anew."""
    where = values.str.contains(_NOT_PLAIN).fill_null(value=False).arg_true()
    if where.len() == 0:
        return values
    some = values.gather(where).str.replace_all(r"[\p{Cc}\p{Cf}]+", " ").str.replace_all(r"\s+", " ")
    some = some.str.strip_chars()
    return values.clone().scatter(where, some.set(some == "", None))


def _stated_number(raw: pl.Expr) -> pl.Expr:
    """A number as its source states it, letters and digits only; null for one character repeated.

    A national number that no check digits know still tells who is who.
    """
    number = raw.str.to_uppercase().str.replace_all(r"[^\p{L}\p{N}]+", "")
    is_filler = number.str.split("").list.n_unique() <= 1
    return pl.when((number.str.len_chars() >= 4) & ~is_filler).then(number)


def _split_list(column: str) -> pl.Expr:
    """Ids of a list as vendors write it: `1;2`, `[1,2]`, `1:1661707291575;2:…` (id:time)."""
    return (
        pl.col(column)
        .str.extract_all(r"[^\s,;\[\]\"]+")
        .list.eval(pl.element().str.split(":").list.first())
        .list.eval(pl.element().filter(pl.element() != ""))
    )


def standardise_table(frame: pl.DataFrame, contract: Contract, mapping: Mapping) -> pl.DataFrame:
    """Typed, standardised columns of a conformed table from its raw ones.

    Parameters
    ----------
    frame
        raw text columns named as in the contract, nulls where the source says nothing.

    Returns
    -------
    the same rows in the same order with the contract's types; `problems` lists what could not be
    standardised.
    """
    return standardise_sources([(mapping, frame)], contract)[0]


def standardise_sources(rows: list[tuple[Mapping, pl.DataFrame]], contract: Contract) -> list[pl.DataFrame]:
    """`standardise_table` of several sources, each value that they share read once; in their order.

    A frame may have columns that only another source has, all of them null.
    """
    alike: dict[Hashable, list[int]] = {}
    for place, (mapping, frame) in enumerate(rows):
        alike.setdefault(_way_of_reading(frame, mapping), []).append(place)
    done: dict[int, pl.DataFrame] = {}
    for places in alike.values():
        frames = []
        for place in places:
            mapping, frame = rows[place]
            country = pl.lit(mapping.default_country, dtype=pl.String)
            frames.append(frame.with_columns(country.alias(_DEFAULT_COUNTRY)))
        together = _standardised(
            _notes_in_order(pl.concat(frames, how="diagonal")), contract, rows[places[0]][0]
        )
        start = 0
        for place in places:
            height = rows[place][1].height
            done[place] = together.slice(start, height)
            start += height
    return [done[place] for place in range(len(rows))]


def _notes_in_order(frame: pl.DataFrame) -> pl.DataFrame:
    """The lines that earlier steps add to `problems`, in one order whatever sources were read together."""
    notes = [c for c in NOTES if c in frame.columns]
    return frame.select(pl.exclude(notes), *notes) if notes else frame


_ORGANISATION_NAMES = ("organisation_name", "customer_name", "payer_name")
_DEFAULT_COUNTRY = "_default_country"


def _way_of_reading(frame: pl.DataFrame, mapping: Mapping) -> Hashable:
    """Sources of the same way can be read as one: their notations, and what a column means beside others."""
    beside = {*_AMOUNTS, *_AMOUNTS.values(), *_ORGANISATION_NAMES}
    return mapping.day_first, mapping.decimal, frozenset(beside.intersection(frame.columns))


def _standardised(frame: pl.DataFrame, contract: Contract, mapping: Mapping) -> pl.DataFrame:
    """`standardise_table` of rows with the country of each one's source in `_DEFAULT_COUNTRY`."""
    names = set(contract.column_names)
    silent = _silent(frame)
    frame = frame.drop(silent)
    # Where a row came from is not text to be read.
    have = set(frame.columns) - {"row_number", "landed_at"}
    text = pl.lit(None, dtype=pl.String)

    def missing(columns: Iterable[str]) -> list[pl.Expr]:
        return [text.alias(c) for c in columns if c not in frame.columns]

    if "country_code" in names or "phone" in names or names & set(_TAX_IDS):
        if "country_code" in have:
            frame = _per_distinct(
                frame,
                {"raw": "country_code"},
                std.standardise_countries,
                {"country_code": "country_code"},
                "country_code",
            )
        frame = frame.with_columns(missing(["country_code"]))
        frame = frame.with_columns(_context=pl.col("country_code").fill_null(pl.col(_DEFAULT_COUNTRY)))
    if "full_name" in names and have & set(_NAME_PARTS):
        frame = frame.with_columns(missing(_NAME_PARTS))
        frame = _per_distinct(
            frame,
            {f"raw_{c}": c for c in _NAME_PARTS},
            std.standardise_names,
            {c: c for c in _NAME_PARTS},
            "name",
        )
    if "email" in have:
        outputs: dict[str, str] = {
            c: c for c in ("email", "email_normalised", "email_domain", "email_kind") if c in names
        }
        frame = _per_distinct(frame, {"raw": "email"}, std.standardise_emails, outputs, "email")
    for column in _PHONES:
        if column in have:
            frame = _per_distinct(
                frame,
                {"raw": column, "country_code": "_context"},
                std.standardise_phones,
                {"phone": column},
                column,
                context="country_code",
            )
    if "street" in names and have & set(_ADDRESS_PARTS):
        frame = frame.with_columns(missing(_ADDRESS_PARTS))
        frame = _per_distinct(
            frame,
            {f"raw_{c}": c for c in _ADDRESS_PARTS} | {"country_code": "_context"},
            std.standardise_addresses,
            {c: c for c in _ADDRESS_PARTS},
            "address",
            context="country_code",
        )
    for raw in _ORGANISATION_NAMES:
        if raw in have and "organisation_name_normalised" in names:
            outputs = {
                "organisation_name": raw,
                "organisation_name_normalised": "organisation_name_normalised",
                **({"legal_form": "legal_form"} if "legal_form" in names else {}),
            }
            frame = _per_distinct(frame, {"raw": raw}, std.standardise_organisation_names, outputs, raw)
            break
    if "website_domain" in have:
        frame = _per_distinct(
            frame,
            {"raw": "website_domain"},
            std.standardise_domains,
            {"website_domain": "website_domain"},
            "website",
        )
    for column in _IBANS:
        if column in have:
            frame = _per_distinct(frame, {"raw": column}, _bare_ibans, {"iban": column}, column)
    if "creditor_reference" in names and have & {"creditor_reference", "remittance_text"}:
        frame = _per_distinct(
            frame.with_columns(missing(["creditor_reference", "remittance_text"])),
            {"raw": "creditor_reference", "remittance": "remittance_text"},
            std.standardise_creditor_references,
            {"creditor_reference": "creditor_reference"},
            "creditor_reference",
        )
    if "tax_id" in have and "tax_id_stated" in names:
        frame = frame.with_columns(tax_id_stated=_stated_number(pl.col("tax_id")))
    for column in _TAX_IDS:
        if column in have:
            frame = _per_distinct(
                frame,
                {"raw": column, "country_code": "_context"},
                std.standardise_tax_ids,
                {"tax_id": column},
                column,
                context="country_code",
            )
    for column, currency in _AMOUNTS.items():
        if column in have:
            frame = frame.with_columns(missing([currency]))
            frame = _per_distinct(
                frame,
                {"raw": column, "currency": currency},
                lambda distinct: std.standardise_money(distinct, decimal=mapping.decimal),
                {"amount": column, "currency": currency},
                column,
            )
    frame = _by_type(_credited(frame, have), contract, mapping, have)
    return frame.with_columns(
        pl.lit(None, dtype=contract.schema[c]).alias(c)
        for c in silent
        if c in names and c not in frame.columns
    ).drop(_DEFAULT_COUNTRY)


def _silent(frame: pl.DataFrame) -> list[str]:
    """Columns without any text, which nothing has to read and which say nothing beside others."""
    empty = {c.name for c in frame.null_count() if c[0] == frame.height}
    return sorted(empty - {*_AMOUNTS, *_AMOUNTS.values(), *_ORGANISATION_NAMES, _DEFAULT_COUNTRY})


def _bare_ibans(raw: pl.DataFrame) -> pl.DataFrame:
    return std.standardise_ibans(raw, banks=False)


def _credited(frame: pl.DataFrame, have: set[str]) -> pl.DataFrame:
    """Credit notes with negative amounts: some systems write them so, others only say what they are."""
    if not {"document_kind", "amount"} <= have:
        return frame
    is_credit = pl.col("document_kind") == "credit_note"
    return frame.with_columns(amount=pl.when(is_credit).then(-pl.col("amount").abs()).otherwise("amount"))


_DONE = frozenset(
    (
        *_NAME_PARTS,
        *_ADDRESS_PARTS,
        *_PHONES,
        *_IBANS,
        *_TAX_IDS,
        *_AMOUNTS,
        *_AMOUNTS.values(),
        "country_code",
        "email",
        "email_normalised",
        "email_domain",
        "email_kind",
        "creditor_reference",
        "tax_id_stated",
        "website_domain",
        "organisation_name_normalised",
        "legal_form",
    )
)


def _typed(mapping: Mapping) -> dict[str, tuple[Standardiser, str]]:
    """Standardiser and its output column for each type that alone decides."""
    day_first = mapping.day_first
    return {
        "timestamp": (lambda raw: std.standardise_timestamps(raw, day_first=day_first), "timestamp"),
        "date": (lambda raw: std.standardise_dates(raw, day_first=day_first), "date"),
        "boolean": (std.standardise_booleans, "value"),
        "integer": (std.standardise_integers, "value"),
        # Money without a currency of its own: quantities, percentages.
        "money": (lambda raw: std.standardise_decimals(raw, decimal=mapping.decimal), "value"),
    }


def _by_type(frame: pl.DataFrame, contract: Contract, mapping: Mapping, have: set[str]) -> pl.DataFrame:
    """The columns whose type alone decides, and the gathered `problems`."""
    columns = [c for c in contract.columns if c.name in have and c.name not in _DONE]
    typed = _typed(mapping)
    for kind, (function, output) in typed.items():
        frame = _read_alike(frame, [c.name for c in columns if c.type == kind], function, output)
    frame = frame.with_columns(
        *(pl.col(c.name).cast(pl.Float64, strict=False) for c in columns if c.type == "float"),
        *(_split_list(c.name).alias(c.name) for c in columns if c.type == "strings"),
        *(plain(pl.col(c.name)).alias(c.name) for c in columns if c.type == "string"),
    )
    found = [c for c in frame.columns if c.startswith(f"{_PROBLEM}_")]
    if not found:
        return frame.with_columns(problems=pl.lit([], dtype=pl.List(pl.String)))
    by_type = [f"{_PROBLEM}_{c.name}" for c in columns if c.type in typed]
    order = [c for c in found if c not in by_type] + [c for c in by_type if c in found]
    return frame.with_columns(problems=pl.concat_list(order).list.drop_nulls()).drop(found)


def _read_alike(frame: pl.DataFrame, columns: list[str], function: Standardiser, output: str) -> pl.DataFrame:
    """Columns that one function reads, each value that they share read once."""
    if not columns:
        return frame
    values = pl.concat([frame[c].unique(maintain_order=True).alias("raw") for c in columns])
    read = function(values.drop_nulls().unique(maintain_order=True).to_frame()).lazy()
    rows = frame.lazy()
    for column in columns:
        told = read.select(
            pl.col("raw").alias(f"_raw_{column}"),
            pl.col(output).alias(column),
            pl.concat_str([pl.lit(f"{column}: "), "problem"]).alias(f"{_PROBLEM}_{column}"),
        )
        key = f"_raw_{column}"
        rows = rows.rename({column: key}).join(told, on=key, how="left", maintain_order="left").drop(key)
    frame = rows.collect()
    empty = [c for c in columns if frame[f"{_PROBLEM}_{c}"].null_count() == frame.height]
    return frame.drop(f"{_PROBLEM}_{c}" for c in empty)
