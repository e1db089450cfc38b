"""`crm-hygiene writeback plan`: what golden would change in the targets, to read before anything is sent.

What does not belong here: applying, its state and undoing it (`writeback_delivery`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.console import Console
from rich.markup import escape

from crm_hygiene.cli.json_output import print_json
from crm_hygiene.cli.options import ConfigOption, JsonOption
from crm_hygiene.cli.tables import table
from crm_hygiene.config import load_config
from crm_hygiene.contract import contract_of, nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.night import Night
from crm_hygiene.stewardship.spreadsheet import write_csv
from crm_hygiene.writeback.delivery.approval import Extent
from crm_hygiene.writeback.mapped_object import MappedObject, mapped_objects
from crm_hygiene.writeback.planning.allowance import not_allowed
from crm_hygiene.writeback.planning.overview import Overview, overview_of, samples, whole_rows, with_masks
from crm_hygiene.writeback.planning.population import populations
from crm_hygiene.writeback.policy import TargetPolicy, target_policies

app = typer.Typer(
    name="writeback",
    help="What golden would change in the CRMs: read the plan, apply it, follow it, undo it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_SHOWN = (
    "object", "record_id", "column_name", "change_kind", "before", "after", "confidence", "reason",
)  # fmt: skip


@app.callback()
def writeback() -> None:
    """What golden would change in the CRMs: read the plan, apply it, follow it, undo it."""


@app.command("plan")
def plan_command(
    target: Annotated[str | None, typer.Option("--target", help="Only this target.")] = None,
    object_name: Annotated[
        str | None, typer.Option("--object", help="Only this object, e.g. Contact.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind", help="Only update, create, link, merge, reparent, owner, suppress or posting."
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write every row with its full values to this file.")
    ] = None,
    per_kind: Annotated[int, typer.Option("--samples", min=0, help="Samples per target and kind.")] = 3,
    is_open: Annotated[bool, typer.Option("--values", help="Show personal values in full.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the plan the last night made: counts, samples before -> after, and whether it waits.

    Nothing is sent by it.
    """
    night = Night.open(load_config(config))
    policies = target_policies(night.config)
    objects = mapped_objects(night.mappings, night.config.targets)
    changes = _published(night)
    everything = overview_of(changes, per_kind)
    is_wanted = _wanted(everything, target=target, object=object_name, change_kind=kind)
    plan = everything.only(is_wanted)
    if csv is not None:
        _write(csv, changes.filter(is_wanted))
    extents = _extents(night, plan, objects)
    seen = whole_rows(changes, samples(plan.least_sure, per_kind))
    seen = seen if is_open else with_masks(seen, objects)
    stale = int(not_allowed(plan.counts, policies)["changes"].sum())
    if as_json:
        print_json(_document(plan, seen, extents, policies, stale))
        return
    console = Console()
    if not plan.changes:
        console.print(_nothing(everything, policies))
        return
    for name in sorted(extents):
        mine = pl.col("target") == name
        _show_target(name, plan.only(mine), seen.filter(mine), extents[name], policies.get(name), console)
    if stale:
        console.print(
            f"[yellow]{stale:,} of these changes are no longer allowed by the policies[/yellow]: they "
            "were planned before a policy changed. `crm-hygiene run` makes the plan anew."
        )
    if not is_open and per_kind:
        console.print("Personal values are shortened; --values shows them, --csv writes them all.")
    if csv is not None:
        console.print(f"{plan.changes:,} changes written to {escape(str(csv))}")


def _published(night: Night) -> pl.LazyFrame:
    contract = contract_of("writeback.changes")
    if not night.lake.exists(contract.table):
        raise ConfigurationError("there is no plan yet: `crm-hygiene run` makes one")
    return night.lake.scan(contract)


def _wanted(plan: Overview, **wanted: str | None) -> pl.Expr:
    """Whether a change was asked for; a word that is not in the plan is named with the nearest that is."""
    is_wanted = pl.lit(value=True)
    for column, word in wanted.items():
        if word is None:
            continue
        known = plan.counts.filter(is_wanted)[column].unique().sort().to_list()
        if column == "change_kind":
            known = list(contract_of("writeback.changes").columns[_kind_place()].values or ())
        if known and word not in known:
            told = column.removeprefix("change_")
            raise ConfigurationError(f"the plan has no {told} '{word}'{nearest(word, known)}")
        is_wanted &= pl.col(column) == word
    return is_wanted


