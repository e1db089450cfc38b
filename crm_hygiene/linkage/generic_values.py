"""Generic values: shared mailboxes, switchboards, placeholders; found by their fan-out.

A value that goes with many different names says nothing about identity, nor does a name that goes with
many different mailboxes and numbers. It is set to null before keys, blocking and comparisons see it,
so it can never link anyone. Names are found by `generic_names`.
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.linkage.generic_names import NAME, generic_names, without_names
from crm_hygiene.linkage.settings import EntityKind, LinkageSettings

# Columns whose values claim to identify.
IDENTIFYING: dict[EntityKind, tuple[str, ...]] = {
    "person": ("email", "phone_1", "phone_2", "tax_id"),
    "organisation": ("email", "phone_1", "tax_id", "iban", "domain"),
}
# A business park's address: the street with its place, for "High Street 1" is in every town.
ADDRESS = "address"
_ADDRESS_COLUMNS = ("street", "house_number")

# Telephone numbers share one vocabulary, whichever column holds them.
FAMILIES = {"phone_1": "phone", "phone_2": "phone"}


def _address() -> pl.Expr:
    return pl.concat_str(["street", pl.coalesce("postal", "city")], separator=" ")


def generic_values(kind: EntityKind, frame: pl.DataFrame, settings: LinkageSettings) -> pl.DataFrame:
    """Values that go with more different names than one entity has, and generic names.

    Names are counted twice: as written (typing errors of one name count as several) and by their
    sorted initials (typing errors seldom reach them); each has its own limit in the settings.

    Returns
    -------
    polars.DataFrame
        `family` (email, phone, ..., name), `value`, `record_count`, sorted.
    """
    names = generic_names(kind, frame, settings)
    # A placeholder is no name: a mailbox is not shared for being one person's and a placeholder's.
    frame = without_names(kind, frame, names)
    claims = [(FAMILIES.get(column, column), pl.col(column)) for column in IDENTIFYING[kind]]
    if kind == "organisation":
        claims.append((ADDRESS, _address()))
    long = pl.concat(
        frame.select(pl.lit(family).alias("family"), value.alias("value"), "name_sort", "initials").filter(
            pl.col("value").is_not_null()
        )
        for family, value in claims
    )
    # As many names take as many records: most values are on fewer.
    least = min(settings.generic_initials, settings.generic_names)
    common = long.group_by("family", "value").agg(pl.len()).filter(pl.col("len") > least)
    long = long.join(common, on=["family", "value"], how="semi")
    counted = long.group_by("family", "value").agg(
        pl.len().cast(pl.Int64).alias("record_count"),
        pl.col("name_sort").drop_nulls().n_unique().alias("names"),
        pl.col("initials").drop_nulls().n_unique().alias("initials"),
    )
    shared = counted.filter(
        (pl.col("initials") > settings.generic_initials) | (pl.col("names") > settings.generic_names)
    ).select("family", "value", "record_count")
    return pl.concat([shared, names]).sort("family", "value")


def without_generic(kind: EntityKind, frame: pl.DataFrame, generic: pl.DataFrame) -> pl.DataFrame:
    """`frame` with generic values set to null, their e-mail user parts with them."""
    frame = without_names(kind, frame, generic.filter(pl.col("family") == NAME))
    addresses = generic.filter(pl.col("family") == ADDRESS)["value"]
    if not addresses.is_empty():
        parked = _address().is_in(addresses.implode()).fill_null(False)
        frame = frame.with_columns(pl.when(~parked).then(pl.col(c)).alias(c) for c in _ADDRESS_COLUMNS)
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
