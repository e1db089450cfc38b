"""Generic values: shared mailboxes, switchboards, placeholders; found by their fan-out.

A value that goes with many different names says nothing about identity. It is set to null before
keys, blocking and comparisons see it, so it can never link anyone.
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.linkage.settings import EntityKind, LinkageSettings

# Columns whose values claim to identify.
IDENTIFYING: dict[EntityKind, tuple[str, ...]] = {
    "person": ("email", "phone_1", "phone_2", "tax_id"),
    "organisation": ("email", "phone_1", "tax_id", "iban", "domain"),
}
# Telephone numbers share one vocabulary, whichever column holds them.
FAMILIES = {"phone_1": "phone", "phone_2": "phone"}


def generic_values(kind: EntityKind, frame: pl.DataFrame, settings: LinkageSettings) -> pl.DataFrame:
    """Values that go with more different names than one entity has.

    Names are counted twice: as written (typing errors of one name count as several) and by their
    sorted initials (typing errors seldom reach them); each has its own limit in the settings.

    Returns
    -------
    polars.DataFrame
        `family` (email, phone, ...), `value`, `record_count`, sorted.
    """
    long = pl.concat(
        frame.select(
            pl.lit(FAMILIES.get(column, column)).alias("family"),
            pl.col(column).alias("value"),
            "name_sort",
            "initials",
        ).filter(pl.col("value").is_not_null())
        for column in IDENTIFYING[kind]
    )
    counted = long.group_by("family", "value").agg(
        pl.len().cast(pl.Int64).alias("record_count"),
        pl.col("name_sort").drop_nulls().n_unique().alias("names"),
        pl.col("initials").drop_nulls().n_unique().alias("initials"),
    )
    return (
        counted.filter(
            (pl.col("initials") > settings.generic_initials) | (pl.col("names") > settings.generic_names)
        )
        .select("family", "value", "record_count")
        .sort("family", "value")
    )


def without_generic(kind: EntityKind, frame: pl.DataFrame, generic: pl.DataFrame) -> pl.DataFrame:
    """`frame` with generic values set to null, their e-mail user parts with them."""
    for column in IDENTIFYING[kind]:
        values = generic.filter(pl.col("family") == FAMILIES.get(column, column))["value"]
        if values.is_empty():
            continue
        bad = pl.col(column).is_in(values.implode()).fill_null(False)
        cleared = [pl.when(~bad).then(pl.col(column)).alias(column)]
        if column == "email" and "email_user" in frame.columns:
            cleared.append(pl.when(~bad).then(pl.col("email_user")).alias("email_user"))
        frame = frame.with_columns(cleared)
    return frame


def generic_notes(generic: pl.DataFrame) -> list[str]:
    """One line per family of values: how many were found, on how many records."""
    summary = (
        generic.group_by("family").agg(pl.len(), pl.col("record_count").sum().alias("records")).sort("family")
    )
    return [
        f"{family}: {count} generic value{'s' if count != 1 else ''} on {records} records, used for no link"
        for family, count, records in summary.iter_rows()
    ]
