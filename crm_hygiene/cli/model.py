"""`crm-hygiene model`: train, compare, promote, list."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.console import Console

from crm_hygiene.cli.comparison import show_canary
from crm_hygiene.cli.json_output import print_json
from crm_hygiene.cli.options import ByOption, ConfigOption, JsonOption
from crm_hygiene.cli.tables import table
from crm_hygiene.config import load_config
from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.evaluation.truth import Truth, read_truth
from crm_hygiene.linkage import EntityKind, FrozenModel
from crm_hygiene.linkage.night_settings import settings_of
from crm_hygiene.linkage.records import KINDS
from crm_hygiene.linkage.store import promoted_version
from crm_hygiene.models.canary import Canary, compare
from crm_hygiene.models.limits import broken_limits
from crm_hygiene.models.promotion import (
    MODELS,
    PROMOTIONS,
    LimitsBroken,
    acting_person,
    find_model,
    is_in_use,
    newest_unpromoted,
    promote,
    train_model,
)
from crm_hygiene.night import Night

app = typer.Typer(
    name="model",
    help="Linkage models: train, compare with what is live, promote, list.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class Kind(StrEnum):
    """Which models a command is about."""

    person = "person"
    organisation = "organisation"
    all = "all"


KindOption = Annotated[Kind, typer.Option("--kind", help="People, organisations or both.")]
TruthOption = Annotated[
    Path | None, typer.Option("--truth", help="Labels: a CSV with CLUSTER_ID, RECORD_ID, DATA_SOURCE.")
]


def _kinds(kind: Kind) -> tuple[EntityKind, ...]:
    return tuple(k for k in KINDS if kind is Kind.all or k == kind.value)


def _one_kind(kind: Kind) -> EntityKind | None:
    return None if kind is Kind.all else _kinds(kind)[0]


@app.command("train")
def train_command(
    kind: KindOption = Kind.all,
    by: ByOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train on the live records and keep the model; the one in use stays in use."""
    night = Night.open(load_config(config))
    trained = [train_model(night, k, by or acting_person()) for k in _kinds(kind)]
    if as_json:
        print_json(
            [
                {
                    "entity_kind": t.model.entity_kind,
                    "model_version": t.model.model_version,
                    "record_count": t.model.record_count,
                    "rule_fingerprint": t.model.rule_fingerprint,
                    "is_new": t.is_new,
                    "is_in_use": is_in_use(night, t.model),
                    "notes": t.notes,
                }
                for t in trained
            ]
        )
        return
    for t in trained:
        name = f"{t.model.entity_kind} model {t.model.model_version}"
        if t.is_new:
            typer.echo(f"{name}: new, trained on {t.model.record_count:,} records; not in use yet")
        elif is_in_use(night, t.model):
            typer.echo(f"{name}: these records and rules give the model that is in use; nothing is written")
        else:
            typer.echo(f"{name}: these records and rules give a model the lake has; nothing is written")
        for note in t.notes:
            typer.echo(f"  {note}")
        if not is_in_use(night, t.model):
            typer.echo(f"  next: crm-hygiene model compare {t.model.model_version}")


def _chosen(night: Night, version: str | None, kind: Kind) -> list[FrozenModel]:
    if version is not None:
        return [find_model(night, version, _one_kind(kind))]
    newest = [newest_unpromoted(night, k) for k in _kinds(kind)]
    return [model for model in newest if model is not None]


def _compared(night: Night, model: FrozenModel, labels: Truth | None) -> Canary:
    """The comparison, announced: on a large lake it takes its time."""
    typer.echo(
        f"trying {model.entity_kind} model {model.model_version} on the live data; "
        "this takes about as long as a night that links everything",
        err=True,
    )
    return compare(night, model, labels)


