"""How many live records each target has, as far as it was read: what a plan's share is measured against."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.writeback.mapped_object import MappedObject

_TABLES = ("conformed.people", "conformed.organisations")


def populations(lake: Lake, objects: Iterable[MappedObject]) -> dict[str, int]:
    """Live records of each target's mapped sources, by target; 0 where none was read."""
    mapped = list(objects)
    sources = sorted({m.source for m in mapped})
    counts: dict[str, int] = dict.fromkeys(sources, 0)
    for table in _TABLES:
        live = lake.scan(contract_of(table)).filter(
            pl.col("source").is_in(sources) & ~pl.col("is_deleted").fill_null(value=True)
        )
        for source, count in live.group_by("source").len().collect().iter_rows():
            counts[source] += count
    owned = {m.target: {o.source for o in mapped if o.target == m.target} for m in mapped}
    return {target: sum(counts[s] for s in mine) for target, mine in sorted(owned.items())}
