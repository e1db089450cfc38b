"""OpenLineage: after every step of the night, what it read and wrote, told to whom hygiene.yaml names.

A hook runs when a step has ended, in the command as in Dagster's own daemon, and cannot fail the night.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from assets.gate_log import GateLog, gate_log
from assets.presentation import Lineage, lineage_of
from crm_hygiene.config import Config
from crm_hygiene.contract import Contract, load_contracts
from crm_hygiene.errors import HygieneError
from crm_hygiene.lake import Lake, Statistics
from crm_hygiene.lake_options import lake_of
from crm_hygiene.landing import landing_contract
from crm_hygiene.lineage.openlineage import Assertion, Dataset, StepRun, events_of
from crm_hygiene.lineage.transport import send
from crm_hygiene.mapping import Mapping as SourceMapping


@dataclass(frozen=True)
class StepTables:
    """Tables that a step reads and writes, and the lineage of the columns it writes."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    lineage: Mapping[str, Lineage]


def tables_of_steps(assets: Iterable[object], contracts: Mapping[str, Contract]) -> dict[str, StepTables]:
    """What every step of the job reads and writes, by the step's name; files that are no tables left out."""
    found = {}
    for asset in assets:
        if not isinstance(asset, dg.AssetsDefinition):
            continue
        specs = {".".join(spec.key.path): spec for spec in asset.specs}
        reads = {".".join(dep.asset_key.path) for spec in specs.values() for dep in spec.deps}
        found[asset.op.name] = StepTables(
            reads=tuple(sorted(t for t in reads - specs.keys() if t in contracts)),
            writes=tuple(t for t in specs if t in contracts),
            lineage={table: lineage_of(spec.metadata) for table, spec in specs.items()},
        )
    return found


def _assertions(gates: GateLog, tables: Iterable[str], run_id: str | None) -> dict[str, list[Assertion]]:
    """What the last gate of each table found; with a run, only of gates of that run."""
    found: dict[str, list[Assertion]] = {}
    for table, rows in gates.last(tables).items():
        told = rows.select("check_name", "is_passed", "column_name", "run_id").sort("check_name")
        mine = [
            Assertion(name, bool(is_passed), column or None)
            for name, is_passed, column, by in told.iter_rows()
            if run_id is None or by == run_id
        ]
        if mine:
            found[table] = mine
    return found


class _Standings:
    """Statistics of tables, worked out once per version."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._known: dict[str, Statistics] = {}

    def of(self, table: str) -> Statistics | None:
        """Statistics of the live version; None if there is none."""
        version = self._lake.version(table)
        if version is None:
            return None
        if table not in self._known or self._known[table].version != version:
            found = self._lake.statistics(table)
            if found is None:
                return None
            self._known[table] = found
        return self._known[table]


def _datasets(
    standings: _Standings,
    tables: Iterable[str],
    contracts: Mapping[str, Contract],
    lineage: Mapping[str, Lineage],
    assertions: Mapping[str, list[Assertion]],
) -> list[Dataset]:
    found = []
    for table in tables:
        standing = standings.of(table)
        if standing is None:
            found.append(Dataset(contracts[table], lineage=lineage.get(table, {})))
            continue
        found.append(
            Dataset(
                contracts[table],
                version=standing.version,
                row_count=standing.row_count,
                byte_count=standing.byte_count,
                file_count=standing.file_count,
                null_counts=standing.null_counts,
                lineage=lineage.get(table, {}),
                assertions=assertions.get(table, ()),
            )
        )
    return found


def _reason(error: BaseException | None) -> str:
    """The innermost error of a failed step in one line."""
    while error is not None and error.__cause__ is not None and not isinstance(error, dg.Failure):
        error = error.__cause__
    text = error.description if isinstance(error, dg.Failure) else str(error)
    return (text or type(error).__name__).strip().split("\n")[0]


def openlineage_hooks(
    config: Config, assets: Iterable[object], mappings: Mapping[str, SourceMapping]
) -> frozenset[dg.HookDefinition]:
    """Hooks for the job that tell of every step when it ends; none where `lineage:` asks for nothing."""
    if not config.lineage.file and config.lineage.http_url is None:
        return frozenset()
    landed = [landing_contract(mapping) for mapping in mappings.values()]
    contracts = {**load_contracts(), **{contract.table: contract for contract in landed}}
    steps = tables_of_steps(assets, contracts)
    lake = lake_of(config)
    standings = _Standings(lake)

    def tell(context: dg.HookContext, error: str | None) -> None:
        step = steps.get(context.op.name)
        if step is None:
            return
        now = datetime.now(UTC)
        stats = context.instance.get_run_step_stats(context.run_id, [context.step_key])
        began = stats[0].start_time if stats else None
        try:
            gates = gate_log(lake, context.run_id)
            found = _assertions(gates, step.reads, None)
            found |= _assertions(gates, step.writes, context.run_id if error else None)
            run = StepRun(
                context.run_id,
                context.op.name,
                now if began is None else datetime.fromtimestamp(began, UTC),
                now,
                error,
                _datasets(standings, step.reads, contracts, {}, found),
                _datasets(standings, step.writes, contracts, step.lineage, found),
            )
            problems = send(config, context.run_id, events_of(run, config.lineage.namespace))
        except HygieneError as failure:
            problems = [f"OpenLineage events of {context.op.name} were left out: {failure}"]
        for problem in problems:
            context.log.warning(problem)

    @dg.success_hook(name="openlineage_complete")
    def complete(context: dg.HookContext) -> None:
        tell(context, None)

    @dg.failure_hook(name="openlineage_fail")
    def fail(context: dg.HookContext) -> None:
        tell(context, _reason(context.op_exception))

    return frozenset({complete, fail})
