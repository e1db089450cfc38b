"""Models through the ordinary night: trained, compared, promoted, rolled back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import polars as pl
import pytest

from assets.presentation import table_metadata
from crm_hygiene.contract import contract_of
from crm_hygiene.fingerprint import content_of
from crm_hygiene.linkage import FrozenModel, LinkageSettings
from crm_hygiene.linkage.store import load_model, model_row
from crm_hygiene.night_lock import night_lock

from .project import Project

Door = Callable[..., tuple[int, str, str]]
LIVE = ("linked.person_members", "linked.person_entities", "golden.contacts", "stewardship.promotions")


@pytest.fixture
def door(project: Project, front_door: Door, monkeypatch: pytest.MonkeyPatch) -> Door:
    """Calls `crm-hygiene model` in the project."""
    monkeypatch.setenv("COLUMNS", "200")
    return partial(front_door, "model", folder=project.folder)


def _in_use(project: Project) -> FrozenModel:
    model = load_model(project.lake, "person")
    assert model is not None
    return model


def _keep(project: Project, change: Callable[[dict[str, Any]], None]) -> FrozenModel:
    """A model like the one in use but for a change, as if it had been trained."""
    model = _in_use(project)
    content = model.content
    change(content)
    made = FrozenModel.freeze("person", content, model.rule_fingerprint, model.record_count)
    row = model_row(made, datetime(2026, 1, 2, tzinfo=UTC), "ann")
    project.lake.append(contract_of("linked.models"), [row], {})
    return made


def _credulous(content: dict[str, Any]) -> None:
    """Far more pairs are taken to match, and families are taken to be one person."""
    content["prior"] = 0.3
    levels = content["comparisons"]["given_name"]
    content["comparisons"]["given_name"] = {level: [0.5, 0.5] for level in levels}


def _models_named(project: Project, table: str) -> Any:
    return json.loads(project.lake.metadata(table)["models"])


@pytest.mark.long
def test_every_commit_names_its_models_and_training_promotes_nothing(project: Project, door: Door) -> None:
    first = _in_use(project).model_version
    for table in ("linked.person_pairs", "linked.models", "golden.contacts", "golden.provenance"):
        assert _models_named(project, table)["person"] == first, table
        shown = table_metadata(project.lake, contract_of(table), None)["linkage models"]
        assert shown.value["person"] == first, table
    assert "models" not in project.lake.metadata("conformed.people")

    code, out, _ = door("train", "--by", "ann", "--kind", "person")
    assert code == 0
    assert "nothing is written" in out
    (project.folder / "own.yaml").write_text("min_training_records: 20\nmin_training_pairs: 5\n")
    project.configure("lake: {uri: lake}\nrules: {linkage: own.yaml}\n")
    told = json.loads(door("train", "--by", "ann", "--kind", "person", "--json")[1])
    assert [(t["is_new"], t["is_in_use"]) for t in told] == [(True, False)]
    assert "nothing is written" in door("train", "--kind", "person")[1]
    assert _in_use(project).model_version == first

    # A model that only waits does not make the next night link anew.
    project.configure("")
    before = project.versions()
    assert project.night(1).is_success
    assert project.versions() == before
    listed = json.loads(door("list", "--json")[1])
    assert {m["trained_by"] for m in listed["models"]} == {"the first night", "ann"}
    assert [
        m["model_version"] for m in listed["models"] if m["is_in_use"] and m["entity_kind"] == "person"
    ] == [first]


@pytest.mark.long
def test_canary_promotion_night_and_the_way_back(project: Project, door: Door) -> None:
    old = _in_use(project)
    new = _keep(project, _credulous)
    before, kept = project.versions(), project.contents(LIVE)
    truth = str(project.folder / "truth" / "people.csv")

    code, out, _ = door("compare", "--truth", truth, "--json")
    (canary,) = json.loads(out)
    assert code == 0
    assert (canary["model_version"], canary["in_use"]) == (new.model_version, old.model_version)
    assert canary["regrouping"]["merged_entities"] > 0
    assert canary["golden_changed_cells"] > 0
    accuracy = canary["accuracy"]["truth"]
    assert accuracy["candidate"]["precision"]["value"] < accuracy["live"]["precision"]["value"]
    assert any(line.startswith("max_merged_share") for line in canary["broken_limits"])
    assert json.loads(door("compare", "--truth", truth, "--json")[1]) == [canary]
    assert "Breaks declared limits" in door("compare", new.model_version)[1]

    code, _, err = door("promote", new.model_version, "--by", "ann")
    assert code == 1
    assert "max_merged_share" in err
    assert "--override" in err
    assert door("promote", new.model_version, "--override")[0] == 2
    assert (project.versions(), project.contents(LIVE)) == (before, kept)

    code, out, _ = door("promote", new.model_version[:6], "--override", "--reason", "a trial", "--by", "ann")
    assert code == 0
    assert f"model promote {old.model_version}" in out
    row = project.read("stewardship.promotions").sort("promoted_at").row(-1, named=True)
    assert (row["promoted_by"], row["reason"]) == ("ann", "a trial")
    assert row["broken_limits"]
    stored = json.loads(row["comparison_json"])
    assert stored["outcome"] == canary["outcome"]
    assert stored["names"] == {}
    assert all(set(e) == {"column", "key"} for t in stored["golden"] for e in t["examples"])
    assert "in use already" in door("promote", new.model_version)[1]

    outcome = project.night(1)
    assert outcome.is_success, outcome.failures
    members = project.read("linked.person_members")
    assert content_of(members) == canary["outcome"]
    for table in ("linked.person_members", "golden.contacts", "golden.provenance"):
        assert _models_named(project, table)["person"] == new.model_version, table
    entities = project.read("linked.person_entities")
    published = {row[0] for row in kept["linked.person_entities"]}
    assert published <= set(entities["entity_id"])
    live = set(entities.filter(pl.col("status") == "live")["entity_id"])
    assert set(entities.filter(pl.col("status") == "alias")["resolves_to"]) <= live

    # Undoing gives every record the id it had.
    assert door("promote", old.model_version, "--override", "--reason", "back")[0] == 0
    assert project.night(2).is_success
    assert (
        project.contents(("linked.person_members",))["linked.person_members"] == kept["linked.person_members"]
    )
    assert _models_named(project, "linked.person_members")["person"] == old.model_version
    assert "back" in door("list")[1]


@pytest.mark.long
def test_model_for_columns_that_are_gone(project: Project, door: Door) -> None:
    rules = LinkageSettings().rules_of("person").comparisons
    (gone,) = (comparison for comparison in rules if comparison.name == "tax_id")
    assert project.read("conformed.people")["tax_id"].null_count() == project.read("conformed.people").height

    def learned_more(content: dict[str, Any]) -> None:
        content["comparisons"]["tax_id"] = {level.name: [level.m, level.u] for level in gone.scored}
        content["frequencies"]["tax_id"] = {"floor": 0.01, "values": {}}
        content["comparisons"]["shoe_size"] = {"exact": [0.9, 0.1], "other": [0.1, 0.9]}

    model = _keep(project, learned_more)
    code, out, _ = door("compare", "--kind", "person")
    assert code == 0
    assert "'tax_id'" in out
    assert "'shoe_size'" in out
    assert "Within every declared limit" in out
    assert door("promote", model.model_version)[0] == 0
    outcome = project.night(1)
    assert outcome.is_success, outcome.failures
    assert any("'tax_id'" in note for note in outcome.notes)


def test_unknown_version_and_a_night_that_runs(project: Project, door: Door) -> None:
    version = _in_use(project).model_version
    code, _, err = door("promote", version[:-1] + ("0" if version[-1] != "0" else "1"))
    assert code == 2
    assert version in err
    code, _, err = door("compare", "gone", "--kind", "organisation")
    assert code == 2
    assert "model list" in err
    assert door("compare", "--truth", "gone.csv")[0] == 2
    new = _keep(project, _credulous)
    with night_lock(project.config.lake_uri):
        code, _, err = door("promote", new.model_version, "--override", "--reason", "a trial")
    assert code == 1
    assert "another night is running" in err
    assert _in_use(project).model_version == version
