"""A steward's judgement over nights: a split, taken back, gives every entity its id again."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import polars as pl
import pytest

from crm_hygiene.cli.main import main
from crm_hygiene.contract import contract_of

from .project import Project


@pytest.fixture
def review(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Calls `crm-hygiene review`, which must succeed, and gives what it printed."""

    def call(*words: str) -> str:
        config = ["--config", str(project.config_path)]
        monkeypatch.setattr(sys, "argv", ["crm-hygiene", "review", *words, *config])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
        return capsys.readouterr().out

    return call


@pytest.mark.long
def test_a_judgement_splits_and_its_revocation_joins_again(
    project: Project, review: Callable[..., str]
) -> None:
    def members() -> pl.DataFrame:
        return project.read("linked.person_members")

    first = members()
    sizes = first.group_by("entity_id").len().filter(pl.col("len") > 1).sort("entity_id")
    entity_id = str(sizes["entity_id"][0])
    records = first.filter(pl.col("entity_id") == entity_id).sort("source", "record_id")
    record = f"{records['source'][-1]}:{records['record_id'][-1]}"
    decided = json.loads(review("decide", "different", entity_id, record, "--by", "ann", "--json"))

    assert project.night(1).is_success
    split = members()
    of = dict(zip(split["record_id"], split["entity_id"], strict=True))
    assert of[records["record_id"][-1]] not in [of[r] for r in records["record_id"][:-1]]
    others = ~pl.col("entity_id").is_in([entity_id])
    assert first.filter(others).join(split, on=split.columns, how="anti").is_empty()

    review("revoke", decided["decision_group"], "--by", "bob")
    assert project.night(2).is_success
    assert members().equals(first)
    register = project.read("linked.person_entities")
    resolved = register.filter(pl.col("status") == "alias")["resolves_to"].to_list()
    assert set(resolved) <= set(register.filter(pl.col("status") == "live")["entity_id"])


def test_a_question_is_shown_with_its_weights(project: Project, review: Callable[..., str]) -> None:
    contract = contract_of("stewardship.review_queue")
    pair = project.read("linked.person_pairs").filter(pl.col("match_weight").is_not_null()).head(1)
    asked = pair.select("source_l", "record_id_l", "source_r", "record_id_r").with_columns(
        review_id=pl.lit("0123456789abcdef"),
        entity_kind=pl.lit("person"),
        question_kind=pl.lit("doubtful"),
        question=pl.lit("Are these two records the same person?"),
        uncertainty=pl.lit(1.0),
        stake=pl.lit(2.0),
        priority=pl.lit(2.0),
    )
    project.lake.publish(contract, asked, {"run_id": "test"})
    review_id = "0123456789abcdef"
    out = review("show", review_id)
    assert "Weights in bits" in out
    shown = json.loads(review("show", review_id[:6], "--json"))
    assert shown["explanation"]["match_weight"] == pytest.approx(pair["match_weight"][0], abs=1e-3)
    assert review_id in review("list", "--full", "--limit", "50")
