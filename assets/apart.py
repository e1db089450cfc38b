"""Steps of large tables, each in a process of its own, so that what it took of memory is given back.

A step that has read and made a few gigabytes leaves some of them behind in its process: freed memory that
lies between what is still in use. The next step would begin with it. So a large step is done by another
process, which then ends, while this one keeps Dagster's events and the lock on the lake. The process of the
step after it is begun meanwhile and imports what it will need.

The night ends such a process when it ends itself, whatever the process is at; a commit is whole or not there.
What does not belong here: what is done there (`assets.works`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg

from assets.resources import Run
from crm_hygiene.beside import Beside, NotDoneBesideError
from crm_hygiene.lake_tables import OPEN_TABLES
from crm_hygiene.lease import check_held
from crm_hygiene.night import Night
from crm_hygiene.progress import tell
from crm_hygiene.runs import published_by

LARGE_BYTES = 32_000_000
"""A step that reads so much, in bytes as stored, is large."""

# A process that holds no more than this after a step does the next one as well.
_KEPT_BYTES = 700_000_000

LOG, TELL, RESULT, ERROR = "log", "tell", "result", "error"
"""Kinds of what `assets.works.perform` tells: (level, text), a text, what Dagster is to get, an exception."""

Work = Callable[[Night, logging.Logger], Iterator[Any]]
Prepare = Callable[[str | None], None]
Perform = Callable[[Run, str], None]


class StepProcesses:
    """Processes for the large steps of a night, one at work at a time and one in waiting.

    Parameters
    ----------
    prepare, perform
        called there: as a process begins, and for a step of a run by its name.
    """

    def __init__(self, config_path: str | None, prepare: Prepare, perform: Perform) -> None:
        self._config_path = config_path
        self._prepare = prepare
        self._perform = perform
        self._waiting: list[Beside] = []
        # What a process that is ended in its midst leaves in files goes with this folder.
        self._folder = TemporaryDirectory(prefix="crm-hygiene-")

    def _begun(self) -> Beside:
        process = Beside(TMPDIR=self._folder.name)
        process.call(self._prepare, self._config_path)
        return process

    def taken(self) -> Beside | None:
        """A process for one step; None where the system gives none."""
        try:
            return self._waiting.pop() if self._waiting else self._begun()
        except OSError:
            return None

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
                    self._waiting.append(self._begun())
            run = Run.of(night, self._config_path)
            told = process.told_by(
                self._perform, run, name, meanwhile=lambda: check_held(night.config.lake_uri)
            )
            for kind, content in told:
                if kind == LOG:
                    log.log(*content)
                elif kind == TELL:
                    tell(content)
                elif kind == ERROR:
                    raise content
                else:
                    yield content
            is_whole = True
        except NotDoneBesideError as error:
            raise dg.Failure(
                f"{name}: {error}. What it had published stays. A system short of memory ends processes: "
                "give `limits.memory` in hygiene.yaml less",
                allow_retries=False,
            ) from error
        finally:
            OPEN_TABLES.forget()  # another process has written
            held = process.resident_bytes() if is_whole else None
            if held is not None and held <= _KEPT_BYTES:
                self._waiting.append(process)
            else:
                process.close()

    def close(self) -> None:
        """End the processes."""
        while self._waiting:
            self._waiting.pop().close()
        self._folder.cleanup()


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


def newly_stored_bytes(night: Night, tables: Iterable[str]) -> int:
    """Bytes of those of the tables that this night has published."""
    published = published_by(night.lake, night.run_id, list(tables))
    return stored_bytes(night, published)


def done(name: str, work: Work, night: Night, log: logging.Logger, reads: Callable[[], int]) -> Iterator[Any]:
    """What a work yields for Dagster: done in a process of its own if it is large, here if it is not.

    `reads` tells how many bytes it reads; it is asked only where the night has such processes. Where the
    system gives no process, the work is done here.
    """
    processes = _current[-1] if _current and reads() >= LARGE_BYTES else None
    process = None if processes is None else processes.taken()
    if processes is None or process is None:
        yield from work(night, log)
    else:
        yield from processes.results(process, name, night, log)
