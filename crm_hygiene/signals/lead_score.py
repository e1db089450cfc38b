"""signals.lead_score: how warm a person with a lead is, as a plain sum of parts.

Each part is a whole number of points of at least 0, and the most of all parts together is 100, so
lead_score is exactly the sum of score_parts. Suppression does not lower a score: who may be
contacted is a matter of consent, and every outbound table leaves suppressed people out.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.signals.decay import decayed_sum
from crm_hygiene.signals.rules import LeadScoreRules, SignalRules, load_signal_rules
from crm_hygiene.survivorship.trust import decayed

PARTS = ["email", "phone", "job_title", "account", "seniority", "kind", "newness", "engagement"]


def score_leads(
    contacts: pl.DataFrame,
    leads: pl.DataFrame,
    activities: pl.LazyFrame,
    as_of: datetime,
    rules: SignalRules | None = None,
) -> pl.DataFrame:
    """signals.lead_scores, sorted by entity_id: one row per contact with a lead.

    All three frames are golden tables, the activities lazy; ages are taken against `as_of`.
    """
    chosen = (rules or load_signal_rules()).lead_score
    newest = leads.sort(
        ["person_entity_id", "created_at", "source", "record_id"],
        descending=[False, True, False, False],
        nulls_last=True,
    ).unique("person_entity_id", keep="first", maintain_order=True)
    engaged = (
        activities.join(newest.lazy().select("person_entity_id"), on="person_entity_id", how="semi")
        .group_by("person_entity_id")
        .agg(engaged=decayed_sum(chosen.engagement.points, as_of, chosen.engagement.half_life_days))
        .collect()
    )
    people = contacts.select("entity_id", "email", "phone", "mobile_phone", "job_title", "account_entity_id")
    scored = (
        newest.select("person_entity_id", "person_kind", "created_at")
        .join(people, left_on="person_entity_id", right_on="entity_id", how="inner")
        .join(engaged, on="person_entity_id", how="left")
        .select(pl.col("person_entity_id").alias("entity_id"), *_parts(chosen, as_of))
        .with_columns(
            lead_score=pl.sum_horizontal(PARTS).cast(pl.Int64),
            score_parts=pl.struct(PARTS).struct.json_encode(),
        )
        .drop(PARTS)
        .sort("entity_id")
    )
    return contract_of("signals.lead_scores").shape(scored)


def _parts(rules: LeadScoreRules, as_of: datetime) -> list[pl.Expr]:
    """One whole-number column per part, in the order of PARTS."""

    def points(condition: pl.Expr, value: int) -> pl.Expr:
        return pl.when(condition).then(pl.lit(value, dtype=pl.Int64)).otherwise(pl.lit(0, dtype=pl.Int64))

    title = pl.col("job_title").str.to_lowercase().fill_null("")
    seniority = pl.lit(0, dtype=pl.Int64)
    for word, value in reversed(rules.seniority.items()):
        spoken = title.str.contains(rf"\b{_escaped(word.lower())}\b")
        seniority = pl.when(spoken).then(pl.lit(value, dtype=pl.Int64)).otherwise(seniority)
    kind = {"inquiry": rules.kind.inquiry, "lead": rules.kind.lead}
    newness = decayed(
        pl.lit(float(rules.newness.points)), pl.col("created_at"), as_of, rules.newness.half_life_days
    )
    engagement = pl.col("engaged").fill_null(0.0).clip(0, rules.engagement.maximum)
    return [
        points(pl.col("email").is_not_null(), rules.reachable.email).alias("email"),
        points(
            pl.col("phone").is_not_null() | pl.col("mobile_phone").is_not_null(), rules.reachable.phone
        ).alias("phone"),
        points(pl.col("job_title").is_not_null(), rules.profile.job_title).alias("job_title"),
        points(pl.col("account_entity_id").is_not_null(), rules.profile.account_entity_id).alias("account"),
        seniority.alias("seniority"),
        pl.col("person_kind").replace_strict(kind, default=0, return_dtype=pl.Int64).alias("kind"),
        newness.fill_null(0.0).round(0).cast(pl.Int64).alias("newness"),
        engagement.round(6).round(0).cast(pl.Int64).alias("engagement"),
    ]


def _escaped(word: str) -> str:
    return "".join(c if c.isalnum() or c == " " else f"\\{c}" for c in word)