def _kind_place() -> int:
    return contract_of("writeback.changes").column_names.index("change_kind")


def _write(path: Path, plan: pl.LazyFrame) -> None:
    ordered = plan.collect().sort("target", "object", "record_id", "column_name", "change_id")
    told = ordered.with_columns(pl.col("confidence").cast(pl.String))
    write_csv(path, told.columns, told.iter_rows())
    # It holds personal data in the clear: for its owner's eyes.
    path.chmod(0o600)


def _extents(night: Night, plan: Overview, objects: list[MappedObject]) -> dict[str, Extent]:
    """How much of each target the whole plan touches, whatever part of it was asked for."""
    known = populations(night.lake, objects)
    names = plan.counts["target"].unique().sort()
    return {name: Extent(plan.touched[name], known.get(name, 0)) for name in names}


def _nothing(everything: Overview, policies: dict[str, TargetPolicy]) -> str:
    if everything.changes:
        return "Nothing of that is planned; other changes are: `crm-hygiene writeback plan`."
    if not policies:
        return "Nothing is planned: hygiene.yaml names no targets."
    return f"Nothing is planned: {', '.join(sorted(policies))} hold what golden says."


def _verdict(extent: Extent, policy: TargetPolicy | None) -> str:
    """Whether the plan would wait for somebody's approval, and why."""
    if policy is None:
        return "the target is not in `targets:` of hygiene.yaml; nothing is sent to it"
    halt = policy.halt
    bounds = f"more than {halt.floor:,} records and more than {float(halt.share):.1%}"
    if policy.connector == "none":
        return "to read only: the policy names no connector"
    if extent.exceeds(halt):
        return f"apply would wait for approval: {bounds}"
    return f"apply would go without asking; it asks for {bounds}"


def _show_target(
    name: str,
    plan: Overview,
    seen: pl.DataFrame,
    extent: Extent,
    policy: TargetPolicy | None,
    console: Console,
) -> None:
    known = f" of {extent.population:,} known ({float(extent.share):.1%})" if extent.population else ""
    console.print(
        f"[bold]{escape(name)}[/bold]: {plan.changes:,} changes planned, nothing sent. "
        f"{extent.touched:,} records touched{known}; {_verdict(extent, policy)}."
    )
    console.print(
        table(
            None,
            [
                ("kind", "left"),
                ("object", "left"),
                ("field", "left"),
                ("changes", "right"),
                ("records", "right"),
                ("least sure", "right"),
            ],
            (
                (
                    escape(r["change_kind"]),
                    escape(r["object"]),
                    escape(r["column_name"]),
                    r["changes"],
                    r["records"],
                    f"{r['least_confidence']:.2f}",
                )
                for r in plan.counts.iter_rows(named=True)
            ),
        )
    )
    for row in seen.iter_rows(named=True):
        console.print(f"  {_sample(row)}", highlight=False, soft_wrap=True)
    if not seen.is_empty():
        console.print()


def _sample(row: dict[str, Any]) -> str:
    before = "(empty)" if row["before"] is None else escape(row["before"])
    what = f"{escape(row['object'])} {escape(row['record_id'])} {escape(row['column_name'])}"
    # A record that goes and one that comes have no value before.
    change = (
        escape(row["after"])
        if row["change_kind"] in ("merge", "create", "posting")
        else f"{before} → {escape(row['after'])}"
    )
    return (
        f"[cyan]{row['change_kind']}[/cyan] {what}: {change}  [dim]{row['confidence']:.2f}[/dim]\n"
        f"      [dim]{escape(row['reason'])}[/dim]"
    )


def _document(
    plan: Overview,
    seen: pl.DataFrame,
    extents: dict[str, Extent],
    policies: dict[str, TargetPolicy],
    stale: int,
) -> dict[str, Any]:
    return {
        "changes": plan.changes,
        "targets": [
            {
                "target": name,
                "changes": plan.only(pl.col("target") == name).changes,
                "records_touched": extent.touched,
                "records_known": extent.population,
                "share": round(float(extent.share), 6),
                "waits_for_approval": name in policies
                and policies[name].connector != "none"
                and extent.exceeds(policies[name].halt),
                "connector": policies[name].connector if name in policies else None,
            }
            for name, extent in sorted(extents.items())
        ],
        "counts": plan.counts.to_dicts(),
        "samples": seen.select("target", *_SHOWN).to_dicts(),
        "no_longer_allowed": stale,
    }
