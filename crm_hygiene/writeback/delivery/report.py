"""The report: what one apply or undo did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from crm_hygiene.writeback.delivery.delivery_log import DEAD, UNSURE, WAITING, DeliveryLog
from crm_hygiene.writeback.delivery.outbox import Entry
from crm_hygiene.writeback.delivery.stopping import GUARDS, Stopped, StopReason
from crm_hygiene.writeback.delivery.undo import Left


@dataclass
class Report:
    """What one apply or undo did.

    `planned` counts the plan's operations, `done` what they have come to in this apply by state, `waiting`
    those that are left for the next apply. `left` lists what an undo leaves as it is.
    """

    target: str
    apply_id: str
    planned: int = 0
    due: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    dead: int = 0
    withheld: int = 0
    suppressed: int = 0
    left: list[Left] = field(default_factory=list)
    stopped_by: StopReason | None = None
    message: str = ""
    digest: str = ""
    touched: int = 0
    share: float = 0.0

    @property
    def is_stopped(self) -> bool:
        """Whether a guard ended it."""
        return self.stopped_by in GUARDS

    def tell_due(self, due: Iterable[Entry]) -> None:
        """What is to be sent, by kind and object."""
        self.by_kind = dict(Counter(f"{e.operation.kind} {e.operation.object}" for e in due))
        self.due = sum(self.by_kind.values())

    def tell_stop(self, stop: Stopped) -> None:
        """What ended it before all was sent."""
        self.stopped_by, self.message = stop.reason, str(stop)

    def sum_up(self, log: DeliveryLog, before: Mapping[str, datetime | None]) -> None:
        """What the log says now; `before` when each operation had moved last as the apply began."""
        moved = [
            known.state
            for key, known in log.standings.items()
            if known.recorded_at is not None and known.recorded_at != before.get(key)
        ]
        self.done = dict(sorted(Counter(str(state) for state in moved).items()))
        is_undo = self.digest == ""
        mine = [e for e in log.of_states(WAITING | UNSURE) if (e.undoes is not None) == is_undo]
        self.waiting = len(mine)
        self.dead = len([e for e in log.of_states(DEAD) if (e.undoes is not None) == is_undo])
