from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from crm_hygiene.contract import contract_of
from crm_hygiene.linkage import FrozenModel, Linkage, LinkageSettings, Register, link

from .explained_lake import ExplainedLake, build

NIGHT = datetime(2026, 1, 1, tzinfo=UTC)


def word(random: Random, syllables: int) -> str:
    return "".join(
        random.choice("bdfgklmnprstvz") + random.choice("aeiou") for _ in range(syllables)
    ).capitalize()


def _people() -> Callable[..., pl.DataFrame]:
    def make(*rows: dict[str, Any]) -> pl.DataFrame:
        contract = contract_of("conformed.people")
        filled = [{"source": "crm_contacts", "record_id": str(i), **row} for i, row in enumerate(rows)]
        for row in filled:
            if row.get("email"):
                row.setdefault("email_normalised", row["email"])
                row.setdefault("email_domain", row["email"].split("@")[1])
                row.setdefault("email_kind", "person")
        return pl.DataFrame(filled, schema_overrides=dict(contract.schema)).pipe(contract.shape)

    return make


@pytest.fixture
def people() -> Callable[..., pl.DataFrame]:
    """Rows as conformed.people: give only what matters."""
    return _people()


@pytest.fixture(scope="session")
def crowd() -> pl.DataFrame:
    """300 records of 180 people in two sources, a part of them with typing errors."""
    random = Random(7)
    given_names = [word(random, 2) for _ in range(40)]
    family_names = [word(random, 3) for _ in range(90)]
    firms = [word(random, 4) for _ in range(60)]
    cities = [word(random, 3) for _ in range(12)]
    rows: list[dict[str, Any]] = []
    for i in range(180):
        given, family, firm = random.choice(given_names), random.choice(family_names), random.choice(firms)
        row = {
            "given_name": given,
            "family_name": family,
            "email": f"{given}.{family}{i}@{firm}.example".lower(),
            "city": random.choice(cities),
            "postal_code": str(random.randrange(10000, 99999)),
            "phone": f"+4930{random.randrange(1000000, 9999999)}",
            "organisation_name": firm,
        }
        rows.append({**row, "source": "crm_contacts", "record_id": f"c{i:03}"})
        if i < 40:
            rows.append({**row, "email": None, "source": "web_forms", "record_id": f"w{i:03}"})
        elif i < 80:
            typo = family[:3] + family[4:]
            rows.append(
                {**row, "family_name": typo, "phone": None, "source": "web_forms", "record_id": f"w{i:03}"}
            )
        elif i < 120:
            rows.append(
                {**row, "given_name": given[0], "city": None, "source": "web_forms", "record_id": f"w{i:03}"}
            )
    return _people()(*rows)


def _run() -> Callable[..., Linkage]:
    def night(
        records: pl.DataFrame,
        kind: Any = "person",
        previous: Register | None = None,
        decisions: pl.DataFrame | None = None,
        model: FrozenModel | None = None,
        as_of: datetime = NIGHT,
        **settings: Any,
    ) -> Linkage:
        return link(
            kind,
            records,
            previous or Register.empty(),
            contract_of("stewardship.decisions").empty() if decisions is None else decisions,
            model,
            as_of,
            LinkageSettings(**settings),
        )

    return night


@pytest.fixture
def run() -> Callable[..., Linkage]:
    """One night of linkage with nothing decided and an empty register unless told otherwise."""
    return _run()


@pytest.fixture(scope="session")
def linked_crowd(crowd: pl.DataFrame) -> Linkage:
    """The crowd's first night, with the model it trained."""
    return _run()(crowd)


@pytest.fixture
def decide() -> Callable[..., pl.DataFrame]:
    """Decisions from (record_id, record_id, judgement) within source crm_contacts."""

    def make(*judged: tuple[str, str, str], revoked: bool = False) -> pl.DataFrame:
        contract = contract_of("stewardship.decisions")
        rows = [
            {
                "decision_id": f"d{i}",
                "entity_kind": "person",
                "source_l": "crm_contacts",
                "record_id_l": left,
                "source_r": "crm_contacts",
                "record_id_r": right,
                "judgement": judgement,
                "decided_by": "steward",
                "decided_at": NIGHT,
            }
            for i, (left, right, judgement) in enumerate(judged)
        ]
        if revoked:
            rows += [
                {
                    "decision_id": f"r{i}",
                    "entity_kind": "person",
                    "revokes": f"d{i}",
                    "decided_by": "steward",
                    "decided_at": NIGHT,
                }
                for i in range(len(judged))
            ]
        return pl.DataFrame(rows, schema_overrides=dict(contract.schema)).pipe(contract.shape)

    return make


@pytest.fixture
def groups() -> Callable[[Linkage], set[frozenset[str]]]:
    """The record ids of each entity."""

    def of(outcome: Linkage) -> set[frozenset[str]]:
        lists = outcome.members.group_by("entity_id").agg("record_id")["record_id"].to_list()
        return {frozenset(ids) for ids in lists}

    return of


@pytest.fixture(scope="session")
def explained(crowd: pl.DataFrame, made_once: Callable[[str, Callable[[Path], Any]], Any]) -> ExplainedLake:
    """A lake of the crowd after two nights; tests read it and leave it as it is."""
    found: ExplainedLake = made_once("explained", lambda folder: build(folder, crowd))
    return found
