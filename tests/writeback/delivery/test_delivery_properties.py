"""Whatever goes wrong, in whatever order: enough applies end in the planned state, each create once."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_hygiene.writeback.delivery.delivery_log import DeliveryLog
from crm_hygiene.writeback.delivery.repair import retry
from crm_hygiene.writeback.operations import Answer, Operation

from .delivering import Killed, MemoryLake, StandingClock, apply, change, delivery, ledger, plan, policy
from .ledger_target import LedgerTarget

FAULTS = (
    "ok",
    "lost",
    "lost early",
    "short",
    "half",
    "locked",
    "all locked",
    "down",
    "expired",
    "limited",
    "limited 3",
)


class DyingTarget(LedgerTarget):
    """Ends the process at one sending: before it, or after it arrived."""

    dies_at = 0
    dies_after = False
    lake: MemoryLake
    sent = 0

    def send(self, operations: Sequence[Operation]) -> list[Answer]:
        self.sent += 1
        if self.sent != self.dies_at:
            return super().send(operations)
        if self.dies_after:
            super().send(operations)
        self.lake.is_dead = True
        raise Killed


@st.composite
def plans(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows = []
    for number in draw(st.sets(st.integers(0, 7), max_size=8)):
        for column, before in (("Title", "Mr"), ("Phone", f"0{number}")):
            if draw(st.booleans()):
                rows.append(change(f"c{number}", column, before, f"new {column} {number}"))
    for number in draw(st.sets(st.integers(0, 4), max_size=5)):
        rows.append(change(f"P{number}", "Key", None, f"P{number}", "create"))
        rows.append(change(f"P{number}", "Title", None, "Dr", "create"))
    if draw(st.booleans()):
        rows.append(change("m1", "merged_into", None, "m0", "merge"))
    return rows


RUNS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(FAULTS), max_size=5),
        st.lists(st.sampled_from(("ok", "down", "expired", "limited")), max_size=3),
        st.integers(0, 4),
        st.booleans(),
        st.none() | st.integers(1, 5),
    ),
    max_size=4,
)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=plans(), runs=RUNS, user=st.none() | st.integers(0, 7), batch=st.integers(1, 5))
def test_any_faults_end_in_the_planned_state(
    rows: list[dict[str, Any]], runs: list[Any], user: int | None, batch: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        crm = DyingTarget(ledger(Path(folder)))
        lake = crm.lake = MemoryLake()
        for number in range(8):
            crm.seed("Contact", f"c{number}", {"Title": "Mr", "Phone": f"0{number}"})
        crm.seed("Contact", "m0", {})
        crm.seed("Contact", "m1", {})
        if user is not None:
            crm.user_writes("Contact", f"c{user}", {"Title": "of the user"})
        seeded = crm.state()
        told = policy(pace={"batch": batch, "per_second": 1000, "per_day": 100000})
        changes, clock = plan(*rows), StandingClock()
        for number, (sends, reads, dies_at, dies_after, limit) in enumerate(runs):
            crm.fail("send", *sends)
            crm.fail("read", *reads)
            crm.sent, crm.dies_at, crm.dies_after, crm.session = 0, dies_at, dies_after, None
            with suppress(Killed):
                apply(lake, crm, changes, told, clock, f"A-{number}", limit=limit)
            lake.is_dead = False
            crm.mend()
        crm.dies_at = 0
        retry_refused(lake)
        apply(lake, crm, changes, told, clock, "A-last")
        check(crm, rows, seeded, user)
        assert apply(lake, crm, changes, told, clock, "A-again").due == 0
        undo_all(lake, crm, clock)
        assert crm.state() == seeded
        crm.close()


def retry_refused(lake: MemoryLake) -> None:
    """Let go what the target refused by chance; what a user changed stays a dead letter."""
    log = DeliveryLog(lake, policy(), {})
    for key in [key for key, known in log.standings.items() if known.state in ("refused", "exhausted")]:
        retry(log, "R", StandingClock().now(), key)


def check(crm: LedgerTarget, rows: list[dict[str, Any]], seeded: dict[Any, Any], user: int | None) -> None:
    wanted = {key: dict(held) for key, held in seeded.items()}
    created = sorted({r["record_id"] for r in rows if r["change_kind"] == "create"})
    for row in rows:
        if row["change_kind"] == "update" and (row["record_id"], row["column_name"]) != (f"c{user}", "Title"):
            wanted["Contact", row["record_id"]][row["column_name"]] = row["after"]
        elif row["change_kind"] == "merge":
            del wanted["Contact", "m1"]
    held = crm.state()
    made = {key: value for key, value in held.items() if key not in seeded}
    assert sorted(value["Key"] for value in made.values()) == created
    assert all(value["Title"] == "Dr" for value in made.values())
    assert {key: value for key, value in held.items() if key in seeded} == wanted
    times = Counter((kind, record) for kind, _, record in crm.changes())
    assert not times or max(times.values()) == 1


def undo_all(lake: MemoryLake, crm: LedgerTarget, clock: StandingClock) -> None:
    applies = sorted(
        {k.apply_id for k in DeliveryLog(lake, policy(), {}).standings.values() if k.apply_id}, reverse=True
    )
    for apply_id in applies:
        told = delivery(lake, crm, clock=clock, apply_id=f"U-{apply_id}")
        told.undo(apply_id)
