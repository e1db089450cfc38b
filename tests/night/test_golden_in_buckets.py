"""Golden held whole and golden built, gated and published a bucket of entities at a time are the same."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assets import golden as assets
from assets.publication import run_step
from crm_hygiene.config import load_config
from crm_hygiene.contract import contract_of
from crm_hygiene.golden import Golden, of_lake
from crm_hygiene.night import Night

from .project import Project

IN_BUCKETS = ("golden.contacts", "golden.accounts", "golden.relationships")


def anew(project: Project, patch: pytest.MonkeyPatch, size: int) -> Night:
    """The night after golden was made from nothing, `size` entities at a time."""
    shutil.rmtree(project.folder / "lake" / "golden")
    night = Night.open(load_config(project.folder / "hygiene.yaml"))
    patch.setattr(of_lake, "entities_within", lambda _: size)
    list(run_step(night, logging.getLogger(), assets.golden_step()))
    return night


def read(night: Night, table: str) -> pl.DataFrame:
    contract = contract_of(table)
    return night.lake.read(contract).sort(contract.key)


def test_buckets_change_no_row_and_tell_the_same_content(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Night.open(load_config(project.folder / "hygiene.yaml"))
    expected = {table: read(first, table) for table in assets.TABLES}
    told = {table: first.lake.metadata(table)["content"] for table in IN_BUCKETS}
    assert expected["golden.contacts"].height > 7
    night = anew(project, monkeypatch, 7)
    for table, rows in expected.items():
        assert_frame_equal(read(night, table), rows)
    assert {table: night.lake.metadata(table)["content"] for table in IN_BUCKETS} == told


@pytest.mark.long
def test_a_refused_row_is_set_aside_in_buckets_as_in_a_whole_table(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = of_lake.golden_of

    def spoilt(night: Night) -> Golden:
        golden = whole(night)

        def spoil(rows: Callable[[], pl.DataFrame]) -> Callable[[], pl.DataFrame]:
            is_third = pl.col("entity_id") == third
            return lambda: rows().with_columns(
                pl.when(~is_third).then("email_consent").alias("email_consent")
            )

        third = golden.contacts["entity_id"][2]
        rows = tuple(spoil(part) for part in golden.persons.rows)
        return replace(golden, persons=replace(golden.persons, rows=rows))

    monkeypatch.setattr(assets, "golden_of", spoilt)
    found = []
    for size in (1_000, 1):
        night = anew(project, monkeypatch, size)
        refused = read(night, "quality.quarantine").filter(pl.col("table_name") == "golden.contacts")
        found.append((read(night, "golden.contacts"), refused.drop("run_id", "quarantined_at", strict=False)))
    (held, aside), (in_parts, aside_in_parts) = found
    assert aside.height == 1
    assert_frame_equal(in_parts, held)
    assert_frame_equal(aside_in_parts, aside)
