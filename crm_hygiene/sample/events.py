"""Marketing events: mails sent and what became of them.

What does not belong here: form submissions (`people_exports`).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from crm_hygiene.sample.draws import Ints, Rng, hit, stream, weighted, where
from crm_hygiene.sample.faults import with_capitals
from crm_hygiene.sample.identifiers import serials
from crm_hygiene.sample.layouts import iso_time
from crm_hygiene.sample.people import EPOCH, microseconds, moments
from crm_hygiene.sample.world import World

_EVENTS_PER_MAIL = 2.4
_MINUTE = 60_000_000
_TYPES = ["sent", "delivered", "bounce", "open", "click", "unsubscribe"]


def _course(rng: Rng, n: int) -> list[tuple[int, Ints, Ints]]:
    """What happens to `n` mails: type, the mails it happens to, microseconds after sending."""
    every = np.arange(n)
    arrives = hit(rng, n, 0.96)
    delivered, bounced = every[arrives], every[~arrives]
    opened = delivered[hit(rng, len(delivered), 0.36)]
    clicked = opened[hit(rng, len(opened), 0.22)]
    left = opened[hit(rng, len(opened), 0.035)]
    delay = rng.integers(20 * _MINUTE, 3 * 24 * 60 * _MINUTE, n) // 1_000_000 * 1_000_000
    return [
        (0, every, np.zeros(n, dtype=np.int64)),
        (1, delivered, np.full(len(delivered), _MINUTE // 20)),
        (2, bounced, np.full(len(bounced), _MINUTE // 6)),
        (3, opened, delay[opened]),
        (4, clicked, delay[clicked] + _MINUTE),
        (5, left, delay[left] + 2 * _MINUTE),
    ]


def write_events(world: World, events_per_person: float, jsonl: Path, csv: Path) -> tuple[int, int]:
    """`events.jsonl` and `events.csv`, the newer three fifths and the older rest of the campaigns.

    About `events_per_person` events for each person, in order of time; returns the rows per file.
    """
    rng = stream(world.seed, "events")
    people = world.people
    mails = round(len(people) * events_per_person / _EVENTS_PER_MAIL)
    campaigns = max(1, min(120, mails // 20))
    started = np.sort(moments(rng, campaigns, datetime(2024, 1, 1), datetime(2026, 10, 20)))
    topic = rng.integers(0, len(world.vocabulary.words["campaigns"]), campaigns)
    names = pl.Series(world.vocabulary.words["campaigns"]).gather(topic)
    month = pl.Series(started).cast(pl.Datetime("us")).dt.to_string("%Y-%m")
    titles = names + " " + month
    person = weighted(rng, rng.gamma(0.8, 1.0, len(people)), mails)
    campaign = rng.integers(0, campaigns, mails)
    private = hit(rng, mails, 0.2) | (people["work_email"].is_null().to_numpy()[person])
    address = where(private, people["private_email"].gather(person), people["work_email"].gather(person))
    former = people["previous_email"].gather(person)
    was_there = started[campaign] < people["moved_on"].to_numpy()[person]
    address = where(former.is_not_null().to_numpy() & was_there & ~private, former, address)
    address = with_capitals(rng, address, 0.02)
    sent = started[campaign] + rng.integers(0, 3600, mails) * 1_000_000
    course = _course(rng, mails)
    kind = np.concatenate([np.full(len(at), k) for k, at, _ in course])
    mail = np.concatenate([at for _, at, _ in course])
    when = np.concatenate([sent[at] + delay for _, at, delay in course])
    when = np.minimum(when, microseconds(EPOCH) - 1_000_000)
    order = np.lexsort((mail, kind, when))
    kind, mail, when = kind[order], mail[order], when[order]
    frame = pl.DataFrame(
        {
            "event_id": serials("ev-", np.arange(1, len(order) + 1), 10),
            "type": pl.Series(_TYPES).gather(kind),
            "email": address.gather(mail),
            "campaign": titles.gather(campaign[mail]),
            "subject": names.gather(campaign[mail]) + ": your update",
            "occurred_at": iso_time(pl.Series(when).cast(pl.Datetime("us"))),
        }
    )
    older = pl.Series(campaign[mail] < campaigns * 2 // 5)
    frame.filter(~older).write_ndjson(jsonl)
    frame.filter(older).write_csv(csv)
    return int((~older).sum()), int(older.sum())
