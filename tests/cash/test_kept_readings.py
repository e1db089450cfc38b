"""Kept readings: forgotten as soon as anything they were read of moved."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from crm_hygiene.cash.kept_readings import KeptReadings

HITS = pl.DataFrame({"p": [0, 1, 2], "i": [0, 1, 1]})


def _books() -> Any:
    return SimpleNamespace(
        payment_open=np.array([5, 5, 5]),
        invoice_open=np.array([9, 9]),
        is_touched=np.array([False, False, False]),
    )


def _round(kept: KeptReadings, books: Any, credits: Any = None, posts: Any = None) -> list[int]:
    """Payments whose readings are kept in a round in which `posts` happens before anything is read."""
    kept.begin(books)
    if posts:
        posts()
    kept.drop_changed(books, HITS, credits or {})
    found = [p for p in range(3) if p in kept]
    for p in range(3):
        kept.keep(p, [], None)
    return found


def test_nothing_is_kept_before_the_first_round_and_all_while_nothing_moves() -> None:
    kept, books = KeptReadings(), _books()
    assert _round(kept, books) == []
    assert _round(kept, books) == [0, 1, 2]


@pytest.mark.parametrize(
    ("array", "place", "left"),
    [("payment_open", 0, [1, 2]), ("is_touched", 2, [0, 1]), ("invoice_open", 1, [0])],
)
def test_a_posting_between_rounds_drops_who_is_concerned(array: str, place: int, left: list[int]) -> None:
    kept, books = KeptReadings(), _books()
    _round(kept, books)
    getattr(books, array)[place] = 1
    assert _round(kept, books) == left
    assert _round(kept, books) == [0, 1, 2]


def test_a_posting_within_the_round_drops_in_this_round_and_the_next() -> None:
    kept, books = KeptReadings(), _books()
    _round(kept, books)

    def post() -> None:
        books.invoice_open[0] = 0

    assert _round(kept, books, posts=post) == [1, 2]
    # What was read in that round was read of the books as they began it.
    assert _round(kept, books) == [1, 2]
    assert _round(kept, books) == [0, 1, 2]


def test_another_credit_note_drops_who_may_be_net_of_it() -> None:
    kept, books = KeptReadings(), _books()
    _round(kept, books)
    assert _round(kept, books, credits={0: ("a credit note",)}) == [1, 2]
    assert _round(kept, books) == [1, 2]
