"""Owner changes: the golden owner, as the user of the target who is the same colleague.

Colleagues are the same where their e-mail addresses are, or their names where a user has none. An owner
that stands for two colleagues, or for nobody known (a queue), is never written nor overwritten. Confidence:
identity of the record.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from crm_hygiene.writeback.planning.as_read import with_landed_text
from crm_hygiene.writeback.planning.changes import as_text, gathered, rows
from crm_hygiene.writeback.planning.confidence import identity
from crm_hygiene.writeback.planning.inputs import PlanInputs
from crm_hygiene.writeback.planning.reasons import last_read, with_origin
from crm_hygiene.writeback.planning.record_set import RecordSet


def _key(name: str) -> pl.Expr:
    return pl.col(name).str.strip_chars().str.to_lowercase()


def colleagues(users: pl.DataFrame, systems: Mapping[str, str]) -> pl.DataFrame:
    """Whom an owner's text stands for: system, owner_key, colleague, user_id, is_here; one row per key.

    `colleague` is the e-mail address, else the name, in lower case; `is_here` that the user may log in.
    """
    mine = users.with_columns(
        system=pl.col("source").replace(dict(systems)),
        colleague=pl.coalesce(_key("email_normalised"), _key("email"), _key("user_name")),
        is_here=pl.col("is_active").fill_null(value=True),
    ).filter(pl.col("colleague").is_not_null())
    keys = pl.concat(
        mine.select("system", _key(c).alias("owner_key"), "colleague", user_id="record_id", is_here="is_here")
        for c in ("record_id", "email", "user_name")
    )
    # Of a colleague with two users the one who may log in counts, then the least id.
    ordered = keys.filter(pl.col("owner_key").is_not_null()).sort(
        "system", "owner_key", "is_here", "user_id", descending=[False, False, True, False]
    )
    clear = ordered.filter(pl.col("colleague").n_unique().over("system", "owner_key") == 1)
    return clear.unique(["system", "owner_key"], keep="first", maintain_order=True)


def users_of_colleagues(known: pl.DataFrame, home: str) -> pl.DataFrame:
    """What an owner of any system is in `home`: golden_key, golden_colleague, after (an active user's id).

    Keys that stand for several colleagues in different systems are left out.
    """
    told = known.group_by("owner_key").agg(pl.col("colleague").unique())
    clear = told.filter(pl.col("colleague").list.len() == 1).select(
        golden_key="owner_key", golden_colleague=pl.col("colleague").list.first()
    )
    active = known.filter((pl.col("system") == home) & pl.col("is_here")).sort("user_id")
    first = active.unique("colleague", keep="first", maintain_order=True)
    return clear.join(first.select(golden_colleague="colleague", after="user_id"), on="golden_colleague")


def golden_users(
    g: pl.Series, records: RecordSet, inputs: PlanInputs, systems: Mapping[str, str]
) -> pl.Series:
    """The target's user who is the owner of the golden rows `g`, in their order; null where there is none."""
    golden = inputs.golden(records.subject)
    if inputs.users.is_empty() or "owner_id" not in golden.columns:
        return pl.repeat(None, g.len(), dtype=pl.String, eager=True)
    users = users_of_colleagues(colleagues(inputs.users, systems), records.mapped.home)
    owners = as_text(golden["owner_id"].gather(g)).alias("owner").to_frame().select(golden_key=_key("owner"))
    return owners.join(users, on="golden_key", how="left", maintain_order="left")["after"]


def plan_owners(records: RecordSet, inputs: PlanInputs, systems: Mapping[str, str]) -> pl.DataFrame:
    """One row per changeable record whose owner shall be another user of the target.

    With the winner fill_empty (unless the policy names another for the field) only records without an
    owner, or whose owner may no longer log in, change hands.
    """
    field = records.policy.owner
    winner = records.policy.fields.get(field or "", "fill_empty")
    held = inputs.records(records.subject)
    tied = records.changeable
    if field is None or winner == "never" or tied.is_empty() or inputs.users.is_empty():
        return gathered([])
    mapped = records.mapped
    known = colleagues(inputs.users, systems)
    here = known.filter(pl.col("system") == mapped.home)
    if here.is_empty() or "owner_id" not in held.columns:
        return gathered([])
    works = here.filter("is_here")["colleague"].unique()
    present = here.select(present_key="owner_key", present="colleague")
    present = present.with_columns(_works=pl.col("present").is_in(works.implode()))
    users = users_of_colleagues(known, mapped.home)
    before = as_text(held["owner_id"].gather(tied["r"])).alias("before")
    frame = tied.select("record_id", "entity_id", "r", "g").with_columns(before)
    frame = frame.hstack(_golden_owner(tied, records, inputs))
    frame = frame.with_columns(present_key=_key("before"), golden_key=_key("golden_owner"))
    frame = frame.join(present, on="present_key", how="left", maintain_order="left")
    frame = frame.join(users, on="golden_key", how="inner", maintain_order="left")
    nobody = pl.col("before").is_null() | ~pl.col("_works").fill_null(value=True)
    another = pl.col("present") != pl.col("golden_colleague")
    due = nobody | another.fill_null(value=False) if winner == "golden" else nobody
    changed = frame.filter(due)
    if changed.is_empty():
        return gathered([])
    table = "golden.contacts" if records.subject == "people" else "golden.accounts"
    told = with_origin(changed, inputs, table, "owner_id")
    why = (
        pl.when(pl.col("before").is_null())
        .then(pl.lit("nobody owned it"))
        .when(~pl.col("_works").fill_null(value=True))
        .then(pl.lit("its owner may no longer log in"))
        .otherwise(pl.lit("another colleague owned it"))
    )
    origin = pl.when("_is_lead").then(pl.format("golden.leads.owner_id: {}", "_rule")).otherwise("origin")
    told = told.with_columns(
        identity(told, inputs.doubts, mapped.source).alias("confidence"),
        column_name=pl.lit(field),
        reason=pl.format("{}; {} when read on {}", origin, why, last_read(told, records, inputs)),
    )
    told = with_landed_text(told, records, inputs, field)
    return rows(told, mapped.target, mapped.object, mapped.source, "owner")


def _golden_owner(tied: pl.DataFrame, records: RecordSet, inputs: PlanInputs) -> list[pl.Series]:
    """Columns golden_owner, _rule, _is_lead: a lead's checked owner, else the golden record's."""
    golden = inputs.golden(records.subject)
    if "owner_id" in golden.columns:
        general = as_text(golden["owner_id"].gather(tied["g"]))
    else:
        general = pl.repeat(None, tied.height, dtype=pl.String, eager=True)
    leads = inputs.leads.filter(pl.col("source") == records.mapped.source).select(
        "record_id", _own="owner_id", _rule="owner_rule", _is_lead=pl.lit(value=True)
    )
    joined = tied.select("record_id").with_columns(general.alias("_general"))
    joined = joined.join(leads, on="record_id", how="left", maintain_order="left")
    return joined.select(
        golden_owner=pl.when(pl.col("_is_lead")).then("_own").otherwise("_general"),
        _rule=pl.col("_rule").fill_null(""),
        _is_lead=pl.col("_is_lead").fill_null(value=False),
    ).get_columns()
