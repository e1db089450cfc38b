from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.survivorship import Candidates, GroupRule, Rules, choose, gather_candidates, load_rules
from crm_hygiene.survivorship.rules import Pin

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
SYSTEMS = {"crm_a": "crm", "crm_b": "crm", "erp": "erp", "web": "web"}


def candidates(rows: list[dict[str, Any]]) -> Candidates:
    """One entity E unless a row says otherwise; `age` in days."""
    filled = [
        {
            "source": row.get("source", "web"),
            "record_id": str(row.get("record_id", number)),
            "entity_id": row.get("entity_id", "E"),
            "is_deleted": row.get("is_deleted", False),
            "observed_at": AS_OF - timedelta(days=row.get("age", 0)),
            "created_at": AS_OF - timedelta(days=row.get("created", 0)) if "created" in row else None,
            "problems": row.get("problems", []),
            "file": "f",
            "row_number": number,
            "value": row.get("value"),
            "kind": row.get("kind"),
        }
        for number, row in enumerate(rows)
    ]
    schema = {
        **dict.fromkeys(["source", "record_id", "entity_id", "file", "value", "kind"], pl.String()),
        "is_deleted": pl.Boolean(),
        "observed_at": pl.Datetime("us", "UTC"),
        "created_at": pl.Datetime("us", "UTC"),
        "problems": pl.List(pl.String()),
        "row_number": pl.Int64(),
    }
    frame = pl.DataFrame(filled, schema=schema)
    keys = frame.select("source", "record_id", "entity_id")
    return gather_candidates(frame.drop("entity_id"), keys, SYSTEMS, ["value", "kind"])


def rules(**changes: Any) -> Rules:
    return load_rules().model_copy(update={"trust": {"erp": 0.9, "crm*": 0.8, "web": 0.3}, **changes})


def chosen(rows: list[dict[str, Any]], *strategies: str, **rule: Any) -> tuple[Any, Any, str]:
    """Winning value, runner-up and what decided."""
    given_rule = GroupRule(columns=("value",), strategies=strategies, **rule)
    pool = candidates(rows)
    outcome = choose(pool, "contacts", "value", given_rule, rules(), AS_OF).winners
    if outcome.is_empty():
        return None, None, ""
    picked = outcome.row(0, named=True)
    values = pool.records["value"]
    other = None if picked["runner_up"] is None else values[picked["runner_up"]]
    return values[picked["row"]], other, picked["decided"]


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
            "frequency",
            [{"value": "a", "source": "crm_a"}, {"value": "A ", "source": "erp"}, {"value": "b"}],
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
    assert chosen(rows, "frequency", "recency") == ("b", "a", "recency")


def test_validity_follows_the_preferred_order_of_another_column() -> None:
    rows = [{"value": "info@", "kind": "role"}, {"value": "ann@", "kind": "person", "age": 99}]
    prefer = {"column": "kind", "order": ["person", "role"]}
    assert chosen(rows, "validity", prefer=prefer) == ("ann@", "info@", "validity")


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


def test_a_clear_is_no_value_unless_the_rule_says_so() -> None:
    rows = [{"value": None, "source": "erp"}, {"value": "a"}]
    assert chosen(rows, "trust")[0] == "a"
    assert chosen(rows, "trust", clears_from=["erp"])[0] is None
    assert chosen(rows, "trust", clears_from=["crm"])[0] == "a"


def test_a_pin_wins() -> None:
    pool = candidates([{"value": "a", "source": "erp"}, {"value": "b", "record_id": "9", "age": 99}])
    pin = Pin(table="contacts", entity_id="E", field="value", source="web", record_id="9")
    rule = GroupRule(columns=("value",), strategies=("trust",))
    outcome = choose(pool, "contacts", "value", rule, rules(pins=(pin,)), AS_OF)
    assert outcome.golden()["value"].to_list() == ["b"]
    assert outcome.winners["decided"].to_list() == ["pinned"]
    elsewhere = choose(pool, "accounts", "value", rule, rules(pins=(pin,)), AS_OF)
    assert elsewhere.golden()["value"].to_list() == ["a"]


def test_deleted_records_are_no_candidates() -> None:
    assert chosen([{"value": "a", "source": "erp", "is_deleted": True}, {"value": "b"}], "trust")[0] == "b"


_rows = st.lists(
    st.fixed_dictionaries(
        {
            "source": st.sampled_from(sorted(SYSTEMS)),
            "entity_id": st.sampled_from(["E1", "E2", "E3"]),
            "value": st.sampled_from([None, "a", "A", "b", "ccc"]),
            "kind": st.sampled_from([None, "x", "y"]),
            "age": st.sampled_from([0, 1, 800]),
            "created": st.sampled_from([0, 1, 900]),
        }
    ),
    max_size=9,
)
_strategies = st.lists(
    st.sampled_from(["validity", "trust", "recency", "frequency", "completeness", "longest", "earliest"]),
    min_size=1,
    max_size=3,
    unique=True,
)


@given(_rows, _strategies, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_changes_nothing_and_the_winner_states_a_value(
    rows: list[dict[str, Any]], strategies: list[str], random: Any
) -> None:
    numbered = [{**row, "record_id": n} for n, row in enumerate(rows)]
    shuffled = list(numbered)
    random.shuffle(shuffled)
    rule = GroupRule(columns=("value",), strategies=tuple(strategies))
    one, two = (candidates(r) for r in (numbered, shuffled))
    first, second = (choose(c, "contacts", "value", rule, rules(), AS_OF) for c in (one, two))
    assert first.winners.equals(second.winners)
    assert first.golden().equals(second.golden())
    stating = {r["entity_id"] for r in rows if r["value"] is not None}
    assert set(one.entities.gather(first.winners["entity"]).to_list()) == stating
    values = one.records["value"].gather(first.winners["row"])
    assert values.null_count() == 0
    others = one.records["value"].gather(first.winners["runner_up"])
    assert all(o is None or o.lower() != v.lower() for v, o in zip(values, others, strict=True))
