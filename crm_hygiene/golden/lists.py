"""Every value an entity has of a kind: its e-mail addresses, its numbers, its domains.

Lists are unions, not choices: nothing is lost here. Where a list stands beside a primary value, it has the
order in which the rules rank the values.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from crm_hygiene.survivorship.choose import Choice

# Golden lists by table, and the columns whose values they hold, the more important column first.
LISTED: dict[str, dict[str, tuple[str, ...]]] = {
    "contacts": {"emails": ("email",), "phones": ("phone", "mobile_phone")},
    "accounts": {"emails": ("email",), "phones": ("phone",)},
}


def listed_columns(table: str) -> set[str]:
    """Columns of `contacts` or `accounts` of which every value is kept."""
    return {column for columns in LISTED[table].values() for column in columns}


def best_first(choices: Sequence[Choice], columns: Sequence[str], entities: int) -> pl.Series:
    """Distinct values of `columns` per entity, in the order of entities; empty list for none.

    The primary value of each column comes first, then the second best of each, and so on. A pinned value
    goes before all others, and is in the list though no record states it. The choices of the columns must
    have kept their order.
    """
    parts: list[pl.DataFrame] = []
    for place, column in enumerate(columns):
        choice = next(c for c in choices if column in c.rule.columns)
        assert choice.order is not None, f"the order of {column} was not kept"
        values = choice.candidates.records[column].gather(choice.order["row"])
        ranked = choice.order.select("entity", value=values).with_columns(
            rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("entity")
        )
        pinned = choice.pinned.select("entity", value=column, rank=pl.lit(0, dtype=pl.Int64))
        parts.append(pl.concat([pinned, ranked]).with_columns(place=pl.lit(place)))
    stated = pl.concat(parts).filter(pl.col("value").is_not_null())
    # One column without pins is in this order already.
    if len(parts) > 1 or (stated["rank"] == 0).any():
        stated = stated.sort("entity", "rank", "place")
    stated = stated.unique(["entity", "value"], keep="first", maintain_order=True)
    return _lists(stated, entities)


def sorted_lists(stated: pl.DataFrame, entities: int) -> pl.Series:
    """Lists from (entity, value) rows, sorted by value; nulls are left out."""
    return _lists(stated.drop_nulls().unique().sort("entity", "value"), entities)


def _lists(stated: pl.DataFrame, entities: int) -> pl.Series:
    everyone = pl.DataFrame({"entity": pl.Series(range(entities), dtype=pl.UInt32)})
    lists = stated.group_by("entity", maintain_order=True).agg("value")
    return (
        everyone.join(lists, on="entity", how="left", maintain_order="left")
        .select(pl.col("value").fill_null(pl.lit([], dtype=pl.List(pl.String))))
        .to_series()
    )
