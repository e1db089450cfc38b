"""signals.relationship_strength: how alive the relationship with a person is.

strength = 1 - exp(-s), s the sum over interactions of weight(kind) * 0.5 ** (age / half-life): the
exponentially decayed counter put through a saturating map, so that 0 is nothing and 1 is never
reached. Rounded to 6 places.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.signals.decay import decayed_sum
from crm_hygiene.signals.rules import SignalRules, load_signal_rules


def measure_strength(
    contacts: pl.DataFrame, activities: pl.LazyFrame, as_of: datetime, rules: SignalRules | None = None
) -> pl.DataFrame:
    """signals.relationship_strength, sorted by entity_id: one row per contact with an activity.

    `contacts` and `activities` are golden tables, the activities lazy; the account is the contact's.
    """
    chosen = (rules or load_signal_rules()).relationship_strength
    contract = contract_of("signals.relationship_strength")
    measured = (
        activities.group_by(entity_id="person_entity_id")
        .agg(
            s=decayed_sum(chosen.weights, as_of, chosen.half_life_days),
            interaction_count=pl.len().cast(pl.Int64),
            last_interaction_at=pl.col("occurred_at").max(),
        )
        .with_columns(strength=(1 - (-pl.col("s")).exp()).round(6))
        .drop("s")
        .join(contacts.lazy().select("entity_id", "account_entity_id"), on="entity_id", how="inner")
        .sort("entity_id")
        .collect()
    )
    return contract.shape(measured)
