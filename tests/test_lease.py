"""The lease of a lake in an object store: one holder, an end without it, nothing after its loss."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_hygiene import lease as lease_module
from crm_hygiene.contract import contract_of
from crm_hygiene.errors import LakeError
from crm_hygiene.lake import Lake
from crm_hygiene.lease import LEASE_SECONDS, Lease, check_held, hold_lease

LAKE = "s3://bucket/lake"
START = datetime(2026, 1, 1, 2, tzinfo=UTC)


class Table:
    """Commits in a list; the store can be away, and an answer can be lost."""

    def __init__(self) -> None:
        self.commits: list[Mapping[str, Any]] = [{}]
        self.is_away = False
        self.loses_answer = False

    def last(self) -> tuple[int, Mapping[str, Any]]:
        return len(self.commits) - 1, self.commits[-1]

    def commit(self, after: int, texts: dict[str, str]) -> bool:
        if self.is_away:
            raise LakeError("the store is away")
        if after != len(self.commits) - 1:
            return False
        self.commits.append(texts)
        if self.loses_answer:
            self.loses_answer = False
            raise LakeError("no answer")
        return True


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def test_one_holder_at_a_time() -> None:
    table, clock = Table(), Clock()
    with hold_lease(LAKE, table, "a night is running", clock):
        check_held(LAKE)
        with pytest.raises(LakeError, match=r"a night is running \(process .* on .* 02:05:00 UTC"):
            Lease(table, "a night is running", clock).take()
    check_held(LAKE)
    with hold_lease(LAKE, table, "a night is running", clock):
        pass


def test_two_that_take_it_at_the_same_moment() -> None:
    class Slow(Table):
        def last(self) -> tuple[int, Mapping[str, Any]]:
            return 0, {}

    table = Slow()
    Lease(table, "running", Clock()).take()
    with pytest.raises(LakeError, match="began at this moment"):
        Lease(table, "running", Clock()).take()


def test_a_lease_nobody_renews_ends_and_its_holder_commits_nothing_more() -> None:
    table, clock = Table(), Clock()
    with hold_lease(LAKE, table, "running", clock) as first:
        clock.now += timedelta(seconds=LEASE_SECONDS - 1)
        with pytest.raises(LakeError, match="running"):
            Lease(table, "running", clock).take()
        clock.now += timedelta(seconds=2)
        second = Lease(table, "running", clock)
        second.take()
        first.renew()
        with pytest.raises(LakeError, match="commits nothing more"):
            check_held(LAKE)
        contract = contract_of("audit.runs")
        with pytest.raises(LakeError, match="commits nothing more"):
            Lake(LAKE)._write(contract, None, None, "append")  # type: ignore[arg-type]
    # Its end takes nothing from the one that follows.
    with pytest.raises(LakeError, match="running"):
        Lease(table, "running", clock).take()


def test_a_store_that_is_away_for_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    table, clock = Table(), Clock()
    now = [100.0]
    monkeypatch.setattr(lease_module.time, "monotonic", lambda: now[0])
    lease = Lease(table, "running", clock)
    lease.take()
    table.is_away = True
    now[0] += LEASE_SECONDS - 1
    with pytest.raises(LakeError, match="away"):
        lease.renew()
    lease.check()
    now[0] += 1
    with pytest.raises(LakeError, match="could not renew"):
        lease.check()


def test_a_lost_answer_loses_no_lease() -> None:
    table, clock = Table(), Clock()
    lease = Lease(table, "running", clock)
    lease.take()
    table.loses_answer = True
    with pytest.raises(LakeError, match="no answer"):
        lease.renew()
    lease.renew()
    lease.check()
    assert table.commits[-1]["holder"] == table.commits[1]["holder"]
