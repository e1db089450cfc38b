from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.contract import contract_of
from crm_hygiene.survivorship import choose
from crm_hygiene.survivorship.pins import pins_of_entities
from crm_hygiene.survivorship.rules import STRATEGIES, ValidityTest

from .record_rows import AS_OF, SYSTEMS, candidates, group, rules

_rows = st.lists(
    st.fixed_dictionaries(
        {
            "source": st.sampled_from(sorted(SYSTEMS)),
            "entity_id": st.sampled_from(["E1", "E2", "E3"]),
            "value": st.sampled_from([None, "a", "A", "b", "ccc"]),
            "city": st.sampled_from([None, "x", "y"]),
            "kind": st.sampled_from([None, "x", "y"]),
            "age": st.sampled_from([-5, 0, 1, 800, 20454]),
            "created": st.sampled_from([0, 1, 900]),
            "changed": st.sampled_from([{}, {"value": 3}, {"value": -2, "city": 700}]),
            "is_bounced": st.booleans(),
        }
    ),
    max_size=9,
)
_strategies = st.lists(st.sampled_from(STRATEGIES), min_size=1, max_size=3, unique=True)
_clears = st.sampled_from([{}, {"clears": "wins"}, {"clears": "wins", "clears_from": ["crm*"]}])


def numbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "record_id": n} for n, row in enumerate(rows)]


def pin_log(pins: list[tuple[str, str, int, str | None]]) -> pl.DataFrame:
    """stewardship.pins from (source, record_id, number, revokes); the value is `pin <number>`."""
    rows = [
        {
            "pin_id": f"N-{number}",
            "table_name": "golden.contacts",
            "entity_id": "gone",
            "source": source,
            "record_id": record_id,
            "column_name": "value",
            "value": None if revokes else f"pin {number}",
            "reason": None,
            "decided_by": "ann",
            "decided_at": AS_OF + timedelta(seconds=number),
            "revokes": revokes,
        }
        for source, record_id, number, revokes in pins
    ]
    return pl.DataFrame(rows, schema=contract_of("stewardship.pins").schema)


@given(_rows, _strategies, _clears, st.randoms(use_true_random=False))
@settings(max_examples=examples(25), deadline=None)
def test_the_order_of_rows_changes_nothing_and_the_winner_states_a_value(
    rows: list[dict[str, Any]], strategies: list[str], clears: dict[str, Any], random: Any
) -> None:
    shuffled = numbered(rows)
    random.shuffle(shuffled)
    rule = group(*strategies, valid=["t"], **clears)
    declared = rules(tests={"t": ValidityTest(no_bounce=True)})
    one, two = (candidates(r) for r in (numbered(rows), shuffled))
    first, second = (
        choose(c, "contacts", "value", rule, declared, AS_OF, is_ordered=True) for c in (one, two)
    )
    assert first.winners.equals(second.winners)
    assert first.golden().equals(second.golden())
    assert first.order is not None
    assert second.order is not None
    assert first.order.equals(second.order)
    stating = {r["entity_id"] for r in rows if r["value"] is not None}
    assert set(one.entities.gather(first.winners["entity"]).to_list()) == stating
    values = one.records["value"].gather(first.winners["row"])
    assert clears or values.null_count() == 0
    others = one.records["value"].gather(first.winners["runner_up"])
    pairs = zip(values, others, strict=True)
    assert all(o is None or v is None or o.lower() != v.lower() for v, o in pairs)


@given(_rows, _strategies, _clears)
@settings(max_examples=examples(25), deadline=None)
def test_a_group_never_mixes_records(
    rows: list[dict[str, Any]], strategies: list[str], clears: dict[str, Any]
) -> None:
    pool = candidates(numbered(rows))
    rule = group(*strategies, columns=("value", "city"), needs=("value",), **clears)
    golden = choose(pool, "contacts", "value", rule, rules(), AS_OF).golden()
    stated = {(r["entity_id"], r["value"], r["city"]) for r in rows} | {
        (e, None, None) for e in pool.entities
    }
    assert {(e, *v) for e, v in zip(pool.entities, golden.iter_rows(), strict=True)} <= stated


@given(_rows, st.sampled_from(["agreement", "frequency"]), _clears)
@settings(max_examples=examples(25), deadline=None)
def test_one_more_source_that_agrees_never_makes_a_value_lose(
    rows: list[dict[str, Any]], strategy: str, clears: dict[str, Any]
) -> None:
    pool, rule = candidates(numbered(rows)), group(strategy, **clears)
    before = choose(pool, "contacts", "value", rule, rules(), AS_OF).golden()["value"].to_list()
    for entity, value in zip(pool.entities, before, strict=True):
        if value is None:
            continue
        agreeing = {"source": "other", "entity_id": entity, "value": value, "record_id": "new", "age": 400}
        more = candidates([*numbered(rows), agreeing])
        after = choose(more, "contacts", "value", rule, rules(), AS_OF).golden()["value"]
        assert after[pool.entities.to_list().index(entity)].lower() == value.lower()


@given(_rows.filter(bool), _strategies, st.data())
@settings(max_examples=examples(20), deadline=None)
def test_the_newest_pin_wins_and_revoking_restores_what_was_before(
    rows: list[dict[str, Any]], strategies: list[str], data: st.DataObject
) -> None:
    records = numbered(rows)
    pool, rule = candidates(records), group(*strategies)
    members = pl.DataFrame([{k: str(r[k]) for k in ("source", "record_id", "entity_id")} for r in records])
    anchors = data.draw(st.lists(st.sampled_from(records), min_size=1, max_size=4))
    log = pin_log([(a["source"], str(a["record_id"]), n, None) for n, a in enumerate(anchors)])

    def golden(pins: pl.DataFrame) -> list[Any]:
        found = pins_of_entities(pins.sample(fraction=1, shuffle=True, seed=1), members, "contacts")
        return choose(pool, "contacts", "value", rule, rules(), AS_OF, found).golden()["value"].to_list()

    plain = golden(log.clear())
    newest = {a["entity_id"]: f"pin {n}" for n, a in enumerate(anchors)}
    assert golden(log) == [newest.get(e, v) for e, v in zip(pool.entities, plain, strict=True)]
    last = len(anchors) - 1
    without = pin_log(
        [(*r, n, None) for n, r in enumerate((a["source"], str(a["record_id"])) for a in anchors[:last])]
    )
    revoked = pl.concat([log, pin_log([("s", "r", 99, f"N-{last}")])])
    assert golden(revoked) == golden(without)
    all_revoked = pl.concat([log, pin_log([("s", "r", 90 + n, f"N-{n}") for n in range(len(anchors))])])
    assert golden(all_revoked) == plain
