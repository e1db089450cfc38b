"""Generic names: placeholders nobody listed, found by the many mailboxes and numbers they go with.

"Website Visitor" and "Test Test" stand on thousands of records that have nothing else in common. A
common name does too, so a name is generic only if its words belong together (most records with the
one word have the other as well, while a common first name goes with many last names) or if it stands
on an implausible share of all records.
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.linkage.settings import EntityKind, LinkageSettings

NAME = "name"

# What tells two bearers of one name apart, per kind; a branch of a firm has a number of its own.
_CONTACTS: dict[EntityKind, tuple[str, ...]] = {
    "person": ("email", "phone_1", "domain", "postal", "birth_date"),
    "organisation": ("domain", "tax_id"),
}
_NAME_COLUMNS: dict[EntityKind, tuple[str, ...]] = {
    "person": ("given", "family", "name_sort", "initials"),
    "organisation": ("name", "words", "name_sort", "name_key", "initials"),
}
# From this share on, one word of a name says the other.
_TOGETHER = 0.5


def generic_names(kind: EntityKind, frame: pl.DataFrame, settings: LinkageSettings) -> pl.DataFrame:
    """Names that stand on many records which have nothing else in common.

    Parameters
    ----------
    frame
        comparable columns.

    Returns
    -------
    polars.DataFrame
        `family` ("name"), `value` (the name as in `name_sort`), `record_count`.
    """
    parts = ("given", "family") if kind == "person" else ("name",)
    named = frame.filter(pl.col("name_sort").is_not_null())
    name = ["name_sort", *parts]
    # Contacts are counted of the few names that are on many records, not of all.
    common = named.group_by(name).agg(pl.len().alias("record_count"))
    common = common.filter(pl.col("record_count") >= settings.generic_name_records)
    counted = (
        named.select(*name, *_CONTACTS[kind])
        .join(common, on=name, how="semi", nulls_equal=True)
        .group_by(name)
        .agg(
            pl.len().cast(pl.Int64).alias("record_count"),
            *(pl.col(c).drop_nulls().n_unique().alias(f"of_{c}") for c in _CONTACTS[kind]),
        )
    )
    many = counted.filter(
        pl.max_horizontal(f"of_{c}" for c in _CONTACTS[kind]) >= settings.generic_name_contacts
    )
    is_share = pl.col("record_count") >= settings.generic_name_share * frame.height
    if kind == "person":
        for part in parts:
            totals = (
                named.filter(pl.col(part).is_not_null()).group_by(part).agg(pl.len().alias(f"all_{part}"))
            )
            many = many.join(totals, on=part, how="left")
        # A lone last name is a placeholder's only where records without a first name are the exception.
        lone = named.filter(pl.any_horizontal(pl.col(p).is_null() for p in parts)).height
        is_whole = pl.all_horizontal(pl.col(p).is_not_null() for p in parts) | pl.lit(
            lone < _TOGETHER * named.height
        )
        together = pl.max_horizontal(pl.col("record_count") / pl.col(f"all_{p}") for p in parts)
        is_generic = is_share | (is_whole & (together >= _TOGETHER))
    else:
        is_generic = pl.lit(True)
    return (
        many.filter(is_generic)
        .group_by("name_sort")
        .agg(pl.col("record_count").sum())
        .select(pl.lit(NAME).alias("family"), pl.col("name_sort").alias("value"), "record_count")
    )


def without_names(kind: EntityKind, frame: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """`frame` without the names of `names` (`value`)."""
    if names.is_empty():
        return frame
    bad = pl.col("name_sort").is_in(names["value"].implode()).fill_null(False)
    return frame.with_columns(
        pl.when(~bad).then(pl.col(c)).alias(c) for c in _NAME_COLUMNS[kind] if c in frame.columns
    )
