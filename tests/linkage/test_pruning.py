"""Pruning changes no outcome: it only drops pairs that scoring would drop."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from crm_hygiene.linkage import Linkage, pruning, scoring
from crm_hygiene.linkage.candidates import Candidates
from crm_hygiene.linkage.connection import connection, fetch, load
from crm_hygiene.linkage.pruning import prune, weight_bound
from crm_hygiene.linkage.recipe import default_numbers
from crm_hygiene.linkage.settings import LinkageSettings


@pytest.fixture
def dropped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Prune however few candidates there are; collects how many pairs each pruning dropped."""
    found: list[int] = []

    def counting(con: Any, frame: pl.DataFrame, candidates: Candidates, *given: Any) -> Candidates:
        hopeful = prune(con, frame, candidates, *given)
        found.append(len(candidates) - len(hopeful))
        return hopeful

    monkeypatch.setattr(scoring, "LEAST_CANDIDATES", 0)
    monkeypatch.setattr(pruning, "prune", counting)
    return found


def test_people_come_out_the_same(
    crowd: pl.DataFrame, linked_crowd: Linkage, run: Callable[..., Linkage], dropped: list[int]
) -> None:
    pruned = run(crowd)
    assert dropped[0] > pruned.scored_pairs / 2
    assert pruned.scored_pairs == linked_crowd.scored_pairs
    for name in ("pairs", "members", "entities", "history", "questions", "fingerprints"):
        assert getattr(pruned, name).equals(getattr(linked_crowd, name))


def test_the_bound_of_a_comparison_is_never_below_its_weight() -> None:
    rules = LinkageSettings().organisation
    comparison = next(c for c in rules.comparisons if c.name == "domain")
    numbers = default_numbers([comparison])["domain"]
    bound = weight_bound(comparison, numbers)
    assert "levenshtein" not in bound.lower()
    with connection(LinkageSettings()) as con:
        rows = pl.DataFrame(
            {
                "domain_l": ["a.example", "a.example", None, "a.example"],
                "domain_r": ["a.example", "b", "b", "b"],
                "name_l": ["one", "one", "one", "one"],
                "name_r": ["two", "two", "two", "one"],
            }
        )
        added = {
            f"{name}_{side}": pl.lit(value)
            for side in "lr"
            for name, value in {
                "domain_label": "a",
                "name_key": None,
                "bits_domain": -9.0,
                "marks_domain": 1,
                "size_domain": 9,
                "start_domain": 97,
            }.items()
        }
        load(con, "pairs", rows.with_columns(**added))
        found = fetch(con, f"SELECT {bound} AS weight FROM pairs")["weight"].to_list()
    # An agreement as rare as its frequency, agreement of the labels, nothing known, labels of namesakes.
    assert found == pytest.approx([math.log2(0.8) + 9, math.log2(0.05 / 0.0001), 0.0, 0.0])


def test_the_bound_knows_what_is_known_of_namesakes() -> None:
    comparison = next(c for c in LinkageSettings().organisation.comparisons if c.name == "organisation_name")
    bound = weight_bound(comparison, default_numbers([comparison])["organisation_name"])
    rows = pl.DataFrame(
        {"bits_name_key_l": [-12.0, -20.0, None], "bits_name_key_r": [-13.0, -20.0, None]},
        schema_overrides={"bits_name_key_l": pl.Float64, "bits_name_key_r": pl.Float64},
    )
    texts = {"name": "acme", "name_key": "acme", "acronym": None}
    words = {"word_numbers": [], "word_list": ["acme"], "word_bits": [{"word": "acme", "bits": 20.0}]}
    added = [
        pl.Series(f"{name}_{side}", [value] * rows.height, dtype=pl.String if name in texts else None)
        for side in "lr"
        for name, value in {**texts, **words, "name_bits": 20.0, "name_is_latin": True}.items()
    ]
    with connection(LinkageSettings()) as con:
        load(con, "pairs", rows.with_columns(added))
        found = fetch(con, f"SELECT {bound} AS weight FROM pairs")["weight"].to_list()
    # The commoner of the two; never above what m and u give; nothing known.
    assert found == pytest.approx([math.log2(0.35) + 12, *[math.log2(0.35 / 0.000004)] * 2])
