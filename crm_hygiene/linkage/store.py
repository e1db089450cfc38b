"""Where linkage keeps what lasts: the identity register and the frozen models, in the lake."""

from __future__ import annotations

import json
from datetime import datetime

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.linkage.model import FrozenModel
from crm_hygiene.linkage.register import Register
from crm_hygiene.linkage.settings import EntityKind


def load_register(lake: Lake, kind: EntityKind) -> tuple[Register, pl.DataFrame]:
    """The register and the history as of the last complete commit of the members.

    Members are committed after entities and history and name their versions, so a night that was
    killed between the commits leaves a register that is whole, if a night old.
    """
    members = contract_of(f"linked.{kind}_members")
    pins = json.loads(lake.metadata(members.table).get("pins", "{}"))

    def pinned(name: str) -> pl.DataFrame:
        contract = contract_of(f"linked.{kind}_{name}")
        version = pins.get(contract.table)
        return contract.empty() if version is None else lake.read(contract, version)

    return Register(lake.read(members), pinned("entities")), pinned("history")


def load_model(lake: Lake, kind: EntityKind) -> FrozenModel | None:
    """The promoted model of a kind, or None before the first training."""
    models = lake.read(contract_of("linked.models"))
    promoted = models.filter((pl.col("entity_kind") == kind) & pl.col("is_promoted")).sort("trained_at")
    return FrozenModel.thaw(promoted.row(promoted.height - 1, named=True)) if promoted.height else None


def model_row(model: FrozenModel, trained_at: datetime) -> pl.DataFrame:
    """A newly trained model as a row of linked.models; the first of its kind is promoted at once."""
    contract = contract_of("linked.models")
    return pl.DataFrame(
        [
            {
                "entity_kind": model.entity_kind,
                "model_version": model.model_version,
                "model_json": model.model_json,
                "rule_fingerprint": model.rule_fingerprint,
                "trained_at": trained_at,
                "record_count": model.record_count,
                "is_promoted": True,
            }
        ],
        schema=contract.schema,
    )


def promoted_versions(models: pl.DataFrame) -> str:
    """The versions in use as one text, part of the fingerprint of what linking reads."""
    rows = models.filter(pl.col("is_promoted")).select("entity_kind", "model_version").sort(pl.all())
    return json.dumps(rows.rows())
