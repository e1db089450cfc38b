"""Each fault that issue 6 names: afterwards the target holds exactly the planned state, each change once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from crm_hygiene.lake import Lake
from crm_hygiene.writeback.delivery.breaker import breaker_opened_at
from crm_hygiene.writeback.delivery.delivery_log import DeliveryLog
from crm_hygiene.writeback.delivery.undo import last_apply

from .delivering import MemoryLake, StandingClock, apply, change, delivery, ledger, plan, policy, states
from .ledger_target import LedgerTarget

# Seconds after which a process does not end; on a machine that others use as well it may take many.
_LONG = 300

PLAN = plan(
    *(change(f"c{n}", "Title", "Mr", "Dr") for n in range(5)),
    change("P9", "Key", None, "P9", "create"),
    change("P9", "Title", None, "Dr", "create"),
    change("c6", "merged_into", None, "c5", "merge"),
    change("d1", "ContactId", "c6", "c5", "reparent", "Deal"),
)


def check_planned_state(crm: LedgerTarget) -> None:
    """Exactly what was planned, each change once, and nothing else."""
    held = crm.state()
    assert {key: held["Contact", key]["Title"] for key in ("c0", "c1", "c2", "c3", "c4", "c5", "c7")} == {
        **dict.fromkeys(("c0", "c1", "c2", "c3", "c4"), "Dr"),
        "c5": "Mr",
        "c7": "Mr",
    }
    assert [v["Title"] for v in held.values() if v.get("Key") == "P9"] == ["Dr"]
    assert ("Contact", "c6") not in held
    assert held["Deal", "d1"] == {"ContactId": "c5"}
    counts = Counter((kind, record) for kind, _, record in crm.changes())
    assert set(counts.values()) == {1}
    assert len(counts) == 7


# -- processes that are killed


def process(what: str, folder: Path, kill_at: str = "", **more: str) -> subprocess.Popen[str]:
    plan_file = folder / "plan.parquet"
    PLAN.write_parquet(plan_file)
    tests, root = Path(__file__).parents[2], Path(__file__).parents[3]
    environment = {**os.environ, "KILL_AT": kill_at, "PYTHONPATH": f"{root}{os.pathsep}{tests}", **more}
    command = [sys.executable, "-m", "writeback.delivery.driver", what]
    return subprocess.Popen(
        [*command, str(folder / "lake"), str(ledger(folder)), str(plan_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def run(what: str, folder: Path, kill_at: str = "") -> tuple[int, str, str]:
    started = process(what, folder, kill_at)
    out, err = started.communicate(timeout=_LONG)
    assert "Traceback" not in err, err
    return started.returncode, out, err


POINTS = ("before sending is written", "before send", "after send", "after answer", "after commit")


@pytest.mark.parametrize(
    "point", [pytest.param(p, marks=() if p == "after send" else pytest.mark.long) for p in POINTS]
)
def test_kill_9(point: str, crm: LedgerTarget, tmp_path: Path) -> None:
    crm.seed("Deal", "d1", {"ContactId": "c6"})
    seeded = crm.state()
    assert run("apply", tmp_path, point)[0] == -signal.SIGKILL
    lake = Lake(str(tmp_path / "lake"))
    assert apply(lake, crm, PLAN, apply_id="A-2").stopped_by is None
    check_planned_state(crm)
    assert apply(lake, crm, PLAN, apply_id="A-3").done == {}
    check_planned_state(crm)
    if point != "after send":
        return
    assert "found" in states(lake).values()
    # An undo that is killed too is gone on with.
    assert run("undo", tmp_path, point)[0] == -signal.SIGKILL
    for _ in range(2):
        undoing = delivery(lake, crm, apply_id="U-2")
        undoing.undo(last_apply(undoing.log))
    assert crm.state() == seeded


def test_two_applies_at_once(crm: LedgerTarget, tmp_path: Path) -> None:
    crm.seed("Deal", "d1", {"ContactId": "c6"})
    mark = tmp_path / "mark"
    first = process("apply", tmp_path, HOLD_ON=str(mark))
    assert first.stdin is not None
    try:
        while not mark.with_suffix(".here").exists():
            assert first.poll() is None
            time.sleep(0.002)
        code, _, err = run("apply", tmp_path)
        assert code == 1
        assert f"process {first.pid} on" in err
        assert crm.changes() == []
    finally:
        first.communicate("\n" * 20, timeout=_LONG)
    assert first.returncode == 0
    check_planned_state(crm)


# -- targets that fail


@pytest.fixture
def deal(crm: LedgerTarget) -> LedgerTarget:
    crm.seed("Deal", "d1", {"ContactId": "c6"})
    return crm


@pytest.mark.parametrize("fault", ["lost", "lost early", "short"])
def test_a_time_out_after_the_target_committed_or_before(
    fault: str, lake: MemoryLake, deal: LedgerTarget
) -> None:
    deal.fail("send", fault, "ok", fault)
    report = apply(lake, deal, PLAN)
    assert report.stopped_by is None
    check_planned_state(deal)
    if fault == "lost":
        assert "found" in report.done


def test_a_time_out_and_then_nothing_more_is_looked_up_next_time(
    lake: MemoryLake, deal: LedgerTarget
) -> None:
    deal.fail("send", "ok", "lost")
    deal.fail("read", "ok", "always down")
    stopped = apply(lake, deal, PLAN)
    assert (stopped.stopped_by, stopped.is_stopped) == ("breaker", True)
    assert "uncertain" in stopped.done
    deal.mend()
    apply(lake, deal, PLAN, apply_id="A-2")
    check_planned_state(deal)


def test_half_a_batch_is_refused_and_the_rest_goes_through(lake: MemoryLake, deal: LedgerTarget) -> None:
    from crm_hygiene.writeback.delivery.repair import retry

    deal.fail("send", "ok", "half")
    report = apply(lake, deal, PLAN)
    assert report.stopped_by is None
    assert report.dead == 2
    log = DeliveryLog(lake, policy(), {})
    assert {k.code for k in log.standings.values() if k.state == "refused"} == {"BAD"}
    retry(log, "R-1", StandingClock().now())
    apply(lake, deal, PLAN)
    check_planned_state(deal)


def test_locked_rows_are_tried_again_alone(lake: MemoryLake, deal: LedgerTarget) -> None:
    deal.fail("send", "ok", "locked", "locked")
    assert apply(lake, deal, PLAN).stopped_by is None
    check_planned_state(deal)


def test_rows_locked_for_ever_are_dead_letters(lake: MemoryLake, deal: LedgerTarget) -> None:
    deal.fail("send", "always all locked")
    report = apply(lake, deal, PLAN)
    assert report.done["exhausted"] == report.dead > 0
    assert report.waiting == 0


def test_a_storm_of_429_with_retry_after(lake: MemoryLake, deal: LedgerTarget) -> None:
    clock = StandingClock()
    deal.fail("send", "limited 7", "limited 11", "ok", "limited 0")
    assert apply(lake, deal, PLAN, clock=clock).stopped_by is None
    assert [w for w in clock.waits if w >= 5] == [7, 11]
    check_planned_state(deal)


def test_a_storm_of_429_without_retry_after(lake: MemoryLake, deal: LedgerTarget) -> None:
    clock = StandingClock()
    deal.fail("send", "limited", "limited", "limited")
    deal.fail("read", "limited")
    assert apply(lake, deal, PLAN, clock=clock).stopped_by is None
    waits = [w for w in clock.waits if w > 0.01]
    assert all(w <= bound for w, bound in zip(waits, (1, 2, 4, 1), strict=True))
    check_planned_state(deal)


def test_a_storm_that_does_not_end_ends_the_apply_and_loses_nothing(
    lake: MemoryLake, deal: LedgerTarget
) -> None:
    deal.fail("send", "ok", "always limited")
    stopped = apply(lake, deal, PLAN)
    assert (stopped.stopped_by, stopped.is_stopped) == ("rate_limit", True)
    deal.mend()
    deal.fail("send", "limited 86400")  # longer than an apply is to last
    assert apply(lake, deal, PLAN).stopped_by == "rate_limit"
    deal.mend()
    apply(lake, deal, PLAN)
    check_planned_state(deal)


@pytest.mark.parametrize("call", ["connect", "read", "send", "find"])
def test_a_target_that_is_down_for_the_whole_run(call: str, lake: MemoryLake, deal: LedgerTarget) -> None:
    clock = StandingClock()
    deal.fail(call, "always down")
    stopped = apply(lake, deal, PLAN, clock=clock)
    assert (stopped.stopped_by, stopped.is_stopped) == ("breaker", True)
    assert clock.waits.count(30.0) == 1  # one pause, one probe, then the end
    before = deal.calls(call)
    assert breaker_opened_at(DeliveryLog(lake, policy(), {})) is not None
    apply(lake, deal, PLAN, clock=clock)  # still down: one probe and no more
    assert deal.calls(call) == before + (call != "connect")
    assert clock.waits.count(30.0) == 1
    deal.mend()
    assert apply(lake, deal, PLAN, clock=clock).stopped_by is None
    assert breaker_opened_at(DeliveryLog(lake, policy(), {})) is None
    check_planned_state(deal)


def test_the_token_expires_midway(lake: MemoryLake, deal: LedgerTarget) -> None:
    deal.fail("send", "ok", "expired", "ok", "expired")
    deal.fail("read", "ok", "expired")
    assert apply(lake, deal, PLAN).stopped_by is None
    check_planned_state(deal)


def test_a_session_that_never_lasts_ends_the_apply(lake: MemoryLake, deal: LedgerTarget) -> None:
    deal.fail("send", "always expired")
    assert apply(lake, deal, PLAN).stopped_by == "breaker"
    deal.mend()
    apply(lake, deal, PLAN)
    check_planned_state(deal)


def test_refused_credentials_end_the_apply_at_once(lake: MemoryLake, deal: LedgerTarget) -> None:
    clock = StandingClock()
    deal.fail("connect", "refused")
    stopped = apply(lake, deal, PLAN, clock=clock)
    assert (stopped.stopped_by, clock.waits) == ("sign_in", [])
    apply(lake, deal, PLAN)
    check_planned_state(deal)
