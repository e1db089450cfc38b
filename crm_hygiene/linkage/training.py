"""Training: patterns of random pairs teach u, of pairs that agree on something m; then bounded and rounded.

What is learned from the patterns is `expectation`'s work. Small or one-sided data cannot teach: there
the documented defaults of `rules.yaml` hold, level by level. Pairs are drawn with a fixed seed and only
counted, so that the same records give the same model on any number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import polars as pl

from crm_hygiene.linkage.connection import fetch, load
from crm_hygiene.linkage.expectation import Patterns, learn_matches, learn_non_matches
from crm_hygiene.linkage.letter_marks import with_marks
from crm_hygiene.linkage.model import FrozenModel
from crm_hygiene.linkage.namesakes import namesakes
from crm_hygiene.linkage.organisation_words import with_word_bits, word_frequencies
from crm_hygiene.linkage.recipe import (
    Numbers,
    comparisons_in_use,
    default_numbers,
    namesake_columns,
)
from crm_hygiene.linkage.settings import Comparison, EntityKind, LinkageSettings

LEAST_M, MOST_M = 1e-4, 0.9999
LEAST_U, MOST_U = 1e-7, 0.9999
# One disagreement never weighs more than this many times against a match: any field can be wrong.
MOST_AGAINST = 64.0
# Rounds in which m and u are learned from each other.
TRAINING_ROUNDS = 3
# Random pairs for each record, at most. A share among all pairs of n records is a U-statistic: its variance
# is about 4 zeta / n, zeta the variance of a record's own share of agreeing pairs, however many pairs are
# looked at (Hoeffding 1948); N random pairs add u (1 - u) / N, with a hundred a record the smaller part.
PAIRS_OF_A_RECORD = 100
# Records of one block that a session looks at, and matches beyond which it has no more say.
BLOCK_RECORDS = 60
MOST_SESSION_MATCHES = 5000.0
# Of a level's default m, what is left when matches were seen and none fell into it.
UNSEEN_SHARE = 0.1
# With too few records to count anything, the chance of a match is taken as in a base of this many records.
SMALLEST_BASE = 1000


Shares = Mapping[str, Mapping[str, float]]


def _round(value: float) -> float:
    return float(f"{value:.6g}")


def term_frequencies(
    frame: pl.DataFrame, own: Mapping[str, float], most_values: int
) -> dict[str, dict[str, Any]]:
    """Share of the filled records that hold a value by chance, for the commonest values of each column.

    Two records of one entity hold one value for that reason and not by chance: of the records that hold a
    value, those that a record's own entity is expected to have besides are no chance agreements.

    Parameters
    ----------
    own
        column -> other records of a record's entity that are expected to hold its value.

    Returns
    -------
    dict
        {column: {"floor": share taken for any other value, "values": {value: share}}}
    """
    found: dict[str, dict[str, Any]] = {}
    for column, expected in own.items():
        counted = (
            frame.select(pl.col(column).drop_nulls())
            .group_by(column)
            .len()
            .sort(["len", column], descending=[True, False])
        )
        total = int(counted["len"].sum() or 0)
        common = counted.filter(pl.col("len") > 1).head(most_values)
        rest = counted.join(common, on=column, how="anti")
        # On how many records a record's value is, not on how many a value: a common one is met more often.
        usual = int((rest["len"].cast(pl.Int64) ** 2).sum()) / int(rest["len"].sum()) if rest.height else 1
        found[column] = {
            "floor": _round(max(usual - expected, 1) / max(total, 1)),
            "values": {
                value: _round(max(count - expected, 1) / total) for value, count in sorted(common.iter_rows())
            },
        }
    return found


def _no_frequencies(comparisons: Sequence[Comparison]) -> dict[str, dict[str, Any]]:
    """Frequencies that adjust nothing: a handful of records cannot tell a rare name from a common one."""
    return {
        level.frequency_of: {"floor": 0.0 if level.told_apart_by else level.u, "values": {}}
        for comparison in comparisons
        for level in comparison.levels
        if level.frequency_of is not None
    }


def bounded(
    comparison: Comparison, numbers: dict[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """Numbers that make sense: shares within bounds, full agreement never against, disagreement never for.

    Expectation maximisation can settle on a mirror image in which agreement counts against a match;
    capping the odds of the last level at 1 and lifting those of the first to 1 rules that out.
    """
    result: dict[str, tuple[float, float]] = {}
    levels = comparison.scored
    for index, level in enumerate(levels):
        m, u = numbers[level.name]
        m, u = min(max(m, LEAST_M), MOST_M), min(max(u, LEAST_U), MOST_U)
        if index == 0:
            m = max(m, u)
        if index == len(levels) - 1:
            m = min(m, u)
        m = max(m, u / MOST_AGAINST)
        result[level.name] = (_round(m), _round(u))
    return result


def blended(learned: Numbers, defaults: Numbers, share_m: float, share_u: float) -> Numbers:
    """Learned numbers drawn towards the defaults: weighted geometric means, summing to 1 again.

    A few hundred records hold too few matches to tell the numbers of rare levels; the shares say how far
    what was learned is trusted (1: wholly, and nothing is changed).
    """
    result: Numbers = {}
    for name, levels in learned.items():
        usual = defaults[name]
        drawn: dict[str, tuple[float, float]] = {}
        for level, (m, u) in levels.items():
            if share_m < 1:
                m = max(m, UNSEEN_SHARE * usual[level][0]) ** share_m * usual[level][0] ** (1 - share_m)
            if share_u < 1:
                u = max(u, LEAST_U) ** share_u * usual[level][1] ** (1 - share_u)
            drawn[level] = (m, u)
        sum_m = sum(m for m, _ in drawn.values()) if share_m < 1 else 1.0
        sum_u = sum(u for _, u in drawn.values()) if share_u < 1 else 1.0
        result[name] = {level: (m / sum_m, u / sum_u) for level, (m, u) in drawn.items()}
    return result


def _pair_count(con: duckdb.DuckDBPyConnection, columns: Sequence[str], most: int | None = None) -> int:
    """Pairs that agree on `columns`, with at most `most` records of each block."""
    listed = ", ".join(f'"{c}"' for c in columns)
    filled = " AND ".join(f'"{c}" IS NOT NULL' for c in columns)
    size = "count(*)" if most is None else f"least(count(*), {most})"
    rows = con.execute(
        f"SELECT coalesce(sum(n * (n - 1) // 2), 0)::BIGINT FROM "
        f"(SELECT {size} AS n FROM records WHERE {filled} GROUP BY {listed})"
    ).fetchall()
    return int(rows[0][0])


def _prior(con: duckdb.DuckDBPyConnection, kind: EntityKind, count: int, settings: LinkageSettings) -> float:
    """Probability that two random records match: pairs under strict rules over the rules' recall.

    The best single rule is a lower bound of their union; the sum an upper one. The union is counted
    where it is small enough, else the larger single rule is taken.
    """
    rules = settings.rules_of(kind)
    possible = max(count * (count - 1) / 2, 1.0)
    counts = {columns: _pair_count(con, columns) for columns in rules.prior_rules}
    useful = [columns for columns, pairs in counts.items() if pairs > 0]
    pairs = 0
    if useful and sum(counts.values()) <= 20 * count + 100_000:
        union = " UNION ".join(
            "SELECT a.unique_id AS l, b.unique_id AS r FROM records a JOIN records b ON "
            + " AND ".join(f'a."{c}" = b."{c}"' for c in columns)
            + " AND a.unique_id < b.unique_id"
            for columns in useful
        )
        pairs = int(con.execute(f"SELECT count(*) FROM ({union})").fetchall()[0][0])
    elif useful:
        pairs = max(counts[columns] for columns in useful)
    expected = pairs / rules.prior_recall if pairs else rules.prior * count * 0.1
    return _round(min(max(expected / possible, 1e-9), 0.3))


def train(
    con: duckdb.DuckDBPyConnection,
    kind: EntityKind,
    frame: pl.DataFrame,
    settings: LinkageSettings,
) -> tuple[FrozenModel, list[str]]:
    """Train a model on comparable records and freeze it.

    Parameters
    ----------
    frame
        comparable columns with block columns, generic values removed, sorted by `unique_id`.

    Returns
    -------
    tuple
        the frozen model, and notes on what could not be trained.
    """
    comparisons = comparisons_in_use(kind, frame, settings)
    numbers = default_numbers(comparisons)
    rules = settings.rules_of(kind)
    notes: list[str] = []
    frequencies = _no_frequencies(comparisons)
    prior = _round(min(0.1 * rules.prior / max(frame.height, SMALLEST_BASE), 0.1))
    words: dict[str, Any] = {}
    if kind == "organisation":
        words = {"words": word_frequencies(frame, settings.term_frequency_values)}
        frame = with_word_bits(frame, words["words"])
    if comparisons and frame.height >= settings.min_training_records:
        load(con, "records", _looked_at(kind, frame, comparisons, settings))
        prior = _prior(con, kind, frame.height, settings)
        numbers, trained_by = _estimate(con, kind, frame, comparisons, numbers, prior, settings)
        con.execute("DROP TABLE records")
        expected = prior * frame.height * (frame.height - 1) / 2
        share = expected / (expected + rules.assumed_matches) if rules.assumed_matches else 1.0
        numbers = blended(numbers, default_numbers(comparisons), share, rules.learned_u)
        others = prior * (frame.height - 1)
        own = {
            level.frequency_of: others * numbers[c.name][level.name][0]
            for c in comparisons
            for level in c.levels
            if level.frequency_of is not None and not level.told_apart_by
        }
        frequencies = term_frequencies(frame, dict(sorted(own.items())), settings.term_frequency_values)
        frequencies |= {
            column: namesakes(frame, column, told_apart_by, settings.namesakes)
            for column, told_apart_by in namesake_columns(comparisons).items()
        }
        if not trained_by:
            notes.append(f"{kind} model: too few pairs to learn from, default match shares used")
    else:
        notes.append(f"{kind} model: {frame.height} records are too few to train on, defaults used")
    content = {
        "prior": prior,
        "comparisons": {
            c.name: {level: list(pair) for level, pair in bounded(c, numbers[c.name]).items()}
            for c in comparisons
        },
        "frequencies": frequencies,
        **words,
    }
    return FrozenModel.freeze(kind, content, settings.fingerprint(kind), frame.height), notes


def _levels_sql(comparison: Comparison) -> str:
    """SQL for the position of a pair's level among those that carry weight, -1 where missing."""
    from crm_hygiene.linkage.relaxation import guarded  # brings sqlglot, and most nights do not train

    cases, position = [], 0
    for level in comparison.levels:
        value = -1 if level.is_null else position
        position += 0 if level.is_null else 1
        cases.append(f"ELSE {value}" if level.when == "ELSE" else f"WHEN {guarded(level.when)} THEN {value}")
    return f'CASE {" ".join(cases)} END AS "{comparison.name}"'


