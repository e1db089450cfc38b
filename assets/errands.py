"""Work on a night's tables ahead of its turn, in a process beside the night's.

Dagster runs one step after another. What a later step computes of tables that are published already can be
computed meanwhile; the step then finds it done. It is done once: a step whose turn comes before its work has
begun elsewhere does it itself, and so does one whose work failed elsewhere. What does not belong here:
what is done (`assets.staging`), commits, which only the night's own process makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from crm_hygiene.beside import NotDoneBesideError

Begin = Callable[[str], Future[Any]]


class Errands:
    """Errands by name, each begun once all tables it reads are published.

    Parameters
    ----------
    reads
        errand -> the tables that this night publishes before it can begin.
    begin
        begins an errand.
    """

    def __init__(self, reads: Mapping[str, frozenset[str]], begin: Begin) -> None:
        self._waiting = {name: set(tables) for name, tables in reads.items()}
        self._begin = begin
        self._begun: dict[str, Future[Any]] = {}

    def published(self, table: str) -> None:
        """A table is live: errands that waited for it last are begun."""
        for name in [n for n, tables in self._waiting.items() if table in tables]:
            self._waiting[name].discard(table)
            if not self._waiting[name]:
                del self._waiting[name]
                self._begun[name] = self._begin(name)

    def take(self, name: str) -> Any:
        """What came of an errand, waited for; None if it failed, or had not begun and now never will."""
        self._waiting.pop(name, None)
        future = self._begun.pop(name, None)
        if future is None or future.cancel():
            return None
        try:
            return future.result()
        except NotDoneBesideError:
            return None


_current: list[Errands] = []


@contextmanager
def running_errands(errands: Errands) -> Iterator[None]:
    """Within the block, steps of this process find what is done ahead of them."""
    _current.append(errands)
    try:
        yield
    finally:
        _current.remove(errands)


def are_errands_running() -> bool:
    """Whether steps of this process may be computed ahead of their turn."""
    return bool(_current)


def table_is_live(table: str) -> None:
    """To be told of each table that this process's night publishes."""
    if _current:
        _current[-1].published(table)


def done_ahead(name: str) -> Any:
    """What was done ahead of the step `name`; None if nothing was."""
    return _current[-1].take(name) if _current else None
