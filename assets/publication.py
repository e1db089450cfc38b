"""Write, audit, publish: how a step's tables become live.

A step computes all its tables, each passes its gate, and only when every one has passed are they
published, one Delta commit each. Rows that break a row-level check go to quality.quarantine; a
critical check that fails stops the step, and Dagster runs nothing downstream of it. A table too large to
hold comes in parts, each of which passes the gate while it is written; one that does not aborts the commit.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from assets.apart import done, is_begun_ahead, stored_bytes, tables_are_live, tables_are_made
from assets.changes import COMPARED_ROWS, Made, hashes_of
from assets.check_words import check_description, check_metadata
from assets.errands import done_ahead
from assets.gate_log import gate_log
from assets.gating import (
    Again,
    BegunGate,
    Gated,
    GatedParts,
    Parts,
    are_gates_beside,
    begin_gate,
    end_gate,
    failures,
    record,
)
from assets.presentation import (
    Lineage,
    lineage_metadata,
    same_names,
    schema_metadata,
    table_description,
    table_metadata,
    where_to_look,
)
from assets.resources import NightResource
from assets.retries import tried_again
from assets.turns import Turn
from crm_hygiene.ahead import ahead
from crm_hygiene.contract import Contract, contract_of
from crm_hygiene.errors import GateStopped
from crm_hygiene.fingerprint import fingerprint
from crm_hygiene.lake import Publication
from crm_hygiene.night import Night
from crm_hygiene.progress import tell
from crm_hygiene.revision import Revision, StreamedRevision
from expectations.suite import named_checks

# A table of so many rows takes long enough to be told of.
_TOLD_ROWS = 20_000
_NOT_PUBLISHED = "not published, the last good version stays: "

# Its commit names the linkage models that made the entities everything downstream is made from.
_MEMBERS = "linked.person_members"
Table = pl.DataFrame | Revision | Parts | StreamedRevision
Tables = dict[str, Table]
Compute = Callable[[Night], Tables]
Figures = Callable[[Night], dict[str, Any]]


@dataclass(frozen=True)
class Step:
    """One computation of the night: what it reads, what it publishes, and the domain function between.

    Attributes
    ----------
    tables
        published tables, in the order in which they are committed.
    reads
        tables whose state decides whether the step has to run.
    compute
        all rows of every table of `tables`; a table too large to hold comes as its parts, one of which the
        night made only some rows as a revision. Each part is gated by itself: no key may be in two of them.
    again
        given the refused rows of the step's one table, their records' next best rows.
    made_from
        table -> those of `reads` it is made from, where that is not all of them; for the graph.
    column_sources
        tables from which columns of the same name come, for the column lineage.
    column_lineage
        table -> column -> the columns it is made of, where their names differ.
    landing_reads
        landing tables read besides.
    extra
        a text on what the step keeps for itself, from the lake or from what it just computed.
    models
        the linkage models the step uses, as JSON by kind, where it uses them itself.
    pins
        table -> tables whose versions its commit names, so that they are read together.
    figures
        table -> what a person should see of the live table beside its preview, as Dagster metadata.
    turn
        when it goes, of the steps that could.
    beside
        the step beside whose writing it may be done, where there is memory for both.
    untold
        tables in parts whose content no commit tells, so that they count as changed; a row that their gate
        refuses is a mistake of ours and stops them.
    """

    name: str
    tables: tuple[str, ...]
    reads: tuple[str, ...]
    compute: Compute
    again: Again | None = None
    kinds: tuple[str, ...] = ("polars",)
    made_from: dict[str, tuple[str, ...]] = field(default_factory=dict)
    column_sources: dict[str, tuple[str, ...]] = field(default_factory=dict)
    column_lineage: dict[str, Lineage] = field(default_factory=dict)
    landing_reads: tuple[str, ...] = ()
    extra: Callable[[Night, Tables | None], str] | None = None
    models: Callable[[Night, Tables | None], str] | None = None
    pins: dict[str, tuple[str, ...]] = field(default_factory=dict)
    figures: dict[str, Figures] = field(default_factory=dict)
    untold: frozenset[str] = frozenset()
    turn: Turn = Turn.USUAL
    beside: str | None = None

    def figures_of(self, night: Night, table: str) -> dict[str, Any]:
        """What the step shows of a live table beside its preview."""
        return self.figures[table](night) if table in self.figures else {}

    def models_used(self, night: Night, computed: Tables) -> dict[str, str]:
        """Text for the commits: the linkage models behind the step's tables, if it has to do with any."""
        if self.models is not None:
            return {"models": self.models(night, computed)}
        if not any("models" in night.lake.metadata(table) for table in self.reads):
            return {}
        # What else it reads may be older than the members, where a new model changed nothing in it.
        text = night.lake.metadata(_MEMBERS).get("models")
        return {"models": text} if text else {}

    def metadata(self, night: Night, table: str, inputs: str, models: dict[str, str]) -> dict[str, str]:
        """Texts for the commit of `table`; `pins` names the versions of tables that belong to it."""
        texts = night.metadata(inputs) | models
        pinned = {other: night.lake.version(other) for other in self.pins.get(table, ())}
        return {**texts, "pins": json.dumps(pinned)} if pinned else texts

    def inputs(self, night: Night, computed: Tables | None = None) -> str:
        """Fingerprint of what the step reads; `extra` adds what a step keeps for itself (its model)."""
        found = night.inputs(*self.all_reads)
        return found if self.extra is None else fingerprint([found, self.extra(night, computed)])

    def is_current(self, night: Night, inputs: str) -> bool:
        """Whether every live table of the step was made from these inputs."""
        return all(night.lake.is_current(table, inputs) for table in self.tables)

    @property
    def all_reads(self) -> tuple[str, ...]:
        """Everything read, landing tables included."""
        return (*self.landing_reads, *self.reads)


