"""A lake as a night leaves it: a few people and organisations, their entities, pairs and questions."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crm_hygiene.config import load_config
from crm_hygiene.contract import contract_of
from crm_hygiene.night import Night

FOUNDED = datetime(2026, 1, 1, 2, tzinfo=UTC)

# entity -> records; the first is the founding one
PEOPLE = {
    "P-ann": [("crm", "1"), ("crm", "2"), ("web", "a:1")],
    "P-bob": [("crm", "3"), ("web", "b")],
    "P-cyd": [("crm", "007")],
    "P-dee": [("web", "d")],
}
NAMES = {
    "1": "Ann Lee",
    "2": "Ann Lee",
    "a:1": "A. Lee",
    "3": "Bob Ray",
    "b": "=Bob",
    "007": "Cyd",
    "d": "Dee",
}


# What a required column holds where the test does not care.
REQUIRED: dict[pl.DataType, Any] = {
    pl.String(): "x",
    pl.Int64(): 1,
    pl.Boolean(): False,
    pl.Datetime("us", "UTC"): FOUNDED,
}


def _publish(night: Night, table: str, rows: list[dict[str, Any]]) -> None:
    contract = contract_of(table)
    required = {name: contract.schema[name] for name in (*contract.key, *contract.required)}
    filled = {name: REQUIRED[kind] for name, kind in required.items() if kind in REQUIRED}
    rows = [{**filled, **row} for row in rows]
    frame = pl.DataFrame(rows, schema_overrides=dict(contract.schema)) if rows else contract.empty()
    night.lake.publish(contract, frame, {"run_id": "test"})


def _entity(entity_id: str, founder: tuple[str, str], count: int, **more: Any) -> dict[str, Any]:
    return {
        "entity_id": entity_id,
        "status": "live",
        "founding_source": founder[0],
        "founding_record_id": founder[1],
        "founded_at": FOUNDED,
        "record_count": count,
        **more,
    }


def _question(
    review_id: str, left: tuple[str, str], right: tuple[str, str] | None, **more: Any
) -> dict[str, Any]:
    return {
        "review_id": review_id,
        "entity_kind": "person",
        "question_kind": "doubtful",
        "question": "Are these two records the same person?",
        "source_l": left[0],
        "record_id_l": left[1],
        "source_r": right and right[0],
        "record_id_r": right and right[1],
        "match_weight": 1.0,
        "match_probability": 0.6,
        "uncertainty": 0.8,
        "stake": 3.0,
        "priority": 2.4,
        **more,
    }


def _build(folder: Path) -> None:
    (folder / "hygiene.yaml").write_text("lake: {uri: lake}\n", encoding="utf-8")
    night = Night.open(load_config(folder / "hygiene.yaml"))
    records = [record for group in PEOPLE.values() for record in group]
    people = [
        {
            "source": s,
            "record_id": r,
            "is_deleted": False,
            "family_name": NAMES[r],
            "person_kind": "contact",
            "phone": "+491701234567",
        }
        for s, r in records
    ]
    people.append({"source": "crm", "record_id": "gone", "is_deleted": True, "person_kind": "contact"})
    _publish(night, "conformed.people", people)
    _publish(night, "conformed.organisations", [
        {"source": "crm_accounts", "record_id": "o1", "is_deleted": False, "organisation_name": "Acme"},
        {"source": "crm", "record_id": "3", "is_deleted": False, "organisation_name": "Bob Ray Ltd"},
        {"source": "crm", "record_id": "007", "is_deleted": False, "organisation_name": "Cyd Ltd"},
    ])  # fmt: skip
    _publish(night, "linked.person_members", [
        {"source": s, "record_id": r, "entity_id": e} for e, group in PEOPLE.items() for s, r in group
    ])  # fmt: skip
    entities = [_entity(e, group[0], len(group)) for e, group in PEOPLE.items()]
    entities.append(_entity("P-old", ("crm", "2"), 0, status="alias", resolves_to="P-ann"))
    entities.append(_entity("P-dead", ("crm", "gone"), 0, status="tombstone"))
    _publish(night, "linked.person_entities", entities)
    organisations = [("crm_accounts", "o1", "O-acme"), ("crm", "3", "O-bob"), ("crm", "007", "O-cyd")]
    _publish(night, "linked.organisation_members", [
        {"source": s, "record_id": r, "entity_id": e} for s, r, e in organisations
    ])  # fmt: skip
    _publish(night, "linked.organisation_entities", [_entity(e, (s, r), 1) for s, r, e in organisations])
    pair = {"method": "model", "match_weight": 9.0, "match_probability": 0.99, "is_link": False}
    _publish(night, "linked.person_pairs", [
        {"source_l": "crm", "record_id_l": "007", "source_r": "web", "record_id_r": "d", **pair}
    ])  # fmt: skip
    _publish(night, "stewardship.review_queue", [
        _question("aaaa000000000001", ("crm", "1"), ("crm", "3"), entity_id_l="P-ann", entity_id_r="P-bob"),
        _question("aaab000000000002", ("crm", "3"), ("web", "d"), priority=1.0),
        _question("cccc000000000003", ("crm", "007"), None, question_kind="suspect", match_probability=None),
    ])  # fmt: skip


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("steward")
    _build(folder)
    return folder


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """A project folder of its own with the lake in it."""
    return Path(shutil.copytree(built, tmp_path / "project"))


@pytest.fixture
def night(folder: Path) -> Night:
    return Night.open(load_config(folder / "hygiene.yaml"))
