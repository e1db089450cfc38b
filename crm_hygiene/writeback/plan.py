"""The plan: what golden would change in each target, field by field.

A plan is read before anything is sent; what each kind of change is belongs to `planning`, sending to
`delivery`, choosing golden values to `crm_hygiene.survivorship`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.progress import tell
from crm_hygiene.writeback.mapped_object import MappedObject, Subject, check_distinct
from crm_hygiene.writeback.planning.changes import FIELD_KEY, gathered, published
from crm_hygiene.writeback.planning.confidence import Support
from crm_hygiene.writeback.planning.creates import check_creates, plan_creates
from crm_hygiene.writeback.planning.inputs import PlanInputs
from crm_hygiene.writeback.planning.links import plan_links
from crm_hygiene.writeback.planning.merges import ChildColumn, plan_merges, plan_reparents
from crm_hygiene.writeback.planning.owners import plan_owners
from crm_hygiene.writeback.planning.postings import plan_postings
from crm_hygiene.writeback.planning.record_set import RecordSet, record_sets
from crm_hygiene.writeback.planning.suppressions import plan_suppressions
from crm_hygiene.writeback.planning.updates import plan_updates
from crm_hygiene.writeback.policy import TargetPolicy
from crm_hygiene.writeback.policy_check import check_fields

#: Kinds that only make sense whole: one withheld field of the record withholds all of them.
_WHOLE = ["create", "posting"]

#: A frame of withheld fields without rows.
NOTHING_WITHHELD = pl.DataFrame(schema=dict.fromkeys([*FIELD_KEY, "after"], pl.String))


def plan_changes(
    inputs: PlanInputs,
    objects: Sequence[MappedObject],
    policies: Mapping[str, TargetPolicy],
    withheld: pl.DataFrame = NOTHING_WITHHELD,
    children: Sequence[ChildColumn] = (),
    systems: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """`writeback.changes`: one row per target record and field that golden would change.

    Suppressed people are left out of everything but their suppression; deleted records and converted leads
    are left alone; nothing ever carries an opt-in. The same inputs in any order of rows give the same plan,
    and records that hold what golden says give an empty one.

    Parameters
    ----------
    inputs
        the tables (`planning.inputs.PlanInputs`).
    objects
        what the source mappings' `writeback` blocks say (`mapped_objects`).
    policies
        by target; an object that a target's policy does not name is left alone.
    withheld
        target, object, record_id, column_name of fields that must not be planned now: parked ones, those
        delivered and not yet confirmed; with `after` only a change to that value: what was undone.
    children
        where the policies' children are told (`planning.merges.child_columns`).
    systems
        source -> system; a source without one is of the system its target is called.

    Returns
    -------
    polars.DataFrame
        sorted by `change_id`; `column_name` is the vendor's, `before` is null where the field is empty.

    Raises
    ------
    ConfigurationError
        if a mapping names a column that is not shared, holds another system's id or is written twice; if a
        policy names a field that nothing writes.
    """
    parts = plan_parts(inputs, objects, policies, withheld, children, systems)
    contract = contract_of("writeback.changes")
    return pl.concat([contract.empty(), *parts]).sort("change_id", "source")


def plan_parts(
    inputs: PlanInputs,
    objects: Sequence[MappedObject],
    policies: Mapping[str, TargetPolicy],
    withheld: pl.DataFrame = NOTHING_WITHHELD,
    children: Sequence[ChildColumn] = (),
    systems: Mapping[str, str] | None = None,
) -> Iterator[pl.DataFrame]:
    """The rows of `plan_changes` in parts, each sorted by `change_id`, made as they are asked for.

    What is wrong with objects and policies is told at once.
    """
    check_distinct(objects)
    check_fields(objects, policies)
    homes = {**{m.source: m.home for m in objects}, **(systems or {})}
    sets = record_sets(objects, policies, inputs)
    check_creates(sets)
    return _published(_planned(sets, inputs, policies, objects, homes, withheld, children), withheld)


def _planned(
    sets: Sequence[RecordSet],
    inputs: PlanInputs,
    policies: Mapping[str, TargetPolicy],
    objects: Sequence[MappedObject],
    homes: Mapping[str, str],
    withheld: pl.DataFrame,
    children: Sequence[ChildColumn],
) -> Iterator[pl.DataFrame]:
    """All rows in parts, withheld ones too; one record's rows of a create or a posting are in one part."""
    merges: list[pl.DataFrame] = []
    reparents: list[pl.DataFrame] = []
    for records in sets:
        # A merge that is parked or on its way keeps its children, too.
        merges.append(_kept(plan_merges(records, inputs), withheld))
        reparents.append(plan_reparents(records, merges[-1], inputs, children, sets))
    moved = gathered(reparents)
    # Where golden links a child elsewhere, that is where it goes.
    for part in _own(sets, inputs, policies, objects, homes, merges):
        yield part
        if not moved.is_empty():
            moved = moved.join(part.select(FIELD_KEY), on=FIELD_KEY, how="anti")
    yield moved


