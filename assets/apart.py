"""Steps of large tables, each in a process of its own, so that what it took of memory is given back.

A step that has read and made a few gigabytes leaves some of them behind in its process: freed memory that
lies between what is still in use. The next step would begin with it. So a large step is done by another
process, which then ends, while this one keeps Dagster's events and the lock on the lake. The process of the
step after it is begun meanwhile and imports what it will need. Some works are begun ahead of their turn,
beside another one (`assets.early`).

The night ends such a process when it ends itself, whatever the process is at; a commit is whole or not there.
What does not belong here: what is done there (`assets.works`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg

from assets.beginning import IMPORTED_ONCE
from assets.early import BegunWork, Early, EarlyWorks, is_made
from assets.resources import Run
from crm_hygiene.beside import Beside, NotDoneBesideError, import_once, tell_master
from crm_hygiene.lake_tables import OPEN_TABLES
from crm_hygiene.lease import check_held
from crm_hygiene.night import Night
from crm_hygiene.progress import tell
from crm_hygiene.runs import published_by

LARGE_BYTES = 22_000_000
"""A step that reads so much, in bytes as stored, is large."""

# A process that holds no more than this after a step does the next one as well.
_KEPT_BYTES = 700_000_000

# One for the next step, and one for a work ahead of its turn.
_MOST_WAITING = 2

LOG, TELL, MADE, RESULT, ERROR = "log", "tell", "made", "result", "error"
"""Kinds of what `assets.works.perform` tells: (level, text), a text, a step that has made its tables and is
writing them, what Dagster is to get, an exception."""

Work = Callable[[Night, logging.Logger], Iterator[Any]]
Prepare = Callable[[str | None], None]
Perform = Callable[[Run, str], None]

NO_EARLY: Mapping[str, Early] = {}


class StepProcesses:
    """Processes for the large steps of a night: one at work, perhaps one ahead of it, and one in waiting.

    Parameters
    ----------
    prepare, perform
        called there: as a process begins, and for a step of a run by its name.
    early
        works that may be begun ahead of their turn, by name, in the order of their turns.
    """

    def __init__(
        self,
        config_path: str | None,
        prepare: Prepare,
        perform: Perform,
        early: Mapping[str, Early] = NO_EARLY,
    ) -> None:
        import_once(IMPORTED_ONCE)
        self._config_path = config_path
        self._prepare = prepare
        self._perform = perform
        self.early = EarlyWorks(early, self._begun)
        self._waiting: list[Beside] = []
        # What a process that is ended in its midst leaves in files goes with this folder.
        self._folder = TemporaryDirectory(prefix="crm-hygiene-")

    def _new(self) -> Beside:
        process = Beside(TMPDIR=self._folder.name)
        process.call(self._prepare, self._config_path)
        return process

    def taken(self) -> Beside | None:
        """A process for one step; None where the system gives none."""
        try:
            process = self._waiting.pop() if self._waiting else self._new()
        except OSError:
            return None
        if process.is_there():
            return process
        process.close()
        return None

    def _left(self, process: Beside, is_whole: bool) -> None:
        """Keep a process for the next step, or end it."""
        held = process.resident_bytes() if is_whole else None
        if held is not None and held <= _KEPT_BYTES and len(self._waiting) < _MOST_WAITING:
            self._waiting.append(process)
        else:
            process.close()

    def _begun(self, night: Night, name: str) -> BegunWork | None:
        process = self.taken()
        if process is None:
            return None
        told = process.told_by(self._perform, Run.of(night, self._config_path), name)
        return BegunWork(process, told, self._heard, self._left)

    def _heard(self, message: tuple[str, Any]) -> None:
        table = published_table(message[1]) if message[0] == RESULT else None
        if table is not None:
            self.early.has_come(table)

    def results(self, process: Beside, name: str, night: Night, log: logging.Logger) -> Iterator[Any]:
        """What the step yields for Dagster, done in `process`; its log and progress come through here.

        Raises
        ------
        Exception
            what the step raised there.
        dagster.Failure
            if the process was ended from outside.
        LakeError
            if the night's lease on the lake was lost.
        """
        is_whole = False
        try:
            if not self._waiting:
                with suppress(OSError):  # no memory for one in waiting
                    self._waiting.append(self._new())
            run = Run.of(night, self._config_path)
            told = process.told_by(self._perform, run, name, meanwhile=self._meanwhile(name, night))
            yield from _handed_on(self._noted(told), name, log)
            is_whole = True
        finally:
            OPEN_TABLES.ask_again()  # another process has written
            self._left(process, is_whole)

    def results_of(self, work: BegunWork, name: str, night: Night, log: logging.Logger) -> Iterator[Any]:
        """As `results`, of a work that was begun ahead of its turn."""
        try:
            yield from _handed_on(self._noted(work.told(self._meanwhile(name, night))), name, log)
        finally:
            OPEN_TABLES.ask_again()
            work.stop()

    def _noted(self, told: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        for kind, content in told:
            if kind == MADE:
                self.early.has_come(is_made(content))
            else:
                yield kind, content

    def _meanwhile(self, name: str, night: Night) -> Callable[[], None]:
        def seen_to() -> None:
            check_held(night.config.lake_uri)
            self.early.begin_next(night, name)

        return seen_to

    def close(self) -> None:
        """End the processes."""
        self.early.close()
        while self._waiting:
            self._waiting.pop().close()
        self._folder.cleanup()


def published_table(result: Any) -> str | None:
    """The table that a result of a work says is live; None for other results."""
    if isinstance(result, dg.MaterializeResult) and result.asset_key is not None:
        return ".".join(result.asset_key.path)
    return None


def _handed_on(told: Iterator[tuple[str, Any]], name: str, log: logging.Logger) -> Iterator[Any]:
    """The results among what a work tells; the rest goes to the log, to the progress, or is raised."""
    try:
        for kind, content in told:
            if kind == LOG:
                log.log(*content)
            elif kind == TELL:
                tell(content)
            elif kind == ERROR:
                raise content
            else:
                yield content
    except NotDoneBesideError as error:
        raise dg.Failure(
            f"{name}: {error}. What it had published stays. A system short of memory ends processes: "
            "give `limits.memory` in hygiene.yaml less",
            allow_retries=False,
        ) from error


_current: list[StepProcesses] = []


@contextmanager
def steps_apart(processes: StepProcesses) -> Iterator[None]:
    """Within the block, large steps of this process are done by `processes`, which end with it."""
    _current.append(processes)
    try:
        yield
    finally:
        _current.remove(processes)
        processes.close()


def stored_bytes(night: Night, tables: Iterable[str]) -> int:
    """Bytes of the live versions of tables."""
    found = (night.lake.statistics(table) for table in tables)
    return sum(statistics.byte_count for statistics in found if statistics is not None)


def is_large(byte_count: int) -> bool:
    """Whether a step that reads so many bytes has a process of its own."""
    return byte_count >= LARGE_BYTES


def newly_stored_bytes(night: Night, tables: Iterable[str]) -> int:
    """Bytes of those of the tables that this night has published."""
    published = published_by(night.lake, night.run_id, list(tables))
    return stored_bytes(night, published)


def tables_are_made(step: str) -> None:
    """To be called where a step has made its tables and begins to write them."""
    tell_master((MADE, step))


def tables_are_live(tables: Iterable[str]) -> None:
    """To be told of tables that this night leaves as they are."""
    if _current:
        for table in tables:
            _current[-1].early.has_come(table)


def is_begun_ahead(name: str) -> bool:
    """Whether a work was begun ahead of its turn, which is now: `done` then gives what comes of it."""
    return bool(_current) and _current[-1].early.is_begun(name)


def done(name: str, work: Work, night: Night, log: logging.Logger, reads: Callable[[], int]) -> Iterator[Any]:
    """What a work yields for Dagster: done in a process of its own if it is large, here if it is not.

    `reads` tells how many bytes it reads; it is asked only where the night has such processes. Where the
    system gives no process, the work is done here.
    """
    if not _current:
        yield from work(night, log)
        return
    processes = _current[-1]
    early = processes.early
    begun = early.take(name)
    process = processes.taken() if begun is None and is_large(reads()) else None
    if begun is not None:
        results = processes.results_of(begun, name, night, log)
    elif process is not None:
        results = processes.results(process, name, night, log)
    else:
        results = work(night, log)
    early.begin_next(night, name)
    for result in results:
        yield result
        table = published_table(result)
        if table is not None:
            early.has_come(table)
            early.begin_next(night, name)
