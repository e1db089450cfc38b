"""Contradictions are found wherever two records judged different hang together, and nowhere else."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.stewardship.contradictions import contradictions
from crm_hygiene.stewardship.log import Pair

RECORDS = [("crm", str(i)) for i in range(6)]
PAIRS: list[Pair] = [("person", a, b) for a, b in combinations(RECORDS, 2)]


@settings(max_examples=examples(80), deadline=None)
@given(st.dictionaries(st.sampled_from(PAIRS), st.sampled_from(["same", "different", "unsure"])))
def test_exactly_the_pairs_that_hang_together_are_contradicted(said: dict[Pair, str]) -> None:
    standing: dict[Pair, dict[str, Any]] = {
        pair: {"judgement": judgement, "decision_id": f"d{number}", "decision_group": f"g{number}"}
        for number, (pair, judgement) in enumerate(said.items())
    }
    together = {record: {record} for record in RECORDS}
    for _ in RECORDS:
        for (_, left, right), judgement in said.items():
            if judgement == "same":
                both = together[left] | together[right]
                for record in both:
                    together[record] = both
    expected = {
        pair for pair, judgement in said.items() if judgement == "different" and pair[2] in together[pair[1]]
    }
    found = contradictions(standing)
    assert {conflict.pair for conflict in found} == expected
    for conflict in found:
        assert (conflict.chain[0], conflict.chain[-1]) == conflict.pair[1:]
        for left, right in zip(conflict.chain, conflict.chain[1:], strict=False):
            assert said[("person", min(left, right), max(left, right))] == "same"