def _own(
    sets: Sequence[RecordSet],
    inputs: PlanInputs,
    policies: Mapping[str, TargetPolicy],
    objects: Sequence[MappedObject],
    homes: Mapping[str, str],
    merges: list[pl.DataFrame],
) -> Iterator[pl.DataFrame]:
    """What golden would change in the records themselves, and postings."""
    support = {subject: Support(subject, inputs) for subject in _subjects({s.subject for s in sets})}
    yield from plan_updates(sets, inputs, support)
    yield gathered(merges)
    # Sources of one object may tell of the same record: their rows are looked at together.
    for (target, name), mine in groupby(sets, key=lambda s: (s.mapped.target, s.mapped.object)):
        tell(f"{target} {name}: what golden would change")
        few: list[pl.DataFrame] = []
        for records in mine:
            yield from plan_creates(records, sets, inputs, support[records.subject], homes)
            few += [
                plan_suppressions(records, inputs),
                plan_links(records, sets, inputs),
                plan_owners(records, inputs, homes),
            ]
        yield gathered(few)
    for target, policy in sorted(policies.items()):
        if policy.postings is not None:
            here = {m.home for m in objects if m.target == target} | {target}
            own = {source for source, system in homes.items() if system in here}
            yield plan_postings(target, policy.postings, inputs, own)


def _published(parts: Iterable[pl.DataFrame], withheld: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Parts without what is withheld, in the shape of writeback.changes; empty ones are left out."""
    for part in parts:
        kept = _kept(part, withheld)
        if not kept.is_empty():
            yield published(kept.with_columns(pl.col("confidence").round(4)))


def _subjects(used: set[Subject]) -> list[Subject]:
    known: tuple[Subject, ...] = ("people", "organisations")
    return [s for s in known if s in used]


def _kept(plan: pl.DataFrame, withheld: pl.DataFrame) -> pl.DataFrame:
    """`plan` without the withheld fields, and without the rest of a create or posting that has one."""
    if withheld.is_empty() or plan.is_empty():
        return plan
    fields = withheld.filter(pl.col("after").is_null()).select(FIELD_KEY).unique()
    values = withheld.filter(pl.col("after").is_not_null()).select(*FIELD_KEY, "after").unique()
    open_rows = plan.join(fields, on=FIELD_KEY, how="anti", maintain_order="left")
    # An opt-out is never held back because another change of the field was.
    is_opt_out = pl.col("change_kind") == "suppress"
    kept = pl.concat(
        [
            open_rows.filter(~is_opt_out).join(
                values, on=[*FIELD_KEY, "after"], how="anti", maintain_order="left"
            ),
            open_rows.filter(is_opt_out),
        ]
    )
    held = plan.join(kept, on=FIELD_KEY, how="anti")
    whole = held.filter(pl.col("change_kind").is_in(_WHOLE)).select(FIELD_KEY[:3]).unique()
    marked = kept.join(whole.with_columns(_w=True), on=FIELD_KEY[:3], how="left", maintain_order="left")
    is_rest = pl.col("_w").fill_null(value=False) & pl.col("change_kind").is_in(_WHOLE)
    return marked.filter(~is_rest).drop("_w")
