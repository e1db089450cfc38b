"""Which tables leave the house, and whether one of them speaks of somebody who said no.

Every table of the layers that make lists for others counts as outbound unless it is named here as
internal with its reason: a new table is safe until somebody decides otherwise.
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.contract import load_contracts

_LAYERS = ("signals", "writeback")

#: Figures beside the golden records (joined with golden.contacts they carry its is_suppressed) and logs.
INTERNAL = {
    "signals.lead_scores": "a figure per person for those who may look; suppression does not lower it",
    "signals.relationship_strength": "a figure per person for those who may look",
    "writeback.outbox": "a log of what was sent when it was allowed; each apply asks golden.contacts anew",
    "writeback.deliveries": "a log of what the targets answered",
    "writeback.approvals": "who let a plan go; speaks of no person's records",
}

#: Rows that carry the opt-out itself to where it is not known yet.
_CARRIES_OPT_OUT = "suppress"


def outbound_tables() -> list[str]:
    """Tables that leave suppressed people out, by name."""
    return sorted(name for name, c in load_contracts().items() if c.layer in _LAYERS and name not in INTERNAL)


def suppressed_rows(table: pl.DataFrame, contacts: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """Rows of an outbound table that speak of a suppressed person; none, if all is well.

    `contacts` is golden.contacts, `members` linked.person_members. A row speaks of a person by entity_id
    or person_entity_id, or by the source and record_id of one of the person's records. A row that
    carries the opt-out (`change_kind` suppress) is what the person asked for.
    """
    people = contacts.filter(pl.col("is_suppressed"))["entity_id"]
    speaks = pl.lit(value=False)
    for column in ("entity_id", "person_entity_id"):
        if column in table.columns:
            speaks = speaks | pl.col(column).is_in(people.implode())
    if {"source", "record_id"} <= set(table.columns):
        records = members.filter(pl.col("entity_id").is_in(people.implode()))
        table = table.join(
            records.select("source", "record_id", pl.lit(value=True).alias("_theirs")),
            on=["source", "record_id"],
            how="left",
            maintain_order="left",
        )
        speaks = speaks | pl.col("_theirs").fill_null(value=False)
    found = table.filter(speaks.fill_null(value=False)).drop("_theirs", strict=False)
    if "change_kind" in found.columns:
        found = found.filter(pl.col("change_kind").ne_missing(_CARRIES_OPT_OUT))
    return found
