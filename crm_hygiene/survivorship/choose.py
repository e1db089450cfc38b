"""Choosing the record whose value survives, for one field or group of all entities at once.

Values never leave the records here: a choice is a table of row positions, small enough to keep for
every field, from which golden columns and their provenance are read. Only what a steward pinned is kept
as values beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from crm_hygiene.survivorship.candidates import KEY, Candidates
from crm_hygiene.survivorship.criteria import Criterion, columns_read, criteria_of
from crm_hygiene.survivorship.pins import pinned_values
from crm_hygiene.survivorship.rules import STRATEGIES, GroupRule, Rules
from crm_hygiene.survivorship.times import believable

_SEPARATOR = "\x1f"

# What settled a choice: nothing to settle, agreement, a steward's pin, a source that emptied the field, a
# strategy, or the tie-break.
DECISIONS = pl.Enum(["only", "agreed", "pinned", "cleared", *STRATEGIES, "tie"])

# Names of validity tests, of which rules have few: a number per entity and field is kept, not a text.
TESTS = pl.Categorical()


@dataclass(frozen=True)
class Choice:
    """The outcome of one rule.

    Attributes
    ----------
    winners
        one row per entity with a candidate, sorted by entity: entity, row (position of the winning
        record), runner_up (position of the best record that says something else, or null),
        candidate_count (records that state or emptied the field), decided (a word of DECISIONS), test
        (name of the validity test that decided, else null). Pins are not in it: where one holds, it is
        what would be chosen without, and `decided` is pinned.
    pinned
        one row per entity with a pin, sorted by entity: entity, pin_id, decided_by, decided_at, reason
        and the values of the rule's columns.
    order
        (entity, row) of every record that states a value, best first within an entity; only where asked.
    """

    name: str
    rule: GroupRule
    winners: pl.DataFrame
    candidates: Candidates
    pinned: pl.DataFrame = field(default_factory=pl.DataFrame)
    order: pl.DataFrame | None = None

    def rows(self) -> pl.Series:
        """Position of the winning record of every entity, in the order of entities; null for none."""
        return self._everyone().join(
            self.winners.select("entity", "row"), on="entity", how="left", maintain_order="left"
        )["row"]

    def golden(self) -> pl.DataFrame:
        """The rule's golden columns, one row per entity in the order of entities."""
        chosen = self.candidates.at(self.rows(), self.rule.columns)
        if self.pinned.is_empty():
            return chosen
        pins = self.pinned.select("entity", "pin_id", *(pl.col(c).alias(f"_{c}") for c in self.rule.columns))
        joined = self._everyone().join(pins, on="entity", how="left", maintain_order="left").hstack(chosen)
        is_pinned = pl.col("pin_id").is_not_null()
        return joined.select(
            pl.when(is_pinned).then(f"_{c}").otherwise(c).alias(c) for c in self.rule.columns
        )

    def disagreement(self) -> pl.DataFrame:
        """Per entity with a candidate: is_disputed, whether some record says something else.

        A pin settles the dispute.
        """
        is_disputed = pl.col("runner_up").is_not_null() & (pl.col("decided") != "pinned")
        return self.winners.select("entity", is_disputed=is_disputed)

    def _everyone(self) -> pl.DataFrame:
        return pl.DataFrame({"entity": pl.Series(range(self.candidates.entities.len()), dtype=pl.UInt32)})


def choose(
    candidates: Candidates,
    table: str,
    name: str,
    rule: GroupRule,
    rules: Rules,
    as_of: datetime,
    pins: pl.DataFrame | None = None,
    is_ordered: bool = False,
) -> Choice:
    """Pick winner and runner-up of the field or group `name` of golden `table` for every entity.

    Entities with one candidate take a cheap path; the rest are ranked by the rule's strategies, then
    by the fixed order of the records. Values are compared without case and outer spaces; a group is
    one value. Where the rule lets clears win, a record that emptied the field goes before every value
    older than that, and behind newer ones.

    Parameters
    ----------
    pins
        stewards' pins as of `pins.pins_of_entities`, those of other fields included.
    is_ordered
        keep the order of all values, for the lists beside the primary one.
    """
    needs = rule.needs or rule.columns
    clearing = candidates.clearing(rule)
    stated = candidates.records.select(
        "entity",
        row=pl.int_range(pl.len(), dtype=pl.UInt32),
        stated=pl.any_horizontal(pl.col(c).is_not_null() for c in needs),
        clear=pl.lit(False) if clearing is None else pl.lit(clearing),
    )
    stating = stated.filter(pl.col("stated") | pl.col("clear")).select("entity", "row", "clear")
    counts = (
        stating.group_by("entity", maintain_order=True)
        .agg(
            pl.col("row").first(),
            candidate_count=pl.len().cast(pl.UInt32),
            values=(~pl.col("clear")).sum(),
        )
        .filter(pl.col("values") > 0)
    )
    alone = counts.filter(pl.col("candidate_count") == 1).select(
        "entity",
        "row",
        pl.lit(None, dtype=pl.UInt32).alias("runner_up"),
        "candidate_count",
        pl.lit("only", dtype=DECISIONS).alias("decided"),
        pl.lit(None, dtype=TESTS).alias("test"),
    )
    many = counts.filter(pl.col("candidate_count") > 1).select("entity", "candidate_count")
    contested = stating.join(many, on="entity", how="inner", maintain_order="left")
    ordered, criteria = _ordered(candidates, rule, rules, as_of, contested)
    winners = pl.concat([alone, _winners(ordered, criteria)]).sort("entity")
    pinned = pinned_values(pins, rule.columns, candidates.records.schema, candidates.entities)
    if pinned.height:
        is_pinned = pl.col("entity").is_in(pinned["entity"].implode())
        decided = pl.when(is_pinned).then(pl.lit("pinned", dtype=DECISIONS)).otherwise("decided")
        winners = winners.with_columns(decided=decided)
    order = None
    if is_ordered:
        ranked = ordered.filter(~pl.col("clear")).select("entity", "row")
        order = pl.concat([alone.select("entity", "row"), ranked])
        order = order.sort("entity", maintain_order=True)
    return Choice(name, rule, winners, candidates, pinned, order)


