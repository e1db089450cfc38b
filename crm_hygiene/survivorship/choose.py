"""Choosing the record whose value survives, for one field or group of all entities at once.

Values never leave the records here: a choice is a table of row positions, small enough to keep for
every field, from which golden columns and their provenance are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from crm_hygiene.survivorship.candidates import KEY, Candidates
from crm_hygiene.survivorship.rules import STRATEGIES, GroupRule, Rules
from crm_hygiene.survivorship.trust import fits

_SEPARATOR = "\x1f"

# What settled a choice: nothing to settle, agreement, a steward's pin, a strategy, or the tie-break.
DECISIONS = pl.Enum(["only", "agreed", "pinned", *STRATEGIES, "tie"])


@dataclass(frozen=True)
class Choice:
    """The outcome of one rule.

    winners
        one row per entity with a candidate, sorted by entity: entity, row (position of the winning
        record), runner_up (position of the best record that says something else, or null),
        candidate_count (records that state a value), decided (a word of DECISIONS).
    """

    name: str
    rule: GroupRule
    winners: pl.DataFrame
    candidates: Candidates

    def rows(self) -> pl.Series:
        """Position of the winning record of every entity, in the order of entities; null for none."""
        everyone = pl.DataFrame({"entity": pl.Series(range(self.candidates.entities.len()), dtype=pl.UInt32)})
        joined = everyone.join(
            self.winners.select("entity", "row"), on="entity", how="left", maintain_order="left"
        )
        return joined["row"]

    def golden(self) -> pl.DataFrame:
        """The rule's golden columns, one row per entity in the order of entities."""
        return self.candidates.at(self.rows(), self.rule.columns)

    def disagreement(self) -> pl.DataFrame:
        """Per entity with a candidate: is_disputed, whether some record says something else."""
        return self.winners.select("entity", is_disputed=pl.col("runner_up").is_not_null())


def choose(
    candidates: Candidates, table: str, name: str, rule: GroupRule, rules: Rules, as_of: datetime
) -> Choice:
    """Pick winner and runner-up of the field or group `name` for every entity.

    Entities with one candidate take a cheap path; the rest are ranked by the rule's strategies, then
    by the fixed order of the records. Values are compared without case and outer spaces; a group is
    one value.
    """
    needs = rule.needs or rule.columns
    stated = pl.any_horizontal(pl.col(c).is_not_null() for c in needs)
    clearing = [
        s
        for s in candidates.records["source"].unique().sort().to_list()
        if any(fits(p, s, candidates.systems.get(s, s)) for p in rule.clears_from)
    ]
    if clearing:
        stated = stated | pl.col("source").is_in(clearing)
    records = candidates.records
    stating = (
        records.select("entity", row=pl.int_range(pl.len(), dtype=pl.UInt32), stated=stated)
        .filter("stated")
        .select("entity", "row")
    )
    counts = stating.group_by("entity", maintain_order=True).agg(
        pl.col("row").first(), candidate_count=pl.len().cast(pl.UInt32)
    )
    alone = counts.filter(pl.col("candidate_count") == 1).select(
        "entity",
        "row",
        pl.lit(None, dtype=pl.UInt32).alias("runner_up"),
        "candidate_count",
        pl.lit("only", dtype=DECISIONS).alias("decided"),
    )
    many = counts.filter(pl.col("candidate_count") > 1).select("entity", "candidate_count")
    contested = stating.join(many, on="entity", how="inner")
    ranked = _rank(candidates, table, name, rule, rules, as_of, contested)
    winners = pl.concat([alone, ranked]).sort("entity")
    return Choice(name=name, rule=rule, winners=winners, candidates=candidates)


def _folded(columns: tuple[str, ...]) -> pl.Expr:
    parts = [pl.col(c).cast(pl.String).str.strip_chars().str.to_lowercase().fill_null("") for c in columns]
    return parts[0] if len(parts) == 1 else pl.concat_str(parts, separator=_SEPARATOR)


