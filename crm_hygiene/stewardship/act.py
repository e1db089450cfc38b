"""One act of deciding: judgements in, rows of the log and what follows from them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import polars as pl

from crm_hygiene.linkage.records import Record, written
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night
from crm_hygiene.stewardship.contradictions import Contradiction, contradictions
from crm_hygiene.stewardship.log import DecisionLog, Pair, append, as_group, pair_of, row_of
from crm_hygiene.stewardship.pairing import pairs_that_join, pairs_that_part
from crm_hygiene.stewardship.records import members_of, ordered
from crm_hygiene.stewardship.targets import Subject, Targets

Judgement = Literal["same", "different", "unsure"]
JUDGEMENTS: tuple[Judgement, ...] = ("same", "different", "unsure")


@dataclass(frozen=True)
class Judged:
    """A judgement about one pair; `decision_id` only where the act must be recognised when repeated."""

    kind: EntityKind
    left: Record
    right: Record
    judgement: Judgement
    why: str | None = None
    decision_id: str | None = None

    @property
    def pair(self) -> Pair:
        """Kind and records, the smaller first."""
        return (self.kind, *ordered(self.left, self.right))


@dataclass(frozen=True)
class Act:
    """What one act came to.

    Attributes
    ----------
    rows
        rows added to stewardship.decisions.
    repeated
        standing rows that say the same already; nothing was added for their pairs.
    overridden
        standing rows that said otherwise and stand no longer.
    recognised
        judgements of an act that was repeated, and which were revoked or overridden since; nothing was
        added for them.
    contradictions
        contradictions that this act brought.
    consequences
        lines on what the next night will do.
    """

    rows: pl.DataFrame
    repeated: tuple[dict[str, Any], ...]
    overridden: tuple[dict[str, Any], ...]
    recognised: tuple[Judged, ...]
    contradictions: tuple[Contradiction, ...]
    consequences: tuple[str, ...]

    @property
    def group(self) -> str | None:
        """What `revoke` takes the whole act back by."""
        return None if self.rows.is_empty() else str(self.rows["decision_group"][0])


def _pairs(subject: Subject, judgement: Judgement) -> list[tuple[Record, Record]]:
    return pairs_that_part(subject.groups) if judgement == "different" else pairs_that_join(subject.groups)


def judged(targets: Targets, judgement: Judgement, why: str | None) -> list[Judged]:
    """The judgements on pairs that one judgement on `targets` amounts to."""
    return [
        Judged(subject.kind, left, right, judgement, why)
        for subject in targets.subjects
        for left, right in _pairs(subject, judgement)
    ]


def decide(night: Night, judgements: Sequence[Judged], by: str, now: datetime | None = None) -> Act:
    """Add judgements to the log as one act; the caller holds the night lock.

    The newest judgement on a pair binds, so one that contradicts an earlier one is taken and the earlier one
    stays in the log. Saying again what stands already adds nothing.

    Parameters
    ----------
    judgements
        at most one per pair.
    by
        who decides.
    now
        when (UTC); a moment not after the last row of the log is moved to just after it.

    Raises
    ------
    LakeError
        if the lake cannot be written; nothing is written then.
    """
    log = DecisionLog.read(night.lake)
    before = log.standing()
    at = log.moment(now or datetime.now(UTC))
    known = set(log.frame["decision_id"])
    rows, repeated, overridden, recognised = [], [], [], []
    for one in judgements:
        stands = before.get(one.pair)
        if stands is not None and stands["judgement"] == one.judgement:
            repeated.append(stands)
        elif one.decision_id in known:
            recognised.append(one)
        else:
            rows.append(row_of(one.pair, one.judgement, one.why, by, at, decision_id=one.decision_id))
            if stands is not None:
                overridden.append(stands)
    added = as_group(rows)
    after = log.with_rows(added).standing()
    old = {c.pair for c in contradictions(before)}
    new = [c for c in contradictions(after) if c.pair not in old] if rows else []
    consequences = _consequences(night, judgements, rows, new)
    append(night, added)
    return Act(added, tuple(repeated), tuple(overridden), tuple(recognised), tuple(new), tuple(consequences))


def _consequences(
    night: Night, judgements: Sequence[Judged], rows: Sequence[dict[str, Any]], conflicts: list[Contradiction]
) -> list[str]:
    """What the next night makes of the new rows, entity by entity."""
    if not rows:
        return []
    new = {pair_of(row) for row in rows}
    lines: dict[str, None] = {}
    parting: dict[str, set[Record]] = {}
    contested = {record for conflict in conflicts for record in conflict.chain}
    for kind in sorted({one.kind for one in judgements}):
        ours = [one for one in judgements if one.kind == kind and one.pair in new]
        entity = members_of(night.lake, kind, [record for one in ours for record in (one.left, one.right)])
        for one in ours:
            left, right = entity.get(one.left), entity.get(one.right)
            if one.judgement == "unsure":
                lines["linkage goes on as if nobody had been asked, and the question is not asked again"] = (
                    None
                )
            elif left is None or right is None or {one.left, one.right} & contested:
                continue
            elif one.judgement == "same" and left != right:
                lines[f"{' and '.join(sorted((left, right)))} become one {kind}"] = None
            elif one.judgement == "different" and left == right:
                parting.setdefault(left, set()).update((one.left, one.right))
    for entity_id, records in parting.items():
        named = ", ".join(written(record) for record in sorted(records)) if len(records) == 2 else ""
        lines[f"{entity_id} comes apart: {named or f'{len(records)} of its records'} are kept apart"] = None
    if not lines and not conflicts:
        lines["nothing moves: they are that way already, and now they stay so"] = None
    found = list(lines)
    return found if len(found) <= 6 else [*found[:5], f"and {len(found) - 5} more of this kind"]
