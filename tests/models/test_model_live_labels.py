"""Judgements and a truth file, live against the candidate."""

from __future__ import annotations

from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.evaluation.truth import Truth
from crm_hygiene.linkage import LinkageSettings
from crm_hygiene.linkage.decisions import standing
from crm_hygiene.models.live_labels import accuracies, caveats, judged_pairs

SETTINGS = LinkageSettings()


def _members(**entity_of: str) -> pl.DataFrame:
    return pl.DataFrame(
        [("crm", record, entity) for record, entity in entity_of.items()],
        schema={"source": pl.String, "record_id": pl.String, "entity_id": pl.String},
        orient="row",
    )


def _shaped(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    contract = contract_of(table)
    sides = {"source_l": "crm", "source_r": "crm"}
    return contract.shape(
        pl.DataFrame([{**sides, **row} for row in rows], schema_overrides=dict(contract.schema))
    )


def _judgements(*pairs: tuple[str, str, str]) -> pl.DataFrame:
    rows = [
        {
            "decision_id": f"d{i}",
            "entity_kind": "person",
            "record_id_l": a,
            "record_id_r": b,
            "judgement": judged,
        }
        for i, (a, b, judged) in enumerate(pairs)
    ]
    return standing(_shaped("stewardship.decisions", rows))


BEFORE = _members(a="P-1", b="P-1", c="P-2", d="P-3")
AFTER = _members(a="P-1", b="P-4", c="P-1", d="P-1")


def test_a_judgement_is_contradicted_by_entities() -> None:
    judged = judged_pairs(
        _judgements(("a", "b", "same"), ("c", "a", "different"), ("c", "d", "same"), ("a", "gone", "same")),
        BEFORE,
        AFTER,
    )
    told = judged.select("record_id_l", "record_id_r", "breaks_before", "breaks_after").rows()
    assert told == [("a", "b", False, True), ("a", "c", False, True), ("c", "d", True, False)]


def test_a_model_is_asked_as_if_nobody_had_judged() -> None:
    judged = judged_pairs(
        _judgements(("a", "b", "same"), ("a", "c", "same"), ("a", "d", "different")), BEFORE, AFTER
    )
    at, below = SETTINGS.threshold, SETTINGS.threshold - 0.01
    live = _shaped(
        "linked.person_pairs",
        [
            # The decision made it a link; the model alone would not have.
            {"record_id_l": "a", "record_id_r": "b", "match_probability": below, "is_link": True},
            {"record_id_l": "a", "record_id_r": "c", "match_key": "email"},
        ],
    )
    candidate = _shaped(
        "linked.person_pairs",
        [
            {"record_id_l": "a", "record_id_r": "b", "match_probability": at},
            {"record_id_l": "a", "record_id_r": "d", "match_probability": at},
        ],
    )
    found = accuracies(judged, live, candidate, BEFORE, AFTER, None, SETTINGS)["judgements"]
    sides = {side: (a.precision.value, a.recall.value) for side, a in found.items() if a is not None}
    assert sides == {"live": (1.0, 0.5), "candidate": (0.5, 0.5)}


def test_what_the_labels_do_not_say_is_told() -> None:
    judged = judged_pairs(_judgements(("c", "d", "same")), BEFORE, AFTER)
    truth = Truth(pl.DataFrame({"CLUSTER_ID": ["1"], "RECORD_ID": ["x"], "DATA_SOURCE": ["erp"]}), ("odd",))
    pairs = contract_of("linked.person_pairs").empty()
    accuracy = accuracies(judged, pairs, pairs, BEFORE, AFTER, truth, SETTINGS)
    told = caveats("person", judged, truth, accuracy)
    assert told[0] == "odd"
    assert "1 judgement" in told[1]
    assert "no live person record" in told[2]
