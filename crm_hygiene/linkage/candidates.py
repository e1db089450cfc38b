"""Candidate pairs: each wanted pair once, under the first rule that proposes it.

A pair and its rule are one integer: the smaller row number, the larger, the rule's number. Sorting these
brings a pair's proposals together, the first rule's before the others, and leaves pairs in an order in which
one record's data are still at hand when the next pair asks for them.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.blocking import MOST_RULES, Blocking

Rows = NDArray[np.int64]

_RULE_BITS = MOST_RULES.bit_length()
_MOST_RECORDS = 1 << (63 - _RULE_BITS) // 2
# Pairs that are looked at at a time: fewer, and the records' columns are brought into the processor's cache
# too often; more, and what a step makes does not fit into it.
BATCH = 131_072


@dataclass(frozen=True)
class Candidates:
    """Pairs of row numbers with a rule, packed into `packed` (sorted); `width` bits per row number."""

    packed: Rows
    width: int

    def __len__(self) -> int:
        return len(self.packed)

    def ends(self, part: slice = slice(None)) -> tuple[Rows, Rows]:
        """Smaller and larger row number of each pair of a part."""
        pairs = self.packed[part] >> _RULE_BITS
        return pairs >> self.width, pairs & ((1 << self.width) - 1)

    def where(self, is_wanted: Callable[[Rows, Rows], NDArray[np.bool_]], threads: int) -> Candidates:
        """The pairs of whose ends `is_wanted` says so; it is asked for some of them at a time."""

        def kept(start: int) -> Rows:
            part = slice(start, start + BATCH)
            return self.packed[part][is_wanted(*self.ends(part))]

        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(kept, range(0, len(self), BATCH)))
        return Candidates(np.concatenate(parts) if parts else self.packed, self.width)

    def records(self, count: int) -> NDArray[np.bool_]:
        """Which of `count` records are in a pair."""
        found = np.zeros(count, dtype=np.bool_)
        for end in self.ends():
            found[end] = True
        return found

    def table(self) -> pl.DataFrame:
        """As Splink calls them: `match_key` (the rule's number as text), `join_key_l`, `join_key_r`."""
        left, right = self.ends()
        rules = pl.Series(self.packed & ((1 << _RULE_BITS) - 1))
        return pl.DataFrame({"match_key": rules.cast(pl.String), "join_key_l": left, "join_key_r": right})


def _packed(left: Rows, right: Rows, rule: Rows | int, width: int) -> Rows:
    return (((left << width) | right) << _RULE_BITS) | rule


def candidate_pairs(blocks: Blocking, touched: pl.Series) -> Candidates:
    """The wanted pairs that the rules in force propose.

    Parameters
    ----------
    touched
        Int64 per record, the rules under which its pairs are wanted, as bits; a pair is wanted where one
        of its records is touched under the rule.

    Raises
    ------
    ConfigurationError
        if there are more records than one machine's pairs can number.
    """
    if len(touched) > _MOST_RECORDS:
        raise ConfigurationError(f"linkage: more than {_MOST_RECORDS:,} records need `engine: spark`")
    width = max(len(touched) - 1, 1).bit_length()
    bits = touched.to_numpy()
    found = [
        _packed(np.minimum(one, other), np.maximum(one, other), number, width)
        for column, number in blocks.numbers.items()
        for one, other in [_of_rule(blocks.columns[column], (bits >> number) & 1 != 0)]
    ]
    proposed = np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
    del found
    proposed.sort()
    is_first = np.ones(len(proposed), dtype=np.bool_)
    pairs = proposed >> _RULE_BITS
    is_first[1:] = pairs[1:] != pairs[:-1]
    del pairs
    return Candidates(proposed[is_first], width)


def _of_rule(keys: pl.Series, wanted: NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """Both ends of the pairs of equal keys of which one is wanted, each pair once, either way round."""
    here = keys.is_not_null()
    if not wanted.all():
        asked = keys.filter(pl.Series(wanted) & here).unique()
        here = keys.is_in(asked.implode()).fill_null(False)
    rows = np.flatnonzero(here.to_numpy())
    if not len(rows):
        return rows, rows
    # In a block those that are wanted come first: each is paired with all that follow it.
    rows = np.concatenate([rows[wanted[rows]], rows[~wanted[rows]]])
    values = keys.gather(rows).to_numpy()
    order = np.argsort(values, kind="stable")
    rows, values = rows[order], values[order]
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    sizes = np.diff(np.append(starts, len(rows)))
    following = np.repeat(starts + sizes, sizes) - np.arange(len(rows)) - 1
    following[~wanted[rows]] = 0
    first = np.repeat(np.arange(len(rows)), following)
    # The n-th pair of a record is with the n-th that follows it.
    nth = np.arange(len(first)) - np.repeat(np.cumsum(following) - following, following)
    return rows[first], rows[first + nth + 1]
