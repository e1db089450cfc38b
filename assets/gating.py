"""Gates of a step's tables: what passes, what goes to quarantine, what is kept of what they found.

A table that can be held passes its gate whole. One that cannot passes it part by part, while it is written;
what the gates of its parts found is told as one gate's. What does not belong here: what a gate checks
(`expectations.gate`), publishing and Dagster's view of it (`assets.publication`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

import polars as pl

from assets.changes import COMPARED_ROWS, hashes_of
from assets.gate_log import QUARANTINE, gate_log
from crm_hygiene.beside import Beside, NotDoneBesideError
from crm_hygiene.conform import REFUSED_COLUMNS
from crm_hygiene.contract import Contract, contract_of
from crm_hygiene.errors import GateStopped
from crm_hygiene.key_order import is_in_order
from crm_hygiene.night import Night
from crm_hygiene.progress import counted
from crm_hygiene.revision import Revision
from expectations.engine import CHUNK_ROWS
from expectations.gate import GateResult, quarantine_rows, run_gate
from expectations.reasons import NOT_EVALUATED, rows_text
from expectations.suite import is_row_level, named_checks

Parts = Iterable[pl.DataFrame]
Again = Callable[[Night, pl.DataFrame], pl.DataFrame]

# Small parts are gated together up to so many rows.
_TOGETHER_ROWS = 100_000
# A table of so many rows is held, gated and told as a whole.
_HELD_ROWS = 250_000
# So many rows are handed to a process beside this one, if there is one.
_HANDED_ROWS = 100_000
# So many fresh rows of a table in parts are held, to tell what the night changed.
_BROUGHT_ROWS = 1_000_000


_beside: list[Beside] = []


@contextmanager
def gates_beside(process: Beside) -> Iterator[None]:
    """Within the block, gates of few rows run in `process`, which then imports what they need."""
    _beside.append(process)
    try:
        yield
    finally:
        _beside.remove(process)


class BegunGate:
    """The gate of some rows of a table: under way in the process beside this one, or yet to be run here.

    Attributes
    ----------
    brought
        the fresh rows, if the rows are a revision; `gone` those that it leaves out, if it tells them.
    """

    def __init__(
        self, night: Night, contract: Contract, frame: pl.DataFrame, fresh: pl.Series | None = None
    ) -> None:
        self.contract = contract
        self.brought: pl.DataFrame | None = None
        self.gone: pl.DataFrame | None = None
        self._given: tuple[pl.DataFrame, pl.Series | None] | None = (frame, fresh)
        self._when = (night.run_id, night.started_at)
        self._answer: Future[GateResult] | None = None
        if _beside and 0 < frame.height <= _HANDED_ROWS:
            self._answer = _beside[-1].call(run_gate, contract, frame, *self._when, CHUNK_ROWS, fresh)

    def result(self) -> GateResult:
        """What the gate found; to be asked once."""
        if self._answer is not None:
            try:
                return self._answer.result()
            except NotDoneBesideError:
                pass  # an error of the gate itself comes again here
        assert self._given is not None
        (frame, fresh), self._given = self._given, None
        return run_gate(self.contract, frame, *self._when, fresh=fresh)


def are_gates_beside() -> bool:
    """Whether gates can be begun before others are through."""
    return bool(_beside)


@dataclass
class Gated:
    """One table after its gate.

    `fresh` are the rows a revision brought, where it refused none, `gone` those that it leaves out.
    """

    contract: Contract
    frames: list[pl.DataFrame]
    quarantined: list[pl.DataFrame]
    results: pl.DataFrame
    is_stopped: bool
    fresh: pl.DataFrame | None = None
    gone: pl.DataFrame | None = None


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
        frame = contract.shape(table)
        # What is in order already is not copied.
        if not is_in_order(frame, contract.key):
            frame = frame.sort(contract.key, nulls_last=True)
        return frame, None
    both = pl.concat(
        contract.shape(rows).with_columns(pl.lit(is_fresh).alias(_FRESH))
        for rows, is_fresh in ((table.kept, False), (table.fresh, True))
    ).sort(contract.key, nulls_last=True)
    return both.drop(_FRESH), both[_FRESH]


def begin_gate(night: Night, contract: Contract, table: pl.DataFrame | Revision) -> BegunGate:
    """Begin the gate of a table."""
    begun = BegunGate(night, contract, *_staged(contract, table))
    if isinstance(table, Revision):
        begun.brought = contract.shape(table.fresh)
        begun.gone = table.gone
    return begun


def end_gate(night: Night, begun: BegunGate, again: Again | None) -> Gated:
    """End the gate of a table; records whose newest row is refused fall back to their last good row."""
    contract, result = begun.contract, begun.result()
    frames, quarantined, stopped = [result.clean], [result.quarantined], result.is_stopped
    if again is not None and not stopped:
        for fallback in _next_best(night, contract, quarantined, again):
            frames.append(fallback.clean)
            stopped = fallback.is_stopped
    brought = None if any(part.height for part in quarantined) else begun.brought
    return Gated(contract, frames, quarantined, result.results, stopped, brought, begun.gone)


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
        result = BegunGate(night, contract, contract.shape(next_best)).result()
        quarantined.append(result.quarantined)
        yield result
        if result.is_stopped:
            return


def record(night: Night, gates: Sequence[Gated]) -> None:
    """Keep what gates found: their results once per run, their quarantine as each table's present one."""
    if not gates:
        return
    log = gate_log(night.lake, night.run_id)
    log.add(pl.concat(gated.results for gated in gates), night.metadata())
    for gated in gates:
        rows, table = quarantine_rows(gated.contract, pl.concat(gated.quarantined)), gated.contract.table
        if rows.height or log.is_quarantined(table):
            night.lake.replace_rows(contract_of(QUARANTINE), rows, "table_name", table, night.metadata())


