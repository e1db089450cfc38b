"""A table conformed, gated and published in parts is the one that was so as a whole."""

from __future__ import annotations

import gc
import logging
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import dagster as dg
import polars as pl
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from assets import conformed, gating, publication
from assets.gate_log import GATES
from assets.publication import run_step
from crm_hygiene.config import Config
from crm_hygiene.conform import REFUSED_COLUMNS, build, conform_parts, conform_table, parts
from crm_hygiene.conform.document_lines import DOCUMENT_OF
from crm_hygiene.contract import Check, Contract, contract_of
from crm_hygiene.landing import land_source, landing_contract
from crm_hygiene.night import Night
from expectations import engine

TABLES = ("interactions", "people")
_NO_EVENTS = Check(
    expectation="expect_column_values_to_not_be_in_set",
    arguments={"column": "interaction_kind", "value_set": ["event"]},
    severity="critical",
    because="For a test.",
)
QUARANTINE = contract_of("quality.quarantine")
HEADER = "id,mail,subject,happened,changed"
# Two records of a landed row, which may be the same one; and a source that tells everything every time.
OWN = {
    "calls": """
source: calls
system: calls
object: call
files: ["calls/*.csv"]
required: [id]
taught: Calls.
tables:
  interactions:
    - when: {column: subject, not_in: [nothing]}
      record_id: id
      channel: {constant: phone}
      interaction_kind: {constant: call}
      email: mail
      subject: subject
      occurred_at: happened
    - record_id: mail
      channel: {constant: phone}
      interaction_kind: {constant: call}
      subject: changed
      occurred_at: happened
  people:
    - when: {column: subject, not_in: [nothing]}
      record_id: id
      person_kind: {constant: contact}
      email: mail
      full_name: subject
      created_at: happened
      modified_at: changed
    - record_id: mail
      person_kind: {constant: lead}
      full_name: changed
      created_at: happened
""",
    "visits": """
source: visits
system: visits
object: visit
delivery: snapshot
files: ["visits/*.csv"]
required: [id]
taught: Visits.
tables:
  interactions:
    record_id: id
    channel: {constant: in_person}
    interaction_kind: {constant: meeting}
    email: mail
    subject: subject
    occurred_at: happened
  people:
    record_id: id
    person_kind: {constant: contact}
    email: mail
    full_name: subject
    created_at: happened
""",
}


def _night(folder: Path, number: int) -> Night:
    (folder / "own").mkdir(parents=True, exist_ok=True)
    for name, text in OWN.items():
        (folder / "own" / f"{name}.yaml").write_text(text, encoding="utf-8")
    config = Config.model_validate({"base": folder, "sources": {"folders": ["own"]}})
    night = Night.open(config, run_id=f"run {number}")
    night.started_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
    return night


def _land(night: Night, number: int, chance: Random) -> None:
    made = {
        "calls": ("calls/calls", HEADER),
        "visits": ("visits/visits", HEADER),
        "marketing_events": ("marketing/events", "event_id,email,subject,occurred_at,type"),
    }
    for source, (stem, header) in made.items():
        if number and chance.random() < 0.3:
            continue
        rows = [
            [
                chance.choice(["", " a ", "a", "b", "c", *map(str, range(9))]),
                chance.choice(["", "a", "x@y.example", "z@y.example"]),
                chance.choice(["nothing", "hello", "n/a"]),
                # Rows of the years 9999 and 1066 are refused, and the record's next best row is found.
                chance.choice(["2024-01-01", "2024-01-02T00:00:00Z", "9999-01-01", "1066-01-01", "soon", ""]),
                chance.choice(["open", "click", "sent", "", "2024-01-03", "2024-01-04T00:00:00Z"]),
            ]
            for _ in range(chance.randint(0 if number else 1, 8))
        ]
        path = night.config.landing_folder / f"{stem}_{number}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n", encoding="utf-8")
        land_source(night, night.mappings[source], [path])


@contextmanager
def _tiny(chance: Random) -> Iterator[None]:
    with (
        mock.patch.object(parts, "_HELD_ROWS", 0),
        mock.patch.object(parts, "_PART_ROWS", chance.randint(1, 5)),
        mock.patch.object(parts, "_CONFORMED_ROWS", chance.randint(1, 5)),
        mock.patch.object(parts, "_KEY_ROWS", chance.randint(1, 5)),
        mock.patch.object(parts, "_COMPARED_ROWS", chance.randint(1, 4)),
        mock.patch.object(gating, "_TOGETHER_ROWS", chance.randint(3, 9)),
    ):
        yield


