"""The recipe: Splink settings made from the rules, the columns really filled and learned numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from crm_hygiene.linkage.settings import Comparison, EntityKind, LinkageSettings

# A value rarer than this counts as if it were this frequent.
LEAST_FREQUENCY = 1e-6

Numbers = dict[str, dict[str, tuple[float, float]]]


def comparisons_in_use(kind: EntityKind, frame: pl.DataFrame, settings: LinkageSettings) -> list[Comparison]:
    """Comparisons of which at least one column is filled in the share of records the settings ask for."""
    if frame.height == 0:
        return []
    rules = settings.rules_of(kind)
    columns = sorted({c for comparison in rules.comparisons for c in comparison.columns})
    filled = frame.select(pl.col(c).is_not_null().mean() for c in columns).row(0, named=True)
    return [
        comparison
        for comparison in rules.comparisons
        if any((filled[c] or 0.0) >= max(settings.least_fill, 1e-9) for c in comparison.columns)
    ]


def frequency_columns(comparisons: Sequence[Comparison]) -> list[str]:
    """Columns whose term frequencies adjust a level, sorted."""
    return sorted({level.frequency_of for c in comparisons for level in c.levels if level.frequency_of})


def namesake_columns(comparisons: Sequence[Comparison]) -> dict[str, tuple[str, ...]]:
    """Those of `frequency_columns` that count only what others share, and what tells bearers apart."""
    return {
        level.frequency_of: level.told_apart_by
        for comparison in comparisons
        for level in comparison.levels
        if level.frequency_of and level.told_apart_by
    }


def default_numbers(comparisons: Sequence[Comparison]) -> Numbers:
    """The documented m and u of each level."""
    return {c.name: {level.name: (level.m, level.u) for level in c.scored} for c in comparisons}


def _level(comparison: Comparison, index: int, numbers: Numbers) -> dict[str, Any]:
    level = comparison.levels[index]
    entry: dict[str, Any] = {"sql_condition": level.when, "label_for_charts": level.name}
    if level.is_null:
        return {**entry, "is_null_level": True}
    entry["m_probability"], entry["u_probability"] = numbers[comparison.name][level.name]
    if level.frequency_of is not None:
        entry["tf_adjustment_column"] = level.frequency_of
        entry["tf_adjustment_weight"] = 1.0
        if level.told_apart_by:
            # What is known of the value only ever takes from the weight that m and u give.
            entry["tf_minimum_u_value"] = entry["u_probability"]
            entry["disable_tf_exact_match_detection"] = True
            return entry
        entry["tf_minimum_u_value"] = LEAST_FREQUENCY
        # Splink takes the base frequency from the level that says no more than that both values are equal. It
        # looks for it by parsing and normalising conditions again and again; where this is it, that is told.
        equal = f"{level.frequency_of}_l = {level.frequency_of}_r"
        if level.when == equal and index == [other.when for other in comparison.levels].index(equal):
            entry["disable_tf_exact_match_detection"] = True
    return entry


def splink_settings(
    comparisons: Sequence[Comparison], numbers: Numbers, prior: float, with_parts: bool
) -> Any:
    """Settings for Splink. They name no blocking rule: pairs are proposed by `blocking` or by a person.

    Parameters
    ----------
    numbers
        m and u by comparison and level.
    prior
        probability that two random records are one entity.
    with_parts
        keep the weight of each comparison in the prediction, as Splink's charts need.
    """
    from splink import SettingsCreator

    return SettingsCreator(
        link_type="dedupe_only",
        comparisons=[
            {
                "output_column_name": c.name,
                "comparison_levels": [_level(c, i, numbers) for i in range(len(c.levels))],
            }
            for c in comparisons
        ],
        probability_two_random_records_match=prior,
        retain_matching_columns=True,
        retain_intermediate_calculation_columns=with_parts,
        linker_uid="linkage",
    )