def _folded(columns: tuple[str, ...]) -> pl.Expr:
    parts = [pl.col(c).cast(pl.String).str.strip_chars().str.to_lowercase().fill_null("") for c in columns]
    return parts[0] if len(parts) == 1 else pl.concat_str(parts, separator=_SEPARATOR)


def _ordered(
    candidates: Candidates, rule: GroupRule, rules: Rules, as_of: datetime, contested: pl.DataFrame
) -> tuple[pl.DataFrame, list[Criterion]]:
    """Candidates of contested entities, best first: entity, row, clear, candidate_count, value, k0, k1..."""
    rows = contested["row"]
    wanted = list(dict.fromkeys([*rule.columns, *KEY, *columns_read(rule, rules)]))
    born_at = believable(pl.col("created_at"), pl.col("landed_at"), candidates.times)
    frame = contested.hstack(candidates.at(rows, wanted)).with_columns(
        candidates.trust(rule, rules, as_of).gather(rows).alias("trust"),
        candidates.changed_at(rule.columns).gather(rows).alias("changed_at"),
        value=_folded(rule.columns),
        born_at=born_at,
    )
    frame = _with_agreement(frame, candidates, rule)
    criteria = criteria_of(rule, rules)
    if rule.clears == "wins":
        criteria = [Criterion(_clears_first(), "cleared"), *criteria]
    names = [f"k{i}" for i in range(len(criteria))]
    numbers = [c.number.alias(k) for k, c in zip(names, criteria, strict=True)]
    ordered = frame.select("entity", "row", "clear", "candidate_count", "value", *numbers)
    return ordered.sort(["entity", *names, "row"]), criteria


def _clears_first() -> pl.Expr:
    """0 for values as new as the latest clear or newer, 1 for clears, 2 for values older than it."""
    cleared = pl.col("changed_at").filter("clear").max().over("entity")
    is_older = pl.col("clear").any().over("entity") & cleared.is_not_null()
    is_older = is_older & (pl.col("changed_at") < cleared).fill_null(True)
    return pl.when("clear").then(1).when(is_older).then(2).otherwise(0).cast(pl.Int64)


def _winners(ordered: pl.DataFrame, criteria: list[Criterion]) -> pl.DataFrame:
    """Winner and runner-up of contested entities; same columns as Choice.winners."""
    names = [f"k{i}" for i in range(len(criteria))]
    # Sorted by entity, so the first row of each is its winner; the value is carried down its rows.
    is_first = (pl.col("entity") != pl.col("entity").shift(1)).fill_null(True)
    ordered = ordered.with_columns(is_first=is_first).with_columns(
        won=pl.when("is_first").then("value").forward_fill()
    )
    first = ordered.filter("is_first").select("entity", "row", "candidate_count", *names)
    second = (
        ordered.filter(pl.col("value") != pl.col("won"))
        .unique("entity", keep="first", maintain_order=True)
        .select("entity", pl.col("row").alias("runner_up"), *(pl.col(k).alias(f"{k}_other") for k in names))
    )
    decided = pl.when(pl.col("runner_up").is_null()).then(pl.lit("agreed"))
    test = pl.when(pl.col("runner_up").is_null()).then(pl.lit(None, dtype=pl.String))
    for name, criterion in zip(names, criteria, strict=True):
        differs = pl.col(name) != pl.col(f"{name}_other")
        decided = decided.when(differs).then(pl.lit(criterion.decision))  # type: ignore[assignment]
        test = test.when(differs).then(pl.lit(criterion.test, dtype=pl.String))  # type: ignore[assignment]
    return first.join(second, on="entity", how="left", maintain_order="left").select(
        "entity",
        "row",
        "runner_up",
        "candidate_count",
        decided.otherwise(pl.lit("tie")).cast(DECISIONS).alias("decided"),
        test.otherwise(pl.lit(None, dtype=pl.String)).cast(TESTS).alias("test"),
    )


def _with_agreement(frame: pl.DataFrame, candidates: Candidates, rule: GroupRule) -> pl.DataFrame:
    """Add `agreeing`, the systems, and `stating`, the records that state the row's value for its entity."""
    if not {"agreement", "frequency"} & set(rule.strategies):
        return frame
    system = pl.col("source").replace(dict(candidates.systems))
    counted = (
        frame.select("entity", "value", system=system)
        .group_by("entity", "value")
        .agg(agreeing=pl.col("system").n_unique(), stating=pl.len())
    )
    return frame.join(counted, on=["entity", "value"], how="left", maintain_order="left")
