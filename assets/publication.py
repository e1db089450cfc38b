"""Write, audit, publish: how a step's tables become live.

A step computes all its tables, each passes its gate, and only when every one has passed are they
published, one Delta commit each. Rows that break a row-level check go to quality.quarantine; a
critical check that fails stops the step, and Dagster runs nothing downstream of it. A table too large to
hold comes in parts, each of which passes the gate while it is written; one that does not aborts the commit.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import polars as pl

from assets.check_words import check_description, check_metadata
from assets.gate_log import GATES, gate_log
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
from crm_hygiene.conform import REFUSED_COLUMNS
from crm_hygiene.contract import Contract, contract_of
from crm_hygiene.errors import GateStopped, HygieneError, LakeError
from crm_hygiene.fingerprint import fingerprint
from crm_hygiene.lake import Publication
from crm_hygiene.night import Night
from crm_hygiene.progress import counted, tell
from crm_hygiene.revision import Revision, StreamedRevision
from expectations.gate import GateResult, quarantine_rows, run_gate
from expectations.reasons import NOT_EVALUATED, rows_text
from expectations.suite import named_checks

Parts = Iterable[pl.DataFrame]
_PART_ROWS = 100_000
# A table of so many rows takes long enough to be told of.
_TOLD_ROWS = 20_000
# So many fresh rows of a table in parts are held, to tell what the night changed.
_BROUGHT_ROWS = 1_000_000
_NOT_PUBLISHED = "not published, the last good version stays: "

# Its commit names the linkage models that made the entities everything downstream is made from.
_MEMBERS = "linked.person_members"
Tables = dict[str, pl.DataFrame | Revision | Parts | StreamedRevision]
Compute = Callable[[Night], Tables]
Again = Callable[[Night, pl.DataFrame], pl.DataFrame]
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

    @property
    def all_reads(self) -> tuple[str, ...]:
        """Everything read, landing tables included."""
        return (*self.landing_reads, *self.reads)


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


@dataclass
class _Gated:
    """One table after its gate; `fresh` are the rows a revision brought, where it refused none."""

    contract: Contract
    frames: list[pl.DataFrame]
    quarantined: list[pl.DataFrame]
    results: pl.DataFrame
    is_stopped: bool
    fresh: pl.DataFrame | None = None


def _summed(results: list[pl.DataFrame], passed: int = 0) -> pl.DataFrame:
    """Gate results of several parts of one table as one row per check, as if it had been gated whole.

    `passed` more rows have passed every check that could have stopped them.
    """
    if len(results) == 1 and not passed:
        return results[0]
    failed = pl.when(pl.col("failed_count").count() > 0).then(pl.col("failed_count").sum())
    summed = (
        pl.concat(results)
        .group_by("run_id", "table_name", "check_name", "column_name", "severity", maintain_order=True)
        .agg(
            pl.col("is_passed").all(),
            pl.col("row_count").sum() + passed,
            failed,
            pl.col("examples").explode(empty_as_null=False, keep_nulls=False).unique().bottom_k(10).sort(),
            # A part in which the check raised tells more than those in which it did not.
            pl.col("observed").sort_by(~pl.col("observed").str.starts_with(NOT_EVALUATED)).first(),
            pl.col("checked_at").last(),
        )
    )
    observed = [
        text if count is None or text.startswith(NOT_EVALUATED) else rows_text(count, rows)
        for text, count, rows in summed.select("observed", "failed_count", "row_count").iter_rows()
    ]
    return summed.with_columns(pl.Series("observed", observed, dtype=pl.String))


_FRESH = "_is_fresh"


def _staged(contract: Contract, table: pl.DataFrame | Revision) -> tuple[pl.DataFrame, pl.Series | None]:
    """All rows of a table in the order of its key, and which of them its gate has not seen."""
    if isinstance(table, pl.DataFrame):
        return contract.shape(table).sort(contract.key, nulls_last=True), None
    both = pl.concat(
        contract.shape(rows).with_columns(pl.lit(is_fresh).alias(_FRESH))
        for rows, is_fresh in ((table.kept, False), (table.fresh, True))
    ).sort(contract.key, nulls_last=True)
    return both.drop(_FRESH), both[_FRESH]


def _gate(night: Night, contract: Contract, table: pl.DataFrame | Revision, again: Again | None) -> _Gated:
    """Gate a table; records whose newest row is refused fall back to their last good row."""
    frame, fresh = _staged(contract, table)
    result = run_gate(contract, frame, night.run_id, night.started_at, fresh=fresh)
    del frame, fresh
    frames, quarantined, stopped = [result.clean], [result.quarantined], result.is_stopped
    if again is not None and not stopped:
        for fallback in _next_best(night, contract, quarantined, again):
            frames.append(fallback.clean)
            stopped = fallback.is_stopped
    brought = contract.shape(table.fresh) if isinstance(table, Revision) else None
    if any(part.height for part in quarantined):
        brought = None
    return _Gated(contract, frames, quarantined, result.results, stopped, brought)


def _next_best(
    night: Night, contract: Contract, quarantined: list[pl.DataFrame], again: Again
) -> Iterator[GateResult]:
    """Gates of the next best rows of refused records, until none is refused or a critical check stops them.

    `quarantined` are all rows refused so far, the last ones those just refused; those of each gate are added.
    """
    while quarantined[-1].height:
        refused = pl.concat(quarantined).select(REFUSED_COLUMNS)
        # A record that has found its good row is done; only those just refused look further.
        last = quarantined[-1].select("source", "record_id").unique()
        next_best = again(night, refused).join(last, on=["source", "record_id"], how="semi")
        if next_best.height == 0:
            return
        result = run_gate(contract, contract.shape(next_best), night.run_id, night.started_at)
        quarantined.append(result.quarantined)
        yield result
        if result.is_stopped:
            return


def _record(night: Night, gated: _Gated) -> None:
    """Keep what the gate found: its results once per run, its quarantine as the table's present one."""
    gate_log(night.lake, night.run_id).add(gated.results, night.metadata())
    rows = quarantine_rows(gated.contract, pl.concat(gated.quarantined))
    night.lake.replace_rows(
        contract_of("quality.quarantine"), rows, "table_name", gated.contract.table, night.metadata()
    )