@dataclass(frozen=True)
class Staged:
    """The tables of a step as computed ahead of it, their parts as lists, and what the computation says.

    Attributes
    ----------
    inputs
        fingerprint of what the step reads, taken before it was computed.
    gates
        gates of the tables that are no parts, under way.
    """

    inputs: str
    tables: Tables
    notes: list[str]
    gates: dict[str, BegunGate] = field(default_factory=dict)


def with_gates(night: Night, staged: Staged | None) -> Staged | None:
    """Tables computed ahead, their gates begun."""
    if staged is None:
        return None
    begun = {
        table: begin_gate(night, contract_of(table), rows)
        for table, rows in staged.tables.items()
        if isinstance(rows, pl.DataFrame | Revision)
    }
    return replace(staged, gates=begun)


def asset_key(table: str) -> dg.AssetKey:
    """`golden.contacts` is the asset ["golden", "contacts"]."""
    return dg.AssetKey(table.split("."))


def check_id(name: str) -> str:
    """A check's name in the letters Dagster allows, the column first: Dagster's list cuts long names.

    `column_values_to_be_between(amount)` is `amount__must_be_between`.
    """
    rule, _, rest = name.partition("(")
    subject, _, ordinal = rest.partition(")")
    rule = re.sub(r"^(column_values|compound_columns|column|table)_", "", rule)
    rule = re.sub(r"(^|_)to_", r"\1must_", rule, count=1)
    return re.sub(r"[^A-Za-z0-9_]+", "_", f"{subject}__{rule}{ordinal}").strip("_")


def _spec(step: Step, contract: Contract) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=asset_key(contract.table),
        group_name=contract.layer,
        description=table_description(contract),
        owners=[f"team:{contract.owner}"],
        kinds={"deltalake", *step.kinds},
        tags={"layer": contract.layer, **({"pii": "true"} if contract.pii_columns else {})},
        metadata={
            **schema_metadata(contract),
            **lineage_metadata(
                contract,
                same_names(contract, step.column_sources.get(contract.table, ()))
                | step.column_lineage.get(contract.table, {}),
            ),
        },
        deps=[asset_key(table) for table in step.made_from.get(contract.table, step.all_reads)],
    )


def _check_specs(contract: Contract) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(
            name=check_id(name),
            asset=asset_key(contract.table),
            description=check_description(check),
            blocking=check.severity == "critical",
        )
        for name, check in named_checks(contract).items()
    ]


