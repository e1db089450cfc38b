from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from crm_hygiene.contract import contract_of
from crm_hygiene.evaluation.accuracy import pairwise
from crm_hygiene.linkage import FrozenModel, Linkage, Register

NIGHT = datetime(2026, 1, 1, tzinfo=UTC)

Run = Callable[..., Linkage]
Rows = Callable[..., pl.DataFrame]
Groups = Callable[[Linkage], set[frozenset[str]]]

JOHN = {"given_name": "John", "family_name": "Miller", "email": "john.miller@acme.example"}


def frames(outcome: Linkage) -> list[pl.DataFrame]:
    return [outcome.pairs, outcome.members, outcome.entities, outcome.history, outcome.questions]


def same(one: Linkage, other: Linkage) -> bool:
    return one.model == other.model and all(
        a.equals(b) for a, b in zip(frames(one), frames(other), strict=True)
    )


def test_row_order_and_threads_change_nothing(crowd: pl.DataFrame, linked_crowd: Linkage, run: Run) -> None:
    assert same(linked_crowd, run(crowd.reverse(), threads=1))
    shuffled = crowd.sample(fraction=1.0, shuffle=True, seed=3)
    assert run(shuffled, model=linked_crowd.model).pairs.equals(linked_crowd.pairs)


def test_the_crowd_is_linked_well_and_in_the_contracts_schemas(
    crowd: pl.DataFrame, linked_crowd: Linkage
) -> None:
    outcome = linked_crowd
    truth = crowd.select(
        CLUSTER_ID=pl.col("record_id").str.slice(1), RECORD_ID="record_id", DATA_SOURCE="source"
    )
    accuracy = pairwise(outcome.members, truth)
    assert accuracy.precision > 0.95
    assert accuracy.recall > 0.9
    for frame, table in zip(frames(outcome)[:4], ("pairs", "members", "entities", "history"), strict=True):
        contract = contract_of(f"linked.person_{table}")
        assert contract.shape(frame).schema == frame.select(contract.column_names).schema
        assert frame.select(contract.key).is_unique().all()
    assert set(outcome.questions.columns) == set(contract_of("linked.questions").column_names)
    left = pl.concat_str("source_l", pl.lit("\x1f"), "record_id_l")
    assert outcome.pairs.filter(left >= pl.concat_str("source_r", pl.lit("\x1f"), "record_id_r")).is_empty()
    scored = outcome.pairs.filter(pl.col("match_weight").is_not_null()).row(0, named=True)
    assert "family_name" in json.loads(scored["levels"])


def test_a_frozen_model_gives_the_same_and_is_not_trained_again(
    crowd: pl.DataFrame, linked_crowd: Linkage, run: Run
) -> None:
    first = linked_crowd
    row = {
        "entity_kind": "person",
        **{
            k: getattr(first.model, k)
            for k in ("model_version", "model_json", "rule_fingerprint", "record_count")
        },
    }
    again = run(crowd, model=FrozenModel.thaw(row))
    assert again.pairs.equals(first.pairs)
    assert again.model.model_version == first.model.model_version


def test_a_tampered_model_is_refused(crowd: pl.DataFrame, run: Run) -> None:
    model = run(crowd.head(3)).model
    with pytest.raises(Exception, match="train a new model"):
        FrozenModel.thaw({**model.__dict__, "model_json": model.model_json + " "})


def test_a_comparison_whose_columns_disappeared_falls_away(
    crowd: pl.DataFrame, linked_crowd: Linkage, run: Run
) -> None:
    outcome = run(crowd.drop("city", "postal_code", "birth_date"), model=linked_crowd.model)
    assert any("'address' falls away" in note for note in outcome.notes)
    assert outcome.members.height == crowd.height


@pytest.mark.parametrize("kind", ["person", "organisation"])
def test_no_records(run: Run, kind: str) -> None:
    table = "people" if kind == "person" else "organisations"
    outcome = run(contract_of(f"conformed.{table}").empty(), kind)
    assert all(frame.is_empty() for frame in frames(outcome))


