"""Where linkage keeps what lasts: the identity register, the weights and the frozen models, in the lake."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import LakeError
from crm_hygiene.lake import Lake
from crm_hygiene.linkage.model import FrozenModel
from crm_hygiene.linkage.night_before import WEIGHTS_SCHEMA, NightBefore
from crm_hygiene.linkage.register import Register
from crm_hygiene.linkage.settings import EntityKind


def load_register(lake: Lake, kind: EntityKind) -> tuple[Register, pl.DataFrame]:
    """The register and the history as of the last complete commit of the members.

    Members are committed after entities and history and name their versions, so a night that was
    killed between the commits leaves a register that is whole, if a night old.
    """
    members = contract_of(f"linked.{kind}_members")
    entities, history = (_pinned(lake, kind, name).collect() for name in ("entities", "history"))
    history = history.sort("event_id")
    return Register(lake.read(members), entities.sort("entity_id"), history), history


def load_night_before(lake: Lake, kind: EntityKind) -> NightBefore:
    """Pairs and fingerprints as of the last complete commit of the members; empty before the first."""
    weights = (
        _pinned(lake, kind, "pairs")
        .filter(pl.col("match_weight").is_not_null())
        .select(list(WEIGHTS_SCHEMA))
        .collect()
    )
    return NightBefore(weights, _pinned(lake, kind, "fingerprints").collect())


def _pinned(lake: Lake, kind: EntityKind, name: str) -> pl.LazyFrame:
    """linked.{kind}_{name} at the version that the last commit of the members names."""
    pins = json.loads(lake.metadata(f"linked.{kind}_members").get("pins", "{}"))
    contract = contract_of(f"linked.{kind}_{name}")
    version = pins.get(contract.table)
    return contract.empty().lazy() if version is None else lake.scan(contract, version)


def promoted_version(promotions: pl.DataFrame, kind: EntityKind) -> str | None:
    """Version of the model in use: the one promoted last."""
    rows = promotions.filter(pl.col("entity_kind") == kind).sort("promoted_at", "promotion_id")
    return None if rows.is_empty() else str(rows["model_version"][-1])


def load_model(lake: Lake, kind: EntityKind) -> FrozenModel | None:
    """The promoted model of a kind, or None before the first promotion."""
    version = promoted_version(lake.read(contract_of("stewardship.promotions")), kind)
    if version is None:
        return None
    models = lake.read(contract_of("linked.models"))
    found = models.filter((pl.col("entity_kind") == kind) & (pl.col("model_version") == version))
    if found.is_empty():
        raise LakeError(
            f"stewardship.promotions: {kind} model {version} is promoted and not in linked.models"
        )
    return FrozenModel.thaw(found.row(0, named=True))


def model_row(model: FrozenModel, trained_at: datetime, trained_by: str) -> pl.DataFrame:
    """A trained model as a row of linked.models."""
    contract = contract_of("linked.models")
    return pl.DataFrame(
        [
            {
                "entity_kind": model.entity_kind,
                "model_version": model.model_version,
                "model_json": model.model_json,
                "rule_fingerprint": model.rule_fingerprint,
                "trained_at": trained_at,
                "trained_by": trained_by,
                "record_count": model.record_count,
            }
        ],
        schema=contract.schema,
    )


def promotion_row(
    model: FrozenModel,
    promoted_at: datetime,
    promoted_by: str,
    reason: str,
    comparison_json: str | None = None,
    broken_limits: Sequence[str] = (),
) -> pl.DataFrame:
    """A promotion as a row of stewardship.promotions; the same act gives the same id."""
    contract = contract_of("stewardship.promotions")
    text = "\x1f".join([model.entity_kind, model.model_version, promoted_at.isoformat(), promoted_by])
    return pl.DataFrame(
        [
            {
                "promotion_id": hashlib.sha256(text.encode()).hexdigest()[:16],
                "entity_kind": model.entity_kind,
                "model_version": model.model_version,
                "promoted_by": promoted_by,
                "promoted_at": promoted_at,
                "reason": reason,
                "comparison_json": comparison_json,
                "broken_limits": list(broken_limits),
            }
        ],
        schema=contract.schema,
    )


def promoted_versions(promotions: pl.DataFrame) -> str:
    """The versions in use as one text, part of the fingerprint of what linking reads."""
    return json.dumps({kind: promoted_version(promotions, kind) for kind in ("organisation", "person")})


def generic_rows(kind: EntityKind, generic: pl.DataFrame) -> pl.DataFrame:
    """Generic values (`family`, `value`, `record_count`) as rows of linked.generic_values."""
    return generic.select(
        entity_kind=pl.lit(kind), value_family="family", generic_value="value", record_count="record_count"
    )


def load_generic(lake: Lake, kind: EntityKind) -> pl.DataFrame:
    """The generic values that the last night found, as `generic_rows` was given them."""
    rows = lake.scan(contract_of("linked.generic_values")).filter(pl.col("entity_kind") == kind)
    return rows.select(family="value_family", value="generic_value", record_count="record_count").collect()