@app.command("compare")
def compare_command(
    version: Annotated[
        str | None, typer.Argument(help="Model version; default: the newest never promoted.")
    ] = None,
    kind: KindOption = Kind.all,
    truth: TruthOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try a model on the live data and tell what would change; nothing is written."""
    night = Night.open(load_config(config))
    labels = read_truth(truth) if truth else None
    canaries = [_compared(night, model, labels) for model in _chosen(night, version, kind)]
    broken = [broken_limits(canary, night.config.model) for canary in canaries]
    if as_json:
        found = zip(canaries, broken, strict=True)
        print_json([{**canary.as_document(), "broken_limits": lines} for canary, lines in found])
        return
    if not canaries:
        typer.echo(
            "No model waits to be promoted. `crm-hygiene model train` makes one from the live records;"
        )
        typer.echo(
            "`crm-hygiene model compare VERSION` compares any that `crm-hygiene model list` shows; with"
        )
        typer.echo("the version in use it tells what changed rules alone would do.")
    console = Console()
    for canary, lines in zip(canaries, broken, strict=True):
        show_canary(canary, lines, console)
        if canary.model_version != canary.in_use:
            excuse = ' --override --reason "..."' if lines else ""
            typer.echo(f"  next: crm-hygiene model promote {canary.model_version}{excuse}")


@app.command("promote")
def promote_command(
    version: Annotated[str, typer.Argument(help="Model version, or its first digits.")],
    kind: KindOption = Kind.all,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the promotion.")] = "",
    override: Annotated[
        bool, typer.Option("--override", help="Promote though limits are broken; needs a reason.")
    ] = False,
    by: ByOption = None,
    truth: TruthOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a model with what is live and put it to use from the next night on.

    Exit code 1 if it breaks a declared limit and no reason overrides it. Promoting an older version goes
    back to it.
    """
    if override and not reason.strip():
        raise ConfigurationError("--override needs a --reason: it is kept with the promotion")
    night = Night.open(load_config(config))
    model = find_model(night, version, _one_kind(kind))
    labels = read_truth(truth) if truth else None
    name = f"{model.entity_kind} model {model.model_version}"
    if is_in_use(night, model):
        if as_json:
            print_json({"model_version": model.model_version, "is_promoted": False, "is_in_use": True})
        else:
            typer.echo(f"{name} is in use already; nothing is written")
        return
    canary = _compared(night, model, labels)
    broken = broken_limits(canary, night.config.model)
    if not as_json:
        show_canary(canary, broken, Console())
    try:
        promote(night, model, canary, by or acting_person(), reason, override)
    except LimitsBroken as stop:
        if as_json:
            print_json({**_told(canary.as_document(), broken), "is_promoted": False})
            raise typer.Exit(1) from None
        typer.echo(f"\ncrm-hygiene: {stop}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        print_json({**_told(canary.as_document(), broken), "is_promoted": True})
        return
    typer.echo(f"\n{name} is promoted; the next night links with it (`crm-hygiene run`).")
    if canary.in_use:
        typer.echo(f"To go back: crm-hygiene model promote {canary.in_use}")


def _told(document: dict[str, Any], broken: list[str]) -> dict[str, Any]:
    return {**document, "broken_limits": broken}


@app.command("list")
def list_command(
    kind: KindOption = Kind.all, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Every model version, and who promoted which, when and why."""
    night = Night.open(load_config(config))
    wanted = pl.col("entity_kind").is_in(_kinds(kind))
    models = night.lake.read(contract_of(MODELS)).filter(wanted)
    promotions = night.lake.read(contract_of(PROMOTIONS)).filter(wanted)
    in_use = {k: promoted_version(promotions, k) for k in _kinds(kind)}
    settings = settings_of(night)
    rows = [
        {
            **row,
            "is_in_use": in_use[row["entity_kind"]] == row["model_version"],
            "has_rules_in_force": row["rule_fingerprint"] == settings.fingerprint(row["entity_kind"]),
        }
        for row in models.sort("entity_kind", "trained_at", "model_version").drop("model_json").to_dicts()
    ]
    history = promotions.sort("promoted_at", "promotion_id").to_dicts()
    if as_json:
        print_json({"models": rows, "promotions": history})
        return
    if not rows:
        typer.echo("There is no model yet; the first night trains one, or `crm-hygiene model train` does.")
        return
    console = Console()
    console.print(
        table(
            "Models",
            [
                ("kind", "left"),
                ("version", "left"),
                ("trained", "left"),
                ("by", "left"),
                ("records", "right"),
                ("rules", "left"),
                ("in use", "left"),
            ],
            (
                (
                    r["entity_kind"],
                    r["model_version"],
                    f"{r['trained_at']:%Y-%m-%d %H:%M}",
                    r["trained_by"],
                    r["record_count"],
                    f"{r['rule_fingerprint'][:8]}{'' if r['has_rules_in_force'] else ', not in force'}",
                    "in use" if r["is_in_use"] else "",
                )
                for r in rows
            ),
        )
    )
    console.print(
        table(
            "Promotions, the latest of a kind holds",
            [
                ("when", "left"),
                ("kind", "left"),
                ("version", "left"),
                ("by", "left"),
                ("why", "left"),
                ("limits broken", "left"),
            ],
            (
                (
                    f"{p['promoted_at']:%Y-%m-%d %H:%M}",
                    p["entity_kind"],
                    p["model_version"],
                    p["promoted_by"],
                    p["reason"] or "",
                    [line.split(":")[0] for line in p["broken_limits"] or []],
                )
                for p in history
            ),
        )
    )
