"""The bare job as a plain script with the same libraries: `python -m bench.plain_night FOLDER RESULT.json`.

Reads the exports of `FOLDER/landing` with Polars, standardises simply, writes Delta, links people and
organisations with Splink (same comparisons, same candidate pairs, Splink's own training), clusters, writes
Delta again. No contracts, gates, provenance, register, questions or golden records: what the night is
measured against. Writes seconds of wall and CPU of each part and the pairs scored.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from bench.plain_exports import ORGANISATIONS, OTHERS, PEOPLE, read_exports, standardised, text_rows
from crm_hygiene.linkage.blocking import Blocking, blocking
from crm_hygiene.linkage.comparable import comparable, with_block_columns
from crm_hygiene.linkage.connection import MACROS, quiet_splink
from crm_hygiene.linkage.organisation_words import with_word_bits, word_frequencies
from crm_hygiene.linkage.recipe import comparisons_in_use, default_numbers, splink_settings
from crm_hygiene.linkage.scoring import compared_columns
from crm_hygiene.linkage.settings import EntityKind, LinkageSettings

MEMORY_LIMIT = "6GB"
SEED = 1

Parts = dict[str, dict[str, float]]


def cpu_seconds() -> float:
    """User and system seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def part(parts: Parts, name: str) -> Iterator[None]:
    """Add wall and CPU seconds of what runs inside to `parts[name]`."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    try:
        yield
    finally:
        found = parts.setdefault(name, {"wall_s": 0.0, "cpu_s": 0.0})
        found["wall_s"] = round(found["wall_s"] + time.perf_counter() - wall, 2)
        found["cpu_s"] = round(found["cpu_s"] + cpu_seconds() - cpu, 2)


def columns_of_recipe(
    kind: EntityKind, records: pl.DataFrame, settings: LinkageSettings
) -> tuple[pl.DataFrame, Blocking]:
    """The columns that the recipe compares and blocks by, with the keys of the rules within their budget."""
    frame = with_block_columns(kind, comparable(kind, records))
    if kind == "organisation":
        frame = with_word_bits(frame, word_frequencies(frame, settings.term_frequency_values))
    blocks = blocking(kind, frame, settings)
    return pl.concat([frame, blocks.columns], how="horizontal"), blocks


def linker_of(
    con: duckdb.DuckDBPyConnection,
    kind: EntityKind,
    frame: pl.DataFrame,
    blocks: Blocking,
    settings: LinkageSettings,
) -> Any:
    """Splink's linker with the recipe's comparisons, starting from their documented numbers."""
    from splink import DuckDBAPI, Linker, block_on

    comparisons = comparisons_in_use(kind, frame, settings)
    prior = settings.rules_of(kind).prior / max(frame.height, 1000)
    creator = splink_settings(comparisons, default_numbers(comparisons), prior, with_parts=False)
    creator.blocking_rules_to_generate_predictions = [block_on(column) for column in blocks.rules]
    trained = [c for columns in settings.rules_of(kind).training for c in columns]
    strict = [c for columns in settings.rules_of(kind).prior_rules for c in columns]
    needed = {*compared_columns(frame, comparisons), *trained, *strict, *blocks.rules, "unique_id"}
    rows = frame.select(c for c in frame.columns if c in needed)
    return Linker(DuckDBAPI(con).register(rows.to_arrow()), creator, log_level=None, validate_settings=False)


def train(linker: Any, kind: EntityKind, settings: LinkageSettings) -> list[str]:
    """Splink's training by the recipe's rules; returns the sessions that failed."""
    from splink import block_on

    rules = settings.rules_of(kind)
    training = linker.training
    training.estimate_probability_two_random_records_match(
        [block_on(*columns) for columns in rules.prior_rules], recall=rules.prior_recall
    )
    training.estimate_u_using_random_sampling(max_pairs=settings.random_pairs, seed=SEED)
    failed = []
    for columns in rules.training:
        try:
            training.estimate_parameters_using_expectation_maximisation(block_on(*columns))
        except Exception as error:  # a session without pairs; Splink has no type of its own for it
            failed.append(f"{' and '.join(columns)}: {type(error).__name__}")
    return failed


def link(
    kind: EntityKind, records: pl.DataFrame, settings: LinkageSettings, parts: Parts, spill: Path
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Link the records of a kind; `source`, `record_id`, `entity_id`, and what was counted."""
    with part(parts, "recipe columns"):
        frame, blocks = columns_of_recipe(kind, records, settings)
    con = duckdb.connect()
    con.execute("SET lambda_syntax='ENABLE_SINGLE_ARROW'")
    con.execute(f"SET memory_limit='{MEMORY_LIMIT}'")
    con.execute(f"SET temp_directory='{spill}'")
    for macro in MACROS:
        con.execute(f"CREATE MACRO {macro}")
    with quiet_splink():
        with part(parts, "training"):
            linker = linker_of(con, kind, frame, blocks, settings)
            failed = train(linker, kind, settings)
        with part(parts, "predicting"):
            predicted = linker.inference.predict(threshold_match_probability=settings.review_low)
        with part(parts, "clustering"):
            clustered = linker.clustering.cluster_pairwise_predictions_at_threshold(
                predicted, threshold_match_probability=settings.threshold
            )
            members = pl.from_arrow(
                con.sql(f"SELECT unique_id, cluster_id FROM {clustered.physical_name}").to_arrow_table()
            )
            assert isinstance(members, pl.DataFrame)
            pairs = int(con.execute(f"SELECT count(*) FROM {predicted.physical_name}").fetchall()[0][0])
            found = frame.select("source", "record_id", "unique_id").join(members, on="unique_id")
    counts = {
        "records": frame.height,
        "pairs_proposed": sum(blocks.pairs.values()),
        "pairs_kept": pairs,
        "rules": len(blocks.rules),
        "failed_sessions": failed,
    }
    con.close()
    return found.select("source", "record_id", entity_id="cluster_id"), counts


def run(folder: Path, lake: Path) -> dict[str, Any]:
    """The whole job on `folder`, tables below `lake`; seconds by part and counts by kind."""
    parts: Parts = {}
    counts: dict[str, Any] = {}
    settings = LinkageSettings()
    landing = folder / "landing"
    kinds: dict[EntityKind, Any] = {"person": PEOPLE, "organisation": ORGANISATIONS}
    for file in OTHERS:
        with part(parts, "reading"):
            rows = text_rows(landing / file)
        with part(parts, "writing"):
            rows.write_delta(str(lake / file.replace("/", "_").removesuffix(".csv")), mode="overwrite")
    for kind, exports in kinds.items():
        with part(parts, "reading"):
            rows = read_exports(landing, exports)
        with part(parts, "standardising"):
            records = standardised(rows)
        with part(parts, "writing"):
            records.write_delta(str(lake / kind), mode="overwrite")
        with part(parts, "linkage"):
            members, counts[kind] = link(kind, records, settings, parts, lake)
        with part(parts, "writing"):
            members.write_delta(str(lake / f"{kind}_members"), mode="overwrite")
    return {"parts": parts, "linked": counts}


def main(arguments: list[str] | None = None) -> None:
    """Run the job of the folder given first and write its figures to the path given second."""
    folder, result = (Path(a) for a in (sys.argv[1:3] if arguments is None else arguments))
    wall, cpu = time.perf_counter(), cpu_seconds()
    with tempfile.TemporaryDirectory(dir=folder) as lake:
        found = run(folder, Path(lake))
    found |= {
        "wall_s": round(time.perf_counter() - wall, 2),
        "cpu_s": round(cpu_seconds() - cpu, 2),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }
    result.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
