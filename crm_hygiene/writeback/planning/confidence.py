"""Confidence: how sure a change is, as a product of what is known of its parts.

identity
    of a record: the strongest link that ties it to its entity, the highest match_probability of its pairs
    that count as a link; 1 for a record without such a pair (alone in its entity, or tied by the vendor's
    own keys).
support
    of a golden cell: the records of the entity that state the golden value, over those that state the
    field at all; 1 where a steward pinned it. Standardised texts are compared, capitals or not.

Each kind's formula is in docs/writeback.md. A product takes its parts for independent, which errs low.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from crm_hygiene.writeback.mapped_object import Subject
from crm_hygiene.writeback.planning.changes import as_text
from crm_hygiene.writeback.planning.inputs import PlanInputs


def link_doubts(pairs: pl.LazyFrame, sources: Iterable[str]) -> pl.DataFrame:
    """Records of `sources` whose strongest link is below 1: source, record_id, match_probability."""
    wanted = sorted(sources)
    links = pairs.filter(pl.col("is_link"))
    sides = [
        links.select(
            pl.col(f"source_{s}").alias("source"),
            pl.col(f"record_id_{s}").alias("record_id"),
            pl.col("match_probability").fill_null(1.0),
        ).filter(pl.col("source").is_in(wanted))
        for s in ("l", "r")
    ]
    strongest = pl.concat(sides).group_by("source", "record_id").agg(pl.col("match_probability").max())
    return strongest.filter(pl.col("match_probability").round(4) < 1).collect().sort("source", "record_id")


def identity(rows: pl.DataFrame, doubts: pl.DataFrame, source: str, column: str = "record_id") -> pl.Series:
    """Identity of the records of one source that `column` of `rows` names, in their order."""
    mine = doubts.filter(pl.col("source") == source).select(
        pl.col("record_id").alias(column), pl.col("match_probability").alias("_p")
    )
    return rows.select(column).join(mine, on=column, how="left", maintain_order="left")["_p"].fill_null(1.0)


class Support:
    """Support of golden cells, one column at a time: memory stays at two columns."""

    def __init__(self, subject: Subject, inputs: PlanInputs) -> None:
        self._subject, self._inputs = subject, inputs
        records, golden = inputs.records(subject), inputs.golden(subject)
        numbered = records.select("source", "record_id", "is_deleted").with_row_index("r")
        entity = inputs.members(subject).select("source", "record_id", "entity_id")
        self._everyone = (
            numbered.filter(~pl.col("is_deleted").fill_null(value=True))
            .join(entity, on=["source", "record_id"])
            .join(golden.select("entity_id").with_row_index("g"), on="entity_id")
            .select("r", "g")
        )

    def of(self, column: str, g: pl.Series, is_pinned: pl.Series) -> pl.Series:
        """Support of `column` of the golden rows `g`, in their order; 1 where no record states the field."""
        held = self._inputs.held(self._subject, column)
        golden = self._inputs.chosen(self._subject, column)
        one = pl.repeat(1.0, g.len(), dtype=pl.Float64, eager=True)
        if held is None or golden is None:
            return one
        asked = pl.zeros(golden.len(), dtype=pl.Boolean, eager=True).scatter(g.unique(), True)
        mine = self._everyone.filter(asked.gather(self._everyone["g"]))
        stated = as_text(held.gather(mine["r"]))
        chosen = as_text(golden.gather(mine["g"]))
        # Who writes it in capitals says the same.
        agrees = stated.str.to_lowercase() == chosen.str.to_lowercase()
        counted = (
            mine.select("g")
            .with_columns(
                stated.is_not_null().alias("_states"), agrees.fill_null(value=False).alias("_agrees")
            )
            .group_by("g")
            .agg(pl.col("_states").sum(), pl.col("_agrees").sum())
        )
        joined = g.to_frame("g").join(counted, on="g", how="left", maintain_order="left")
        # Golden may hold a value made of several records' texts: somebody stood behind it all the same.
        share = joined.select(
            pl.when(pl.col("_states").fill_null(0) > 0)
            .then(pl.col("_agrees").clip(1) / pl.col("_states"))
            .otherwise(1.0)
            .alias("s")
        )["s"]
        return one.zip_with(is_pinned, share)
