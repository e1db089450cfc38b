"""Training: u by random sampling, m by expectation maximisation, then bounded, ordered and rounded.

Fellegi and Sunter (1969) define m and u; Splink estimates them. Small or one-sided data cannot teach
them: there the documented defaults of `rules.yaml` hold, level by level. Runs on one thread with a
fixed seed, so that the same records give the same model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import duckdb
import polars as pl

from crm_hygiene.linkage.connection import fetch, load, quiet_splink, single_thread
from crm_hygiene.linkage.model import FrozenModel
from crm_hygiene.linkage.organisation_words import with_word_bits, word_frequencies
from crm_hygiene.linkage.recipe import (
    Numbers,
    comparisons_in_use,
    default_numbers,
    frequency_columns,
    splink_settings,
)
from crm_hygiene.linkage.settings import Comparison, EntityKind, LinkageSettings

LEAST_M, MOST_M = 1e-4, 0.9999
LEAST_U, MOST_U = 1e-7, 0.9999
# A non-match share estimated from random pairs includes true pairs; never take away more than this share.
LEAST_KEPT = 0.02

# Of a level's default m, what is left when matches were seen and none fell into it.
UNSEEN_SHARE = 0.1
# Splink samples a training rule's pairs after a probing pass; about this many pairs are enough for it.
PROBED_PAIRS = 2_000_000
# With too few records to count anything, the chance of a match is taken as in a base of this many records.
SMALLEST_BASE = 1000


def _round(value: float) -> float:
    return float(f"{value:.6g}")


def term_frequencies(
    frame: pl.DataFrame, columns: Sequence[str], most_values: int
) -> dict[str, dict[str, Any]]:
    """Share of the filled records that hold each value, for the commonest values of each column.

    Returns
    -------
    dict
        {column: {"floor": share taken for any other value, "values": {value: share}}}
    """
    found: dict[str, dict[str, Any]] = {}
    for column in columns:
        counted = (
            frame.select(pl.col(column).drop_nulls())
            .group_by(column)
            .len()
            .sort(["len", column], descending=[True, False])
        )
        total = int(counted["len"].sum() or 0)
        common = counted.filter(pl.col("len") > 1).head(most_values)
        rest = counted.join(common, on=column, how="anti")
        floor = (int(rest["len"].sum()) / rest.height if rest.height else 1) / max(total, 1)
        found[column] = {
            "floor": _round(floor),
            "values": {value: _round(count / total) for value, count in sorted(common.iter_rows())},
        }
    return found


def _no_frequencies(comparisons: Sequence[Comparison]) -> dict[str, dict[str, Any]]:
    """Frequencies that adjust nothing: a handful of records cannot tell a rare name from a common one."""
    return {
        level.frequency_of: {"floor": level.u, "values": {}}
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
        result[level.name] = (_round(m), _round(u))
    return result


def _learned(linker: Any, comparisons: Sequence[Comparison], start: Numbers, defaults: Numbers) -> Numbers:
    """Trained m and u by level.

    Splink leaves a level at its start where training never saw it among matches. If the comparison's
    other levels were trained, that level is rare among matches, not as common as its default says.
    """
    document = linker.misc.save_model_to_json(None)
    by_name = {c["output_column_name"]: c["comparison_levels"] for c in document["comparisons"]}
    numbers: Numbers = {}
    for comparison in comparisons:
        if comparison.name not in by_name:
            # A session that Splink breaks off leaves out the comparisons it had set aside for it.
            numbers[comparison.name] = dict(start[comparison.name])
            continue
        entries = {
            level.name: (float(entry["m_probability"]), float(entry["u_probability"]))
            for level, entry in zip(comparison.levels, by_name[comparison.name], strict=True)
            if not level.is_null
        }
        begun, usual = start[comparison.name], defaults[comparison.name]
        is_trained = any(m != begun[name][0] for name, (m, _) in entries.items())
        numbers[comparison.name] = {
            name: (min(m, UNSEEN_SHARE * usual[name][0]) if is_trained and m == begun[name][0] else m, u)
            for name, (m, u) in entries.items()
        }
    return numbers


def _without_true_pairs(sampled: Numbers, learned: Numbers, share: float) -> Numbers:
    """Take the true pairs out of a random sample's level shares: u = (p - share * m) / (1 - share).

    Random pairs hold true pairs in the proportion `share`; on small or much duplicated data they are
    most of the pairs that agree on a rare value, and would make that agreement look common.
    """
    cleaned: Numbers = {}
    for name, levels in learned.items():
        cleaned[name] = {}
        for level, (m, _) in levels.items():
            p = sampled[name][level][1]
            cleaned[name][level] = (m, max((p - share * m) / (1 - share), LEAST_KEPT * p))
    return cleaned


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


def _pair_count(con: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> int:
    listed = ", ".join(f'"{c}"' for c in columns)
    filled = " AND ".join(f'"{c}" IS NOT NULL' for c in columns)
    rows = con.execute(
        f"SELECT coalesce(sum(n * (n - 1) // 2), 0)::BIGINT FROM "
        f"(SELECT count(*) AS n FROM records WHERE {filled} GROUP BY {listed})"
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
        load(con, "records", frame)
        prior = _prior(con, kind, frame.height, settings)
        with single_thread(con, settings), quiet_splink():
            frequencies = term_frequencies(
                frame, frequency_columns(comparisons), settings.term_frequency_values
            )
            numbers, trained_by = _estimate(con, kind, comparisons, numbers, prior, settings)
        con.execute("DROP TABLE records")
        expected = prior * frame.height * (frame.height - 1) / 2
        share = expected / (expected + rules.assumed_matches) if rules.assumed_matches else 1.0
        numbers = blended(numbers, default_numbers(comparisons), share, rules.learned_u)
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


def _estimate(
    con: duckdb.DuckDBPyConnection,
    kind: EntityKind,
    comparisons: Sequence[Comparison],
    defaults: Numbers,
    prior: float,
    settings: LinkageSettings,
) -> tuple[Numbers, list[str]]:
    from splink import DuckDBAPI, Linker, block_on
    from splink.internals.exceptions import SplinkException

    counts = {columns: _pair_count(con, columns) for columns in settings.rules_of(kind).training}
    usable = {columns: pairs for columns, pairs in counts.items() if pairs >= settings.min_training_pairs}

    def fit(start: Numbers, sample: bool) -> tuple[Numbers, Numbers, list[str]]:
        linker = Linker(
            DuckDBAPI(con).register("records"), splink_settings(comparisons, start, prior, []), log_level=None
        )
        if sample:
            linker.training.estimate_u_using_random_sampling(
                max_pairs=settings.random_pairs, seed=settings.seed, min_count_per_level=None, num_chunks=1
            )
        sampled = _learned(linker, comparisons, start, defaults)
        done = []
        for columns, pairs in usable.items():
            # Splink sets comparisons aside for a session and, where it breaks off, does not put them back.
            core: Any = linker._settings_obj.core_model_settings
            before = core.copy()
            try:
                linker.training.estimate_parameters_using_expectation_maximisation(
                    block_on(*columns),
                    max_pairs=settings.training_pairs,
                    record_sample_proportion=min(1.0, math.sqrt(PROBED_PAIRS / pairs)),
                    # Rounds then count agreement patterns, a few hundred, and not every pair anew.
                    estimate_without_term_frequencies=True,
                )
            except (SplinkException, ValueError, ZeroDivisionError, duckdb.Error):
                linker._settings_obj.core_model_settings = before
                continue
            done.append(" and ".join(columns))
        return sampled, _learned(linker, comparisons, start, defaults), done

    sampled, learned, done = fit(defaults, sample=True)
    cleaned = _without_true_pairs(sampled, learned, prior)
    cleaned = {c.name: bounded(c, cleaned[c.name]) for c in comparisons}
    _, learned, done = fit(cleaned, sample=False)
    cleaned = _without_true_pairs(sampled, learned, prior)
    return cleaned, done


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
