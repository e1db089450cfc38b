from __future__ import annotations

from typing import Any

import pytest

from .record_rows import chosen


@pytest.mark.parametrize(
    ("strategy", "rows", "expected"),
    [
        ("trust", [{"value": "a", "source": "erp"}, {"value": "b"}], ("a", "b", "trust")),
        # 0.9 halves to 0.45 in 730 days, 0.3 of a fresh record is still less
        ("trust", [{"value": "a", "source": "erp", "age": 730}, {"value": "b"}], ("a", "b", "trust")),
        ("trust", [{"value": "a", "source": "erp", "age": 1500}, {"value": "b"}], ("b", "a", "trust")),
        ("recency", [{"value": "a", "age": 3}, {"value": "b", "age": 2}], ("b", "a", "recency")),
        ("longest", [{"value": "abc", "age": 9}, {"value": "b"}], ("abc", "b", "longest")),
        (
            "earliest",
            [{"value": "a", "created": 9, "age": 5}, {"value": "b", "created": 3}],
            ("a", "b", "earliest"),
        ),
        ("validity", [{"value": "a", "problems": ["x"]}, {"value": "b", "age": 9}], ("b", "a", "validity")),
        (
            "agreement",
            [{"value": "a", "source": "crm_a"}, {"value": "A ", "source": "erp"}, {"value": "b"}],
            ("a", "b", "agreement"),
        ),
        (
            "frequency",
            [{"value": "a", "age": 9}, {"value": "a", "age": 9}, {"value": "b"}],
            ("a", "b", "frequency"),
        ),
    ],
)
def test_each_strategy(strategy: str, rows: list[dict[str, Any]], expected: tuple[str, ...]) -> None:
    assert chosen(rows, strategy) == expected


def test_two_sources_of_one_system_agree_as_one() -> None:
    rows = [
        {"value": "a", "source": "crm_a", "age": 5},
        {"value": "a", "source": "crm_b", "age": 5},
        {"value": "b", "source": "erp", "age": 1},
    ]
    assert chosen(rows, "agreement", "recency") == ("b", "a", "recency")
    assert chosen(rows, "frequency", "recency") == ("a", "b", "frequency")


def test_a_fields_own_change_time_counts_before_its_records() -> None:
    rows: list[dict[str, Any]] = [
        {"value": "a", "source": "erp", "age": 1, "changed": {"value": 500}},
        {"value": "b", "source": "erp", "age": 300},
    ]
    assert chosen(rows, "recency") == ("b", "a", "recency")
    assert chosen(rows, "trust")[0] == "b"
    rows[0]["changed"] = {"kind": 500}
    assert chosen(rows, "recency")[0] == "a"


def test_trust_can_be_a_fields_own_with_a_half_life_of_its_own() -> None:
    rows = [{"value": "a", "source": "erp", "age": 90}, {"value": "b", "source": "web", "age": 1}]
    assert chosen(rows, "trust")[0] == "a"
    assert chosen(rows, "trust", trust={"web": 0.95})[0] == "b"
    assert chosen(rows, "trust", half_life_days=30)[0] == "b"


def test_a_time_after_the_landing_is_the_landing_time_and_a_placeholder_is_no_time() -> None:
    future = {"value": "a", "age": -4000, "record_id": "z"}
    fresh = {"value": "b", "age": 0, "record_id": "y"}
    assert chosen([future, fresh], "recency")[2] == "tie"
    assert chosen([{**future, "changed": {"value": -9}}, fresh], "recency")[2] == "tie"
    old = {"value": "c", "age": 5000}
    since_1970 = {"value": "a", "age": 20454}
    assert chosen([since_1970, old], "recency")[0] == "c"
    assert chosen([{**since_1970, "created": 1}, old], "recency")[0] == "a"
    # 1900-01-01 is not early, it is unknown
    assert (
        chosen(
            [{"value": "a", "created": 46021, "age": 2}, {"value": "b", "age": 1, "created": 7}], "earliest"
        )[0]
        == "b"
    )