def _looked_at(
    kind: EntityKind, frame: pl.DataFrame, comparisons: Sequence[Comparison], settings: LinkageSettings
) -> pl.DataFrame:
    """The columns that training reads, with their letter marks: half of the columns stay where they are."""
    conditions = " ".join(map(_levels_sql, comparisons))
    rules = settings.rules_of(kind)
    named = {"unique_id"}.union(*rules.prior_rules, *rules.training)
    marked = with_marks(frame, conditions)
    return marked.select(
        c for c in marked.columns if c in named or f"{c}_l" in conditions or f"{c}_r" in conditions
    )


def _patterns(
    con: duckdb.DuckDBPyConnection, comparisons: Sequence[Comparison], columns: Sequence[str], pairs: str
) -> Patterns:
    """Agreement patterns of the pairs (`l`, `r`) that the query `pairs` gives."""
    levels = [_levels_sql(c) for c in comparisons]
    conditions = " ".join(levels)
    needed = [c for c in columns if f"{c}_l" in conditions]
    sides = ", ".join(f'{side}."{c}" AS "{c}_{side}"' for c in needed for side in "lr")
    names = ", ".join(f'"{c.name}"' for c in comparisons)
    counted = fetch(
        con,
        f"SELECT {names}, count(*) AS pairs FROM ("
        f"SELECT {', '.join(levels)} FROM ("
        f"SELECT {sides} FROM ({pairs}) p "
        "JOIN records l ON l.unique_id = p.l JOIN records r ON r.unique_id = p.r"
        f")) GROUP BY {names}",
    )
    return Patterns.of(counted, comparisons)


