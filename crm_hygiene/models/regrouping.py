"""How one grouping of records into entities differs from another: merged, split, moved.

Counted from the contingency table of the two groupings; no pair of records is enumerated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

EXAMPLES = 5
_RECORD = ("source", "record_id")


@dataclass(frozen=True)
class Regrouping:
    """Differences between two groupings, over the records that both know.

    Attributes
    ----------
    record_count, entity_count
        records and entities of the first grouping.
    merged_entities
        entities of the first grouping whose records end up together with those of another one.
    split_entities
        entities of the first grouping whose records end up in more than one entity.
    moved_records
        records whose entity id differs.
    new_records, gone_records
        records only the second, only the first grouping knows.
    created_ids, retired_ids
        entity ids that only the second, only the first grouping uses.
    gained_pairs, lost_pairs
        pairs of records that share an entity only in the second, only in the first grouping.
    largest_before, largest_after
        records of the largest entity.
    merges, splits
        a few examples each, the largest first: `entities` and `into`, ids with their counts of records.
    """

    record_count: int
    entity_count: int
    merged_entities: int
    split_entities: int
    moved_records: int
    new_records: int
    gone_records: int
    created_ids: int
    retired_ids: int
    gained_pairs: int
    lost_pairs: int
    largest_before: int
    largest_after: int
    merges: list[dict[str, Any]]
    splits: list[dict[str, Any]]


def _pairs(counts: pl.Series) -> int:
    wide = counts.cast(pl.Int64)
    return int((wide * (wide - 1) // 2).sum())


def _largest(members: pl.DataFrame) -> int:
    return int(members.group_by("entity_id").len()["len"].max() or 0)  # type: ignore[arg-type]


def _examples(parts: pl.DataFrame, of: str, pieces: str) -> list[dict[str, Any]]:
    """The largest of those that consist of several `pieces`: their id and the records of each piece."""
    chosen = (
        parts.group_by(of)
        .agg(pl.len().alias("pieces"), pl.col("records").sum().alias("total"))
        .filter(pl.col("pieces") > 1)
        .sort(["total", of], descending=[True, False])
        .head(EXAMPLES)
    )
    found = []
    for entity in chosen[of].to_list():
        rows = parts.filter(pl.col(of) == entity).sort(["records", pieces], descending=[True, False])
        found.append({"entity": entity, "parts": dict(rows.select(pieces, "records").head(10).iter_rows())})
    return found


def regrouping(before: pl.DataFrame, after: pl.DataFrame) -> Regrouping:
    """Compare two groupings.

    Parameters
    ----------
    before, after
        `source`, `record_id`, `entity_id`, one row per record.
    """
    both = before.select(*_RECORD, old="entity_id").join(
        after.select(*_RECORD, new="entity_id"), on=_RECORD, how="inner"
    )
    parts = both.group_by("old", "new").agg(pl.len().cast(pl.Int64).alias("records"))
    joined = parts.filter(pl.len().over("new") > 1)
    shared = _pairs(parts["records"])
    used, uses = before["entity_id"].unique(), after["entity_id"].unique()
    return Regrouping(
        record_count=before.height,
        entity_count=used.len(),
        merged_entities=joined["old"].n_unique(),
        split_entities=parts.filter(pl.len().over("old") > 1)["old"].n_unique(),
        moved_records=both.filter(pl.col("old") != pl.col("new")).height,
        new_records=after.height - both.height,
        gone_records=before.height - both.height,
        created_ids=uses.filter(~uses.is_in(used.implode())).len(),
        retired_ids=used.filter(~used.is_in(uses.implode())).len(),
        gained_pairs=_pairs(both.group_by("new").len()["len"]) - shared,
        lost_pairs=_pairs(both.group_by("old").len()["len"]) - shared,
        largest_before=_largest(before),
        largest_after=_largest(after),
        merges=_examples(parts, "new", "old"),
        splits=_examples(parts, "old", "new"),
    )
