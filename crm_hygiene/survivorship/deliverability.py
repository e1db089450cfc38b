"""Which addresses mail does not reach: their last bounce is later than the last sign that they work.

What that costs an address belongs to the rules' tests (`validity`).
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from crm_hygiene.survivorship.rules import BounceRule


def undeliverable(
    interactions: pl.LazyFrame,
    records: pl.DataFrame,
    column: str,
    rule: BounceRule,
    systems: Mapping[str, str],
) -> pl.Series:
    """Addresses (as in `column`) that bounced and have not worked since, sorted.

    Parameters
    ----------
    interactions
        conformed.interactions, lazy. An event without an address belongs to that of the record its
        person_record_id names, in the event's own system.
    records
        conformed people or organisations, with `column`.
    column
        `email_normalised` or `email`, a column of both frames.

    An event from the future counts as of its landing; at the same time a bounce counts.
    """
    kinds = [*rule.kinds, *rule.cleared_by]
    events = (
        interactions.filter(
            pl.col("interaction_kind").is_in(kinds) & (pl.col("channel").fill_null("email") == "email")
        )
        .select(
            column,
            record_id="person_record_id",
            system=pl.col("source").replace(dict(systems)),
            is_bounce=pl.col("interaction_kind").is_in(list(rule.kinds)),
            at=pl.min_horizontal(pl.coalesce("occurred_at", "landed_at"), "landed_at"),
        )
        .collect()
    )
    nameless = events.filter(pl.col(column).is_null() & pl.col("record_id").is_not_null())
    if nameless.height:
        known = (
            records.lazy()
            .select("source", "record_id", column)
            .drop_nulls()
            .join(nameless.lazy().select("record_id").unique(), on="record_id", how="semi")
            .select("record_id", column, system=pl.col("source").replace(dict(systems)))
            .unique()
            .collect()
        )
        named = nameless.drop(column).join(known, on=["system", "record_id"], how="inner")
        events = pl.concat([events, named.select(events.columns)])
    latest = (
        events.filter(pl.col(column).is_not_null())
        .group_by(column)
        .agg(
            bounced=pl.col("at").filter("is_bounce").max(),
            worked=pl.col("at").filter(~pl.col("is_bounce")).max(),
        )
    )
    gone = latest.filter(
        pl.col("bounced").is_not_null()
        & (pl.col("worked").is_null() | (pl.col("worked") <= pl.col("bounced")))
    )
    return gone[column].sort()
