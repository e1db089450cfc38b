"""When a value was last changed, as far as its source can be believed.

Here belong the change times of single fields that conforming keeps in `field_times`, and the rule for
times that cannot be. What a time decides belongs to `criteria` and `trust`.
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.survivorship.rules import TimesRule

_TIMESTAMP = pl.Datetime("us", "UTC")


def believable(moment: pl.Expr, landed_at: pl.Expr, rule: TimesRule) -> pl.Expr:
    """`moment` as the rule reads it: null for a placeholder, at most `landed_at` or null for the future."""
    moment = moment.cast(_TIMESTAMP)
    future = landed_at if rule.future == "landing" else pl.lit(None, dtype=_TIMESTAMP)
    capped = pl.when(moment > landed_at).then(future).otherwise(moment)
    return pl.when(~moment.dt.date().is_in(list(rule.placeholders))).then(capped)


def record_changed_at(rule: TimesRule) -> pl.Expr:
    """When a conformed record was changed; null where none of its times can be believed."""
    landed_at = pl.col("landed_at")
    stated = pl.coalesce("modified_at", "observed_at")
    return pl.coalesce(believable(stated, landed_at, rule), believable(pl.col("created_at"), landed_at, rule))


def parse_field_times(records: pl.DataFrame, rule: TimesRule) -> pl.DataFrame:
    """The `field_times` of `records` as rows: row (position, UInt32), column, changed_at.

    `changed_at` is null where the stated time cannot be believed; sorted by row and column.
    """
    stated = (
        records.select("field_times", "landed_at", row=pl.int_range(pl.len(), dtype=pl.UInt32))
        .filter(pl.col("field_times").list.len() > 0)
        .explode("field_times", empty_as_null=False, keep_nulls=False)
    )
    parts = pl.col("field_times").str.splitn("=", 2)
    return (
        stated.with_columns(
            column=parts.struct.field("field_0"),
            moment=parts.struct.field("field_1").str.to_datetime(
                "%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", time_zone="UTC", strict=False
            ),
        )
        .select("row", "column", changed_at=believable(pl.col("moment"), pl.col("landed_at"), rule))
        .sort("row", "column")
    )