def _gathered(parts: Parts) -> Iterator[pl.DataFrame]:
    """Small parts together: a gate has a fixed cost that a part of a few rows need not pay alone."""
    held: list[pl.DataFrame] = []
    for part in parts:
        held.append(part)
        if sum(frame.height for frame in held) >= _PART_ROWS:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)


@dataclass
class _GatedParts:
    """The rows of a table that pass its gate, part by part, and what the gates found; comes once.

    Rows of `kept` passed the gate of an earlier night. Rows that a part's gate refuses go to quarantine; when
    all parts are through, their records' next best rows follow as the last ones. Without `again` the rows are
    derived and have no file to go back to: a refused one is a mistake of ours and stops the table.

    Attributes
    ----------
    brought
        the fresh rows, None where they are too many or some were refused.
    """

    night: Night
    contract: Contract
    kept: Parts
    fresh: Parts
    again: Again | None
    results: list[pl.DataFrame] = field(default_factory=list)
    quarantined: list[pl.DataFrame] = field(default_factory=list)
    brought: list[pl.DataFrame] | None = field(default_factory=list)
    passed: int = 0

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """The rows that pass, in parts; GateStopped, with everything recorded, where the table may not."""
        name = self.contract.table
        for part in counted(self.kept, f"keeping rows of {name}", unit="rows", size=len):
            self.passed += part.height
            yield part
        is_stopped, reason = False, ""
        for part in counted(_gathered(self.fresh), f"checking and writing {name}", unit="rows", size=len):
            result = self._gate(part)
            is_stopped |= result.is_stopped or (self.again is None and result.quarantined.height > 0)
            if not is_stopped:
                yield result.clean
            elif self.again is None:
                break
            # Otherwise what the gates of the parts to come find is told, though nothing is published.
        if self.again is not None and self.quarantined and not is_stopped:
            self.quarantined = [pl.concat(self.quarantined)]
            for fallback in _next_best(self.night, self.contract, self.quarantined, self.again):
                is_stopped, reason = fallback.is_stopped, _failures(fallback.results)
                if not is_stopped:
                    yield fallback.clean
        self._record(is_stopped)
        if is_stopped:
            raise GateStopped(reason or _failures(self.found))

    def _gate(self, part: pl.DataFrame) -> GateResult:
        night, shaped = self.night, self.contract.shape(part)
        result: GateResult = run_gate(self.contract, shaped, night.run_id, night.started_at)
        self.results.append(result.results)
        if result.quarantined.height:
            self.quarantined.append(result.quarantined)
            self.brought = None
        if self.brought is not None:
            self.brought.append(result.clean)
            if sum(map(len, self.brought)) > _BROUGHT_ROWS:
                self.brought = None
        return result

    @property
    def found(self) -> pl.DataFrame:
        """What the gates of all parts found, one row per check."""
        return _summed(self.results, self.passed) if self.results else contract_of(GATES).empty()

    def _record(self, is_stopped: bool) -> None:
        if not self.results:
            night, none = self.night, self.contract.empty()
            self.results.append(run_gate(self.contract, none, night.run_id, night.started_at).results)
        none = self.contract.empty().with_columns(reasons=pl.lit([], dtype=pl.List(pl.String)))
        _record(self.night, _Gated(self.contract, [], [none, *self.quarantined], self.found, is_stopped))