@pytest.mark.parametrize("kind", ["person", "organisation"])
@pytest.mark.parametrize("count", [1, 3, 250])
def test_records_with_nothing_but_a_key_stay_apart(run: Run, kind: str, count: int) -> None:
    bare = pl.DataFrame({"source": ["crm_x"] * count, "record_id": [str(i) for i in range(count)]})
    outcome = run(bare, kind)
    assert outcome.members["entity_id"].n_unique() == count
    assert outcome.members["entity_id"].str.starts_with("P-" if kind == "person" else "O-").all()


def test_three_records_link_without_training(people: Rows, run: Run, groups: Groups) -> None:
    outcome = run(people(JOHN, {**JOHN, "given_name": "Jon"}, {"given_name": "Mary", "family_name": "Stone"}))
    assert groups(outcome) == {frozenset({"0", "1"}), frozenset({"2"})}
    assert outcome.pairs["method"].to_list() == ["key"]


def test_a_role_address_links_nobody(people: Rows, run: Run) -> None:
    shared = {"email": "info@acme.example", "email_kind": "role", "phone": "+4930123456"}
    names = [
        ("Ada", "King"),
        ("Bo", "Lind"),
        ("Cy", "Marsh"),
        ("Di", "North"),
        ("Ed", "Olsen"),
        ("Flo", "Page"),
    ]
    outcome = run(people(*({**shared, "given_name": g, "family_name": f} for g, f in names)))
    assert outcome.members["entity_id"].n_unique() == len(names)
    assert any(note.startswith("phone: 1 generic value on 6 records") for note in outcome.notes)


def test_a_shared_personal_mailbox_links_nobody_falsely(crowd: pl.DataFrame, people: Rows, run: Run) -> None:
    strangers = crowd.filter(pl.col("source") == "crm_contacts").head(40)
    shared = strangers.with_columns(
        email=pl.lit("office@acme.example"),
        email_normalised=pl.lit("office@acme.example"),
        email_kind=pl.lit("person"),
        phone=pl.lit(None, dtype=pl.String),
        city=pl.lit(None, dtype=pl.String),
        postal_code=pl.lit(None, dtype=pl.String),
        organisation_name=pl.lit(None, dtype=pl.String),
    ).unique(["given_name", "family_name"], maintain_order=True)
    assert run(shared).members["entity_id"].n_unique() == shared.height


def test_two_of_one_household_mailbox_stay_apart_and_a_nameless_record_joins_neither(
    people: Rows, run: Run, groups: Groups
) -> None:
    home = {"email": "smiths@home.example", "email_kind": "free", "family_name": "Smith"}
    outcome = run(
        people(
            {**home, "given_name": "Walter"},
            {**home, "given_name": "Brigitte"},
            {"email": "smiths@home.example", "email_kind": "free"},
        )
    )
    assert groups(outcome) == {frozenset({"0"}), frozenset({"1"}), frozenset({"2"})}


def test_vendor_statements_link(people: Rows, run: Run, groups: Groups) -> None:
    outcome = run(
        people(
            {"source": "salesforce_leads", "record_id": "L1", "converted_person_record_id": "C1"},
            {"source": "salesforce_contacts", "record_id": "C1", "merged_record_ids": ["C2"]},
            {"source": "salesforce_contacts", "record_id": "C2"},
            {"source": "hubspot_contacts", "record_id": "C1"},
        )
    )
    assert frozenset({"L1", "C1", "C2"}) in groups(outcome)
    assert set(outcome.pairs["match_key"]) == {"merged_record_ids", "converted_person_record_id"}