def held_if_small(contract: Contract, parts: Parts) -> pl.DataFrame | Parts:
    """All rows of a table in one frame where they are few, else its parts as they come."""
    coming = iter(parts)
    held = [contract.empty()]
    for part in coming:
        held.append(part)
        if sum(frame.height for frame in held) > _HELD_ROWS:
            return _followed_by(held, coming)
    return pl.concat(held)


def _followed_by(held: list[pl.DataFrame], coming: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    while held:
        yield held.pop(0)
    yield from coming


def _gathered(parts: Parts) -> Iterator[pl.DataFrame]:
    """Small parts together: a gate has a fixed cost that a part of a few rows need not pay alone."""
    held: list[pl.DataFrame] = []
    for part in parts:
        held.append(part)
        if sum(frame.height for frame in held) >= _TOGETHER_ROWS:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)


@dataclass
class GatedParts:
    """The rows of a table that pass its gate, part by part, and what the gates found; comes once.

    Rows of `kept` passed the gate of an earlier night. Rows that a part's gate refuses go to quarantine; when
    all parts are through, their records' next best rows follow as the last ones, with `again`. With
    `stops_at_refused` a refused row is a mistake of ours and stops the table.

    Attributes
    ----------
    brought
        the fresh rows, if they were asked for; None where they are too many or some were refused.
    hashes
        of the rows that passed (`assets.changes.hashes_of`), if they were asked for and are not too many.
    """

    night: Night
    contract: Contract
    kept: Parts
    fresh: Parts
    again: Again | None
    stops_at_refused: bool
    results: list[pl.DataFrame] = field(default_factory=list)
    quarantined: list[pl.DataFrame] = field(default_factory=list)
    brought: list[pl.DataFrame] | None = None
    hashes: list[pl.DataFrame] | None = None
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
            is_stopped |= result.is_stopped or (self.stops_at_refused and result.quarantined.height > 0)
            if not is_stopped:
                yield self._hashed(result.clean)
            elif self.stops_at_refused:
                break
            # Otherwise what the gates of the parts to come find is told, though nothing is published.
        if self.again is not None and self.quarantined and not is_stopped:
            self.quarantined = [pl.concat(self.quarantined)]
            for fallback in _next_best(self.night, self.contract, self.quarantined, self.again):
                is_stopped, reason = fallback.is_stopped, failures(fallback.results)
                if not is_stopped:
                    yield self._hashed(fallback.clean)
        self._record(is_stopped)
        if is_stopped:
            raise GateStopped(reason or failures(self.found))

    def _hashed(self, part: pl.DataFrame) -> pl.DataFrame:
        if self.hashes is not None:
            self.hashes.append(hashes_of(part, self.contract))
            if sum(map(len, self.hashes)) > COMPARED_ROWS:
                self.hashes = None
        return part

    def _gate(self, part: pl.DataFrame) -> GateResult:
        night, shaped = self.night, self.contract.shape(part)
        result = BegunGate(night, self.contract, shaped).result()
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
        return _summed(self.results, self.passed)

    def _record(self, is_stopped: bool) -> None:
        none = self.contract.empty()
        if not self.results:
            results = run_gate(self.contract, none, self.night.run_id, self.night.started_at).results
            by_row = [
                name for name, c in named_checks(self.contract).items() if is_row_level(self.contract, c)
            ]
            is_by_row = pl.col("check_name").is_in(by_row)
            self.results.append(results.with_columns(failed_count=pl.when(is_by_row).then(0)))
        none = none.with_columns(reasons=pl.lit([], dtype=pl.List(pl.String)))
        record(self.night, [Gated(self.contract, [], [none, *self.quarantined], self.found, is_stopped)])


def failures(results: pl.DataFrame) -> str:
    """The checks that did not pass and what they observed, as one text."""
    failed = results.filter(~pl.col("is_passed"))
    return "; ".join(
        f"{name}: {observed}" for name, observed in failed.select("check_name", "observed").iter_rows()
    )