@contextmanager
def _whole() -> Iterator[None]:
    with mock.patch.object(conformed, "landing_versions", return_value=None):
        yield


def _conform(night: Night, table: str) -> list[Any]:
    step = conformed._step(table, night.mappings)
    return list(run_step(night, logging.getLogger(), step))


def _sorted(frame: pl.DataFrame) -> list[Any]:
    return sorted(frame.rows(), key=repr)


def _checks(told: list[Any]) -> list[Any]:
    return [
        (found.check_name, found.passed, found.severity, {k: v.value for k, v in found.metadata.items()})
        for found in told
        if isinstance(found, dg.AssetCheckResult)
    ]


@pytest.mark.parametrize("table", TABLES)
@settings(max_examples=examples(8))
@given(seed=st.integers(0, 10**6))
def test_parts_are_the_whole(table: str, seed: int) -> None:
    empty = contract_of(f"conformed.{table}").empty()
    chance = Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(chance.randint(1, 4)):
            _land(_night(folder, number), number, chance)
        night = _night(folder, 9)
        whole = conform_table(night, table)
        with _tiny(chance):
            found = list(conform_parts(night, table))
        assert _sorted(pl.concat([empty, *found])) == _sorted(whole)
        places = [part.select("source", "record_id").drop_nulls().unique() for part in found]
        together = pl.concat([empty.select("source", "record_id"), *places])
        assert not together.is_duplicated().any()


_DIALLED = """
source: dialled
system: calls
object: call
files: ["dialled.csv"]
required: [id]
taught: Numbers of no country.
tables:
  people:
    record_id: id
    person_kind: {constant: contact}
    phone: phone
"""


def test_a_part_is_let_go_though_a_library_keeps_its_exceptions(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "dialled.yaml").write_text(_DIALLED, encoding="utf-8")
    night = _night(tmp_path, 0)
    path = night.config.landing_folder / "dialled.csv"
    path.parent.mkdir(parents=True)
    path.write_text("id,phone\n" + "".join(f"{n},+999 1234 {n}\n" for n in range(4)), encoding="utf-8")
    land_source(night, night.mappings["dialled"], [path])
    made = []
    gc.disable()  # as good as: nights look for garbage rarely
    try:
        with mock.patch.object(parts, "_PART_ROWS", 1), mock.patch.object(parts, "_CONFORMED_ROWS", 1):
            for part in conform_parts(night, "people"):
                made.append(weakref.ref(part))
                del part
                assert all(ref() is None for ref in made[:-1])
    finally:
        gc.enable()
    assert len(made) == 4


@pytest.mark.long
@pytest.mark.parametrize("table", TABLES)
@settings(max_examples=examples(2))
@given(seed=st.integers(0, 10**6))
def test_nights_in_parts_are_nights_of_whole_tables(table: str, seed: int) -> None:
    contract = contract_of(f"conformed.{table}")
    chance = Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder, other = Path(name) / "parts", Path(name) / "whole"
        for number in range(3):
            state = chance.getstate()
            whole = _night(other, number)
            _land(whole, number, chance)
            with _whole():
                checks = _checks(_conform(whole, table))
            chance.setstate(state)
            night = _night(folder, number)
            _land(night, number, chance)
            with _tiny(chance):
                told = _checks(_conform(night, table))
            assert night.lake.read(contract).equals(whole.lake.read(contract))
            assert night.lake.state(contract.table) == whole.lake.state(contract.table)
            assert night.lake.read(QUARANTINE).equals(whole.lake.read(QUARANTINE))
            assert told == checks
        _nothing_is_lost(night, table)


def _nothing_is_lost(night: Night, table: str) -> None:
    """Every landed row is conformed, superseded by a newer one of its record, or in quarantine."""
    contract = contract_of(f"conformed.{table}")
    mine = night.lake.read(contract).select("source", "record_id", "file", "row_number", "landed_at")
    refused = night.lake.read(QUARANTINE).filter(pl.col("table_name") == contract.table)
    known = pl.concat([mine, refused.select("source", "record_id")], how="diagonal")
    for source in ("calls", "visits", "marketing_events"):
        mapping = night.mappings[source]
        if table not in mapping.tables:
            continue
        raw = build.raw_rows(build.landed_rows(night, mapping, table), mapping, table).collect()
        assert (
            raw.filter(pl.col("record_id").is_not_null())
            .join(known.filter(pl.col("source") == source), on="record_id", how="anti")
            .is_empty()
        )
        nameless = raw.filter(pl.col("record_id").is_null()).height
        assert refused.filter(pl.col("source") == source, pl.col("record_id").is_null()).height == nameless
        landed = night.lake.scan(landing_contract(mapping)).select("_file", "_row_number").collect()
        placed = mine.filter(pl.col("source") == source).select(_file="file", _row_number="row_number")
        assert placed.join(landed, on=["_file", "_row_number"], how="anti").is_empty()