def _publish_parts(
    night: Night,
    contract: Contract,
    table: Parts | StreamedRevision,
    again: Again | None,
    metadata: dict[str, str],
) -> tuple[Publication, pl.DataFrame, pl.DataFrame | None]:
    """Gate and publish a table part by part; a part that is stopped aborts the one commit.

    Returns its results, and the fresh rows of a revision.
    """
    is_revision = isinstance(table, StreamedRevision)
    kept, fresh = (table.kept, table.fresh) if isinstance(table, StreamedRevision) else ((), table)
    gated = _GatedParts(night, contract, kept, fresh, again)
    # What is made from landed rows is what all other steps read: the same rows need not make them run again.
    publication = night.lake.publish_parts(contract, gated, metadata, tells_content=again is not None)
    brought = None if gated.brought is None else pl.concat([contract.empty(), *gated.brought])
    return publication, gated.found, brought if is_revision else None


def _failures(results: pl.DataFrame) -> str:
    failed = results.filter(~pl.col("is_passed"))
    return "; ".join(
        f"{name}: {observed}" for name, observed in failed.select("check_name", "observed").iter_rows()
    )


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
    night: Night, step: Step, log: Callable[[str], None], warn: Callable[[str], None]
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
    """Compute, gate and publish the tables of a step, unless its inputs are those of the live tables.

    Raises
    ------
    dagster.Failure
        if a critical check stopped a table (not retried) or an input is wrong.
    """
    inputs = step.inputs(night)
    if all(night.lake.is_current(table, inputs) for table in step.tables):
        log(f"{', '.join(step.tables)}: inputs unchanged since the last night, nothing to do")
        yield from _unchanged(night, step)
        return
    noted = len(night.notes)
    computed = step.compute(night)
    for note in night.notes[noted:]:
        warn(note)
    inputs = step.inputs(night, computed)
    models = step.models_used(night, computed)
    missing = set(step.tables) ^ set(computed)
    assert not missing, f"{step.name} computes other tables than it declares: {missing}"
    frames = {t: given for t, given in computed.items() if isinstance(given, pl.DataFrame | Revision)}
    parts = {t: given for t, given in computed.items() if not isinstance(given, pl.DataFrame | Revision)}
    computed.clear()
    gates: dict[str, _Gated] = {}
    for table in (t for t in step.tables if t in frames):
        # Taken out, so that the rows as computed do not stay in memory beside those that passed.
        _tell_of(table, frames[table])
        gates[table] = _gate(night, contract_of(table), frames.pop(table), step.again)
        _record(night, gates[table])
    stopped = [gated for gated in gates.values() if gated.is_stopped]
    if stopped:
        for gated in stopped:
            # Only the evaluations: yielding a result for the asset would claim it was published.
            yield from _check_results(gated.contract, gated.results)
        raise dg.Failure(
            _NOT_PUBLISHED + " | ".join(f"{g.contract.table}: {_failures(g.results)}" for g in stopped),
            allow_retries=False,
        )
    # Streamed tables first: their gate runs while they are written and may still stop the step.
    for table in [*parts, *(t for t in step.tables if t in gates)]:
        contract = contract_of(table)
        metadata = step.metadata(night, table, inputs, models)
        if table in gates:
            gated = gates.pop(table)
            results, fresh = gated.results, gated.fresh
            publication = night.lake.publish(contract, pl.concat(gated.frames), metadata)
            del gated
        else:
            try:
                publication, results, fresh = _publish_parts(
                    night, contract, parts.pop(table), step.again, metadata
                )
            except GateStopped as stop:
                yield from _check_results(contract, gate_log(night.lake, night.run_id).last([table])[table])
                raise dg.Failure(f"{_NOT_PUBLISHED}{table}: {stop}", allow_retries=False) from stop
        log(
            f"{table}: {publication.row_count:,} rows, "
            + (f"version {publication.version}" if publication.is_changed else "content unchanged")
        )
        yield dg.MaterializeResult(
            asset_key=asset_key(table),
            metadata={
                **table_metadata(night.lake, contract, publication, fresh),
                **step.figures_of(night, table),
                **where_to_look(night, contract),
            },
        )
        yield from _check_results(contract, results)


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
        retry_policy=dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL),
    )
    def run(context: dg.AssetExecutionContext, night: NightResource) -> Any:
        try:
            yield from run_step(night.of(context), step, context.log.info, context.log.warning)
        except LakeError:
            raise  # a full disk or a lost connection may pass: Dagster tries again
        except HygieneError as error:
            raise dg.Failure(str(error), allow_retries=False) from error

    return run
