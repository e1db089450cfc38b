from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.linkage.cohesion import incoherent_links

Row = tuple[int, int, float, bool, bool]


def pairs(*rows: Row) -> pl.DataFrame:
    schema: dict[str, Any] = {
        "l": pl.Int64,
        "r": pl.Int64,
        "weight": pl.Float64,
        "is_link": pl.Boolean,
        "is_firm": pl.Boolean,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def refused(*rows: Row) -> list[tuple[int, int]]:
    return list(incoherent_links(pairs(*rows), 1.0, 10.0).iter_rows())


def triangle(first: int, weight: float) -> list[Row]:
    return [(first + i, first + j, weight, True, False) for i, j in ((0, 1), (0, 2), (1, 2))]


def test_one_weak_link_does_not_join_two_groups() -> None:
    assert refused(*triangle(0, 9.0), *triangle(3, 9.0), (2, 3, 4.0, True, False)) == [(2, 3)]


def test_many_links_across_join_two_groups() -> None:
    across = [(i, j, 3.0, True, False) for i in range(3) for j in range(3, 6)]
    assert refused(*triangle(0, 9.0), *triangle(3, 9.0), *across) == []


def test_a_key_is_never_refused() -> None:
    against = [(i, j, -5.0, False, False) for i in range(3) for j in range(3, 6) if (i, j) != (2, 3)]
    assert refused(*triangle(0, 9.0), *triangle(3, 9.0), (2, 3, 0.0, True, True), *against) == [
        (3, 4),
        (3, 5),
    ]


def test_a_record_joins_the_group_that_the_pairs_together_prefer() -> None:
    rows = [*triangle(0, 9.0), (2, 3, 2.0, True, False), (0, 3, -4.0, False, False)]
    assert refused(*rows) == [(2, 3)]


def test_a_single_pair_is_taken_at_its_word() -> None:
    assert refused((0, 1, 0.1, True, False)) == []
    assert refused() == []


rows = st.dictionaries(
    st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(lambda p: p[0] < p[1]),
    st.tuples(st.integers(-6, 12).map(float), st.booleans()),
    max_size=14,
).map(lambda found: [(*pair, w, w > 0, firm and w > 0) for pair, (w, firm) in found.items()])


@given(rows, st.randoms(use_true_random=False))
def test_row_order_changes_nothing_and_firm_links_stay(given_rows: list[Row], random: object) -> None:
    first = refused(*given_rows)
    assert refused(*given_rows[::-1]) == first
    firm = {(row[0], row[1]) for row in given_rows if row[4]}
    assert not firm & set(first)


@given(rows)
def test_another_component_changes_nothing(given_rows: list[Row]) -> None:
    moved = [(row[0] + 10, row[1] + 10, *row[2:]) for row in given_rows]
    both = refused(*given_rows, *moved)  # type: ignore[arg-type]
    alone = refused(*given_rows)
    assert both == alone + [(a + 10, b + 10) for a, b in alone]
