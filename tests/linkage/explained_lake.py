"""A lake small enough for every pair of it to be explained: two nights over a crowd of people and some firms.

The second night merged two people by a decision, parted one by another, and lost a record that was a
person of its own.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl

from crm_hygiene.config import load_config
from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.linkage import EntityKind, LinkageSettings, Register, link
from crm_hygiene.linkage.store import generic_rows, model_row, promotion_row
from crm_hygiene.night import Night

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = FIRST + timedelta(days=1)
SWITCHBOARD = "+49301112223"
FILLED = {
    "is_deleted": False,
    "file": "export.csv",
    "row_number": 1,
    "observed_at": FIRST,
    "landed_at": FIRST,
}

Record = tuple[str, str]


@dataclass(frozen=True)
class ExplainedLake:
    """Where the lake is, and the entities and records that tests speak of."""

    folder: Path
    merged: str
    survivor: str
    retired: str
    judged: tuple[Record, Record]
    parted: tuple[Record, Record]

    def copy(self, folder: Path) -> ExplainedLake:
        shutil.copytree(self.folder, folder)
        return replace(self, folder=folder)

    def night(self) -> Night:
        return Night.open(load_config(self.folder / "hygiene.yaml"))

    def read(self, table: str) -> pl.DataFrame:
        return self.night().lake.read(contract_of(table))


def pairs_of(frame: pl.DataFrame) -> list[tuple[Record, Record]]:
    ends = frame.select("source_l", "record_id_l", "source_r", "record_id_r")
    return [((a, b), (c, d)) for a, b, c, d in ends.iter_rows()]


def _shaped(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    contract = contract_of(table)
    present = [pl.lit(v).alias(k) for k, v in FILLED.items() if k not in rows.columns or rows[k].null_count()]
    return contract.shape(rows.with_columns(present))


def _colleagues(random: Random) -> list[dict[str, Any]]:
    """Thirty people of thirty names at one firm, on one telephone; two share a rare mailbox by its user."""
    rows = []
    for i in range(30):
        given, family = (
            "".join(random.choice("bdfgklmnprst") + random.choice("aeiou") for _ in range(3)).capitalize()
            for _ in range(2)
        )
        rows.append(
            {
                "source": "crm_contacts",
                "record_id": f"s{i:03}",
                "given_name": given,
                "family_name": family,
                "phone": SWITCHBOARD,
                "organisation_name": "Bridge Works",
                "email": f"{given}.{family}@bridge.example".lower(),
                "email_normalised": f"{given}.{family}@bridge.example".lower(),
                "email_domain": "bridge.example",
                "email_kind": "person",
            }
        )
    return rows


def _visitors() -> list[dict[str, Any]]:
    """Sixty records of nobody in particular under one name."""
    return [
        {
            "source": "web_forms",
            "record_id": f"v{i:03}",
            "given_name": "Website",
            "family_name": "Visitor",
            "email": f"q{i * 7919}@mail{i}.example",
            "email_normalised": f"q{i * 7919}@mail{i}.example",
            "email_domain": f"mail{i}.example",
            "email_kind": "person",
        }
        for i in range(60)
    ]


def _firms(random: Random) -> pl.DataFrame:
    rows = []
    for i in range(60):
        words = [
            "".join(random.choice("bdfgklmnp") + random.choice("aeiou") for _ in range(3)) for _ in range(2)
        ]
        name = f"{words[0]} {words[1]} trading".title()
        row = {
            "organisation_name": name,
            "organisation_name_normalised": name.lower(),
            "website_domain": f"{words[0]}.example",
            "city": random.choice(["Berlin", "Leeds", "Lyon"]),
            "postal_code": str(random.randrange(10000, 99999)),
            "country_code": "DE",
        }
        rows.append({**row, "source": "crm_accounts", "record_id": f"a{i:02}"})
        if i < 30:
            rows.append({**row, "source": "erp_customers", "record_id": f"e{i:02}", "website_domain": None})
    return pl.DataFrame(rows, schema_overrides=dict(contract_of("conformed.organisations").schema))


def _decided(*judged: tuple[str, str, Record, Record]) -> pl.DataFrame:
    contract = contract_of("stewardship.decisions")
    rows = [
        {
            "decision_id": name,
            "entity_kind": "person",
            "source_l": left[0],
            "record_id_l": left[1],
            "source_r": right[0],
            "record_id_r": right[1],
            "judgement": judgement,
            "reason": "I know them",
            "decided_by": "maria",
            "decided_at": FIRST,
        }
        for name, judgement, left, right in judged
    ]
    return pl.DataFrame(rows, schema_overrides=dict(contract.schema)).pipe(contract.shape)


def build(folder: Path, crowd: pl.DataFrame) -> ExplainedLake:
    """Two nights of people and one of firms, published as a night publishes them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hygiene.yaml").write_text("lake: {uri: lake}\n", encoding="utf-8")
    lake = Lake(str(folder / "lake"))
    contract = contract_of("conformed.people")
    random = Random(11)
    added = pl.DataFrame([*_colleagues(random), *_visitors()], schema_overrides=dict(contract.schema)).pipe(
        contract.shape
    )
    people = _shaped(
        "conformed.people", pl.concat([crowd, added]).with_columns(person_kind=pl.lit("contact"))
    )
    firms = _shaped("conformed.organisations", _firms(random))
    settings = LinkageSettings()
    nothing = contract_of("stewardship.decisions").empty()

    first = link("person", people, Register.empty(), nothing, None, FIRST, settings)
    lone = first.members.filter(pl.len().over("entity_id") == 1).sort("source", "record_id")
    merged, survivor = lone.filter(pl.col("record_id").str.starts_with("s"))["entity_id"].to_list()[:2]
    retired, gone = (
        lone.filter(pl.col("record_id").str.starts_with("c")).select("entity_id", "record_id").row(0)
    )
    ends = [
        first.members.filter(pl.col("entity_id") == e).select("source", "record_id").row(0)
        for e in (merged, survivor)
    ]
    two = first.members.filter(pl.len().over("entity_id") == 2).sort("entity_id", "source", "record_id")
    parted = two.select("source", "record_id").head(2).rows()
    decisions = _decided(("d1", "same", ends[0], ends[1]), ("d2", "different", parted[0], parted[1]))
    is_gone = (pl.col("source") == "crm_contacts") & (pl.col("record_id") == gone)
    later = people.with_columns(is_deleted=is_gone)
    second = link(
        "person",
        later.filter(~pl.col("is_deleted")),
        Register(first.members, first.entities),
        decisions,
        first.model,
        SECOND,
        settings,
    )
    organisations = link("organisation", firms, Register.empty(), nothing, None, FIRST, settings)

    tables = {"conformed.people": later, "conformed.organisations": firms, "stewardship.decisions": decisions}
    tables["linked.models"] = pl.concat(model_row(x.model, FIRST, "test") for x in (second, organisations))
    tables["stewardship.promotions"] = pl.concat(
        promotion_row(x.model, FIRST, "test", "the first") for x in (second, organisations)
    )
    kinds: tuple[EntityKind, EntityKind] = ("person", "organisation")
    tables["linked.generic_values"] = pl.concat(
        generic_rows(kind, x.generic) for kind, x in zip(kinds, (second, organisations), strict=True)
    )
    for kind, found in zip(kinds, (second, organisations), strict=True):
        for name in ("pairs", "entities", "members"):
            tables[f"linked.{kind}_{name}"] = getattr(found, name)
        before = [first.history] if kind == "person" else []
        tables[f"linked.{kind}_history"] = pl.concat([*before, found.history]).unique("event_id")
    queue = second.questions.with_columns(stake=pl.lit(1.0), priority=pl.lit(1.0))
    tables["stewardship.review_queue"] = contract_of("stewardship.review_queue").shape(queue)
    for table, frame in tables.items():
        pins = {"pins": json.dumps({})} if table.endswith("members") else {}
        lake.publish(contract_of(table), frame, {"run_id": "test", **pins})
    stands = second.entities.filter(pl.col("status") == "alias").select("entity_id", "resolves_to").row(0)
    return ExplainedLake(folder, stands[0], stands[1], retired, (ends[0], ends[1]), (parted[0], parted[1]))