def _publish_parts(
    night: Night,
    contract: Contract,
    table: Parts | StreamedRevision,
    again: Again | None,
    metadata: dict[str, str],
    is_untold: bool,
) -> "_Live":
    """Gate and publish a table part by part; a part that is stopped aborts the one commit."""
    if isinstance(table, StreamedRevision):
        gated = GatedParts(night, contract, table.kept, table.fresh, again, is_untold)
        gated.brought = [contract.empty()]
    else:
        gated = GatedParts(night, contract, (), table, again, is_untold)
        if night.lake.exists(contract.table):
            gated.hashes = [hashes_of(contract.empty(), contract)]
    # Rows that are the same need not make the steps run again that read them.
    publication = night.lake.publish_parts(contract, gated, metadata, tells_content=not is_untold)
    gone = table.gone if isinstance(table, StreamedRevision) else None
    made = Made(
        fresh=None if gated.brought is None else pl.concat(gated.brought),
        gone=None if gone is None else gone.rows(contract.empty()),
        hashes=None if gated.hashes is None else pl.concat(gated.hashes),
    )
    return _Live(contract, publication, gated.found, made)


def _check_results(contract: Contract, results: pl.DataFrame) -> Iterator[dg.AssetCheckResult]:
    found = {row["check_name"]: row for row in results.iter_rows(named=True)}
    for name, check in named_checks(contract).items():
        row = found.get(name)
        yield dg.AssetCheckResult(
            asset_key=asset_key(contract.table),
            check_name=check_id(name),
            passed=True if row is None else bool(row["is_passed"]),
            severity=dg.AssetCheckSeverity.ERROR
            if check.severity == "critical"
            else dg.AssetCheckSeverity.WARN,
            metadata=check_metadata(row),
        )


def _unchanged(night: Night, step: Step) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
    found = gate_log(night.lake, night.run_id).last(step.tables)
    for table in step.tables:
        contract = contract_of(table)
        yield dg.MaterializeResult(
            asset_key=asset_key(table),
            metadata={
                "unchanged": True,
                **table_metadata(night.lake, contract, None),
                **step.figures_of(night, table),
                **where_to_look(night, contract),
            },
        )
        yield from _check_results(contract, found[table])


