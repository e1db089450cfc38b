"""Working ahead: the next item is made in a thread while the last one is used."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class _End:
    """What stands for no further item."""


def ahead(items: Iterable[T]) -> Generator[T, None, None]:
    """The same items in the same order, each made while its predecessor is used; one waits at most.

    An error in making an item surfaces where the item is asked for. Whoever closes it waits for the item that
    is under way. Work that holds Python's lock gains nothing; Polars, Arrow and Delta give it up.
    """
    waiting = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        following = thread.submit(next, waiting, _End)
        while True:
            item = following.result()
            if item is _End:
                return
            following = thread.submit(next, waiting, _End)
            yield item  # type: ignore[misc]
