"""What a plan shows of itself, beside the words that define it."""

from __future__ import annotations

from collections import defaultdict
from random import Random

import polars as pl
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.writeback.planning import overview
from crm_hygiene.writeback.planning.overview import KINDS, overview_of, samples

_SCHEMA = {
    "target": pl.String,
    "object": pl.String,
    "change_kind": pl.String,
    "column_name": pl.String,
    "confidence": pl.Float64,
    "change_id": pl.String,
}
_FIELD = st.tuples(
    st.sampled_from(["crm", "erp"]),
    st.just("Contact"),
    st.sampled_from(["merge", "update"]),
    st.sampled_from(["email", None]),
    st.sampled_from([0.5, 0.75, 1.0]),
)
_CHANGE = st.tuples(
    st.sampled_from(["crm", "erp"]),
    st.sampled_from(["Contact", "Account"]),
    st.sampled_from(["update", "merge", "suppress"]),
    st.sampled_from(["Email", "Phone"]),
    st.sampled_from("123456"),
    st.sampled_from([0.5, 0.75, 1.0]),
)


def _in_turn(rows: list[tuple[str, ...]], per_kind: int) -> set[str]:
    """Ids that are shown: of each target and kind every field's least sure change, then its next one."""
    shown = set()
    for of in {(row[0], row[2]) for row in rows}:
        fields: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        for target, name, kind, column, confidence, change_id in rows:
            if (target, kind) == of:
                fields[name, column].append((confidence, change_id))
        turns = [(n, *row) for field in fields.values() for n, row in enumerate(sorted(field))]
        shown |= {change_id for _, _, change_id in sorted(turns)[:per_kind]}
    return shown


@settings(max_examples=examples(100))
@given(st.lists(_FIELD, min_size=20, max_size=60), st.integers(0, 4), st.randoms(use_true_random=False))
def test_samples_take_the_least_sure_of_every_field_in_turn(
    fields: list[tuple[str, ...]], per_kind: int, chance: Random
) -> None:
    ids = [f"{n:02}" for n in range(len(fields))]
    chance.shuffle(ids)
    rows = [(*field, change_id) for field, change_id in zip(fields, ids, strict=True)]
    found = samples(pl.DataFrame(rows, schema=_SCHEMA, orient="row"), per_kind)
    assert set(found["change_id"]) == _in_turn(rows, per_kind)
    places = [
        (target, KINDS.index(kind)) for target, kind in found.select("target", "change_kind").iter_rows()
    ]
    assert places == sorted(places)


@settings(max_examples=examples(100))
@given(st.lists(_CHANGE, max_size=40), st.integers(1, 50), st.integers(0, 4))
def test_a_plan_read_some_rows_at_a_time_says_what_it_says_whole(
    rows: list[tuple[str, ...]], height: int, per_kind: int
) -> None:
    names = ("target", "object", "change_kind", "column_name", "record_id", "confidence", "change_id")
    numbered = [(*row, f"{n:02}") for n, row in enumerate(rows)]
    plan = pl.DataFrame(numbered, schema=dict.fromkeys(names, pl.String) | _SCHEMA, orient="row")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overview, "_ROWS", height)
        found = overview_of(plan.lazy(), per_kind)
    fields: dict[tuple[str, ...], list[tuple[str, ...]]] = defaultdict(list)
    touched: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for target, name, kind, column, record_id, confidence, _ in numbered:
        fields[target, KINDS.index(kind), name, column].append((record_id, confidence))
        touched[target].add((name, record_id))
    told = [
        (target, name, KINDS[kind], column, len(of), len({r for r, _ in of}), min(c for _, c in of))
        for (target, kind, name, column), of in sorted(fields.items())
    ]
    assert found.counts.rows() == told
    assert found.changes == len(rows)
    assert found.touched == {target: len(records) for target, records in touched.items()}
    shown = samples(plan, per_kind)
    assert samples(found.least_sure, per_kind).select(shown.columns).equals(shown)
