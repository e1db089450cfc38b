"""Standardise the raw columns of one table, each distinct value once.

Which raw column needs which standardiser follows from the contract: the column's name decides for
identity values (e-mail, phone, address), its type for the rest. What cannot be standardised
becomes null with a line in `problems`; the raw value stays in landing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import polars as pl

from crm_hygiene import standardise as std
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
    frame: pl.DataFrame, inputs: dict[str, str], function: Standardiser, outputs: dict[str, str], about: str
) -> pl.DataFrame:
    """Apply `function` to the distinct combinations of some columns and bring the results back.

    Parameters
    ----------
    inputs
        the function's input column -> column of `frame`.
    outputs
        the function's output column -> column to set in `frame`.
    about
        name that starts each line in `problems`.
    """
    keys = list(dict.fromkeys(inputs.values()))
    raw = {column: f"_raw_{column}" for column in keys}
    distinct = frame.select(keys).unique(maintain_order=True)
    result = function(distinct.select(pl.col(column).alias(name) for name, column in inputs.items()))
    wanted = [pl.col(name).alias(column) for name, column in outputs.items()]
    problem = pl.col("problem") if "problem" in result.columns else pl.lit(None, dtype=pl.String)
    joined = pl.concat(
        [
            distinct.rename(raw),
            result.select(
                *wanted, pl.concat_str([pl.lit(f"{about}: "), problem]).alias(f"{_PROBLEM}_{about}")
            ),
        ],
        how="horizontal",
    )
    kept = frame.rename(raw).drop([c for c in outputs.values() if c not in raw], strict=False)
    return kept.join(joined, on=list(raw.values()), how="left", nulls_equal=True, maintain_order="left").drop(
        list(raw.values())
    )


def _with_inputs_kept(
    frame: pl.DataFrame, inputs: dict[str, str], function: Standardiser, outputs: dict[str, str], about: str
) -> pl.DataFrame:
    """`_per_distinct`, with the inputs that are no outputs kept as they are."""
    context = [c for c in dict.fromkeys(inputs.values()) if c not in outputs.values()]
    return _per_distinct(
        frame.with_columns(pl.col(c).alias(f"_kept_{c}") for c in context), inputs, function, outputs, about
    ).rename({f"_kept_{c}": c for c in context})


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


def _cleaned(frame: pl.DataFrame, columns: Iterable[str]) -> pl.DataFrame:
    """Fold blanks and drop control characters of free text; an empty text is null."""
    return frame.with_columns(plain(pl.col(c)).alias(c) for c in columns)


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
    names = set(contract.column_names)
    # Where a row came from is not text to be read.
    have = set(frame.columns) - {"row_number", "landed_at"}
    text = pl.lit(None, dtype=pl.String)

    def missing(columns: Iterable[str]) -> list[pl.Expr]:
        return [text.alias(c) for c in columns if c not in frame.columns]

    country = mapping.default_country
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
        frame = frame.with_columns(
            _context=pl.col("country_code").fill_null(pl.lit(country, dtype=pl.String))
        )
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
            frame = _with_inputs_kept(
                frame,
                {"raw": column, "country_code": "_context"},
                std.standardise_phones,
                {"phone": column},
                column,
            )
    if "street" in names and have & set(_ADDRESS_PARTS):
        frame = frame.with_columns(missing(_ADDRESS_PARTS))
        frame = _with_inputs_kept(
            frame,
            {f"raw_{c}": c for c in _ADDRESS_PARTS} | {"country_code": "_context"},
            std.standardise_addresses,
            {c: c for c in _ADDRESS_PARTS},
            "address",
        )
    for raw in ("organisation_name", "customer_name", "payer_name"):
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
            frame = _per_distinct(frame, {"raw": column}, std.standardise_ibans, {"iban": column}, column)
    if "creditor_reference" in names and have & {"creditor_reference", "remittance_text"}:
        frame = _with_inputs_kept(
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
            frame = _with_inputs_kept(
                frame,
                {"raw": column, "country_code": "_context"},
                std.standardise_tax_ids,
                {"tax_id": column},
                column,
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
    return _by_type(_credited(frame, have), contract, mapping, have)


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
    typed = _typed(mapping)
    for column in contract.columns:
        name = column.name
        if name not in have or name in _DONE:
            continue
        if column.type in typed:
            function, output = typed[column.type]
            frame = _per_distinct(frame, {"raw": name}, function, {output: name}, name)
        elif column.type == "float":
            frame = frame.with_columns(pl.col(name).cast(pl.Float64, strict=False))
        elif column.type == "strings":
            frame = frame.with_columns(_split_list(name).alias(name))
    frame = _cleaned(
        frame,
        [c.name for c in contract.columns if c.type == "string" and c.name in have and c.name not in _DONE],
    )
    found = [c for c in frame.columns if c.startswith(f"{_PROBLEM}_")]
    if not found:
        return frame.with_columns(problems=pl.lit([], dtype=pl.List(pl.String)))
    return frame.with_columns(problems=pl.concat_list(found).list.drop_nulls()).drop(found)
