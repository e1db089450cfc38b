"""Creates: golden entities of which the target has no record.

The record is found again by our entity id in the object's `external_id` field, so a create that is sent
twice is one record. Confidence of a field: uniqueness_score of the golden row (the chance that the target
does not hold the same entity under another id, as far as open questions tell) x support of the cell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.mapped_object import GOLDEN_TABLE
from crm_hygiene.writeback.planning.changes import as_text, rows
from crm_hygiene.writeback.planning.confidence import Support
from crm_hygiene.writeback.planning.inputs import PlanInputs
from crm_hygiene.writeback.planning.links import account_records
from crm_hygiene.writeback.planning.owners import golden_users
from crm_hygiene.writeback.planning.reasons import with_origin
from crm_hygiene.writeback.planning.record_set import RecordSet

# Entities whose records are told at a time; each time provenance is read once per column.
_AT_ONCE = 200_000


def check_creates(sets: Sequence[RecordSet]) -> None:
    """Refuse two objects of a target that would both be created for one entity.

    Raises
    ------
    ConfigurationError
        naming target and objects.
    """
    asked = [(s.mapped.target, s.subject) for s in sets if s.policy.creates]
    for (target, subject), count in sorted(Counter(asked).items()):
        if count > 1:
            names = sorted(
                s.mapped.object
                for s in sets
                if s.policy.creates and (s.mapped.target, s.subject) == (target, subject)
            )
            raise ConfigurationError(
                f"target {target}: {' and '.join(names)} would both be created for {subject}; "
                "set `creates: true` for one of them"
            )


def plan_creates(
    records: RecordSet,
    sets: Sequence[RecordSet],
    inputs: PlanInputs,
    support: Support,
    systems: Mapping[str, str],
) -> Iterator[pl.DataFrame]:
    """One row per filled field of each record to create; `record_id` is the external id, our entity id.

    In frames of many records, all fields of a record in one of them.

    Not created: suppressed people; entities of which the target holds a record in any object, deleted ones
    included (somebody deleted it on purpose), or one with the entity's id as its external id; entities that
    lack a field of `needs`.
    """
    policy, mapped, subject = records.policy, records.mapped, records.subject
    if not policy.creates or policy.external_id is None:
        return
    golden, held = inputs.golden(subject), inputs.records(subject)
    siblings = [s.mapped.source for s in sets if s.mapped.target == mapped.target and s.subject == subject]
    theirs = pl.col("source").is_in(siblings)
    known = inputs.members(subject).filter(theirs).select("entity_id").unique()
    missing = golden.select("entity_id").with_row_index("g")
    if subject == "people":
        missing = missing.filter(~golden["is_suppressed"].fill_null(value=True))
    missing = missing.join(known, on="entity_id", how="anti", maintain_order="left")
    if "external_id" in held.columns:
        created = held.filter(theirs & pl.col("external_id").is_not_null()).select(entity_id="external_id")
        missing = missing.join(created.unique(), on="entity_id", how="anti", maintain_order="left")
    for column, field in mapped.columns.items():
        if field in policy.needs and (needed := inputs.chosen(subject, column)) is not None:
            missing = missing.filter(as_text(needed.gather(missing["g"])).is_not_null())
    unique = _uniqueness(golden, missing["g"])
    missing = missing.with_columns(pl.lit(1.0).alias("_unique") if unique is None else unique)
    for some in missing.sort("entity_id").iter_slices(_AT_ONCE):
        told = _told(some, records, sets, inputs, support, systems)
        yield rows(told, mapped.target, mapped.object, mapped.source, "create")


def _told(
    missing: pl.DataFrame,
    records: RecordSet,
    sets: Sequence[RecordSet],
    inputs: PlanInputs,
    support: Support,
    systems: Mapping[str, str],
) -> pl.DataFrame:
    """What is created of the entities in `missing` (entity_id, g, _unique)."""
    policy, mapped, subject = records.policy, records.mapped, records.subject
    shown = dict.fromkeys(("entity_id", "column_name", "after", "origin"), pl.String)
    found = pl.DataFrame(schema={**shown, "confidence": pl.Float64})
    for column, field in sorted(mapped.columns.items()):
        chosen = inputs.chosen(subject, column)
        if policy.winner(field) == "never" or chosen is None:
            continue
        filled = missing.with_columns(as_text(chosen.gather(missing["g"])).alias("after"))
        filled = filled.filter(pl.col("after").is_not_null())
        if filled.is_empty():
            continue
        told = with_origin(filled, inputs, GOLDEN_TABLE[subject], column)
        sure = told["_unique"] * support.of(column, told["g"], told["is_pinned"])
        told = told.with_columns(sure.alias("confidence"), column_name=pl.lit(field))
        found = pl.concat([found, told.select(found.columns)])
    filled_at_all = missing.join(found.select("entity_id").unique(), on="entity_id", how="semi")
    if policy.links is not None and subject == "people":
        found = pl.concat([found, _linked(filled_at_all, records, sets, inputs).select(found.columns)])
    if policy.owner is not None:
        found = pl.concat([found, _owned(filled_at_all, records, inputs, systems).select(found.columns)])
    keys = filled_at_all.select(
        "entity_id",
        pl.lit(policy.external_id).alias("column_name"),
        pl.col("entity_id").alias("after"),
        pl.lit("our id of it").alias("origin"),
        pl.col("_unique").alias("confidence"),
    )
    return pl.concat([found, keys]).with_columns(
        record_id=pl.col("entity_id"),
        before=pl.lit(None, dtype=pl.String),
        reason=pl.format("{}; no record of {} here", "origin", "entity_id"),
    )


def _uniqueness(golden: pl.DataFrame, g: pl.Series) -> pl.Series | None:
    if "uniqueness_score" not in golden.columns:
        return None
    return golden["uniqueness_score"].gather(g).fill_null(1.0).alias("_unique")


def _linked(
    missing: pl.DataFrame, records: RecordSet, sets: Sequence[RecordSet], inputs: PlanInputs
) -> pl.DataFrame:
    """The account of those whose golden account has a record here; the others are linked once it has."""
    own = account_records(records.mapped.target, sets, inputs)
    account = inputs.contacts["account_entity_id"].gather(missing["g"]).alias("account_entity_id")
    tied = missing.with_columns(account).join(own, on="account_entity_id", how="inner")
    told = with_origin(tied, inputs, "golden.contacts", "account_entity_id")
    return told.with_columns(
        column_name=pl.lit(records.policy.links),
        after=pl.col("account_record_id"),
        confidence=pl.col("_unique"),
    )


def _owned(
    missing: pl.DataFrame, records: RecordSet, inputs: PlanInputs, systems: Mapping[str, str]
) -> pl.DataFrame:
    """The owner of those whose golden owner is an active user here."""
    users = golden_users(missing["g"], records, inputs, systems).alias("after")
    owned = missing.with_columns(users).filter(pl.col("after").is_not_null())
    told = with_origin(owned, inputs, GOLDEN_TABLE[records.subject], "owner_id")
    return told.with_columns(column_name=pl.lit(records.policy.owner), confidence=pl.col("_unique"))
