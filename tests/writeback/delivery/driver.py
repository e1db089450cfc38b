"""One apply or undo in a process of its own, which ends itself with SIGKILL at the point it is told.

Run as `python -m writeback.delivery.driver WHAT LAKE LEDGER PLAN`; KILL_AT names the point. Exit code as of
`crm-hygiene`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from crm_hygiene.errors import HygieneError
from crm_hygiene.lake import Lake
from crm_hygiene.writeback.delivery.apply_lock import apply_lock
from crm_hygiene.writeback.delivery.delivery_log import DeliveryLog, Event
from crm_hygiene.writeback.delivery.undo import last_apply
from crm_hygiene.writeback.operations import Answer, Operation

from .delivering import StandingClock, delivery, policy
from .ledger_target import LedgerTarget

POINT = os.environ.get("KILL_AT", "")
HOLD = os.environ.get("HOLD_ON", "")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class KillingTarget(LedgerTarget):
    """Ends the process before or after a batch has arrived; or waits with it for the test to say go on."""

    batch_size = 3
    sent = 0

    def send(self, operations: Sequence[Operation]) -> list[Answer]:
        self.sent += 1
        if HOLD:
            Path(HOLD).with_suffix(".here").touch()
            sys.stdin.readline()
        second = self.sent == 2  # so that one batch is done with and one is not
        if POINT == "before send" and second:
            die()
        answers = super().send(operations)
        if POINT == "after send" and second:
            die()
        return answers


class KillingLog(DeliveryLog):
    """Ends the process when there are answers to be written down, or right after they were."""

    def record(self, events: Iterable[Event], apply_id: str, now: datetime) -> None:
        told = list(events)
        answered = any(event.state == "delivered" for event in told)
        if POINT == "before sending is written" and any(event.state == "sending" for event in told):
            die()
        if POINT == "after answer" and answered:
            die()
        super().record(told, apply_id, now)
        if POINT == "after commit" and answered:
            die()


def main(what: str, lake_uri: str, ledger: str, plan: str) -> int:
    target = KillingTarget(Path(ledger))
    lake = Lake(lake_uri)
    try:
        with apply_lock(lake_uri, Path(lake_uri), "crm"):
            told = delivery(
                lake, target, clock=StandingClock(datetime.now(UTC)), apply_id=f"{what}-{os.getpid()}"
            )
            told.log = KillingLog(lake, policy(), {"run_id": "test"})
            told.__post_init__()
            if what == "undo":
                report = told.undo(os.environ.get("APPLY") or last_apply(told.log))
            else:
                report = told.apply(pl.read_parquet(plan), 1000)
    except HygieneError as error:
        print(error, file=sys.stderr)
        return 1
    print(report.done)
    return 1 if report.is_stopped else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
