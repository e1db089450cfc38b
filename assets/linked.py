"""Linked: which record belongs to which person and organisation, and why."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import dagster as dg
import polars as pl

from assets.publication import Step, Tables, step_asset
from crm_hygiene.asof import latest_known
from crm_hygiene.contract import contract_of
from crm_hygiene.linkage import FrozenModel, Linkage, link
from crm_hygiene.linkage.engine import Engine, engine_of
from crm_hygiene.linkage.night_settings import settings_of
from crm_hygiene.linkage.records import KINDS, TABLES, live_records
from crm_hygiene.linkage.settings import EntityKind, LinkageSettings
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

# Up to so many records both kinds are linked at once: more would need the memory of both.
_TOGETHER_ROWS = 50_000

# What linkage found of one kind, its history as it was, whether a model was trained.
_OfKind = tuple[Linkage, pl.DataFrame, bool]


def _compute(night: Night) -> Tables:
    with engine_of(night.config) as engine:
        return _linked(night, engine)


def _linked(night: Night, engine: Engine | None) -> Tables:
    decisions = night.lake.read(contract_of("stewardship.decisions"))
    settings = settings_of(night)

    def of_kind(kind: EntityKind) -> _OfKind:
        return _link_kind(night, kind, decisions.filter(pl.col("entity_kind") == kind), settings, engine)

    if engine is None and settings.threads != 1 and _rows(night) <= _TOGETHER_ROWS:
        # Queries on few rows keep one core busy, whatever DuckDB may use.
        with ThreadPoolExecutor(len(KINDS), thread_name_prefix="link") as threads:
            found = list(threads.map(of_kind, KINDS))
    else:
        found = [of_kind(kind) for kind in KINDS]
    tables: Tables = {}
    models = [night.lake.read(contract_of("linked.models"))]
    promotions = [night.lake.read(contract_of("stewardship.promotions"))]
    for kind, (linked, history, is_trained) in zip(KINDS, found, strict=True):
        tables[f"linked.{kind}_pairs"] = linked.pairs
        tables[f"linked.{kind}_fingerprints"] = linked.fingerprints
        tables[f"linked.{kind}_history"] = pl.concat([history, linked.history]).unique("event_id")
        tables[f"linked.{kind}_entities"] = linked.entities
        tables[f"linked.{kind}_members"] = linked.members
        if is_trained:
            models.append(model_row(linked.model, night.started_at, "the first night"))
            promotions.append(
                promotion_row(linked.model, night.started_at, "the first night", "there was no model yet")
            )
        night.say(linked.notes)
    tables["linked.models"] = pl.concat(models).unique(["entity_kind", "model_version"], keep="first")
    tables["stewardship.promotions"] = pl.concat(promotions)
    tables["linked.questions"] = pl.concat(linked.questions for linked, _, _ in found)
    tables["linked.generic_values"] = pl.concat(
        generic_rows(kind, linked.generic) for kind, (linked, _, _) in zip(KINDS, found, strict=True)
    )
    return tables


def _rows(night: Night) -> int:
    """Records of both kinds, from the lake's log alone."""
    standing = [night.lake.statistics(table) for table in TABLES.values()]
    return sum(found.row_count for found in standing if found is not None)


def _link_kind(
    night: Night,
    kind: EntityKind,
    decisions: pl.DataFrame,
    settings: LinkageSettings,
    engine: Engine | None,
) -> _OfKind:
    records = live_records(night.lake, kind)
    model: FrozenModel | None = load_model(night.lake, kind)
    register, history = load_register(night.lake, kind)
    linked = link(
        kind,
        # Nobody else holds the rows, so that linkage can let go of them.
        records.collect(),
        register,
        decisions,
        model,
        latest_known(records.select("landed_at").collect(), decisions),
        settings,
        load_night_before(night.lake, kind),
        engine,
    )
    return linked, history, model is None


def _promoted(night: Night, computed: Tables | None) -> str:
    table = "stewardship.promotions"
    promotions = computed[table] if computed else night.lake.read(contract_of(table))
    assert isinstance(promotions, pl.DataFrame)
    return promoted_versions(promotions)


def linked_steps() -> list[Step]:
    """The one step of pairs, members, register and history of both kinds; models; open questions."""
    tables = ["linked.models", "stewardship.promotions", "linked.questions", "linked.generic_values"]
    tables += [f"linked.{kind}_{name}" for kind in KINDS for name in _PER_KIND]
    return [
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
    ]


def linked_assets() -> list[dg.AssetsDefinition]:
    """Pairs, members, register and history of people and organisations; models; open questions."""
    return [step_asset(step) for step in linked_steps()]
