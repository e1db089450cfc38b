"""Namesakes: what a name is worth that others bear as well."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import polars as pl
import pytest

from crm_hygiene.contract import contract_of
from crm_hygiene.linkage import FrozenModel, Linkage, LinkageSettings
from crm_hygiene.linkage.namesakes import namesakes
from crm_hygiene.linkage.scoring import learned_comparisons
from crm_hygiene.linkage.settings import KindRules
from crm_hygiene.linkage.training import term_frequencies

from .conftest import word

Run = Callable[..., Linkage]


def _frame(*rows: tuple[str, str | None, str | None]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=["name_key", "tax_id", "domain"], orient="row")


def test_records_of_one_bearer_are_no_namesakes() -> None:
    frame = _frame(*[("acme", "1", "acme.example")] * 5, ("lone", None, None))
    assert namesakes(frame, "name_key", ["tax_id", "domain"], 10) == {"floor": 0.0, "values": {}}


def test_bearers_are_told_apart_two_by_two() -> None:
    frame = _frame(*[("acme", None, f"{i}.example") for i in range(4)], *[("other", None, None)] * 4)
    # Six pairs differ, and one that agrees is taken to have been seen: of three other records 6/7, of eight.
    assert namesakes(frame, "name_key", ["tax_id", "domain"], 10)["values"] == {
        "acme": pytest.approx(3 * 6 / 7 / 8, rel=1e-5)
    }


def test_what_agrees_speaks_for_one_bearer() -> None:
    frame = _frame(*[("acme", "1", f"{i}.example") for i in range(4)])
    found = namesakes(frame, "name_key", ["tax_id", "domain"], 10)["values"]
    assert found == {"acme": pytest.approx(3 * 6 / 13 / 4, rel=1e-5)}


def test_a_model_knows_the_commonest_only() -> None:
    rows = [(name, None, f"{name}{i}") for name, n in (("many", 6), ("some", 3)) for i in range(n)]
    assert namesakes(_frame(*rows), "name_key", ["tax_id", "domain"], 1)["values"].keys() == {"many"}


@pytest.mark.parametrize(
    ("levels", "why"),
    [
        ([{"told_apart_by": ["tax_id"]}], "needs frequency_of"),
        (
            [{"frequency_of": "name"}, {"frequency_of": "name", "told_apart_by": ["tax_id"]}],
            "have one told_apart_by",
        ),
    ],
)
def test_rules_that_do_not_say_whose_frequency_counts_are_refused(
    levels: list[dict[str, Any]], why: str
) -> None:
    given = LinkageSettings().organisation.model_dump()
    missing, *_, other = given["comparisons"][0]["levels"]
    named = [{"name": f"level_{i}", "when": "true", **level} for i, level in enumerate(levels)]
    comparison = {**given["comparisons"][0], "levels": [missing, *named, other]}
    with pytest.raises(ValueError, match=why):
        KindRules(**{**given, "comparisons": [comparison]})


def _firm(number: int, name: str, **more: Any) -> dict[str, Any]:
    return {"source": "crm_accounts", "record_id": f"{number:04}", "organisation_name": name, **more}


@pytest.fixture
def linked(run: Run) -> Linkage:
    """300 firms with a domain each, 40 of one name; 40 names on an invoice, and the common one on another."""
    random = Random(5)
    rows = []
    for i in range(300):
        name = "Nordlicht Bergbahn" if i < 40 else f"{word(random, 4)} {word(random, 3)}"
        site = f"{word(random, 5).lower()}.example"
        rows.append(_firm(i, name, website_domain=site, country_code="DE"))
        if i >= 260:
            rows.append(_firm(1000 + i, name))
    rows.append(_firm(2000, "Nordlicht Bergbahn"))
    contract = contract_of("conformed.organisations")
    return run(
        contract.shape(pl.DataFrame(rows, schema_overrides=dict(contract.schema))), kind="organisation"
    )


def test_a_model_of_before_knows_no_namesakes_and_still_compares_names(linked: Linkage) -> None:
    content = linked.model.content
    content["frequencies"].pop("name_key")
    older = FrozenModel.freeze("organisation", content, linked.model.rule_fingerprint, 300)
    used, notes = learned_comparisons(older, LinkageSettings())
    assert "organisation_name" in [c.name for c in used]
    assert [note for note in notes if "no namesakes by name_key" in note]


def test_a_name_alone_joins_where_nobody_else_bears_it(linked: Linkage) -> None:
    entity = dict(linked.members.select("record_id", "entity_id").iter_rows())
    assert all(entity[f"{i:04}"] == entity[f"{1000 + i:04}"] for i in range(260, 300))
    bearers = [entity[f"{i:04}"] for i in range(40)]
    assert len(set(bearers)) == 40
    assert entity["2000"] not in bearers


def test_a_value_that_no_model_lists_is_as_common_as_a_record_meets_it() -> None:
    names = ["most"] * 10 + ["some"] * 4 + ["two"] * 2 + ["one", "lone"]
    (found,) = term_frequencies(pl.DataFrame({"name": names}), {"name": 0.0}, 1).values()
    assert found["values"] == {"most": pytest.approx(10 / 18, rel=1e-5)}
    # Of the eight other records four are with four, two with two and two alone: not 8 / 4 records a value.
    assert found["floor"] == pytest.approx((4 * 4 + 2 * 2 + 1 + 1) / 8 / 18, rel=1e-5)
