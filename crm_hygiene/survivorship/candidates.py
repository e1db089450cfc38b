"""Candidates: the records of every entity, side by side, in one fixed order.

Here belongs bringing records and members together once, so that every field is chosen from the same
arrays. Choosing belongs to `choose`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from crm_hygiene.survivorship.rules import FieldRule, Rules
from crm_hygiene.survivorship.trust import decayed, weights

KEY = ["source", "record_id"]
NEEDED = [*KEY, "is_deleted", "observed_at", "created_at", "problems", "file", "row_number"]


@dataclass(frozen=True)
class Candidates:
    """Live records of entities, and the entities.

    records
        one row per record that is not deleted, sorted by entity_id, observed_at (newest first),
        source, record_id: a record's position is also its rank when all else is equal. The columns
        are the conformed ones plus `entity_id` and `entity`, the position of the entity in
        `entities`, and `size`, the number of records of the entity.
    entities
        sorted ids of the entities that have at least one such record.
    systems
        system by source.
    """

    records: pl.DataFrame
    entities: pl.Series
    systems: Mapping[str, str]
    _trust: dict[tuple[object, ...], pl.Series] = field(default_factory=dict, repr=False)

    @property
    def height(self) -> int:
        """Number of records."""
        return self.records.height

    def trust(self, rule: FieldRule, rules: Rules, as_of: datetime) -> pl.Series:
        """Decayed trust (Float64, 0 to 1, 4 places) of every record under a field's rule."""
        own = rule.trust or {}
        table = {**own, **{k: v for k, v in rules.trust.items() if k not in own}}
        half_life = rule.half_life_days or rules.half_life_days
        cache_key = (tuple(table.items()), half_life, as_of)
        if cache_key not in self._trust:
            sources = self.records["source"].unique().sort().to_list()
            by_source = weights(table, sources, self.systems)
            weight = (
                pl.col("source").replace_strict(by_source, return_dtype=pl.Float64)
                if by_source
                else pl.lit(0.0)
            )
            expression = decayed(weight, pl.col("observed_at"), as_of, half_life).alias("trust")
            self._trust[cache_key] = self.records.select(expression).to_series()
        return self._trust[cache_key]

    def at(self, rows: pl.Series, columns: Sequence[str]) -> pl.DataFrame:
        """The `columns` of the records at `rows` (positions, null gives nulls), in that order."""
        return pl.DataFrame([self.records[c].gather(rows).alias(c) for c in columns])


def gather_candidates(
    records: pl.DataFrame, members: pl.DataFrame, systems: Mapping[str, str], columns: Sequence[str]
) -> Candidates:
    """Join conformed `records` with linked `members` and keep the live ones.

    A deleted record gives no value and, alone, makes no golden row: the source says it is gone.
    `columns` are those of `records` wanted beside the key, times and origin.
    """
    wanted = list(dict.fromkeys([*NEEDED, *columns]))
    live = (
        records.lazy()
        .filter(~pl.col("is_deleted").fill_null(False))
        .select(wanted)
        .join(members.lazy().select(*KEY, "entity_id"), on=KEY, how="inner")
        .sort(
            ["entity_id", "observed_at", *KEY],
            descending=[False, True, False, False],
            nulls_last=[False, True, False, False],
        )
        .with_columns(
            entity=pl.col("entity_id").rle_id(),
            size=pl.len().over("entity_id").cast(pl.UInt32),
        )
        .collect()
    )
    entities = live["entity_id"].unique(maintain_order=True)
    return Candidates(records=live, entities=entities, systems=dict(systems))
