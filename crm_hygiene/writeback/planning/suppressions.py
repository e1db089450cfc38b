"""Suppressions: an opt-out known elsewhere, carried to a record whose own source has not stated one.

Nothing ever carries an opt-in. Confidence: identity of the record.
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.writeback.planning.as_read import with_landed_text
from crm_hygiene.writeback.planning.changes import gathered, rows
from crm_hygiene.writeback.planning.confidence import identity
from crm_hygiene.writeback.planning.inputs import PlanInputs
from crm_hygiene.writeback.planning.reasons import last_read
from crm_hygiene.writeback.planning.record_set import RecordSet

_CHANNEL_WORDS = {"email": "e-mail", "phone": "telephone"}


def plan_suppressions(records: RecordSet, inputs: PlanInputs) -> pl.DataFrame:
    """One row per live record and channel; records that are merged away get theirs too."""
    if not records.policy.suppressions or records.subject != "people":
        return gathered([])
    mapped, golden, tied = records.mapped, inputs.contacts, records.live
    parts = []
    for channel, field in sorted(mapped.consent.items()):
        opted_out = (golden[f"{channel}_consent"] == "opt_out").fill_null(value=False).gather(tied["g"])
        asked = tied.select("record_id", "entity_id", "r").filter(opted_out)
        own = _own_opt_outs(inputs.consents, mapped.source, channel)
        asked = asked.join(own, on="record_id", how="anti", maintain_order="left")
        if asked.is_empty():
            continue
        words = _CHANNEL_WORDS[channel]
        reason = f"the person opted out of {words} elsewhere; not stated here when read on {{}}"
        carried = asked.with_columns(
            identity(asked, inputs.doubts, mapped.source).alias("confidence"),
            column_name=pl.lit(field),
            before=pl.lit(None, dtype=pl.String),
            after=pl.lit("true"),
            reason=pl.format(reason, last_read(asked, records, inputs)),
        )
        carried = with_landed_text(carried, records, inputs, field)
        parts.append(rows(carried, mapped.target, mapped.object, mapped.source, "suppress"))
    return gathered(parts)


def _own_opt_outs(consents: pl.DataFrame, source: str, channel: str) -> pl.DataFrame:
    """`record_id` of the records of a source that state an opt-out of the channel themselves."""
    own = consents.filter(
        (pl.col("source") == source)
        & (pl.col("consent_state") == "opt_out")
        & pl.col("channel").is_in([channel, "any"])
    )
    return own.select(pl.coalesce("person_record_id", "record_id").alias("record_id")).unique()
