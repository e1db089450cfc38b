"""Provenance: where every golden cell came from.

Rows are made on demand, one frame per golden column, from the choices kept by position: eighteen
million rows of text need not be in memory at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.survivorship.choose import Choice
from crm_hygiene.survivorship.rules import Rules

_PHRASES = {
    "validity": "most valid",
    "recency": "newest",
    "frequency": "stated by most systems",
    "completeness": "most complete",
    "longest": "longest",
    "earliest": "earliest",
    "tie": "first in order",
}


@dataclass(frozen=True)
class Provenance:
    """An iterable of frames of golden.provenance, one per golden column, each sorted by its key.

    It can be iterated any number of times. `stated` holds finished rows that come from elsewhere
    than survivorship (consent).
    """

    choices: tuple[tuple[str, Choice], ...]
    stated: tuple[pl.DataFrame, ...]
    rules: Rules
    as_of: datetime

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """Frames in the contract's shape."""
        for table, choice in self.choices:
            for column in choice.rule.columns:
                yield trace_column(table, column, choice, self.rules, self.as_of)
        yield from self.stated

    def collect(self) -> pl.DataFrame:
        """All rows in one frame, sorted by key; for small sets."""
        frames = list(self) or [contract_of("golden.provenance").empty()]
        return pl.concat(frames).sort(contract_of("golden.provenance").key)


def trace_column(table: str, column: str, choice: Choice, rules: Rules, as_of: datetime) -> pl.DataFrame:
    """Rows of golden.provenance for one column of `golden.<table>`: one per filled cell.

    `rule` says what settled the choice, e.g. `trust salesforce_contacts 0.87, newest of 3`; the
    runner-up is the best value of a record that says something else.
    """
    candidates = choice.candidates
    records = candidates.records
    filled = choice.winners.with_columns(value=records[column].gather(choice.winners["row"])).filter(
        pl.col("value").is_not_null()
    )
    rows = filled["row"]
    origin = candidates.at(
        rows, ["entity_id", "source", "record_id", "file", "row_number", "observed_at", "size"]
    )
    other = records[column].gather(filled["runner_up"]).cast(pl.String).alias("other")
    trust = candidates.trust(choice.rule, rules, as_of).gather(rows).alias("trust")
    frame = pl.concat(
        [filled.select("candidate_count", "decided", pl.col("value").cast(pl.String)), origin],
        how="horizontal",
    ).with_columns(other, trust)
    return contract_of("golden.provenance").shape(
        frame.select(
            pl.lit(f"golden.{table}").alias("table_name"),
            "entity_id",
            pl.lit(column).alias("column_name"),
            "value",
            "source",
            "record_id",
            "file",
            "row_number",
            _rule_text(choice).alias("rule"),
            pl.when(pl.col("other") != pl.col("value")).then("other").alias("runner_up"),
            "observed_at",
        )
    )


def _rule_text(choice: Choice) -> pl.Expr:
    """What settled the choice, in words, per row."""
    strategies = list(choice.rule.strategies)
    count = pl.col("candidate_count")
    trust = pl.format("trust {} {}", pl.col("source"), pl.col("trust").round(2))
    text = pl.when(pl.col("decided") == "trust").then(pl.format("{}, best of {}", trust, count))
    for decided, phrase in _PHRASES.items():
        words = pl.format(f"{phrase} of {{}}", count)
        # Trust that was asked before and could not tell the two apart is part of the reason.
        asked = strategies if decided == "tie" else strategies[: _position(strategies, decided)]
        if "trust" in asked:
            words = pl.format("{}, {}", trust, words)
        text = text.when(pl.col("decided") == decided).then(words)  # type: ignore[assignment]
    return (
        text.when(pl.col("decided") == "agreed")
        .then(pl.format("agreed by all {}", count))
        .when(pl.col("decided") == "pinned")
        .then(pl.lit("pinned by a steward"))
        .when(pl.col("size") == 1)
        .then(pl.lit("only record"))
        .otherwise(pl.format("only value of {} records", pl.col("size")))
    )


def _position(strategies: Sequence[str], decided: str) -> int:
    return strategies.index(decided) if decided in strategies else 0