def test_different_binds_through_a_bridging_record(
    people: Rows, run: Run, decide: Rows, groups: Groups
) -> None:
    records = people(JOHN, JOHN, JOHN)
    outcome = run(records, decisions=decide(("0", "1", "different")))
    found = groups(outcome)
    assert not any({"0", "1"} <= group for group in found)
    assert any("2" in group and len(group) == 2 for group in found)
    assert any("kept apart" in question for question in outcome.questions["question"])
    decided = outcome.pairs.filter(pl.col("method") == "decision").row(0, named=True)
    assert not decided["is_link"]


def test_same_joins_strangers_and_a_revoked_decision_does_not(
    people: Rows, run: Run, decide: Rows, groups: Groups
) -> None:
    records = people(JOHN, {"given_name": "Zoe", "family_name": "Quinn"})
    assert groups(run(records, decisions=decide(("0", "1", "same")))) == {frozenset({"0", "1"})}
    assert len(groups(run(records, decisions=decide(("0", "1", "same"), revoked=True)))) == 2


def test_revoking_a_merge_gives_both_ids_back(people: Rows, run: Run, decide: Rows) -> None:
    records = people(JOHN, {"given_name": "Zoe", "family_name": "Quinn"})
    first = run(records)
    merged = run(
        records,
        previous=Register(first.members, first.entities),
        decisions=decide(("0", "1", "same")),
        as_of=NIGHT + timedelta(days=1),
    )
    assert merged.members["entity_id"].n_unique() == 1
    back = run(records, previous=Register(merged.members, merged.entities), as_of=NIGHT + timedelta(days=2))
    assert back.members.equals(first.members)
    assert back.entities.equals(first.entities)


def test_an_unsure_pair_is_not_asked_again(people: Rows, run: Run, decide: Rows) -> None:
    records = people(
        {"given_name": "Anna", "family_name": "Abendroth", "city": "Riga"},
        {"given_name": "Anna", "family_name": "Abendroth"},
    )
    asked = run(records, review_low=0.01, threshold=0.95)
    assert asked.questions.height == 1
    assert run(
        records, review_low=0.01, threshold=0.95, decisions=decide(("0", "1", "unsure"))
    ).questions.is_empty()


def test_organisations_link_by_tax_id_and_contradicting_tax_ids_hold_apart(run: Run, groups: Groups) -> None:
    base: dict[str, Any] = {
        "organisation_name": "Nordwind Logistik",
        "city": "Hamburg",
        "postal_code": "20095",
        "website_domain": "nordwind.example",
        "phone": "+49401234567",
    }
    records = pl.DataFrame(
        [
            {**base, "source": "crm_accounts", "record_id": "a", "tax_id": "DE111111111"},
            {**base, "source": "erp_invoices", "record_id": "b", "tax_id": "DE222222222"},
            {
                "source": "erp_invoices",
                "record_id": "c",
                "organisation_name": "NWL Hamburg",
                "tax_id": "DE111111111",
            },
        ]
    )
    outcome = run(records, "organisation")
    assert groups(outcome) == {frozenset({"a", "c"}), frozenset({"b"})}


def test_a_suspect_cluster_keeps_its_last_good_state_and_is_queued(
    people: Rows, linked_crowd: Linkage, run: Run
) -> None:
    base = {"given_name": "Ottokar", "family_name": "Wendelin", "phone": "+4930998877", "city": "Riga"}
    records = people(base, base, base)
    good = run(records.head(2), model=linked_crowd.model)
    assert good.members["entity_id"].n_unique() == 1
    large = run(
        records,
        previous=Register(good.members, good.entities),
        model=linked_crowd.model,
        max_cluster_records=2,
    )
    assert large.questions["question"].str.contains("suspiciously large").any()
    assert large.members["entity_id"].n_unique() == 2


def test_a_model_knows_its_version_only_from_its_content(
    crowd: pl.DataFrame, linked_crowd: Linkage, run: Run
) -> None:
    one, other = linked_crowd.model, run(crowd.head(9)).model
    assert one.model_version != other.model_version
    assert replace(one, record_count=1).model_version == one.model_version
