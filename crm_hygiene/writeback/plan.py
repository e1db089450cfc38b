"""The plan: what golden would change in each target, field by field.

A plan is read before anything is sent; what each kind of change is belongs to `planning`, sending to
`delivery`, choosing golden values to `crm_hygiene.survivorship`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

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
from crm_hygiene.writeback.planning.record_set import record_sets
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
    as_of: date,
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
    as_of
        the day of the latest landing: reasons say that the target was last read on it.
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
    check_distinct(objects)
    check_fields(objects, policies)
    homes = {**{m.source: m.home for m in objects}, **(systems or {})}
    sets = record_sets(objects, policies, inputs)
    check_creates(sets)
    support = {subject: Support(subject, inputs) for subject in _subjects({s.subject for s in sets})}
    parts = [plan_updates(sets, inputs, support, as_of)]
    reparents: list[pl.DataFrame] = []
    for records in sets:
        tell(f"{records.mapped.target} {records.mapped.object}: what golden would change")
        parts += [
            plan_suppressions(records, inputs, as_of),
            plan_creates(records, sets, inputs, support[records.subject], homes),
            plan_links(records, sets, inputs, as_of),
            plan_owners(records, inputs, homes, as_of),
        ]
        # A merge that is parked or on its way keeps its children, too.
        merges = _kept(plan_merges(records, inputs), withheld)
        parts.append(merges)
        reparents.append(plan_reparents(records, merges, inputs, children, sets))
    for target, policy in sorted(policies.items()):
        if policy.postings is not None:
            here = {m.home for m in objects if m.target == target} | {target}
            own = {source for source, system in homes.items() if system in here}
            parts.append(plan_postings(target, policy.postings, inputs, own))
    planned = gathered(parts)
    # Where golden links a child elsewhere, that is where it goes.
    moved = gathered(reparents).join(planned.select(FIELD_KEY), on=FIELD_KEY, how="anti")
    plan = _kept(pl.concat([planned, moved]), withheld)
    return published(plan.with_columns(pl.col("confidence").round(4)))


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
