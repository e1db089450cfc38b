"""Working ahead changes neither items nor order, and hides no error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.ahead import ahead


@given(st.lists(st.none() | st.integers()))
def test_the_same_items_in_the_same_order(items: list[int | None]) -> None:
    assert list(ahead(iter(items))) == items


def test_an_error_surfaces_where_its_item_is_asked_for() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("the second item")

    items = ahead(failing())
    assert next(items) == 1
    with pytest.raises(ValueError, match="the second item"):
        next(items)


def test_one_item_is_made_ahead_and_no_more() -> None:
    made: list[int] = []

    def counting() -> Iterator[int]:
        for n in range(10):
            made.append(n)
            yield n

    items = ahead(counting())
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert made == [0, 1]