def _criterion(strategy: str, rule: GroupRule) -> list[pl.Expr]:
    """Numbers to sort by, smaller is better."""
    length = pl.sum_horizontal(pl.col(c).cast(pl.String).str.len_chars().fill_null(0) for c in rule.columns)
    filled = pl.sum_horizontal(pl.col(c).is_not_null().cast(pl.Int64) for c in rule.columns)
    match strategy:
        case "validity" if rule.prefer is not None:
            order = {v: float(i) for i, v in enumerate(rule.prefer.order)}
            last = float(len(order))
            column = pl.col(rule.prefer.column).cast(pl.String)
            return [column.replace_strict(order, default=last, return_dtype=pl.Float64).fill_null(last)]
        case "validity":
            return [(pl.col("problems").list.len().fill_null(0) > 0).cast(pl.Float64)]
        case "trust":
            return [-pl.col("trust")]
        case "recency":
            return [-pl.col("observed_at").dt.timestamp("us").fill_null(0)]
        case "frequency":
            return [-pl.col("agreeing").cast(pl.Float64)]
        case "completeness":
            return [-filled.cast(pl.Float64), -length.cast(pl.Float64)]
        case "longest":
            return [-length.cast(pl.Float64)]
        case _:
            return [pl.coalesce("created_at", "observed_at").dt.timestamp("us").fill_null(2**62)]


def _rank(
    candidates: Candidates,
    table: str,
    name: str,
    rule: GroupRule,
    rules: Rules,
    as_of: datetime,
    contested: pl.DataFrame,
) -> pl.DataFrame:
    """Winner and runner-up among entities with several candidates; same columns as Choice.winners."""
    rows = contested["row"]
    wanted = list(dict.fromkeys([*rule.columns, *KEY, "observed_at", "created_at", "problems"]))
    if rule.prefer is not None and rule.prefer.column not in wanted:
        wanted.append(rule.prefer.column)
    frame = contested.hstack(candidates.at(rows, wanted)).with_columns(
        candidates.trust(rule, rules, as_of).gather(rows).alias("trust"), value=_folded(rule.columns)
    )
    if "frequency" in rule.strategies:
        frame = _with_agreement(frame, candidates)
    pins = [p for p in rules.pins if p.table == table and p.field == name]
    criteria: list[pl.Expr] = []
    decisions: list[str] = []
    if pins:
        frame = _with_pins(frame, candidates, pins=[(p.entity_id, p.source, p.record_id) for p in pins])
        criteria, decisions = [-pl.col("pinned").cast(pl.Float64)], ["pinned"]
    for strategy in rule.strategies:
        found = _criterion(strategy, rule)
        criteria += found
        decisions += [strategy] * len(found)
    ks = [f"k{i}" for i in range(len(criteria))]
    ordered = frame.select(
        "entity", "row", "candidate_count", "value", *(c.alias(k) for k, c in zip(ks, criteria, strict=True))
    ).sort(["entity", *ks, "row"])
    # Sorted by entity, so the first row of each is its winner; the value is carried down its rows.
    is_first = (pl.col("entity") != pl.col("entity").shift(1)).fill_null(True)
    ordered = ordered.with_columns(won=pl.when(is_first).then("value").forward_fill(), is_first=is_first)
    first = ordered.filter("is_first").select("entity", "row", "candidate_count", *ks)
    second = (
        ordered.filter(pl.col("value") != pl.col("won"))
        .unique("entity", keep="first", maintain_order=True)
        .select("entity", pl.col("row").alias("runner_up"), *(pl.col(k).alias(f"{k}_other") for k in ks))
    )
    decided = pl.when(pl.col("runner_up").is_null()).then(pl.lit("agreed"))
    for k, decision in zip(ks, decisions, strict=True):
        decided = decided.when(pl.col(k) != pl.col(f"{k}_other")).then(pl.lit(decision))  # type: ignore[assignment]
    return first.join(second, on="entity", how="left", maintain_order="left").select(
        "entity",
        "row",
        "runner_up",
        "candidate_count",
        decided.otherwise(pl.lit("tie")).cast(DECISIONS).alias("decided"),
    )


def _with_agreement(frame: pl.DataFrame, candidates: Candidates) -> pl.DataFrame:
    """Add `agreeing`: how many systems state the row's value for its entity."""
    system = pl.col("source").replace(dict(candidates.systems))
    agreeing = (
        frame.select("entity", "value", system=system)
        .unique()
        .group_by("entity", "value")
        .agg(agreeing=pl.len())
    )
    return frame.join(agreeing, on=["entity", "value"], how="left", maintain_order="left")


def _with_pins(frame: pl.DataFrame, candidates: Candidates, pins: list[tuple[str, str, str]]) -> pl.DataFrame:
    """Add `pinned`: a steward named this record for this cell."""
    named = (
        pl.DataFrame(pins, schema=["entity_id", *KEY], orient="row")
        .with_columns(pinned=pl.lit(True))
        .unique()
    )
    ids = candidates.entities.gather(frame["entity"]).alias("entity_id")
    return (
        frame.with_columns(ids)
        .join(named, on=["entity_id", *KEY], how="left", maintain_order="left")
        .with_columns(pl.col("pinned").fill_null(False))
        .drop("entity_id")
    )
