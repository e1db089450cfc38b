"""An explanation tells what the night did: the same weight, part by part, for any pair."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from linkage.explained_lake import SWITCHBOARD, ExplainedLake, pairs_of

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.explanation.explain import PairExplanation, Step, UnknownRecord, explain_pairs
from crm_hygiene.explanation.selection import select_records
from crm_hygiene.linkage import LinkageSettings
from crm_hygiene.linkage.preparation import prepare
from crm_hygiene.linkage.records import TABLES
from crm_hygiene.linkage.settings import RULES_FILE, EntityKind

COLLEAGUES = (("crm_contacts", "s003"), ("crm_contacts", "s004"))


@pytest.fixture(scope="module")
def stored(explained: ExplainedLake) -> list[tuple[dict[str, object], PairExplanation]]:
    """Every pair the night kept, with its explanation."""
    rows = explained.read("linked.person_pairs")
    found = explain_pairs(explained.night(), "person", pairs_of(rows))
    return list(zip(rows.to_dicts(), found, strict=True))


def test_a_stored_pair_is_explained_with_the_weight_the_night_gave_it(
    stored: list[tuple[dict[str, object], PairExplanation]],
) -> None:
    assert len(stored) > 100
    for row, found in stored:
        if row["match_weight"] is not None:
            assert found.match_weight == row["match_weight"]
            assert found.match_probability == row["match_probability"]
            seen = {step.comparison: step.level for step in found.steps if not step.is_null}
            assert seen == json.loads(str(row["levels"]))
        assert found.method == row["method"]
        assert found.is_link == row["is_link"]
        assert found.found_by == row["blocking_rule"]
        assert found.found_by is None or found.found_by in found.blocking_rules


def test_organisations_as_well(explained: ExplainedLake) -> None:
    rows = explained.read("linked.organisation_pairs").filter(pl.col("match_weight").is_not_null())
    found = explain_pairs(explained.night(), "organisation", pairs_of(rows))
    assert [e.match_weight for e in found] == rows["match_weight"].to_list()
    assert all(e.found_by in e.blocking_rules for e in found)


def test_weights_add_up(stored: list[tuple[dict[str, object], PairExplanation]]) -> None:
    for _, found in stored:
        assert found.match_weight is not None
        total = found.prior_weight + sum(step.weight for step in found.steps)
        assert total == pytest.approx(found.match_weight, abs=1e-5)
        assert all(step.weight == 0 == step.frequency_weight for step in found.steps if step.is_null)


@settings(max_examples=examples(8), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_pair_in_any_order_and_company_has_one_explanation(
    explained: ExplainedLake, data: st.DataObject
) -> None:
    members = sorted(explained.read("linked.person_members").select("source", "record_id").iter_rows())
    pair = st.tuples(st.sampled_from(members), st.sampled_from(members)).filter(lambda p: p[0] != p[1])
    pairs = data.draw(st.lists(pair, min_size=1, max_size=6))
    together = explain_pairs(explained.night(), "person", pairs)
    alone = explain_pairs(explained.night(), "person", [(pairs[-1][1], pairs[-1][0])])[0]
    assert [(e.record_l, e.record_r) for e in together] == pairs
    assert together[-1].swapped() == alone
    assert alone.lines()


def test_two_records_without_an_email_are_explained(explained: ExplainedLake) -> None:
    without = explained.read("conformed.people").filter(pl.col("email").is_null() & ~pl.col("is_deleted"))
    first, second = without.sort("source", "record_id").select("source", "record_id").head(2).rows()
    found = explain_pairs(explained.night(), "person", [(first, second)])[0]
    assert next(step for step in found.steps if step.comparison == "email").is_null


@pytest.mark.parametrize("kind", ["person", "organisation"])
def test_a_few_records_are_prepared_as_the_night_prepares_all(
    explained: ExplainedLake, kind: EntityKind
) -> None:
    everything = explained.read(TABLES[kind]).filter(~pl.col("is_deleted"))
    whole = prepare(kind, everything, LinkageSettings()).frame.drop("unique_id")
    few = whole.filter(pl.col("source") != "web_forms").select("source", "record_id").sample(40, seed=3)
    chosen = select_records(explained.night(), kind, list(few.iter_rows()), LinkageSettings())
    expected = whole.join(few, on=["source", "record_id"], how="semi").sort("source", "record_id")
    assert chosen.frame.drop("unique_id").select(expected.columns).equals(expected)
    assert (chosen.generic.height > 0) == (kind == "person")


def test_a_generic_value_is_named_and_weighs_nothing(explained: ExplainedLake) -> None:
    found = explain_pairs(explained.night(), "person", [COLLEAGUES])[0]
    phone = next(step for step in found.steps if step.comparison == "phone")
    assert phone.is_null
    assert phone.weight == 0
    assert phone.remark is not None
    assert "30 records" in phone.remark
    assert SWITCHBOARD.removeprefix("+") in phone.remark
    assert found.values_l["phone"] == SWITCHBOARD


def test_a_generic_name_counts_as_none(explained: ExplainedLake) -> None:
    visitors = (("web_forms", "v000"), ("web_forms", "v001"))
    found = explain_pairs(explained.night(), "person", [visitors])[0]
    for step in found.steps:
        if step.comparison in ("given_name", "family_name"):
            assert step.is_null
            assert step.remark is not None
            assert "60 records that share nothing else" in step.remark
    chosen = select_records(explained.night(), "person", visitors, LinkageSettings())
    assert chosen.frame["name_sort"].null_count() == 2


def test_a_pair_that_blocking_never_found_is_weighed_and_says_so(explained: ExplainedLake) -> None:
    found = explain_pairs(
        explained.night(), "person", [(("crm_contacts", "c001"), ("crm_contacts", "s003"))]
    )[0]
    assert found.method is None
    assert found.found_by is None
    assert found.match_weight is not None
    assert found.match_weight < 0
    text = "\n".join(found.lines())
    assert "two people" in text
    assert "did not compare them" in text or "keeps those" in text


def test_a_judgement_shows_at_once_though_no_night_has_run(explained: ExplainedLake, tmp_path: Path) -> None:
    night = explained.copy(tmp_path / "copy").night()
    (a, b), (c, d) = COLLEAGUES
    row = {
        "decision_id": "d3", "entity_kind": "person", "source_l": a, "record_id_l": b, "source_r": c,
        "record_id_r": d, "judgement": "different", "decided_by": "maria",
    }  # fmt: skip
    contract = contract_of("stewardship.decisions")
    decided = contract.shape(pl.DataFrame([row], schema_overrides=dict(contract.schema))).with_columns(
        decided_at=pl.lit(explained.read("stewardship.decisions")["decided_at"][0])
    )
    night.lake.append(contract, [decided], {})
    found = explain_pairs(night, "person", [COLLEAGUES])[0]
    assert found.judgement == "different"
    assert "decided that they are different" in "\n".join(found.lines())


def test_a_link_by_decision_says_who_binds(explained: ExplainedLake) -> None:
    found = explain_pairs(explained.night(), "person", [explained.judged])[0]
    assert (found.method, found.judgement, found.is_one_entity) == ("decision", "same", True)
    assert "same person; that binds" in "\n".join(found.lines())


def test_words_name_every_step_and_the_verdict(
    stored: list[tuple[dict[str, object], PairExplanation]],
) -> None:
    for row, found in stored[:40]:
        text = "\n".join(found.lines())
        for step in found.steps:
            assert step.comparison.replace("_", " ") in text
        assert ("enough for a link" in text) == (found.match_probability >= found.threshold)  # type: ignore[operator]
        assert ("A key links them" in text) == (row["match_key"] is not None)
        assert json.loads(json.dumps(found.as_json()))["match_weight"] == found.match_weight


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Step("email", "exact", "a", "a", 6.0, 0.0), "+6.0  email: exact, 'a': 64 times likelier if the sa"),
        (Step("city", "other", "a", "b", -1.0, 0.0), "-1.0  city: other, 'a' and 'b': 2.0 times likelier"),
        (Step("city", "exact", "a", "a", 3.0, -2.0), "(-2.0 of it because the value is common)"),
        (Step("city", "exact", "a", "a", 5.0, 2.0), "(+2.0 of it because the value is rare)"),
        (Step("city", "exact", "a", "a", 0.01, 0.0), "as likely either way"),
        (Step("city", "missing", None, "b", 0.0, 0.0, True), "missing on one side, no evidence"),
        (Step("city", "missing", None, None, 0.0, 0.0, True), "missing on both sides, no evidence"),
        (Step("city", "missing", "a", "b", 0.0, 0.0, True), "not counted"),
    ],
)  # fmt: skip
def test_a_step_in_words(step: Step, expected: str) -> None:
    assert expected in step.in_words("person")


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (("crm_contacts", "c01"), "the ids most like it"),
        (("crm_contact", "c001"), "did you mean 'crm_contacts'"),
    ],
)
def test_an_unknown_record_is_refused_with_what_is_near(
    explained: ExplainedLake, record: tuple[str, str], expected: str
) -> None:
    with pytest.raises(UnknownRecord, match=expected):
        explain_pairs(explained.night(), "person", [(record, COLLEAGUES[0])])


def test_a_deleted_record_is_called_deleted(explained: ExplainedLake) -> None:
    gone = (
        explained.read("conformed.people").filter(pl.col("is_deleted")).select("source", "record_id").row(0)
    )
    with pytest.raises(UnknownRecord, match="deleted in its source"):
        explain_pairs(explained.night(), "person", [(gone, COLLEAGUES[0])])


def test_a_refused_record_says_why_it_was_refused(explained: ExplainedLake, tmp_path: Path) -> None:
    night = explained.copy(tmp_path / "copy").night()
    contract = contract_of("quality.quarantine")
    row = {
        "quarantine_id": "q", "table_name": "conformed.people", "source": "crm_contacts", "record_id": "x9",
        "reasons": ["birth_date: not a date"],
    }  # fmt: skip
    night.lake.publish(
        contract, pl.DataFrame([row], schema_overrides=dict(contract.schema)).pipe(contract.shape), {}
    )
    with pytest.raises(UnknownRecord, match="not a date"):
        explain_pairs(night, "person", [(("crm_contacts", "x9"), COLLEAGUES[0])])


def test_one_record_twice_and_no_model_are_clear(explained: ExplainedLake, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is one record"):
        explain_pairs(explained.night(), "person", [(COLLEAGUES[0], COLLEAGUES[0])])
    (tmp_path / "hygiene.yaml").write_text("lake: {uri: lake}\n", encoding="utf-8")
    empty = replace(explained, folder=tmp_path).night()
    with pytest.raises(ConfigurationError, match="crm-hygiene run"):
        explain_pairs(empty, "person", [COLLEAGUES])
    assert explain_pairs(empty, "person", []) == []


def test_a_term_frequency_the_model_never_learned_leaves_its_comparison_out(
    explained: ExplainedLake, tmp_path: Path
) -> None:
    lake = explained.copy(tmp_path / "project")
    level = "{name: same_user, "
    rules = RULES_FILE.read_text(encoding="utf-8")
    assert level in rules
    own = rules.replace(level, f"{level}frequency_of: email_user, ")
    (lake.folder / "linkage.yaml").write_text(own, encoding="utf-8")
    before = explain_pairs(lake.night(), "person", [COLLEAGUES])[0]
    with (lake.folder / "hygiene.yaml").open("a", encoding="utf-8") as config:
        config.write("rules: {linkage: linkage.yaml}\n")
    after = explain_pairs(lake.night(), "person", [COLLEAGUES])[0]
    assert {step.comparison for step in before.steps} - {step.comparison for step in after.steps} == {"email"}
