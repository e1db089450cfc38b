"""Which judgements bind: the latest per pair that nobody took back, whatever the order of the rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import polars as pl
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.contract import contract_of
from crm_hygiene.linkage.decisions import asleep, binding, standing

from .conftest import NIGHT

RECORDS = pl.DataFrame(
    {
        "source": ["crm", "crm", "web"],
        "record_id": ["1", "2", "1"],
        "unique_id": [0, 1, 2],
    }
)
KEYS = [("crm", "1"), ("crm", "2"), ("web", "1"), ("web", "gone")]


def _log(rows: list[dict[str, Any]]) -> pl.DataFrame:
    contract = contract_of("stewardship.decisions")
    return pl.DataFrame(rows, schema=contract.schema) if rows else contract.empty()


@st.composite
def logs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A log of judgements on four records, a part of them revoked, times may coincide."""
    rows: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, 12))):
        at = NIGHT + timedelta(minutes=draw(st.integers(0, 4)))
        judgements = [row["decision_id"] for row in rows if row.get("judgement")]
        base = {"decision_id": f"d{number}", "entity_kind": "person", "decided_by": "ann", "decided_at": at}
        if judgements and draw(st.booleans()):
            rows.append({**base, "revokes": draw(st.sampled_from(judgements))})
            continue
        left, right = draw(st.permutations(KEYS))[:2]
        rows.append(
            {
                **base,
                "source_l": left[0],
                "record_id_l": left[1],
                "source_r": right[0],
                "record_id_r": right[1],
                "judgement": draw(st.sampled_from(["same", "different", "unsure"])),
            }
        )
    return rows


@settings(max_examples=examples(60), deadline=None)
@given(logs(), st.randoms(use_true_random=False))
def test_order_of_rows_and_sides_of_pairs_do_not_matter(rows: list[dict[str, Any]], random: Random) -> None:
    mixed = [dict(row) for row in rows]
    random.shuffle(mixed)
    for row in mixed:
        if row.get("judgement") and random.random() < 0.5:
            row["source_l"], row["source_r"] = row["source_r"], row["source_l"]
            row["record_id_l"], row["record_id_r"] = row["record_id_r"], row["record_id_l"]
    assert binding("person", _log(rows), RECORDS).equals(binding("person", _log(mixed), RECORDS))
    assert standing(_log(rows)).equals(standing(_log(mixed)))


@settings(max_examples=examples(60), deadline=None)
@given(logs(), st.sampled_from(["same", "different", "unsure"]))
def test_revoking_a_decision_restores_exactly_what_bound_before(
    rows: list[dict[str, Any]], judgement: str
) -> None:
    later = {"entity_kind": "person", "decided_by": "bob", "decided_at": NIGHT + timedelta(days=1)}
    decided = {
        **later,
        "decision_id": "new",
        "source_l": "web",
        "record_id_l": "1",
        "source_r": "crm",
        "record_id_r": "1",
        "judgement": judgement,
    }
    revoked = {**later, "decision_id": "back", "revokes": "new"}
    before = binding("person", _log(rows), RECORDS)
    with_it = binding("person", _log([*rows, decided]), RECORDS)
    assert with_it.filter((pl.col("l") == 0) & (pl.col("r") == 2))["judgement"].to_list() == [judgement]
    assert with_it.filter((pl.col("l") != 0) | (pl.col("r") != 2)).equals(
        before.filter((pl.col("l") != 0) | (pl.col("r") != 2))
    )
    assert binding("person", _log([*rows, decided, revoked]), RECORDS).equals(before)


def test_binding_says_when_and_is_empty_for_the_other_kind(
    decide: Callable[..., pl.DataFrame],
) -> None:
    records = RECORDS.with_columns(source=pl.lit("crm_contacts"), record_id=pl.Series(["1", "2", "3"]))
    log = decide(("3", "1", "same"))
    assert binding("person", log, records).rows() == [(0, 2, "same", NIGHT)]
    assert binding("organisation", log, records).is_empty()


def test_a_judgement_on_a_record_that_is_gone_sleeps_and_wakes(decide: Callable[..., pl.DataFrame]) -> None:
    records = RECORDS.with_columns(source=pl.lit("crm_contacts"), record_id=pl.Series(["1", "2", "3"]))
    log = decide(("1", "2", "same"), ("2", "3", "different"))
    assert asleep("person", log, records) == []
    without = records.filter(pl.col("record_id") != "3")
    assert binding("person", log, without).select("l", "r").rows() == [(0, 1)]
    (line,) = asleep("person", log, without)
    assert "1 of 2 judgements" in line
    assert binding("person", log, records).height == 2
