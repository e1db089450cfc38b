"""Candidate pairs are all that share a block with a touched record, once, under their first rule."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import polars as pl
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.linkage.blocking import Blocking
from crm_hygiene.linkage.candidates import Candidates, candidate_pairs

RULES = (0, 3, 5)
KEYS = st.tuples(*(st.one_of(st.none(), st.integers(0, 3)) for _ in RULES))


def blocked(rows: list[tuple[int | None, ...]]) -> Blocking:
    columns = {
        f"block_{rule}": pl.Series([row[i] for row in rows], dtype=pl.UInt64) for i, rule in enumerate(RULES)
    }
    return Blocking(pl.DataFrame(columns), dict.fromkeys(columns, ""), {}, len(rows), [])


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.tuples(KEYS, st.integers(0, 63)), max_size=12))
def test_each_wanted_pair_once_under_its_first_rule(
    records: list[tuple[tuple[int | None, ...], int]],
) -> None:
    rows, touched = [keys for keys, _ in records], [bits for _, bits in records]
    expected = []
    for left, right in combinations(range(len(rows)), 2):
        rules = [
            rule
            for place, rule in enumerate(RULES)
            if rows[left][place] is not None
            and rows[left][place] == rows[right][place]
            and (touched[left] | touched[right]) >> rule & 1
        ]
        if rules:
            expected.append((str(rules[0]), left, right))
    found = candidate_pairs(blocked(rows), pl.Series(touched, dtype=pl.Int64))
    assert found.table().rows() == expected
    assert set(np.flatnonzero(found.records(len(rows)))) == {end for _, *pair in expected for end in pair}


def test_pairs_are_asked_for_in_parts_and_keep_their_order() -> None:
    count = 700
    found = candidate_pairs(
        Blocking(
            pl.DataFrame({"block_0": pl.repeat(1, count, dtype=pl.UInt64, eager=True)}),
            {"block_0": ""},
            {},
            count,
            [],
        ),
        pl.repeat(1, count, dtype=pl.Int64, eager=True),
    )
    assert len(found) == count * (count - 1) // 2
    kept: Candidates = found.where(lambda left, right: (left + right) % 7 == 0, threads=2)
    pairs = [(a, b) for a, b in combinations(range(count), 2) if (a + b) % 7 == 0]
    assert list(zip(*(end.tolist() for end in kept.ends()), strict=True)) == pairs
