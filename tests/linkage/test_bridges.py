from __future__ import annotations

from itertools import combinations

import polars as pl
import pytest

from crm_hygiene.linkage.bridges import false_bridges, tail
from crm_hygiene.linkage.clustering import KEY, MODEL, SAME
from crm_hygiene.linkage.settings import LinkageSettings

TWO_GROUPS = [*combinations(range(4), 2), *combinations(range(4, 8), 2)]
BLOCKED = sorted({c for rule in LinkageSettings().person.blocking for c in rule})


def records(count: int, together: bool) -> pl.DataFrame:
    """Records that share every blocking column, or none."""
    values = pl.lit("x") if together else pl.int_range(count).cast(pl.String)
    return pl.DataFrame({"unique_id": range(count)}, schema={"unique_id": pl.Int64}).with_columns(
        values.alias(c) for c in BLOCKED
    )


def cut(
    links: list[tuple[int, int]],
    doubtful: list[tuple[int, int]] | None = None,
    strength: int = MODEL,
    together: bool = True,
    count: int = 8,
) -> list[tuple[int, int]]:
    schema = {"l": pl.Int64, "r": pl.Int64}
    frame = pl.DataFrame(links, schema=schema, orient="row").with_columns(strength=pl.lit(strength))
    scored = pl.DataFrame([*links, *(doubtful or [])], schema=schema, orient="row")
    return false_bridges("person", records(count, together), frame, scored, LinkageSettings()).rows()


def test_the_only_bridge_between_two_dense_groups_is_cut() -> None:
    assert cut([*TWO_GROUPS, (3, 4)]) == [(3, 4)]


def test_a_second_link_across_keeps_both() -> None:
    assert cut([*TWO_GROUPS, (3, 4), (0, 7)]) == []


def test_doubtful_pairs_across_speak_for_the_bridge() -> None:
    across = [(a, b) for a in range(4) for b in range(4, 8)]
    assert cut([*TWO_GROUPS, (3, 4)], across) == []


def test_what_blocking_never_compared_is_no_evidence() -> None:
    assert cut([*TWO_GROUPS, (3, 4)], together=False) == []


@pytest.mark.parametrize("strength", [KEY, SAME])
def test_keys_and_decisions_are_never_cut(strength: int) -> None:
    assert cut([*TWO_GROUPS, (3, 4)], strength=strength) == []


def test_a_chain_and_a_small_appendix_are_no_dense_groups() -> None:
    assert cut([(i, i + 1) for i in range(7)]) == []
    assert cut([*combinations(range(6), 2), (5, 6), (6, 7)]) == []


def test_the_binomial_tail() -> None:
    assert tail(1, 2, 0.5) == pytest.approx(0.75)
    assert tail(2, 2, 0.9) == pytest.approx(1.0)
    assert tail(1, 9, 0.875) < 1e-6
