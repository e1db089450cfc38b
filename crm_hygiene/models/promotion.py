"""Training, finding and promoting models: what writes linked.models and stewardship.promotions by hand.

Both tables only grow. A promotion never changes a model, and going back is promoting the older version
again. What does not belong here: what a model would change (`canary`).
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from crm_hygiene.contract import contract_of, nearest
from crm_hygiene.errors import ConfigurationError, HygieneError, LakeError
from crm_hygiene.linkage import EntityKind, FrozenModel
from crm_hygiene.linkage.connection import connection
from crm_hygiene.linkage.night_settings import settings_of
from crm_hygiene.linkage.preparation import prepare
from crm_hygiene.linkage.store import model_row, promoted_version, promotion_row
from crm_hygiene.linkage.training import train
from crm_hygiene.models.canary import Canary, records_to_link, versions_read
from crm_hygiene.models.limits import broken_limits
from crm_hygiene.night import Night
from crm_hygiene.night_lock import night_lock

MODELS, PROMOTIONS = "linked.models", "stewardship.promotions"


class LimitsBroken(HygieneError):  # noqa: N818 - named as what happened
    """A model breaks declared limits and nobody said why it should be promoted all the same."""

    def __init__(self, version: str, broken: Sequence[str]) -> None:
        self.broken = list(broken)
        super().__init__(
            f"model {version} is not promoted, it breaks {len(broken)} limit{'s' * (len(broken) != 1)}:\n"
            + "\n".join(f"  {line}" for line in broken)
            + '\nTo promote it all the same, say why: --override --reason "..."'
        )


@dataclass(frozen=True)
class Trained:
    """A trained model; `is_new` is False when the lake had the same numbers already."""

    model: FrozenModel
    notes: list[str]
    is_new: bool


def acting_person() -> str:
    """The user of the operating system, or `unknown`."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def train_model(night: Night, kind: EntityKind, by: str) -> Trained:
    """Train on the live records and keep the model; the model in use stays in use.

    Raises
    ------
    ConfigurationError
        if there are no records yet.
    LakeError
        if a night runs meanwhile, or the lake cannot be written.
    """
    records = records_to_link(night, kind)
    with night_lock(night.config.lake_uri, night.lake.storage_options):
        pass  # a night that runs is told before the training, not after it
    settings = settings_of(night)
    prepared = prepare(kind, records, settings)
    with connection(settings) as con:
        model, notes = train(con, kind, prepared.frame, settings)
    with night_lock(night.config.lake_uri, night.lake.storage_options):
        known = night.lake.read(contract_of(MODELS))
        is_new = known.filter(
            (pl.col("entity_kind") == kind) & (pl.col("model_version") == model.model_version)
        ).is_empty()
        if is_new:
            _append(night, MODELS, model_row(model, datetime.now(UTC), by))
    return Trained(model, notes, is_new)


def _append(night: Night, table: str, row: pl.DataFrame) -> None:
    """Add a row. The commit keeps the inputs of the last one: the night's own rows are still made from
    them, so that a new model alone does not make the next night link anew."""
    contract = contract_of(table)
    live = night.lake.metadata(table)
    metadata = night.metadata(live.get("inputs"))
    if "models" in live:
        metadata["models"] = live["models"]
    night.lake.append(contract, [row], metadata)


def find_model(night: Night, version: str, kind: EntityKind | None = None) -> FrozenModel:
    """The model of a version, or of the beginning of one that only one version has.

    Raises
    ------
    ConfigurationError
        if there is no such model, or more than one; the message names what there is.
    """
    models = night.lake.read(contract_of(MODELS))
    if kind is not None:
        models = models.filter(pl.col("entity_kind") == kind)
    found = models.filter(pl.col("model_version") == version)
    if found.is_empty() and len(version) >= 4:
        found = models.filter(pl.col("model_version").str.starts_with(version))
    if found.height == 1:
        return FrozenModel.thaw(found.row(0, named=True))
    of = f"{kind} model" if kind else "model"
    if found.height > 1:
        names = ", ".join(found["model_version"].sort().to_list())
        raise ConfigurationError(f"more than one {of} begins with '{version}': {names}")
    known = models.sort("trained_at", "model_version", descending=True)["model_version"].to_list()
    hint = nearest(version, known) or (f"; the newest are {', '.join(known[:3])}." if known else ".")
    tell = "`crm-hygiene model list` shows them all" if known else "`crm-hygiene model train` makes one"
    raise ConfigurationError(f"no {of} '{version}'{hint} {tell}")


def newest_unpromoted(night: Night, kind: EntityKind) -> FrozenModel | None:
    """The model trained last that was never put to use, or None."""
    used = night.lake.read(contract_of(PROMOTIONS)).filter(pl.col("entity_kind") == kind)
    waiting = (
        night.lake.read(contract_of(MODELS))
        .filter(
            (pl.col("entity_kind") == kind) & ~pl.col("model_version").is_in(used["model_version"].implode())
        )
        .sort("trained_at", "model_version")
    )
    return None if waiting.is_empty() else FrozenModel.thaw(waiting.row(-1, named=True))


def is_in_use(night: Night, model: FrozenModel) -> bool:
    """Whether `model` is the one promoted last for its kind."""
    promotions = night.lake.read(contract_of(PROMOTIONS))
    return promoted_version(promotions, model.entity_kind) == model.model_version


def promote(
    night: Night,
    model: FrozenModel,
    canary: Canary,
    by: str,
    reason: str = "",
    is_override: bool = False,
) -> list[str]:
    """Put a model to use from the next night on; returns the limits it breaks.

    Parameters
    ----------
    canary
        what `compare` found for this model; kept with the promotion, without personal data.
    is_override
        promote though limits are broken; then `reason` says why.

    Raises
    ------
    LimitsBroken
        if it breaks a limit and `is_override` is not set.
    ConfigurationError
        if limits are overridden without a reason.
    LakeError
        if a night runs, or one has changed the tables since the comparison.
    """
    broken = broken_limits(canary, night.config.model)
    if broken and not is_override:
        raise LimitsBroken(model.model_version, broken)
    if broken and not reason.strip():
        raise ConfigurationError("--override needs a --reason: it is kept with the promotion")
    with night_lock(night.config.lake_uri, night.lake.storage_options):
        if versions_read(night.lake) != canary.read:
            raise LakeError("a night changed the tables since the comparison; promote again")
        # The latest row of a kind holds, whatever the clocks of two machines say.
        latest = night.lake.read(contract_of(PROMOTIONS))["promoted_at"].max()
        promoted_at = datetime.now(UTC)
        if isinstance(latest, datetime):
            promoted_at = max(promoted_at, latest + timedelta(microseconds=1))
        row = promotion_row(
            model,
            promoted_at,
            by,
            reason.strip(),
            json.dumps(canary.as_document(with_values=False), sort_keys=True, default=str),
            broken,
        )
        _append(night, PROMOTIONS, row)
    return broken
