"""Merges: several live records of one entity in one object become one; what points at a loser is re-parented.

Confidence of a merge: identity of the loser x identity of the survivor; of a re-parented child: that of
the merge behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from crm_hygiene.contract import nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.mapping import Mapping as SourceMapping
from crm_hygiene.writeback.mapped_object import MappedObject
from crm_hygiene.writeback.planning.changes import gathered, rows
from crm_hygiene.writeback.planning.confidence import identity
from crm_hygiene.writeback.planning.inputs import CHILD_TABLES, PlanInputs
from crm_hygiene.writeback.planning.record_set import RecordSet
from crm_hygiene.writeback.policy import TargetPolicy

#: What a loser's row says in `column_name`.
MERGED_INTO = "merged_into"


@dataclass(frozen=True)
class ChildColumn:
    """Where conformed tells what a child's vendor `field` holds: `column` of conformed.`table`."""

    system: str
    object: str
    field: str
    source: str
    table: str
    column: str


def child_columns(
    mappings: Mapping[str, SourceMapping],
    policies: Mapping[str, TargetPolicy],
    objects: Sequence[MappedObject],
) -> list[ChildColumn]:
    """Where each child of the policies is told, by way of the source mappings of the same system.

    Raises
    ------
    ConfigurationError
        if a source of the child's object reads no such field into a table of records.
    """
    homes = {(m.target, m.home) for m in objects}
    found = []
    for target, policy in sorted(policies.items()):
        for name, allowed in sorted(policy.objects.items()):
            for child in allowed.children:
                of_object = [
                    m
                    for m in mappings.values()
                    if m.object.casefold() == child.object.casefold() and (target, m.system) in homes
                ]
                told = {(m.source, t, c) for m in of_object for t, c in _reads(m, child.field)}
                if of_object and not told:
                    fields = sorted({f for m in of_object for f in m.vendor_columns})
                    raise ConfigurationError(
                        f"target {target}: objects.{name}.children: no source reads {child.object}."
                        f"{child.field}{nearest(child.field, fields)}"
                    )
                found += [
                    ChildColumn(mappings[s].system, child.object, child.field, s, t, c)
                    for s, t, c in sorted(told)
                ]
    return list(dict.fromkeys(found))


def _reads(mapping: SourceMapping, field: str) -> list[tuple[str, str]]:
    """(table, column) into which a source reads a vendor field as a key."""
    return [
        (block.table, column)
        for block in mapping.blocks
        if block.table in CHILD_TABLES
        for column, expression in block.columns.items()
        if field in expression.columns and column.endswith("_record_id")
    ]


def plan_merges(records: RecordSet, inputs: PlanInputs) -> pl.DataFrame:
    """One row per loser: `merged_into` its survivor."""
    losers = records.live.filter(pl.col("survivor").is_not_null())
    if losers.is_empty():
        return gathered([])
    mapped = records.mapped
    counts = losers.group_by("entity_id").agg((pl.len() + 1).alias("_n"))
    told = losers.join(counts, on="entity_id", how="left", maintain_order="left")
    what = "person" if records.subject == "people" else "organisation"
    sure = identity(told, inputs.doubts, mapped.source)
    sure = sure * identity(told, inputs.doubts, mapped.source, "survivor")
    merged = told.with_columns(
        sure.alias("confidence"),
        column_name=pl.lit(MERGED_INTO),
        before=pl.lit(None, dtype=pl.String),
        after=pl.col("survivor"),
        reason=pl.format(
            "{} records here are one {}, {}; the oldest, {}, survives",
            "_n",
            pl.lit(what),
            "entity_id",
            "survivor",
        ),
    )
    return rows(merged, mapped.target, mapped.object, mapped.source, "merge")


def plan_reparents(
    records: RecordSet,
    merges: pl.DataFrame,
    inputs: PlanInputs,
    children: Sequence[ChildColumn],
    sets: Sequence[RecordSet],
) -> pl.DataFrame:
    """One row per child that points at a loser of `merges`.

    Children that are merged away themselves and records of suppressed people are left out.
    """
    if merges.is_empty():
        return gathered([])
    mapped = records.mapped
    wanted = {(c.object.casefold(), c.field) for c in records.policy.children}
    moved = merges.select(before="record_id", after="after", confidence="confidence", entity_id="entity_id")
    parts = []
    for child in children:
        if (child.object.casefold(), child.field) not in wanted or child.system != mapped.home:
            continue
        table = inputs.child_table(child.table)
        mine = table.filter(pl.col("source") == child.source)
        if "is_deleted" in mine.columns:
            mine = mine.filter(~pl.col("is_deleted").fill_null(value=True))
        pointing = mine.select("record_id", before=child.column).join(
            moved, on="before", how="inner", maintain_order="left"
        )
        for other in sets:
            if (
                other.mapped.source == child.source
                and other.mapped.object.casefold() == child.object.casefold()
            ):
                gone = other.live.filter(~pl.col("is_open") | pl.col("survivor").is_not_null())
                pointing = pointing.join(gone, on="record_id", how="anti", maintain_order="left")
        told = pointing.with_columns(
            column_name=pl.lit(child.field),
            reason=pl.format(
                "{} {} is merged into {}; what points at it follows",
                pl.lit(mapped.object),
                "before",
                "after",
            ),
        )
        parts.append(rows(told, mapped.target, child.object, child.source, "reparent"))
    return gathered(parts).unique(["object", "record_id", "column_name"], keep="first", maintain_order=True)
