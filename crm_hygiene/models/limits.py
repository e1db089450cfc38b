"""The declared limits of a promotion, against what the canary found (`model` in hygiene.yaml)."""

from __future__ import annotations

from crm_hygiene.config import ModelConfig
from crm_hygiene.models.canary import Canary
from crm_hygiene.models.labels import LABELS


def broken_limits(canary: Canary, limits: ModelConfig) -> list[str]:
    """One line per limit that the candidate breaks, starting with the limit's key; none is well."""
    groups = canary.regrouping
    broken = []

    def at_most(key: str, found: int, of: int, what: str) -> None:
        limit = getattr(limits, key)
        value = found / of if of else 0.0
        if round(value, 6) > limit:
            broken.append(f"{key}: {found:,} of {of:,} {what} ({value:.2%}); the limit is {limit:.2%}")

    at_most("max_merged_share", groups.merged_entities, groups.entity_count, "entities would be merged")
    at_most("max_split_share", groups.split_entities, groups.entity_count, "entities would be split")
    at_most("max_moved_share", groups.moved_records, groups.record_count, "records would change entity")
    at_most("max_golden_share", canary.golden_changed, canary.golden_cells, "golden cells would change")
    if groups.largest_before and groups.largest_after > limits.max_largest_growth * groups.largest_before:
        broken.append(
            f"max_largest_growth: the largest entity would hold {groups.largest_after:,} records, now "
            f"{groups.largest_before:,}; the limit is {limits.max_largest_growth:g} times as many"
        )
    if len(canary.contradicted) > limits.max_contradicted_judgements:
        broken.append(
            f"max_contradicted_judgements: {len(canary.contradicted):,} judgements of stewards would no "
            f"longer hold; the limit is {limits.max_contradicted_judgements:,}"
        )
    for labels, sides in canary.accuracy.items():
        candidate, live = sides["candidate"], sides["live"]
        if candidate is None or candidate.precision.group_count < limits.least_labelled_entities:
            continue
        told = f"on {LABELS[labels]} precision is {candidate.precision.value:.1%}"
        # Judged pairs are the doubtful ones; no model is precise on them, but one may be worse than another.
        if labels == "truth" and candidate.precision.low < limits.min_label_precision:
            broken.append(
                f"min_label_precision: {told} and may be as low as {candidate.precision.low:.1%}; "
                f"the limit is {limits.min_label_precision:.1%}"
            )
        if live is None:
            continue
        if round(live.precision.value - candidate.precision.value, 6) > limits.max_precision_loss:
            broken.append(
                f"max_precision_loss: {told}, now {live.precision.value:.1%}; "
                f"the limit is a loss of {limits.max_precision_loss:.1%}"
            )
    return broken
