"""Expectation maximisation over agreement patterns: m by session, u from random pairs.

The model is Fellegi and Sunter's (1969), fitted as Winkler (1988) and Splink do it: pairs are reduced
to patterns of comparison levels with a count, of which there are hundreds, and each session looks at
pairs that agree on some columns and learns the other comparisons. Two things differ from Splink: u is
held fixed within a session, so that the two classes cannot change places, and every level keeps
pseudo-counts from its documented default, so that no level of a small or one-sided sample falls to
zero. Counts are integers and patterns sorted: the outcome does not depend on threads or row order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crm_hygiene.linkage.recipe import Numbers
from crm_hygiene.linkage.settings import Comparison

Array = NDArray[np.float64]

ROUNDS = 60
CONVERGED = 1e-5
# Pseudo-matches that the documented m is worth, and their least share of the matches seen.
PSEUDO_MATCHES, PSEUDO_SHARE = 10.0, 0.01
# Pseudo-pairs that the documented u is worth: some thousand random pairs never reach a rare level.
PSEUDO_PAIRS = 1000.0
FIRST_SHARE, LEAST_SHARE, MOST_SHARE = 0.5, 1e-6, 1 - 1e-6


@dataclass(frozen=True)
class Patterns:
    """Agreement patterns of some pairs.

    `levels` has one row per pattern and one column per comparison: the position of the level among
    those that carry weight, -1 where a value is missing; `counts` the pairs of each pattern.
    """

    levels: NDArray[np.int64]
    counts: Array

    @classmethod
    def of(cls, frame: pl.DataFrame, comparisons: Sequence[Comparison]) -> Patterns:
        """From a frame with one column per comparison's name and `pairs`."""
        names = [c.name for c in comparisons]
        ordered = frame.sort(names)
        return cls(
            levels=ordered.select(pl.col(names).cast(pl.Int64)).to_numpy(),
            counts=ordered["pairs"].cast(pl.Float64).to_numpy(),
        )

    @property
    def total(self) -> float:
        """Pairs in all."""
        return float(self.counts.sum())


def _tables(comparisons: Sequence[Comparison], numbers: Numbers) -> tuple[list[Array], list[Array]]:
    m, u = [], []
    for comparison in comparisons:
        pairs = [numbers[comparison.name][level.name] for level in comparison.scored]
        m.append(np.array([pair[0] for pair in pairs]))
        u.append(np.array([pair[1] for pair in pairs]))
    return m, u


def _match_shares(
    patterns: Patterns, m: Sequence[Array], u: Sequence[Array], used: Sequence[int], share: float
) -> Array:
    """Probability of a match for each pattern, by the comparisons `used`."""
    odds = np.full(len(patterns.counts), np.log(share / (1 - share)))
    for index in used:
        level = patterns.levels[:, index]
        with np.errstate(divide="ignore"):
            weight = np.log(m[index]) - np.log(u[index])
        odds += np.where(level >= 0, weight[np.maximum(level, 0)], 0.0)
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -700, 700))), dtype=np.float64)


def _level_counts(patterns: Patterns, index: int, size: int, weights: Array) -> Array:
    level = patterns.levels[:, index]
    seen = level >= 0
    counts = np.bincount(level[seen], weights=(patterns.counts * weights)[seen], minlength=size)
    return np.asarray(counts, dtype=np.float64)


def learn_matches(
    patterns: Patterns,
    comparisons: Sequence[Comparison],
    numbers: Numbers,
    defaults: Numbers,
    set_aside: Sequence[str],
) -> tuple[dict[str, dict[str, float]], dict[str, float], float]:
    """Learn m from pairs that agree on some columns.

    Parameters
    ----------
    numbers
        where to start, and the u that is held fixed.
    defaults
        documented m, worth some pseudo-matches.
    set_aside
        comparisons that the pairs were chosen by: not used, not learned.

    Returns
    -------
    tuple
        m by comparison and level; for each comparison the matches that had both values; the matches.
    """
    m, u = _tables(comparisons, numbers)
    usual, _ = _tables(comparisons, defaults)
    used = [i for i, c in enumerate(comparisons) if c.name not in set_aside]
    share = FIRST_SHARE
    seen: dict[int, float] = {}
    for _ in range(ROUNDS):
        weights = _match_shares(patterns, m, u, used, share)
        moved = 0.0
        for index in used:
            counts = _level_counts(patterns, index, len(m[index]), weights)
            seen[index] = float(counts.sum())
            pseudo = (PSEUDO_MATCHES + PSEUDO_SHARE * seen[index]) * usual[index] / usual[index].sum()
            learned = (counts + pseudo) / (counts + pseudo).sum()
            moved = max(moved, float(np.abs(learned - m[index]).max()))
            m[index] = learned
        share = float((weights * patterns.counts).sum() / patterns.total)
        share = min(max(share, LEAST_SHARE), MOST_SHARE)
        if moved < CONVERGED:
            break
    result = {
        comparisons[i].name: dict(
            zip([level.name for level in comparisons[i].scored], map(float, m[i]), strict=True)
        )
        for i in used
    }
    return result, {comparisons[i].name: seen[i] for i in used}, share * patterns.total


def learn_non_matches(
    patterns: Patterns,
    comparisons: Sequence[Comparison],
    numbers: Numbers,
    defaults: Numbers,
    prior: float | None,
) -> dict[str, dict[str, float]]:
    """Learn u from random pairs, without the true pairs among them.

    Random pairs hold true pairs; on small or much duplicated data they are most of the pairs that
    agree on a rare value, and would make that agreement look common. Each pattern counts with its
    probability of being no match under `numbers`; with `prior` None every pair counts in full.

    Parameters
    ----------
    defaults
        documented u, worth some pseudo-pairs.

    Returns
    -------
    dict
        u by comparison and level; a comparison without a pair keeps its u of `numbers`.
    """
    m, u = _tables(comparisons, numbers)
    _, usual = _tables(comparisons, defaults)
    weights = np.ones(len(patterns.counts))
    if prior is not None:
        weights -= _match_shares(patterns, m, u, range(len(comparisons)), prior)
    result = {}
    for index, comparison in enumerate(comparisons):
        counts = _level_counts(patterns, index, len(u[index]), weights)
        if counts.sum() < 1:
            learned = u[index]
        else:
            pseudo = PSEUDO_PAIRS * usual[index] / usual[index].sum()
            learned = (counts + pseudo) / (counts + pseudo).sum()
        names = [level.name for level in comparison.scored]
        result[comparison.name] = dict(zip(names, map(float, learned), strict=True))
    return result