def _random_pairs(con: duckdb.DuckDBPyConnection, count: int, settings: LinkageSettings) -> str:
    """Query for random pairs; all pairs where there are not more than asked for."""
    wanted = min(settings.random_pairs, PAIRS_OF_A_RECORD * count)
    if count * (count - 1) // 2 <= wanted:
        both = "records l JOIN records r ON l.unique_id < r.unique_id"
        return f"SELECT l.unique_id AS l, r.unique_id AS r FROM {both}"
    drawn = np.random.default_rng(settings.seed).integers(0, count, size=(2, wanted))
    frame = pl.DataFrame({"l": drawn.min(axis=0), "r": drawn.max(axis=0)})
    load(con, "random_pairs", frame.filter(pl.col("l") < pl.col("r")).unique().sort("l", "r"))
    return "SELECT l, r FROM random_pairs"


def _block_pairs(columns: Sequence[str], pairs: int, settings: LinkageSettings) -> str:
    """Query for pairs that agree on `columns`: of a large block some records, of all pairs a sample."""
    listed = ", ".join(f'"{c}"' for c in columns)
    filled = " AND ".join(f'"{c}" IS NOT NULL' for c in columns)
    same = " AND ".join(f'a."{c}" = b."{c}"' for c in columns)
    million = 1_000_000
    share = round(million * min(1.0, settings.training_pairs / pairs))
    return (
        f"WITH kept AS (SELECT unique_id, {listed} FROM records WHERE {filled} QUALIFY "
        f"row_number() OVER (PARTITION BY {listed} ORDER BY hash(unique_id), unique_id) <= {BLOCK_RECORDS}) "
        f"SELECT a.unique_id AS l, b.unique_id AS r FROM kept a JOIN kept b "
        f"ON {same} AND a.unique_id < b.unique_id "
        f"WHERE hash(a.unique_id, b.unique_id) % {million} < {share}"
    )