def run_step(
    night: Night, log: logging.Logger, step: Step
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
    """Compute, gate and publish the tables of a step, unless its inputs are those of the live tables.

    A step that reads large tables is done in a process of its own, where the night has any.

    Raises
    ------
    dagster.Failure
        if a critical check stopped a table (not retried) or an input is wrong.
    """
    reads = partial(stored_bytes, night, step.all_reads)
    if is_begun_ahead(step.name):  # it may have published already
        yield from done(step.name, partial(make_tables, step=step), night, log, reads)
        return
    inputs = step.inputs(night)
    if step.is_current(night, inputs):
        log.info(f"{', '.join(step.tables)}: inputs unchanged since the last night, nothing to do")
        tables_are_live(step.tables)
        yield from _unchanged(night, step)
        return
    staged: Staged | None = done_ahead(step.name)
    if staged is not None and staged.inputs == inputs:
        yield from make_tables(night, log, step, staged)
    else:  # not done ahead, or a steward has decided meanwhile
        yield from done(step.name, partial(make_tables, step=step), night, log, reads)


def make_tables(
    night: Night, log: logging.Logger, step: Step, staged: Staged | None = None
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
    """Compute the tables of a step, unless they are staged, gate and publish them; raises as `run_step`."""
    noted = len(night.notes)
    if staged is not None:
        night.say(staged.notes)
    computed: Tables = step.compute(night) if staged is None else {**staged.tables}
    for note in night.notes[noted:]:
        log.warning(note)
    inputs = step.inputs(night, computed)
    models = step.models_used(night, computed)
    missing = set(step.tables) ^ set(computed)
    assert not missing, f"{step.name} computes other tables than it declares: {missing}"
    frames = {t: given for t, given in computed.items() if isinstance(given, pl.DataFrame | Revision)}
    parts = {t: given for t, given in computed.items() if not isinstance(given, pl.DataFrame | Revision)}
    computed.clear()
    held = [table for table in step.tables if table in frames]
    begun = {} if staged is None else staged.gates
    if are_gates_beside():
        begun |= {t: begin_gate(night, contract_of(t), frames[t]) for t in held if t not in begun}
    gates: dict[str, Gated] = {}
    for table in held:
        # Taken out, so that the rows as computed do not stay in memory beside those that passed.
        rows = frames.pop(table)
        _tell_of(table, rows)
        under_way = begun.pop(table, None) or begin_gate(night, contract_of(table), rows)
        del rows
        gates[table] = end_gate(night, under_way, step.again)
    record(night, list(gates.values()))
    stopped = [gated for gated in gates.values() if gated.is_stopped]
    if stopped:
        for gated in stopped:
            # Only the evaluations: yielding a result for the asset would claim it was published.
            yield from _check_results(gated.contract, gated.results)
        raise dg.Failure(
            _NOT_PUBLISHED + " | ".join(f"{g.contract.table}: {failures(g.results)}" for g in stopped),
            allow_retries=False,
        )
    tables_are_made(step.name)
    try:
        # What is told of a table reads it; the next one is written meanwhile.
        with closing(ahead(_published(night, step, gates, parts, inputs, models))) as published:
            for live in published:
                publication, table = live.publication, live.contract.table
                log.info(
                    f"{table}: {publication.row_count:,} rows, "
                    + (f"version {publication.version}" if publication.is_changed else "content unchanged")
                )
                yield dg.MaterializeResult(
                    asset_key=asset_key(table),
                    metadata={
                        **table_metadata(night.lake, live.contract, publication, live.made),
                        **step.figures_of(night, table),
                        **where_to_look(night, live.contract),
                    },
                )
                yield from _check_results(live.contract, live.results)
    except _StoppedInPartsError as stop:
        contract = contract_of(stop.table)
        yield from _check_results(contract, gate_log(night.lake, night.run_id).last([stop.table])[stop.table])
        raise dg.Failure(f"{_NOT_PUBLISHED}{stop.table}: {stop}", allow_retries=False) from stop


@dataclass(frozen=True)
class _Live:
    """A table just published, what its gate found, and what is known of its rows."""

    contract: Contract
    publication: Publication
    results: pl.DataFrame
    made: Made


class _StoppedInPartsError(Exception):
    def __init__(self, table: str, stop: GateStopped) -> None:
        super().__init__(str(stop))
        self.table = table


def _published(
    night: Night,
    step: Step,
    gates: dict[str, Gated],
    parts: dict[str, Parts | StreamedRevision],
    inputs: str,
    models: dict[str, str],
) -> Iterator[_Live]:
    """Publish tables one after another, taking them out of `gates` and `parts`.

    Raises
    ------
    _StoppedInPartsError
        if a table in parts does not pass.
    """
    # Streamed tables first: their gate runs while they are written and may still stop the step.
    for table in [*parts, *(t for t in step.tables if t in gates)]:
        contract = contract_of(table)
        metadata = step.metadata(night, table, inputs, models)
        if table in gates:
            gated = gates.pop(table)
            rows = pl.concat(gated.frames)
            had = night.lake.exists(table)
            publication = night.lake.publish(contract, rows, metadata)
            is_compared = had and publication.is_changed and gated.fresh is None
            is_compared &= rows.height <= COMPARED_ROWS
            made = Made(gated.fresh, gated.gone, hashes_of(rows, contract) if is_compared else None)
            live = _Live(contract, publication, gated.results, made)
            del gated, rows
        else:
            try:
                live = _publish_parts(
                    night, contract, parts.pop(table), step.again, metadata, table in step.untold
                )
            except GateStopped as stop:
                raise _StoppedInPartsError(table, stop) from stop
        yield live
        del live


def _tell_of(table: str, given: pl.DataFrame | Revision) -> None:
    rows = given if isinstance(given, pl.DataFrame) else given.fresh
    if rows.height >= _TOLD_ROWS:
        tell(f"checking {table}: {rows.height:,} rows")


def step_asset(step: Step) -> dg.AssetsDefinition:
    """A step as a Dagster multi-asset with its gates as asset checks."""
    contracts = [contract_of(table) for table in step.tables]

    @dg.multi_asset(
        name=step.name,
        specs=[_spec(step, contract) for contract in contracts],
        check_specs=[spec for contract in contracts for spec in _check_specs(contract)],
        op_tags=step.turn.tags,
    )
    def run(context: dg.AssetExecutionContext, night: NightResource) -> Any:
        with tried_again(context):
            yield from run_step(night.of(context), context.log, step)

    return run
