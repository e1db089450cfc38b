"""`crm-hygiene explain`: every kind of target, its chart, JSON, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from linkage.explained_lake import ExplainedLake

Explain = Callable[..., tuple[int, str, str]]


@pytest.fixture
def explain(explained: ExplainedLake, front_door: Explain) -> Explain:
    """Calls `crm-hygiene explain` in the lake's folder."""
    return partial(front_door, "explain", folder=explained.folder)


def test_a_pair_shows_both_records_and_every_weight(explain: Explain, explained: ExplainedLake) -> None:
    left, right = (":".join(record) for record in explained.parted)
    code, out, _ = explain(left, right)
    assert code == 0
    assert "family name" in out
    assert "in all: probability" in out
    assert "A steward decided that they are different people" in out


def test_a_pair_as_json_and_as_a_chart(explain: Explain, explained: ExplainedLake, tmp_path: Path) -> None:
    left, right = (":".join(record) for record in explained.parted)
    chart = tmp_path / "pair.html"
    code, out, _ = explain(left, right, "--chart", str(chart), "--json")
    assert code == 0
    document = json.loads(out)
    assert document["judgement"] == "different"
    assert document["chart"] == str(chart)
    total = document["prior_weight"] + sum(step["weight"] for step in document["steps"])
    assert total == pytest.approx(document["match_weight"], abs=1e-5)
    assert chart.stat().st_size > 100_000


def test_an_entity_a_record_and_two_entities(explain: Explain, explained: ExplainedLake) -> None:
    code, out, _ = explain(explained.merged)
    assert code == 0
    assert f"stands for {explained.survivor} now" in out
    code, out, _ = explain(":".join(explained.parted[0]), "--json")
    assert code == 0
    entity = json.loads(out)["entity_id"]
    code, out, _ = explain(entity, explained.survivor)
    assert code == 0
    assert "are two people" in out


def test_an_entity_chart_draws_its_links(explain: Explain, explained: ExplainedLake, tmp_path: Path) -> None:
    code, out, _ = explain(explained.survivor, "--chart", str(tmp_path / "entity.html"))
    assert code == 0
    assert "chart:" in out
    assert (tmp_path / "entity.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["P-0000000000000000"], "ids most like it"),
        (["crm_contact:c001"], "did you mean 'crm_contacts'"),
        (["crm_contacts:c0011"], "ids most like it"),
        (["c001"], "did you mean crm_contacts:c001?"),
        (["what"], "neither a record"),
        (["crm_contacts:c001", "crm_contacts:c001"], "is one record"),
        (["crm_contacts:c001", "crm_accounts:a01"], "only records of one kind"),
        (["crm_contacts:c001", "--kind", "organisation"], "does not fit"),
        (["crm_contacts:c001", "crm_contacts:c002", "crm_contacts:c003"], "one or two targets"),
        (["crm_contacts:c001", "crm_contacts:c002", "--chart", "x.pdf"], "ends in one of"),
    ],
)
def test_what_names_nothing_is_exit_code_two_with_what_is_near(
    explain: Explain, arguments: list[str], expected: str
) -> None:
    code, out, err = explain(*arguments)
    assert code == 2
    assert expected in err
    assert out == ""


def test_a_retired_id_has_nothing_to_compare(explain: Explain, explained: ExplainedLake) -> None:
    code, out, _ = explain(explained.retired)
    assert code == 0
    assert "is retired" in out
    code, _, err = explain(explained.retired, explained.survivor)
    assert code == 2
    assert "no records to compare" in err
    code, _, err = explain(explained.retired, "--chart", "x.html")
    assert code == 2
    assert "no links to draw" in err


def test_merged_ids_are_one_already(explain: Explain, explained: ExplainedLake) -> None:
    code, _, err = explain(explained.merged, explained.survivor)
    assert code == 2
    assert "are one person already" in err
