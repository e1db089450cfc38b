"""Record sets: the live records of one object of one target, each with its entity and its golden row.

Also which of several records of one entity survives. What does not belong here: what is changed in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from crm_hygiene.writeback.mapped_object import MappedObject, Subject
from crm_hygiene.writeback.planning.inputs import PlanInputs
from crm_hygiene.writeback.policy import ObjectPolicy, TargetPolicy


@dataclass(frozen=True)
class RecordSet:
    """The records of one mapped object.

    `live` has one row per live record with an entity: `record_id`, `entity_id`, `r` and `g` (row numbers in
    the conformed and the golden table), `is_open` (may be changed at all: not of a suppressed person, no
    converted lead), `survivor` (the record it is merged into, else null). Sorted by record_id.
    """

    mapped: MappedObject
    policy: ObjectPolicy
    subject: Subject
    live: pl.DataFrame

    @property
    def changeable(self) -> pl.DataFrame:
        """Records that stay and may be changed."""
        return self.live.filter(pl.col("is_open") & pl.col("survivor").is_null())


def subject_of(mapped: MappedObject, inputs: PlanInputs) -> Subject | None:
    """What the records of a mapped object are; None where its source has delivered nothing yet."""
    if mapped.subject is not None:
        return mapped.subject
    subjects: tuple[Subject, ...] = ("people", "organisations")
    return next((s for s in subjects if (inputs.records(s)["source"] == mapped.source).any()), None)


def record_sets(
    objects: Sequence[MappedObject], policies: Mapping[str, TargetPolicy], inputs: PlanInputs
) -> list[RecordSet]:
    """The record sets of every mapped object whose target has a policy, in a stable order."""
    found = []
    for mapped in sorted(objects, key=lambda m: (m.target, m.object, m.source)):
        policy = policies.get(mapped.target)
        subject = subject_of(mapped, inputs)
        if policy is None or subject is None:
            continue
        mapped.check(subject)
        allowed = policy.objects.get(mapped.object, ObjectPolicy(suppressions=False))
        live = _live(mapped, subject, inputs)
        found.append(RecordSet(mapped, allowed, subject, _with_survivors(live, subject, allowed, inputs)))
    return found


def _live(mapped: MappedObject, subject: Subject, inputs: PlanInputs) -> pl.DataFrame:
    records, golden = inputs.records(subject), inputs.golden(subject)
    of_source = pl.col("source") == mapped.source
    rows = records.select("source", "record_id", "is_deleted").with_row_index("r").filter(of_source)
    rows = rows.filter(~pl.col("is_deleted").fill_null(value=True)).select("r", "record_id")
    entity = inputs.members(subject).filter(of_source).select("record_id", "entity_id")
    numbered = golden.select("entity_id").with_row_index("g")
    live = rows.join(entity, on="record_id").join(numbered, on="entity_id").sort("record_id")
    closed = pl.repeat(value=False, n=live.height, eager=True)
    if subject == "people":
        closed = golden["is_suppressed"].fill_null(value=True).gather(live["g"])
        if "is_converted" in records.columns:
            # A converted lead is history: vendors refuse to change it, its contact carries on.
            closed = closed | records["is_converted"].fill_null(value=False).gather(live["r"])
    return live.with_columns((~closed).alias("is_open"))


def _with_survivors(
    live: pl.DataFrame, subject: Subject, policy: ObjectPolicy, inputs: PlanInputs
) -> pl.DataFrame:
    """`survivor` of each record that is merged away.

    The oldest record survives (ties: the least id): its id is the one that other systems, links and
    people's notes hold most likely, and it stays the oldest whatever is edited, so that the choice of one
    night is that of the next.
    """
    nobody = pl.lit(None, dtype=pl.String).alias("survivor")
    if not policy.merges:
        return live.with_columns(nobody)
    shared = (
        live.filter("is_open").filter(pl.len().over("entity_id") > 1).select("r", "record_id", "entity_id")
    )
    if shared.is_empty():
        return live.with_columns(nobody)
    survivors = (
        oldest_first(shared, inputs.records(subject))
        .unique("entity_id", keep="first", maintain_order=True)
        .select("entity_id", survivor="record_id")
    )
    losers = shared.join(survivors, on="entity_id").filter(pl.col("record_id") != pl.col("survivor"))
    return live.join(
        losers.select("record_id", "survivor"), on="record_id", how="left", maintain_order="left"
    )


def oldest_first(tied: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """`tied` (with `r` and `record_id`) by creation time, records without one last; ties by record_id."""
    if "created_at" not in records.columns:
        return tied.sort("record_id")
    created = records["created_at"].gather(tied["r"]).alias("_created_at")
    return tied.with_columns(created).sort("_created_at", "record_id", nulls_last=True).drop("_created_at")
