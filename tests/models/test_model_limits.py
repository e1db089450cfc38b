"""The declared limits of a promotion."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from crm_hygiene.config import ModelConfig
from crm_hygiene.golden.difference import TableDifference
from crm_hygiene.models.canary import Canary
from crm_hygiene.models.labels import LabelAccuracy, share
from crm_hygiene.models.limits import broken_limits
from crm_hygiene.models.regrouping import Regrouping

GROUPS = Regrouping(
    record_count=1000,
    entity_count=500,
    merged_entities=10,
    split_entities=5,
    moved_records=20,
    new_records=0,
    gone_records=0,
    created_ids=5,
    retired_ids=5,
    gained_pairs=9,
    lost_pairs=9,
    largest_before=10,
    largest_after=20,
    merges=[{"entity": "P-1", "parts": {"P-1": 1, "P-2": 1}}],
    splits=[],
)
CONTACTS = TableDifference(
    "golden.contacts",
    500,
    10_000,
    200,
    0,
    0,
    {"email": 200},
    [{"column": "email", "key": "P-1", "before": "a@x.example", "after": None}],
)


def _precise(correct: int, pairs: int = 100) -> LabelAccuracy:
    found = share(correct, pl.Series([1] * pairs))
    return LabelAccuracy("truth", found, found, found.value)


AT_THE_EDGE = Canary(
    entity_kind="person",
    model_version="abc",
    in_use="def",
    regrouping=GROUPS,
    golden=[CONTACTS],
    accuracy={"truth": {"live": _precise(99), "candidate": _precise(98)}},
    judgement_count=3,
    contradicted=[],
    questions_before=0,
    questions_after=0,
    notes=[],
    outcome="x",
    read={},
    names={"P-1": "Ada"},
)


def test_what_reaches_a_limit_does_not_break_it() -> None:
    assert broken_limits(AT_THE_EDGE, ModelConfig()) == []


@pytest.mark.parametrize(
    ("key", "groups"),
    [
        ("max_merged_share", {"merged_entities": 11}),
        ("max_split_share", {"split_entities": 6}),
        ("max_moved_share", {"moved_records": 21}),
        ("max_largest_growth", {"largest_after": 21}),
    ],
)
def test_each_limit_is_told_by_its_key(key: str, groups: dict[str, Any]) -> None:
    canary = replace(AT_THE_EDGE, regrouping=replace(GROUPS, **groups))
    (line,) = broken_limits(canary, ModelConfig())
    assert line.startswith(f"{key}: ")
    wider = {"max_largest_growth": 9.0} if key == "max_largest_growth" else {key: 0.5}
    assert broken_limits(canary, ModelConfig(**wider)) == []


def test_golden_cells_and_judgements() -> None:
    changed = replace(AT_THE_EDGE, golden=[replace(CONTACTS, changed_cells=201)])
    assert broken_limits(changed, ModelConfig())[0].startswith("max_golden_share: 201 of 10,000")
    contradicted = replace(AT_THE_EDGE, contradicted=[{"judgement": "same"}])
    assert broken_limits(contradicted, ModelConfig())[0].startswith("max_contradicted_judgements: 1 ")


def test_precision_counts_from_enough_labels() -> None:
    worse = {"live": _precise(90), "candidate": _precise(80)}
    broken = broken_limits(replace(AT_THE_EDGE, accuracy={"truth": worse}), ModelConfig())
    assert [line.split(":")[0] for line in broken] == ["min_label_precision", "max_precision_loss"]
    # Judged pairs are doubtful by choice: there only a loss counts.
    broken = broken_limits(replace(AT_THE_EDGE, accuracy={"judgements": worse}), ModelConfig())
    assert [line.split(":")[0] for line in broken] == ["max_precision_loss"]
    few = {"live": _precise(49, 49), "candidate": _precise(0, 49)}
    assert broken_limits(replace(AT_THE_EDGE, accuracy={"truth": few}), ModelConfig()) == []


def test_nothing_live_breaks_nothing() -> None:
    none = replace(
        GROUPS, record_count=0, entity_count=0, merged_entities=0, split_entities=0, moved_records=0
    )
    empty = replace(none, largest_before=0)
    canary = replace(AT_THE_EDGE, regrouping=empty, golden=[], accuracy={})
    assert broken_limits(canary, ModelConfig()) == []


def test_what_is_kept_holds_no_values() -> None:
    kept = AT_THE_EDGE.as_document(with_values=False)
    assert "Ada" not in str(kept)
    assert "a@x.example" not in str(kept)
    assert kept["golden"][0]["examples"] == [{"column": "email", "key": "P-1"}]
    assert "a@x.example" in str(AT_THE_EDGE.as_document())
