"""Links: a contact or lead points at the target's own account record of its golden account.

Confidence: identity of the person's record x identity of the account's record.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from crm_hygiene.writeback.planning.as_read import with_landed_text
from crm_hygiene.writeback.planning.changes import gathered, rows
from crm_hygiene.writeback.planning.confidence import identity
from crm_hygiene.writeback.planning.inputs import PlanInputs
from crm_hygiene.writeback.planning.reasons import last_read, with_origin
from crm_hygiene.writeback.planning.record_set import RecordSet, oldest_first


def account_records(target: str, sets: Sequence[RecordSet], inputs: PlanInputs) -> pl.DataFrame:
    """The target's record of each golden account: account_entity_id, account_record_id, account_source.

    Records that are merged away are no choice; of several the oldest, as in a merge.
    """
    schema = {"account_entity_id": pl.String, "account_record_id": pl.String, "account_source": pl.String}
    parts = [
        s.live.filter(pl.col("survivor").is_null()).select(
            "record_id", "entity_id", "r", pl.lit(s.mapped.source).alias("account_source")
        )
        for s in sets
        if s.mapped.target == target and s.subject == "organisations"
    ]
    if not parts:
        return pl.DataFrame(schema=schema)
    ordered = oldest_first(pl.concat(parts), inputs.organisations)
    return ordered.unique("entity_id", keep="first", maintain_order=True).select(
        account_entity_id="entity_id", account_record_id="record_id", account_source="account_source"
    )


def golden_account(tied: pl.DataFrame, records: RecordSet, inputs: PlanInputs) -> pl.Series:
    """account_entity_id of each row of `tied` (record_id, g): the lead's own, else the contact's."""
    of_contact = inputs.contacts["account_entity_id"].gather(tied["g"]).alias("_contact")
    leads = inputs.leads.filter(pl.col("source") == records.mapped.source)
    of_lead = leads.select("record_id", pl.col("account_entity_id").alias("_lead"))
    joined = tied.select("record_id").with_columns(of_contact)
    joined = joined.join(of_lead, on="record_id", how="left", maintain_order="left")
    return joined.select(pl.coalesce("_lead", "_contact").alias("account_entity_id"))["account_entity_id"]


def plan_links(records: RecordSet, sets: Sequence[RecordSet], inputs: PlanInputs) -> pl.DataFrame:
    """One row per changeable person record that points at no account, or at another than golden's.

    With the winner fill_empty (unless the policy names another for the field) only records that point at
    nothing, or at a deleted account, are linked. A key to an account that was never read is left alone:
    nobody here knows what it is.
    """
    field = records.policy.links
    winner = records.policy.fields.get(field or "", "fill_empty")
    people = inputs.people
    tied = records.changeable
    if field is None or winner == "never" or records.subject != "people" or tied.is_empty():
        return gathered([])
    mapped = records.mapped
    own = account_records(mapped.target, sets, inputs)
    current = (
        _account_keys(people, tied)
        if "organisation_record_id" in people.columns
        else pl.repeat(None, tied.height, dtype=pl.String, eager=True)
    )
    frame = tied.select("record_id", "entity_id", "r", "g").with_columns(
        golden_account(tied, records, inputs), current.alias("before")
    )
    frame = frame.join(own, on="account_entity_id", how="inner", maintain_order="left")
    frame = frame.join(
        _known_accounts(mapped.target, sets, inputs), on="before", how="left", maintain_order="left"
    )
    is_nothing = pl.col("before").is_null() | pl.col("_is_gone").fill_null(value=False)
    is_other = pl.col("_points_at").is_not_null() & (pl.col("_points_at") != pl.col("account_entity_id"))
    # An account that is merged away is followed by the merge's re-parenting, if the policy names it.
    loser = pl.col("_is_loser").fill_null(value=False) & (not _is_reparented(records, sets))
    due = is_nothing | loser | (is_other if winner == "golden" else pl.lit(value=False))
    due = due & pl.col("before").ne_missing(pl.col("account_record_id"))
    linked = frame.filter(due)
    if linked.is_empty():
        return gathered([])
    sure = identity(linked, inputs.doubts, mapped.source)
    parts = []
    for (source,), part in (
        linked.with_columns(sure.alias("_sure")).partition_by("account_source", as_dict=True).items()
    ):
        theirs = identity(part, inputs.doubts, str(source), "account_record_id")
        parts.append(part.with_columns((part["_sure"] * theirs).alias("confidence")))
    told = with_origin(pl.concat(parts), inputs, "golden.contacts", "account_entity_id")
    held = (
        pl.when(pl.col("before").is_null())
        .then(pl.lit("it pointed at no account"))
        .when(pl.col("_is_gone").fill_null(value=False))
        .then(pl.lit("it pointed at a deleted account"))
        .otherwise(pl.lit("it pointed at another account"))
    )
    told = told.with_columns(
        column_name=pl.lit(field),
        after=pl.col("account_record_id"),
        reason=pl.format(
            "{}; {} is the account {} here; {} when read on {}",
            "origin",
            "account_record_id",
            "account_entity_id",
            held,
            last_read(told, records, inputs),
        ),
    )
    told = with_landed_text(told, records, inputs, field)
    told = told.filter(pl.col("after").ne_missing(pl.col("before")))
    return rows(told, mapped.target, mapped.object, mapped.source, "link")


def _account_keys(people: pl.DataFrame, tied: pl.DataFrame) -> pl.Series:
    """The account key of each row of `tied`, empty text as null."""
    keys = people["organisation_record_id"].gather(tied["r"]).alias("k")
    return keys.to_frame().select(pl.when(pl.col("k") != "").then("k"))["k"]


def _is_reparented(records: RecordSet, sets: Sequence[RecordSet]) -> bool:
    wanted = (records.mapped.object.casefold(), records.policy.links)
    return any(
        (child.object.casefold(), child.field) == wanted
        for s in sets
        if s.mapped.target == records.mapped.target and s.subject == "organisations"
        for child in s.policy.children
    )


def _known_accounts(target: str, sets: Sequence[RecordSet], inputs: PlanInputs) -> pl.DataFrame:
    """What is known of the target's account records: before (the key), _points_at, _is_gone, _is_loser."""
    mine = [s for s in sets if s.mapped.target == target and s.subject == "organisations"]
    sources = [s.mapped.source for s in mine]
    empty = pl.DataFrame(
        schema={"before": pl.String, "_points_at": pl.String, "_is_gone": pl.Boolean, "_is_loser": pl.Boolean}
    )
    live = [
        s.live.select(
            before="record_id",
            _points_at="entity_id",
            _is_gone=pl.lit(value=False),
            _is_loser=pl.col("survivor").is_not_null(),
        )
        for s in mine
    ]
    gone = inputs.organisations.filter(
        pl.col("source").is_in(sources) & pl.col("is_deleted").fill_null(value=True)
    ).select(
        before="record_id",
        _points_at=pl.lit(None, dtype=pl.String),
        _is_gone=pl.lit(value=True),
        _is_loser=pl.lit(value=False),
    )
    return pl.concat([empty, *live, gone]).unique("before", keep="first", maintain_order=True)
