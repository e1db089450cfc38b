"""Linked: which record belongs to which person and organisation, and why."""

from __future__ import annotations

import dagster as dg
import polars as pl

from assets.publication import Step, Tables, step_asset
from crm_hygiene.asof import latest_known
from crm_hygiene.contract import contract_of
from crm_hygiene.linkage import FrozenModel, link
from crm_hygiene.linkage.engine import Engine, engine_of
from crm_hygiene.linkage.night_settings import settings_of
from crm_hygiene.linkage.records import KINDS, TABLES, live_records
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

# Members are committed last: they name the versions of the others that go with them.
_PER_KIND = ("pairs", "fingerprints", "history", "entities", "members")


def _compute(night: Night) -> Tables:
    with engine_of(night.config) as engine:
        return _linked(night, engine)


def _linked(night: Night, engine: Engine | None) -> Tables:
    decisions = night.lake.read(contract_of("stewardship.decisions"))
    settings = settings_of(night)
    tables: Tables = {}
    asked = []
    generic = []
    models = [night.lake.read(contract_of("linked.models"))]
    promotions = [night.lake.read(contract_of("stewardship.promotions"))]
    for kind in KINDS:
        records = live_records(night.lake, kind)
        model: FrozenModel | None = load_model(night.lake, kind)
        register, history = load_register(night.lake, kind)
        judged = decisions.filter(pl.col("entity_kind") == kind)
        linked = link(
            kind,
            # Nobody else holds the rows, so that linkage can let go of them.
            records.collect(),
            register,
            judged,
            model,
            latest_known(records.select("landed_at").collect(), judged),
            settings,
            load_night_before(night.lake, kind),
            engine,
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
    tables += [f"linked.{kind}_{name}" for kind in KINDS for name in _PER_KIND]
    return [
        step_asset(
            Step(
                name="link",
                tables=tuple(tables),
                reads=(*TABLES.values(), "stewardship.decisions"),
                compute=_compute,
                made_from={
                    f"linked.{kind}_{name}": (table, "stewardship.decisions")
                    for kind, table in TABLES.items()
                    for name in _PER_KIND
                },
                column_sources={f"linked.{kind}_members": (table,) for kind, table in TABLES.items()},
                extra=_promoted,
                models=_promoted,
                pins={
                    f"linked.{kind}_members": tuple(f"linked.{kind}_{name}" for name in _PER_KIND[:-1])
                    for kind in KINDS
                },
                kinds=("splink", "duckdb"),
            )
        )
    ]
