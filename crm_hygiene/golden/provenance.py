"""Provenance: where every golden cell came from.

Rows are made on demand, a golden column at a time for a bucket of entities, from the choices kept by
position: eighteen million rows of text need not be in memory at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import polars as pl

from crm_hygiene.ahead import ahead
from crm_hygiene.contract import contract_of
from crm_hygiene.golden.built import Choices
from crm_hygiene.survivorship.choose import Choice
from crm_hygiene.survivorship.pins import PINS
from crm_hygiene.survivorship.rules import Rules

_PHRASES = {
    "validity": "most valid",
    "recency": "newest",
    "agreement": "stated by most systems",
    "frequency": "stated by most records",
    "cleared": "changed since it was emptied, newest",
    "completeness": "most complete",
    "longest": "longest",
    "earliest": "earliest",
    "tie": "first in order",
}


@dataclass(frozen=True)
class Provenance:
    """An iterable of frames of golden.provenance, of one golden column each, sorted by its key.

    It can be iterated any number of times. `chosen` are the choices of `contacts` and `accounts`, per bucket;
    `stated` holds finished rows that come from elsewhere than survivorship (consent).
    """

    chosen: tuple[tuple[str, Choices], ...]
    stated: tuple[pl.DataFrame, ...]
    rules: Rules
    as_of: datetime

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """Frames in the contract's shape; the next one is made while the last one is used."""
        return ahead(self._frames())

    def _frames(self) -> Iterator[pl.DataFrame]:
        for table, choice in self.choices():
            for column in choice.rule.columns:
                yield trace_column(table, column, choice, self.rules, self.as_of)
        yield from self.stated

    def choices(self) -> Iterator[tuple[str, Choice]]:
        """Every choice with the bare name of its table, bucket by bucket."""
        for table, bucket in self.chosen:
            for choice in bucket():
                yield table, choice

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
        pl.col("value").is_not_null() & (pl.col("decided") != "pinned")
    )
    rows = filled["row"]
    origin = candidates.at(
        rows, ["entity_id", "source", "record_id", "file", "landed_at", "row_number", "observed_at", "size"]
    )
    second = filled["runner_up"]
    other = pl.DataFrame(
        [
            records[column].gather(second).cast(pl.String).alias("other"),
            records["source"].gather(second).alias("other_source"),
            records["record_id"].gather(second).alias("other_record_id"),
        ]
    )
    trust = candidates.trust(choice.rule, rules, as_of).gather(rows).alias("trust")
    frame = pl.concat(
        [filled.select("candidate_count", "decided", "test", pl.col("value").cast(pl.String)), origin],
        how="horizontal",
    ).with_columns(*other.get_columns(), trust)
    # Records that differ elsewhere in a group, or state nothing here, are no runner-up of this cell.
    is_other = pl.col("other") != pl.col("value")
    traced = contract_of("golden.provenance").shape(
        frame.select(
            pl.lit(f"golden.{table}").alias("table_name"),
            "entity_id",
            pl.lit(column).alias("column_name"),
            "value",
            "source",
            "record_id",
            "file",
            "landed_at",
            "row_number",
            _rules_in_words(frame, choice).alias("rule"),
            pl.when(is_other).then("other").alias("runner_up"),
            pl.when(is_other).then("other_source").alias("runner_up_source"),
            pl.when(is_other).then("other_record_id").alias("runner_up_record_id"),
            "observed_at",
        )
    )
    if choice.pinned.is_empty():
        return traced  # in the order of entities, which is that of their ids
    return pl.concat([traced, _trace_pins(table, column, choice)]).sort("entity_id")


def _trace_pins(table: str, column: str, choice: Choice) -> pl.DataFrame:
    """Rows of golden.provenance for the cells a steward pinned.

    The pin is the record; the runner-up is what the rules would have chosen.
    """
    contract = contract_of("golden.provenance")
    records = choice.candidates.records
    pinned = choice.pinned
    said = pl.format("pin by {} on {}", "decided_by", pl.col("decided_at").dt.date().cast(pl.String))
    pinned = pinned.filter(pl.col(column).is_not_null()).join(
        choice.winners.select("entity", "row"), on="entity", how="left", maintain_order="left"
    )
    second = [
        records[name].gather(pinned["row"]).cast(pl.String).alias(f"other_{name}")
        for name in (column, "source", "record_id")
    ]
    is_other = pl.col(f"other_{column}").is_not_null() & (pl.col(f"other_{column}") != pl.col("value"))
    return contract.shape(
        pinned.with_columns(*second, value=pl.col(column).cast(pl.String)).select(
            pl.lit(f"golden.{table}").alias("table_name"),
            choice.candidates.entities.gather(pinned["entity"]).alias("entity_id"),
            pl.lit(column).alias("column_name"),
            "value",
            pl.lit(PINS).alias("source"),
            pl.col("pin_id").alias("record_id"),
            pl.when(pl.col("reason").is_null())
            .then(said)
            .otherwise(pl.format("{}: {}", said, "reason"))
            .alias("rule"),
            pl.when(is_other).then(f"other_{column}").alias("runner_up"),
            pl.when(is_other).then("other_source").alias("runner_up_source"),
            pl.when(is_other).then("other_record_id").alias("runner_up_record_id"),
            pl.col("decided_at").alias("observed_at"),
        )
    )


def _rules_in_words(frame: pl.DataFrame, choice: Choice) -> pl.Series:
    """What settled each row's choice. A text is made once for all rows that say the same: few thousand."""
    said = frame.select(
        "decided",
        "candidate_count",
        "source",
        pl.col("trust").round(2),
        pl.when(pl.col("decided") == "validity").then(pl.col("test").cast(pl.String)).alias("test"),
        pl.when(pl.col("decided") == "only").then("size").alias("size"),
    )
    texts = said.unique().with_columns(rule=_rule_text(choice.rule.strategies))
    found = said.join(texts, on=said.columns, how="left", nulls_equal=True, maintain_order="left")
    return found["rule"]


@cache
def _rule_text(strategies: tuple[str, ...]) -> pl.Expr:
    """What settled a choice by these strategies, in words, per row."""
    count = pl.col("candidate_count")
    trust = pl.format("trust {} {}", pl.col("source"), pl.col("trust"))
    text = pl.when(pl.col("decided") == "trust").then(pl.format("{}, best of {}", trust, count))
    for decided, phrase in _PHRASES.items():
        words = pl.format(f"{phrase} of {{}}", count)
        if decided == "validity":
            failed = pl.format("{}, the runner-up is not {}", words, pl.col("test").str.replace_all("_", " "))
            words = pl.when(pl.col("test").is_null()).then(words).otherwise(failed)
        # Trust that was asked before and could not tell the two apart is part of the reason.
        asked = strategies if decided == "tie" else strategies[: _position(strategies, decided)]
        if "trust" in asked:
            words = pl.format("{}, {}", trust, words)
        text = text.when(pl.col("decided") == decided).then(words)  # type: ignore[assignment]
    return (
        text.when(pl.col("decided") == "agreed")
        .then(pl.format("agreed by all {}", count))
        .when(pl.col("size") == 1)
        .then(pl.lit("only record"))
        .otherwise(pl.format("only value of {} records", pl.col("size")))
    )


def _position(strategies: Sequence[str], decided: str) -> int:
    return strategies.index(decided) if decided in strategies else 0
