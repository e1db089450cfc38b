"""Works begun ahead of their turn, in a process beside the step that is under way.

Dagster runs one step after another, and many of them keep one core busy: a bank's statement is read for
minutes, while nobody lands or conforms anything else. Works that read nothing but exports and landed tables
may be begun before their turn comes, and so may some that follow linkage, beside a step that leaves a core
and memory free: one at a time, and one more where the night waits for one that was. They commit what they
make as they would in their turn; what they tell Dagster waits until then, and so does an error.

A small night has errands instead (`assets.errands`), which compute and publish nothing. What does not belong
here: which works these are (`assets.works`), and processes (`assets.apart`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any

from crm_hygiene.beside import MEANWHILE_SECONDS, Beside, NotDoneBesideError
from crm_hygiene.errors import HygieneError
from crm_hygiene.night import Night

# Seconds for a thread to notice that its process has ended.
_PATIENCE = 5.0


@dataclass(frozen=True)
class Early:
    """What has to be there before a work can begin ahead of its turn, and whether it should.

    Attributes
    ----------
    after
        tables that the night publishes before, and steps that have made what they publish (`is_made`).
    is_worthwhile
        whether there is something to do, it is large, and there is room for it; asked once they have come.
    beside
        the step beside which it may be begun; None for those that may be begun beside each other.
    """

    after: frozenset[str]
    is_worthwhile: Callable[[Night], bool]
    beside: str | None = None


def is_made(step: str) -> str:
    """That a step has made what it publishes and is writing it, which takes less memory than making it."""
    return f"{step} is made"


class BegunWork:
    """A work under way in a process; what it tells is kept until it is asked for.

    Parameters
    ----------
    told
        what it tells, as of `Beside.told_by`.
    heard
        called with each message as it comes, in another thread.
    ended
        called with the process and whether the work came to its end, in another thread.
    """

    def __init__(
        self,
        process: Beside,
        told: Iterator[Any],
        heard: Callable[[Any], None],
        ended: Callable[[Beside, bool], None],
    ) -> None:
        self._process = process
        self._told: SimpleQueue[Any] = SimpleQueue()
        self._heard, self._ended = heard, ended
        self._end = object()
        #: Whether its process is still at it; from then on the process may be at another work.
        self.is_under_way = True
        self._ending = Lock()
        self._listener = Thread(target=self._listen, args=(told,), name="begun ahead", daemon=True)
        self._listener.start()

    def _listen(self, told: Iterator[Any]) -> None:
        last: Any = NotDoneBesideError("nobody listened to it to its end")
        try:
            for message in told:
                self._heard(message)
                self._told.put(message)
            last = self._end
        except NotDoneBesideError as error:
            last = error
        finally:
            with self._ending:
                self.is_under_way = False
            self._ended(self._process, last is self._end)
            self._told.put(last)

    def told(self, meanwhile: Callable[[], None]) -> Iterator[Any]:
        """What it has told and tells until it ends; `meanwhile` is called now and then.

        Raises
        ------
        NotDoneBesideError
            if its process has ended.
        """
        while True:
            try:
                message = self._told.get(timeout=MEANWHILE_SECONDS)
            except Empty:
                meanwhile()
                continue
            if message is self._end:
                return
            if isinstance(message, NotDoneBesideError):
                raise message
            yield message

    def stop(self) -> None:
        """End its process, if it is still at it."""
        with self._ending:
            if self.is_under_way:
                self._process.close()
        self._listener.join(_PATIENCE)


class EarlyWorks:
    """Which works may be begun ahead of their turn, and those that were.

    Parameters
    ----------
    early
        by the work's name, in the order of their turns.
    begin
        begins a work; None where there is no process for it.
    """

    def __init__(self, early: Mapping[str, Early], begin: Callable[[Night, str], BegunWork | None]) -> None:
        self._together = frozenset(name for name, work in early.items() if work.beside is None)
        self._left = dict(early)
        self._begin = begin
        self._come: set[str] = set()
        self._begun: dict[str, BegunWork] = {}

    def is_begun(self, name: str) -> bool:
        """Whether the work was begun and its turn has not come yet."""
        return name in self._begun

    def take(self, name: str) -> BegunWork | None:
        """The work whose turn has come, if it was begun; if not, it will not be."""
        self._left.pop(name, None)
        return self._begun.pop(name, None)

    def has_come(self, what: str) -> None:
        """To be told of each table that is live and of `is_made` of each step; from any thread."""
        self._come.add(what)

    def begin_next(self, night: Night, beside: str) -> None:
        """Begin the next work that can be beside the one named, unless one before its turn is under way."""
        if any(work.is_under_way for work in self._begun.values()):
            return
        for name in [n for n, early in self._left.items() if self._can_begin(early, beside)]:
            if not self._is_worthwhile(name, night):
                del self._left[name]
                continue
            begun = self._begin(night, name)
            if begun is not None:
                del self._left[name]
                self._begun[name] = begun
            return

    def _can_begin(self, early: Early, beside: str) -> bool:
        may_be = beside in self._together if early.beside is None else beside == early.beside
        return may_be and early.after <= self._come

    def _is_worthwhile(self, name: str, night: Night) -> bool:
        # What is wrong with a work is told in its turn.
        with suppress(HygieneError, OSError):
            return self._left[name].is_worthwhile(night)
        return False

    def close(self) -> None:
        """End what is under way."""
        self._left.clear()
        while self._begun:
            self._begun.popitem()[1].stop()
