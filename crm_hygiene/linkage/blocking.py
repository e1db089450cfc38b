"""Blocking: which pairs are worth comparing, counted before any is scored.

Each rule is a set of columns that must agree. Its pairs are counted from the sizes of its blocks; a
rule over budget is tightened by leaving out its largest blocks, and left out where that does not
help. What was done is said in notes.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from crm_hygiene.linkage.settings import EntityKind, LinkageSettings


@dataclass(frozen=True)
class Blocking:
    """Blocking keys ready for Splink: one column per rule in force.

    `columns` are null where a record takes no part; `rules` gives each column's readable name.
    """

    columns: pl.DataFrame
    rules: dict[str, str]
    pairs: dict[str, int]
    notes: list[str]


def _largest_block_within(sizes: pl.DataFrame, budget: int) -> tuple[int, int]:
    """Largest block size that keeps the rule within `budget`, and the pairs that remain."""
    by_size = (
        sizes.group_by("size")
        .agg((pl.len() * pl.col("size").first() * (pl.col("size").first() - 1) // 2).alias("pairs"))
        .sort("size")
        .with_columns(pl.col("pairs").cum_sum())
        .filter(pl.col("pairs") <= budget)
    )
    if by_size.is_empty():
        return 0, 0
    size, pairs = by_size.row(-1)
    return int(size), int(pairs)


def blocking(kind: EntityKind, frame: pl.DataFrame, settings: LinkageSettings) -> Blocking:
    """Choose the rules that fit their budget and compute their keys.

    Parameters
    ----------
    frame
        comparable columns with block columns, sorted by `unique_id`.
    """
    budget = max(settings.least_budget, int(settings.pairs_per_record * frame.height))
    remaining = max(4 * settings.least_budget, int(settings.total_pairs_per_record * frame.height))
    keys: list[pl.Series] = []
    rules: dict[str, str] = {}
    pairs: dict[str, int] = {}
    notes: list[str] = []
    for columns in settings.rules_of(kind).blocking:
        name = " and ".join(columns)
        text = pl.concat_str([pl.col(c) for c in columns], separator="\x1f")
        # A hash is enough: a collision only proposes a pair that scoring then refuses.
        key = frame.select(pl.when(text.is_not_null()).then(text.hash(seed=7)).alias("key"))["key"]
        sizes = key.drop_nulls().to_frame().group_by("key").agg(pl.len().cast(pl.Int64).alias("size"))
        sizes = sizes.filter(pl.col("size") > 1)
        if sizes.is_empty():
            continue
        total = int(sizes.select((pl.col("size") * (pl.col("size") - 1) // 2).sum()).item())
        allowed = min(budget, remaining)
        kept = sizes
        if total > allowed:
            cap, within = _largest_block_within(sizes, allowed)
            if cap < settings.least_block:
                notes.append(f"blocking by {name}: {total} pairs, left out as over its budget of {allowed}")
                continue
            kept = sizes.filter(pl.col("size") <= cap)
            notes.append(
                f"blocking by {name}: {total} pairs, tightened to blocks of at most {cap} records "
                f"({within} pairs)"
            )
            total = within
        remaining -= total
        column = f"block_{len(keys)}"
        mask = key.is_in(kept["key"].implode())
        keys.append(key.set(~mask.fill_null(False), None).cast(pl.UInt64).alias(column))
        rules[column] = name
        pairs[name] = total
    columns_frame = (
        pl.DataFrame(keys)
        if keys
        else pl.DataFrame({"block_0": pl.Series([None] * frame.height, dtype=pl.UInt64)})
    )
    return Blocking(columns=columns_frame, rules=rules, pairs=pairs, notes=notes)
