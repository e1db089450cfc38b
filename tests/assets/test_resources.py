"""Runs that Dagster starts by itself hold the lake as those of the command line do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.job import JOB, build_defs
from crm_hygiene.config import load_config
from crm_hygiene.errors import LakeError
from crm_hygiene.landing import LandedSource, land_source
from crm_hygiene.night_lock import night_lock

_SOURCE = [dg.AssetKey(["landing", "erp_receipts"])]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    config = tmp_path / "hygiene.yaml"
    config.write_text(f"landing:\n  folder: {tmp_path}/landing\nlake:\n  uri: {tmp_path}/lake\n")
    (tmp_path / "landing").mkdir()
    return config


def _run(project: Path, *, is_held: bool = False) -> dg.ExecuteInProcessResult:
    definitions = build_defs(load_config(project), project, is_held=is_held)
    with dg.DagsterInstance.ephemeral() as instance:
        return definitions.resolve_job_def(JOB).execute_in_process(
            instance=instance, asset_selection=_SOURCE, raise_on_error=False
        )


def test_a_run_waits_for_no_other_and_does_nothing_beside_it(project: Path) -> None:
    with night_lock(str(project.parent / "lake")):
        beside = _run(project)
    assert not beside.success
    told = " ".join(str(event.event_specific_data) for event in beside.all_events if event.is_failure)
    assert "another night is running" in told
    assert not [event for event in beside.all_events if event.is_step_start]
    assert _run(project).success


def test_the_lake_is_held_while_the_steps_run_and_free_again_after(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []

    def ask(*given: Any) -> LandedSource:
        try:
            with night_lock(str(project.parent / "lake")):
                held.append(False)
        except LakeError:
            held.append(True)
        return land_source(*given)

    monkeypatch.setattr("assets.landing.land_source", ask)
    assert _run(project).success
    with night_lock(str(project.parent / "lake")):
        pass
    assert held == [True]


def test_a_run_of_a_process_that_holds_the_lake_goes_on(project: Path) -> None:
    with night_lock(str(project.parent / "lake")):
        assert _run(project, is_held=True).success
