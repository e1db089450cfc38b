"""Late answers: what targets that are written to as files tell in files of results.

What does not belong here: reading those files (`targets`), answers to a sending (`exchange`).
"""

from __future__ import annotations

from crm_hygiene.writeback.delivery.delivery_log import (
    LONGEST_ANSWER,
    UNSURE,
    DeliveryLog,
    DeliveryState,
    Event,
)
from crm_hygiene.writeback.delivery.pacing import Clock
from crm_hygiene.writeback.delivery.secrets import Redactor
from crm_hygiene.writeback.operations import Outcome
from crm_hygiene.writeback.target import CollectsLater, Target

_STATES: dict[Outcome, DeliveryState] = {
    Outcome.DONE: "delivered",
    Outcome.CONFLICT: "conflict",
    Outcome.REFUSED: "refused",
    Outcome.RETRY: "retry",
}


def collect_answers(log: DeliveryLog, target: Target, apply_id: str, clock: Clock, redact: Redactor) -> int:
    """Take the answers in that a target gives later, as files of results; returns how many were new.

    An answer told before is passed over: it may be of an earlier sending of the same operation.
    """
    if not isinstance(target, CollectsLater):
        return 0
    events = []
    for answer in target.collect():
        known = log.standings.get(answer.operation_id)
        state = _STATES.get(answer.outcome)
        if known is None or state is None or (known.state not in UNSURE and known.state != "written"):
            continue
        words = redact(answer.message)[:LONGEST_ANSWER]
        if (state, answer.code, words) in known.answers_seen and state != "delivered":
            continue
        events.append(
            Event(
                log.entries[answer.operation_id],
                state,
                record_id=answer.record_id,
                version=answer.version,
                attempt=known.attempt,
                sent_at=known.sent_at,
                answered_at=clock.now(),
                code=answer.code,
                answer=words,
            )
        )
    log.record(events, apply_id, clock.now())
    return len(events)