def test_a_part_that_is_stopped_leaves_the_last_version_live(tmp_path: Path) -> None:
    interactions = contract_of("conformed.interactions")

    def told(folder: Path) -> tuple[list[Any], str | None]:
        night = _night(folder, 0)
        _land(night, 0, Random(1))
        _conform(night, "interactions")
        before, version = night.lake.read(interactions), night.lake.version(interactions.table)
        own = folder / "own" / "events.yaml"
        text = OWN["calls"].replace("source: calls", "source: events").replace("calls/*", "events/*")
        own.write_text(
            text.replace("interaction_kind: {constant: call}", "interaction_kind: {constant: event}")
        )
        night = _night(folder, 1)
        path = night.config.landing_folder / "events" / "events.csv"
        path.parent.mkdir(parents=True)
        rows = [f"{n},m{n},s,{'9999' if n % 3 else '2024'}-01-01,c" for n in range(9)]
        path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
        land_source(night, night.mappings["events"], [path])
        step = conformed._step("interactions", night.mappings)
        found: list[Any] = []
        with pytest.raises(dg.Failure) as stopped:
            found.extend(run_step(night, logging.getLogger(), step))
        assert night.lake.read(interactions).equals(before)
        assert night.lake.version(interactions.table) == version
        assert not any(isinstance(one, dg.MaterializeResult) for one in found)
        gates = night.lake.read(contract_of(GATES)).filter(pl.col("run_id") == "run 1")
        assert gates.filter(~pl.col("is_passed"))["column_name"].to_list()
        refused = night.lake.read(QUARANTINE).filter(pl.col("source") == "events")
        return [_checks(found), refused.rows(), gates.rows()], stopped.value.description

    def stricter(table: str) -> Contract:
        contract = contract_of(table)
        if table != interactions.table:
            return contract
        return contract.model_copy(update={"checks": (*contract.checks, _NO_EVENTS)})

    with mock.patch.object(publication, "contract_of", stricter):
        with _tiny(Random(3)):
            in_parts = told(tmp_path / "parts")
        with _whole():
            whole = told(tmp_path / "whole")
    assert in_parts == whole
    assert "interaction_kind" in str(whole[1])


@pytest.mark.parametrize("table", sorted(parts.SEPARABLE))
def test_gates_of_parts_can_say_what_the_gate_of_the_whole_says(table: str) -> None:
    contract = contract_of(f"conformed.{table}")
    assert contract.key == ("source", "record_id")
    # Rows that are kept are not asked again: a note on them would be lost.
    assert "info" not in {check.severity for check in contract.all_checks()}
    assert set(REFUSED_COLUMNS) <= set(contract.column_names)
    alone = [check for check in contract.all_checks() if not engine.is_row_local(check)]
    assert [check.expectation for check in alone] == ["expect_compound_columns_to_be_unique"]
    assert alone[0].arguments == {"column_list": list(contract.key)}


def test_only_what_is_large_and_separable_is_streamed(tmp_path: Path) -> None:
    night = _night(tmp_path, 0)
    assert not parts.is_streamed(night, "people")
    _land(night, 0, Random(1))
    rows = [night.lake.statistics(f"landing.{source}") for source in ("calls", "visits")]
    # Of a row of calls there may be two records.
    landed = sum(n * found.row_count for n, found in zip((2, 1), rows, strict=True) if found)
    with mock.patch.object(parts, "_HELD_ROWS", landed):
        assert not parts.is_streamed(night, "people")
    with mock.patch.object(parts, "_HELD_ROWS", landed - 1):
        assert parts.is_streamed(night, "people")
    with mock.patch.object(parts, "_HELD_ROWS", -1):
        assert not parts.is_streamed(night, "payments")
    assert not parts.SEPARABLE & {"payments", build.STATEMENTS, *DOCUMENT_OF}