def _estimate(
    con: duckdb.DuckDBPyConnection,
    kind: EntityKind,
    frame: pl.DataFrame,
    comparisons: Sequence[Comparison],
    defaults: Numbers,
    prior: float,
    settings: LinkageSettings,
) -> tuple[Numbers, list[str]]:
    """m and u by comparison and level, and the training rules that taught something."""
    columns_there = [row[0] for row in con.execute("DESCRIBE records").fetchall()]
    random = _patterns(con, comparisons, columns_there, _random_pairs(con, frame.height, settings))
    sessions: dict[tuple[str, ...], Patterns] = {}
    for columns in settings.rules_of(kind).training:
        pairs = _pair_count(con, columns, BLOCK_RECORDS)
        if pairs >= settings.min_training_pairs:
            query = _block_pairs(columns, pairs, settings)
            sessions[columns] = _patterns(con, comparisons, columns_there, query)
    numbers = _joined(defaults, {}, learn_non_matches(random, comparisons, defaults, defaults, None))
    taught: set[str] = set()
    for _ in range(TRAINING_ROUNDS):
        sums: dict[str, dict[str, float]] = {}
        weights: dict[str, float] = {}
        for columns, patterns in sessions.items():
            aside = [c.name for c in comparisons if set(c.columns) & set(columns)]
            found, seen, matches = learn_matches(patterns, comparisons, numbers, defaults, aside)
            if matches < settings.min_training_pairs / 2:
                continue
            taught.add(" and ".join(columns))
            for name, levels in found.items():
                weight = min(seen[name], MOST_SESSION_MATCHES)
                weights[name] = weights.get(name, 0.0) + weight
                total = sums.setdefault(name, dict.fromkeys(levels, 0.0))
                for level, m in levels.items():
                    total[level] += weight * m
        learned = {
            name: {level: value / weights[name] for level, value in levels.items()}
            for name, levels in sums.items()
            if weights[name] > 0
        }
        numbers = _bounded_all(comparisons, _joined(numbers, learned, {}))
        without = learn_non_matches(random, comparisons, numbers, defaults, prior)
        numbers = _bounded_all(comparisons, _joined(numbers, {}, without))
    return numbers, sorted(taught)


def _joined(
    numbers: Numbers, m: Mapping[str, Mapping[str, float]], u: Mapping[str, Mapping[str, float]]
) -> Numbers:
    """`numbers` with the m and u that were learned."""
    return {
        name: {
            level: (m.get(name, {}).get(level, old[0]), u.get(name, {}).get(level, old[1]))
            for level, old in levels.items()
        }
        for name, levels in numbers.items()
    }


def _bounded_all(comparisons: Sequence[Comparison], numbers: Numbers) -> Numbers:
    return {c.name: bounded(c, numbers[c.name]) for c in comparisons}


def tf_lookup(con: duckdb.DuckDBPyConnection, column: str, frequencies: dict[str, Any]) -> pl.DataFrame:
    """Frozen frequencies for the values present in table `records`, the floor for those unknown.

    Returns
    -------
    polars.DataFrame
        `column` and `tf_<column>`, one row per present value.
    """
    values: dict[str, float] = frequencies["values"]
    known = pl.DataFrame(
        {column: list(values), f"tf_{column}": list(values.values())},
        schema={column: pl.String, f"tf_{column}": pl.Float64},
    )
    present = fetch(con, f'SELECT DISTINCT "{column}" FROM records WHERE "{column}" IS NOT NULL')
    return (
        present.with_columns(pl.col(column).cast(pl.String))
        .join(known, on=column, how="left")
        .with_columns(pl.col(f"tf_{column}").fill_null(float(frequencies["floor"])))
        .sort(column)
    )