def test_validity_follows_the_preferred_order_of_another_column() -> None:
    rows = [{"value": "info@", "kind": "role"}, {"value": "ann@", "kind": "person", "age": 99}]
    prefer = {"column": "kind", "order": ["person", "role"]}
    assert chosen(rows, "validity", prefer=prefer) == ("ann@", "info@", "validity")


@pytest.mark.parametrize(
    ("test", "bad"),
    [
        ({"no_bounce": True}, {"is_bounced": True}),
        ({"column": "kind", "none_of": ["disposable"]}, {"kind": "disposable"}),
        ({"column": "kind", "one_of": ["fixed", "mobile"]}, {"kind": "pager"}),
        ({"matches": "^[+]"}, {"value": "030"}),
        ({"no_problems": True}, {"problems": ["email: odd"]}),
    ],
)
def test_a_value_that_fails_a_declared_test_loses_to_one_that_passes(
    test: dict[str, Any], bad: dict[str, Any]
) -> None:
    rows = [{"value": "+1", "source": "erp", **bad}, {"value": "+2", "source": "web", "age": 900}]
    assert chosen(rows, "validity", "trust", valid=["t"], tests={"t": test})[0] == "+2"
    assert chosen(rows[:1], "validity", "trust", valid=["t"], tests={"t": test})[0] is not None


def test_of_two_invalid_values_the_one_failing_the_milder_test_wins() -> None:
    tests: dict[str, Any] = {"first": {"no_bounce": True}, "second": {"column": "kind", "none_of": ["x"]}}
    rows: list[dict[str, Any]] = [
        {"value": "a", "is_bounced": True, "source": "erp"},
        {"value": "b", "kind": "x", "age": 99},
    ]
    assert chosen(rows, "validity", valid=["first", "second"], tests=tests)[0] == "b"
    assert chosen(rows, "validity", valid=["second", "first"], tests=tests)[0] == "a"


def test_ties_go_to_the_newest_record_then_source_then_record_id() -> None:
    rows = [
        {"value": "c", "source": "web", "record_id": "1"},
        {"value": "b", "source": "erp", "record_id": "2"},
        {"value": "a", "source": "erp", "record_id": "1"},
    ]
    assert chosen(rows, "longest") == ("a", "b", "tie")


def test_agreement_and_single_values_need_no_strategy() -> None:
    assert chosen([{"value": "a"}, {"value": "A"}], "trust")[1:] == (None, "agreed")
    assert chosen([{"value": "a"}, {"value": None}], "trust") == ("a", None, "only")
    assert chosen([{"value": None}], "trust") == (None, None, "")


def test_an_emptied_field_is_no_value_unless_the_rule_lets_clears_win() -> None:
    emptied = {"value": None, "source": "web", "age": 3, "changed": {"value": 3}}
    older, newer = {"value": "a", "source": "erp", "age": 9}, {"value": "b", "source": "crm_a", "age": 1}
    assert chosen([emptied, older], "trust")[0] == "a"
    assert chosen([emptied, older], "trust", clears="wins") == (None, "a", "cleared")
    # what was entered since then stands, whoever is trusted more
    assert chosen([emptied, older, newer], "trust", clears="wins")[0] == "b"
    assert chosen([{**emptied, "changed": {}}, older], "trust", clears="wins")[0] == "a"
    assert chosen([emptied], "trust", clears="wins") == (None, None, "")


def test_a_source_named_in_clears_from_empties_a_field_without_telling_when() -> None:
    rows = [{"value": None, "source": "erp", "age": 1}, {"value": "a", "age": 9}]
    assert chosen(rows, "trust", clears="wins", clears_from=["erp"])[0] is None
    assert chosen(rows, "trust", clears="wins", clears_from=["crm"])[0] == "a"


def test_deleted_records_are_no_candidates() -> None:
    assert chosen([{"value": "a", "source": "erp", "is_deleted": True}, {"value": "b"}], "trust")[0] == "b"
