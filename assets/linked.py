"""Linked: which record belongs to which person and organisation, and why."""

from __future__ import annotations

from datetime import datetime

import dagster as dg
import polars as pl

from assets.publication import Step, Tables, step_asset
from crm_hygiene.asof import latest_landing
from crm_hygiene.contract import contract_of
from crm_hygiene.linkage import EntityKind, FrozenModel, link
from crm_hygiene.linkage.comparable import read_columns
from crm_hygiene.linkage.night_settings import settings_of
from crm_hygiene.linkage.store import (
    generic_rows,
    load_model,
    load_night_before,
    load_register,
    model_row,
    promoted_versions,
    promotion_row,
)
from crm_hygiene.night import Night

KINDS: tuple[tuple[EntityKind, str], ...] = (
    ("person", "conformed.people"),
    ("organisation", "conformed.organisations"),
)

# Members are committed last: they name the versions of the others that go with them.
_PER_KIND = ("pairs", "fingerprints", "history", "entities", "members")


def _time_of(records: pl.DataFrame, decisions: pl.DataFrame) -> datetime:
    """When what the night knows was last added to: a landing or a judgement, never the clock."""
    landed = latest_landing(records)
    decided = decisions["decided_at"].max()
    return max(landed, decided) if isinstance(decided, datetime) else landed


def _compute(night: Night) -> Tables:
    decisions = night.lake.read(contract_of("stewardship.decisions"))
    settings = settings_of(night)
    tables: Tables = {}
    asked = []
    generic = []
    models = [night.lake.read(contract_of("linked.models"))]
    promotions = [night.lake.read(contract_of("stewardship.promotions"))]
    for kind, table in KINDS:
        # Of the records only what linkage looks at: the other half of the columns would fill the memory.
        records = (
            night.lake.scan(contract_of(table))
            .filter(~pl.col("is_deleted"))
            .select(*read_columns(kind, contract_of(table).column_names), "landed_at")
            .collect()
        )
        model: FrozenModel | None = load_model(night.lake, kind)
        register, history = load_register(night.lake, kind)
        judged = decisions.filter(pl.col("entity_kind") == kind)
        linked = link(
            kind,
            records,
            register,
            judged,
            model,
            _time_of(records, judged),
            settings,
            load_night_before(night.lake, kind),
        )
        tables[f"linked.{kind}_pairs"] = linked.pairs
        tables[f"linked.{kind}_fingerprints"] = linked.fingerprints
        tables[f"linked.{kind}_history"] = pl.concat([history, linked.history]).unique("event_id")
        tables[f"linked.{kind}_entities"] = linked.entities
        tables[f"linked.{kind}_members"] = linked.members
        asked.append(linked.questions)
        generic.append(generic_rows(kind, linked.generic))
        if model is None:
            models.append(model_row(linked.model, night.started_at, "the first night"))
            promotions.append(
                promotion_row(linked.model, night.started_at, "the first night", "there was no model yet")
            )
        night.say(linked.notes)
    tables["linked.models"] = pl.concat(models).unique(["entity_kind", "model_version"], keep="first")
    tables["stewardship.promotions"] = pl.concat(promotions)
    tables["linked.questions"] = pl.concat(asked)
    tables["linked.generic_values"] = pl.concat(generic)
    return tables


def _promoted(night: Night, computed: Tables | None) -> str:
    table = "stewardship.promotions"
    promotions = computed[table] if computed else night.lake.read(contract_of(table))
    assert isinstance(promotions, pl.DataFrame)
    return promoted_versions(promotions)


def linked_assets() -> list[dg.AssetsDefinition]:
    """Pairs, members, register and history of people and organisations; models; open questions."""
    tables = ["linked.models", "stewardship.promotions", "linked.questions", "linked.generic_values"]
    tables += [f"linked.{kind}_{name}" for kind, _ in KINDS for name in _PER_KIND]
    return [
        step_asset(
            Step(
                name="link",
                tables=tuple(tables),
                reads=("conformed.people", "conformed.organisations", "stewardship.decisions"),
                compute=_compute,
                made_from={
                    f"linked.{kind}_{name}": (table, "stewardship.decisions")
                    for kind, table in KINDS
                    for name in _PER_KIND
                },
                column_sources={f"linked.{kind}_members": (table,) for kind, table in KINDS},
                extra=_promoted,
                models=_promoted,
                pins={
                    f"linked.{kind}_members": tuple(f"linked.{kind}_{name}" for name in _PER_KIND[:-1])
                    for kind, _ in KINDS
                },
                kinds=("splink", "duckdb"),
            )
        )
    ]
