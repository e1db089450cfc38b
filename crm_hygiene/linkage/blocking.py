"""Blocking: which pairs are worth comparing, counted before any is scored.

Each rule is a set of columns that must agree. Its pairs are counted from the sizes of its blocks; a
rule over budget keeps its smallest blocks up to the budget, and is left out where that does not help.
What was done is said in notes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.settings import EntityKind, LinkageSettings

# Which rules a record takes part in is kept as the bits of one integer.
MOST_RULES = 62
ALL_RULES = 2**MOST_RULES - 1


@dataclass(frozen=True)
class Blocking:
    """Blocking keys: one column per rule in force.

    Attributes
    ----------
    columns
        UInt64 keys, row by row of the frame that was blocked, null where a record takes no part.
        `block_3` belongs to the rule with number 3 in the settings, whichever others are in force.
    rules
        readable name by column, in the order of the rules.
    pairs
        pairs by name; a pair that several rules propose counts for each.
    record_count
        records that were blocked.
    """

    columns: pl.DataFrame
    rules: dict[str, str]
    pairs: dict[str, int]
    record_count: int
    notes: list[str]

    @property
    def numbers(self) -> dict[str, int]:
        """Number of the rule by column, in the order of the rules."""
        return {column: int(column.removeprefix("block_")) for column in self.rules}

    @property
    def names(self) -> dict[int, str]:
        """Readable name by number of the rule."""
        return {number: self.rules[column] for column, number in self.numbers.items()}

    def in_force(self) -> pl.Series:
        """Per record the rules in whose blocks it is, as bits: rule 3 is 8."""
        bits = pl.zeros(self.record_count, dtype=pl.Int64, eager=True).alias("bits")
        for column, number in self.numbers.items():
            bits |= self.columns[column].is_not_null().cast(pl.Int64) * (1 << number)
        return bits

    def first_shared(self, left: pl.Series, right: pl.Series) -> pl.Series:
        """Per pair of row numbers the number of the first rule that proposes it, null where none does."""
        found = pl.Series("rule", [None], dtype=pl.Int64).new_from_index(0, len(left))
        for column, number in reversed(self.numbers.items()):
            keys = self.columns[column]
            shared = (keys.gather(left) == keys.gather(right)).fill_null(False)
            found = found.set(shared, number)
        return found


def _blocks_within(sizes: pl.DataFrame, budget: int) -> tuple[pl.DataFrame, int]:
    """The smallest blocks that together keep the rule within `budget`, and their pairs.

    Block by block and not size by size: a record more in one block never drops all blocks of its size.
    """
    kept = (
        sizes.sort("size", "key")
        .with_columns((pl.col("size") * (pl.col("size") - 1) // 2).cum_sum().alias("pairs"))
        .filter(pl.col("pairs") <= budget)
    )
    return kept, int(kept["pairs"].max() or 0)  # type: ignore[arg-type]


def block_key(frame: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """UInt64 key of the records that agree on `columns`, null where one is missing.

    A hash is enough: a collision only proposes a pair that scoring then refuses.
    """
    text = pl.concat_str([pl.col(c) for c in columns], separator="\x1f")
    # A lazy frame makes the text once.
    key = frame.lazy().select(pl.when(text.is_not_null()).then(text.hash(seed=7)).alias("key"))
    return key.collect()["key"]


def _block_sizes(number: int, key: pl.Series) -> pl.DataFrame:
    """`key`, `size` of the blocks of more than one record."""
    sizes = key.drop_nulls().to_frame().group_by("key").agg(pl.len().cast(pl.Int64).alias("size"))
    return sizes.filter(pl.col("size") > 1)


def blocking(
    kind: EntityKind,
    frame: pl.DataFrame,
    settings: LinkageSettings,
    sizes_of: Callable[[int, pl.Series], pl.DataFrame] = _block_sizes,
) -> Blocking:
    """Choose the rules that fit their budget and compute their keys.

    Parameters
    ----------
    frame
        comparable columns with block columns, sorted by `unique_id`.
    sizes_of
        `key`, `size` of the blocks of more than one record, by number of the rule and its keys.

    Raises
    ------
    ConfigurationError
        if the settings have more rules than can be told apart.
    """
    if len(settings.rules_of(kind).blocking) > MOST_RULES:
        raise ConfigurationError(f"linkage rules: {kind} has more than {MOST_RULES} blocking rules")
    budget = max(settings.least_budget, int(settings.pairs_per_record * frame.height))
    remaining = max(4 * settings.least_budget, int(settings.total_pairs_per_record * frame.height))
    keys: list[pl.Series] = []
    rules: dict[str, str] = {}
    pairs: dict[str, int] = {}
    notes: list[str] = []
    for number, columns in enumerate(settings.rules_of(kind).blocking):
        name = " and ".join(columns)
        key = block_key(frame, columns)
        sizes = sizes_of(number, key)
        if sizes.is_empty():
            continue
        total = int(sizes.select((pl.col("size") * (pl.col("size") - 1) // 2).sum()).item())
        allowed = min(budget, remaining)
        kept = sizes
        if total > allowed:
            kept, within = _blocks_within(sizes, allowed)
            largest = int(kept["size"].max() or 0)  # type: ignore[arg-type]
            if largest < settings.least_block:
                notes.append(f"blocking by {name}: {total} pairs, left out as over its budget of {allowed}")
                continue
            notes.append(
                f"blocking by {name}: {total} pairs, tightened to blocks of at most {largest} records "
                f"({within} pairs)"
            )
            total = within
        remaining -= total
        column = f"block_{number}"
        mask = key.is_in(kept["key"].implode())
        keys.append(key.set(~mask.fill_null(False), None).cast(pl.UInt64).alias(column))
        rules[column] = name
        pairs[name] = total
    return Blocking(
        columns=pl.DataFrame(keys), rules=rules, pairs=pairs, record_count=frame.height, notes=notes
    )


def reached(blocks: Blocking, touched: pl.Series) -> pl.DataFrame:
    """Records that share a block with a touched one: `row_number`, `touched` and their keys."""
    shares = pl.Series("reached", [False], dtype=pl.Boolean).new_from_index(0, len(touched))
    for column, number in blocks.numbers.items():
        key = blocks.columns[column]
        wanted = key.filter((touched & (1 << number)) != 0).drop_nulls().unique()
        if len(wanted):
            shares |= key.is_in(wanted.implode()).fill_null(False)
    return (
        blocks.columns.with_columns(touched.alias("touched"))
        .with_row_index("row_number")
        .with_columns(pl.col("row_number").cast(pl.Int64))
        .filter(shares)
    )
