"""Decisions: which of the stewards' judgements bind, pair by pair.

A judgement binds until it is revoked or a newer one speaks of the same pair; revoking the newer one lets
the older bind again. A judgement of which a record is gone sleeps: it is kept, and binds again as soon as
the record is back. What does not belong here: what a binding judgement does to clusters (`clustering`)
and how a steward comes to make one (`crm_hygiene.stewardship`).
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.linkage.settings import EntityKind

PAIR = ["source_l", "record_id_l", "source_r", "record_id_r"]

_BINDING_SCHEMA = pl.Schema(
    {"l": pl.Int64(), "r": pl.Int64(), "judgement": pl.String(), "decided_at": pl.Datetime("us", "UTC")}
)


def standing(decisions: pl.DataFrame) -> pl.DataFrame:
    """The judgement that stands for each pair of records: the latest one nobody took back.

    Parameters
    ----------
    decisions
        stewardship.decisions, in any order.

    Returns
    -------
    pl.DataFrame
        rows of `decisions`, at most one per kind and pair, whichever way round the pair was written;
        the smaller (source, record_id) is now on the left; sorted by kind and pair.
    """
    judgements = decisions.filter(
        pl.col("judgement").is_not_null()
        & pl.col("revokes").is_null()
        & ~pl.col("decision_id").is_in(decisions["revokes"].drop_nulls().implode())
        & ~((pl.col("source_l") == pl.col("source_r")) & (pl.col("record_id_l") == pl.col("record_id_r")))
    )
    is_swapped = (pl.col("source_l") > pl.col("source_r")) | (
        (pl.col("source_l") == pl.col("source_r")) & (pl.col("record_id_l") > pl.col("record_id_r"))
    )
    other = {"source_l": "source_r", "record_id_l": "record_id_r"}
    other |= {right: left for left, right in other.items()}
    return (
        judgements.with_columns(
            pl.when(is_swapped).then(pl.col(other[name])).otherwise(pl.col(name)).alias(name) for name in PAIR
        )
        .sort("decided_at", "decision_id")
        .unique(["entity_kind", *PAIR], keep="last", maintain_order=True)
        .sort("entity_kind", *PAIR)
    )


def _numbered(kind: EntityKind, decisions: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Standing judgements of a kind with the numbers `a` and `b` of their records, null where one is gone."""
    ids = records.select("source", "record_id", "unique_id")
    found = standing(decisions.filter(pl.col("entity_kind") == kind))
    for number, side in (("a", "l"), ("b", "r")):
        found = found.join(
            ids.rename({"unique_id": number}),
            left_on=[f"source_{side}", f"record_id_{side}"],
            right_on=["source", "record_id"],
            how="left",
        )
    return found


def binding(kind: EntityKind, decisions: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """The judgement that binds per pair of live records.

    Parameters
    ----------
    decisions
        stewardship.decisions; revoked ones and those of the other kind are ignored.
    records
        live records: `source`, `record_id`, `unique_id`.

    Returns
    -------
    pl.DataFrame
        `l` < `r` (numbers of records), `judgement`, `decided_at`; one row per pair, sorted by it.
    """
    if decisions.is_empty():
        return _BINDING_SCHEMA.to_frame()
    return (
        _numbered(kind, decisions, records)
        .filter(pl.col("a").is_not_null() & pl.col("b").is_not_null())
        .select(
            pl.min_horizontal("a", "b").cast(pl.Int64).alias("l"),
            pl.max_horizontal("a", "b").cast(pl.Int64).alias("r"),
            "judgement",
            pl.col("decided_at").cast(_BINDING_SCHEMA["decided_at"]),
        )
        .sort("l", "r")
    )


def asleep(kind: EntityKind, decisions: pl.DataFrame, records: pl.DataFrame) -> list[str]:
    """A line for the run's summary about judgements of which a record is gone; nothing where none is."""
    if decisions.is_empty():
        return []
    found = _numbered(kind, decisions, records)
    count = found.filter(pl.col("a").is_null() | pl.col("b").is_null()).height
    if not count:
        return []
    return [
        f"{kind}: {count} of {found.height} judgements speak of a record that is gone from its source; "
        "they are kept and bind again when it comes back"
    ]
