"""Candidates: the records of every entity, side by side, in one fixed order.

Here belongs bringing records and members together once, so that every field is chosen from the same
arrays, and what is known of a record's values beside themselves: their times, their trust, their clears.
Choosing belongs to `choose`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import polars as pl

from crm_hygiene.survivorship.rules import GroupRule, Rules, TimesRule
from crm_hygiene.survivorship.times import parse_field_times, record_changed_at
from crm_hygiene.survivorship.trust import decayed, fits, weights

KEY = ["source", "record_id"]
NEEDED = [
    *KEY,
    "is_deleted",
    "observed_at",
    "modified_at",
    "created_at",
    "landed_at",
    "field_times",
    "problems",
    "file",
    "row_number",
]


@dataclass(frozen=True)
class Candidates:
    """Live records of entities, and the entities.

    records
        one row per record that is not deleted, sorted by entity_id, observed_at (newest first),
        source, record_id: a record's position is also its rank when all else is equal. The columns
        are the conformed ones plus `entity_id` and `entity`, the position of the entity in
        `entities`, `size`, the number of records of the entity, and `changed_at`, the record's
        believable change time.
    entities
        sorted ids of the entities that have at least one such record.
    systems
        system by source.
    times
        the rule by which change times were read.
    """

    records: pl.DataFrame
    entities: pl.Series
    systems: Mapping[str, str]
    times: TimesRule = field(default_factory=TimesRule)
    _known: dict[tuple[object, ...], pl.Series] = field(default_factory=dict, repr=False)
    _field_times: dict[str, pl.DataFrame] = field(default_factory=dict, repr=False)

    def of(self, records: pl.DataFrame) -> Candidates:
        """The same with other records, which have the shape and order of `records`."""
        entities = records["entity_id"].unique(maintain_order=True)
        return replace(self, records=records, entities=entities, _known={}, _field_times={})

    @property
    def height(self) -> int:
        """Number of records."""
        return self.records.height

    def field_times(self, columns: Sequence[str]) -> pl.DataFrame:
        """Stated change times of single fields: row, column, changed_at; of `columns` only."""
        if "all" not in self._field_times:
            self._field_times["all"] = parse_field_times(self.records, self.times)
        return self._field_times["all"].filter(pl.col("column").is_in(list(columns)))

    def changed_at(self, columns: Sequence[str]) -> pl.Series:
        """When the `columns` of every record changed last (null: unknown, older than anything).

        A field's own time counts where its source tells it, for a group the latest one; else the record's.
        """
        stated = self.field_times(columns)
        if stated.is_empty():
            return self.records["changed_at"]
        key = ("changed_at", *columns)
        if key not in self._known:
            latest = stated.group_by("row").agg(own=pl.col("changed_at").max())
            rows = self.records.select("changed_at", row=pl.int_range(pl.len(), dtype=pl.UInt32))
            joined = rows.join(latest, on="row", how="left", maintain_order="left")
            self._known[key] = joined.select(changed_at=pl.coalesce("own", "changed_at")).to_series()
        return self._known[key]

    def trust(self, rule: GroupRule, rules: Rules, as_of: datetime) -> pl.Series:
        """Decayed trust (Float64, 0 to 1, 4 places) of every record's value under a rule.

        A value of unknown age has none.
        """
        own = rule.trust or {}
        table = {**own, **{k: v for k, v in rules.trust.items() if k not in own}}
        half_life = rule.half_life_days or rules.half_life_days
        timed = () if self.field_times(rule.columns).is_empty() else rule.columns
        key = ("trust", tuple(table.items()), half_life, as_of, timed)
        if key not in self._known:
            by_source = weights(table, self.sources, self.systems)
            weight = (
                pl.col("source").replace_strict(by_source, return_dtype=pl.Float64)
                if by_source
                else pl.lit(0.0)
            )
            frame = pl.DataFrame([self.records["source"], self.changed_at(rule.columns).alias("changed_at")])
            found = decayed(weight, pl.col("changed_at"), as_of, half_life).fill_null(0.0)
            self._known[key] = frame.select(trust=found).to_series()
        return self._known[key]

    @property
    def sources(self) -> list[str]:
        """Sources of the records, sorted."""
        return self.records["source"].unique().sort().to_list()

    def clearing(self, rule: GroupRule) -> pl.Series | None:
        """Which records emptied the field on purpose, as the rule sees it; None if it ignores clears.

        An empty cell is a clear where its source tells when it changed, or where `clears_from` names the
        source.
        """
        if rule.clears == "ignored":
            return None
        needs = rule.needs or rule.columns
        telling = self.field_times(needs)["row"].unique()
        emptying = [
            s for s in self.sources if any(fits(p, s, self.systems.get(s, s)) for p in rule.clears_from)
        ]
        is_told = pl.int_range(pl.len(), dtype=pl.UInt32).is_in(telling.implode())
        is_empty = pl.all_horizontal(pl.col(c).is_null() for c in needs)
        return self.records.select(is_empty & (is_told | pl.col("source").is_in(emptying))).to_series()

    def at(self, rows: pl.Series, columns: Sequence[str]) -> pl.DataFrame:
        """The `columns` of the records at `rows` (positions, null gives nulls), in that order."""
        return pl.DataFrame([self.records[c].gather(rows).alias(c) for c in columns])


def gather_candidates(
    records: pl.DataFrame,
    members: pl.DataFrame,
    systems: Mapping[str, str],
    columns: Sequence[str],
    times: TimesRule | None = None,
) -> Candidates:
    """Join conformed `records` with linked `members` and keep the live ones.

    A deleted record gives no value and, alone, makes no golden row: the source says it is gone.
    `columns` are those of `records` wanted beside the key, times and origin; `times` says which change
    times are believed.
    """
    rule = times or TimesRule()
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
            changed_at=record_changed_at(rule),
        )
        .collect()
    )
    entities = live["entity_id"].unique(maintain_order=True)
    return Candidates(records=live, entities=entities, systems=dict(systems), times=rule)
