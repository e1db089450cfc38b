"""Operations of a plan: one per record, with keys that mean what they do."""

from __future__ import annotations

from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.delivery.backoff import Backoff
from crm_hygiene.writeback.delivery.breaker import Breaker
from crm_hygiene.writeback.delivery.outbox import as_generation, batches, entries_of, entry_of, frame_of
from crm_hygiene.writeback.policy import BreakerPolicy, RetryPolicy

from .delivering import START, change, plan, policy

ROWS = [
    change("c1", "Title", "Mr", "Dr"),
    change("c1", "Phone", None, "1"),
    change("c1", "OptedOut", None, "true", "suppress"),
    change("P1", "Key", None, "P1", "create"),
    change("O1", "Key", None, "O1", "create", "Account"),
    change("c3", "merged_into", None, "c2", "merge"),
    change("c4", "merged_into", None, "c2", "merge"),
    change("d1", "ContactId", "c3", "c2", "reparent", "Deal"),
    change("d2", "ContactId", "c9", "c8", "reparent", "Deal"),
]


@given(st.permutations(ROWS))
def test_any_order_of_the_plan_gives_the_same_operations_in_the_same_order(
    rows: list[dict[str, str]],
) -> None:
    entries = entries_of(plan(*rows), policy())
    assert [(e.operation.kind, e.operation.object, e.change_kind) for e in entries] == [
        ("write", "Contact", "suppress"),
        ("create", "Account", "create"),
        ("create", "Contact", "create"),
        ("write", "Contact", "update"),
        ("write", "Deal", "reparent"),
        ("merge", "Contact", "merge"),
        ("merge", "Contact", "merge"),
    ]
    assert [e.operation_id for e in entries] == [e.operation_id for e in entries_of(plan(*ROWS), policy())]
    assert sorted(i for e in entries for i in e.change_ids) == sorted(row["change_id"] for row in ROWS)
    child = [c for e in entries for c in e.operation.children]
    assert [(c.object, c.record_id, c.field) for c in child] == [("Deal", "d1", "ContactId")]


def test_an_entry_survives_the_table() -> None:
    entries = entries_of(plan(*ROWS), policy())
    frame = frame_of(entries, "A-1", START)
    back = [entry_of(row, policy()) for row in frame.iter_rows(named=True)]
    assert [e.operation for e in back] == [e.operation for e in entries]
    assert [e.order for e in back] == [e.order for e in entries]
    assert [e.of_generation(0).operation_id for e in back] == [e.operation_id for e in entries]


def test_what_was_done_to_the_end_gets_a_new_key() -> None:
    entry = entries_of(plan(ROWS[0]), policy())[0]
    closed = {entry.operation_id: True, entry.of_generation(1).operation_id: False}
    assert as_generation(entry, closed.get) == entry.of_generation(1)
    assert as_generation(entry, {}.get) == entry
    assert len({entry.of_generation(n).operation_id for n in range(20)}) == 20


def test_batches_are_of_one_kind_and_object() -> None:
    entries = entries_of(
        plan(*(change(f"c{n}", "Title", "Mr", "Dr") for n in range(5)), *ROWS[3:5]), policy()
    )
    assert [len(batch) for batch in batches(entries, 2)] == [1, 1, 2, 2, 1]


def test_a_create_that_could_not_be_found_again_is_refused() -> None:
    told = policy(objects={"Contact": {"default_winner": "golden"}})
    with pytest.raises(ConfigurationError, match="no external_id"):
        entries_of(plan(ROWS[3]), told)


def test_other_targets_are_passed_over() -> None:
    other = plan(*ROWS).with_columns(target=pl.lit("erp"))
    assert entries_of(other, policy()) == []


@given(st.integers(1, 400), st.integers(0, 2**32))
def test_backoff_is_bounded_and_obeys_the_target(attempt: int, seed: int) -> None:
    backoff = Backoff(RetryPolicy(attempts=6, first_seconds=2, most_seconds=50), Random(seed))
    assert 0 <= backoff.seconds(attempt) <= min(50, 2 * 2 ** (attempt - 1))
    assert backoff.seconds(attempt, 17) == 17


def test_a_breaker_is_not_closed_by_signing_in() -> None:
    breaker = Breaker(BreakerPolicy(failures=2, pause_seconds=1))
    breaker.fail("send")
    breaker.succeed("read")
    breaker.fail("send")
    assert breaker.state == "open"
    breaker.probe()
    breaker.succeed("connect")
    assert breaker.state == "half_open"
    breaker.succeed("send")
    assert breaker.state == "closed"
