"""The plan: what golden would change in each target record, field by field.

A plan is read before anything is sent; sending is not here, nor is choosing golden values
(`crm_hygiene.survivorship`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.writeback.policy import GOLDEN_TABLE, Subject, WritebackPolicy, check_distinct

#: Changes hashed at a time; as Python text all of them at once would outweigh the plan.
_SLICE = 100_000

_CHANNEL_WORDS = {"email": "e-mail", "phone": "telephone"}


def plan_changes(
    people: pl.DataFrame,
    organisations: pl.DataFrame,
    person_members: pl.DataFrame,
    organisation_members: pl.DataFrame,
    contacts: pl.DataFrame,
    accounts: pl.DataFrame,
    policies: Sequence[WritebackPolicy],
    as_of: date,
    provenance: pl.DataFrame | None = None,
    consents: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """`writeback.changes`: one row per target record and field that golden would change.

    An `update` stands where golden is filled and differs from the record's standardised value; two
    spellings of one value are equal after standardising and are no change. Suppressed people get no
    update. A `suppress` carries an opt-out to a record whose own source has not stated one; nothing
    ever carries an opt-in. Deleted records are left alone.

    Parameters
    ----------
    people, organisations, consents
        conformed tables; without `consents` no record counts as having opted out by itself.
    person_members, organisation_members
        linked tables; a record without an entity is not touched.
    contacts, accounts, provenance
        golden tables; with `provenance` the reason names where the value comes from.
    policies
        from the source mappings' `writeback` blocks.
    as_of
        the day of the latest landing: reasons say that the target was last read on it.

    Returns
    -------
    polars.DataFrame
        sorted by `change_id`; `column_name` is the vendor's, `before` is null where the field is empty.

    Raises
    ------
    ConfigurationError
        if a policy names a column that is not shared, holds another system's id or is written twice.
    """
    contract = contract_of("writeback.changes")
    check_distinct(policies)
    records: dict[Subject, pl.DataFrame] = {"people": people, "organisations": organisations}
    members: dict[Subject, pl.DataFrame] = {"people": person_members, "organisations": organisation_members}
    golden: dict[Subject, pl.DataFrame] = {"people": contacts, "organisations": accounts}
    parts: list[pl.DataFrame] = []
    for policy in sorted(policies, key=lambda p: (p.source, p.target, p.object)):
        subject = _subject_of(policy, records)
        if subject is None:
            continue
        policy.check(subject)
        tied = _tie(records[subject], members[subject], golden[subject], policy)
        parts += _updates(tied, records[subject], golden[subject], policy, subject, provenance, as_of)
        if policy.consent:
            parts += _suppressions(tied, golden[subject], policy, consents, as_of)
    parts = [p for p in parts if not p.is_empty()]
    if not parts:
        return contract.empty()
    plan = pl.concat(parts)
    what = plan.select("target", "object", "record_id", "column_name", "before", "after")
    hashed = [
        pl.Series("change_id", [_change_id(row) for row in part.iter_rows()], dtype=pl.String)
        for part in what.iter_slices(_SLICE)
    ]
    ids = pl.concat(hashed)
    return contract.shape(plan.with_columns(ids)).sort("change_id", "source")


def _subject_of(policy: WritebackPolicy, records: dict[Subject, pl.DataFrame]) -> Subject | None:
    """What the policy's records are; None where its source has delivered nothing yet."""
    if policy.subject is not None:
        return policy.subject
    subjects: tuple[Subject, ...] = ("people", "organisations")
    return next((s for s in subjects if (records[s]["source"] == policy.source).any()), None)


def _change_id(row: tuple[str | None, ...]) -> str:
    """First 32 hexadecimal digits of SHA-256; an empty field differs from an empty text."""
    return hashlib.sha256("\x1f".join("\x00" if v is None else v for v in row).encode()).hexdigest()[:32]


def _tie(
    records: pl.DataFrame, members: pl.DataFrame, golden: pl.DataFrame, policy: WritebackPolicy
) -> pl.DataFrame:
    """Live records of the policy's source: `record_id`, `entity_id`, row numbers `r` and `g`."""
    of_source = pl.col("source") == policy.source
    rows = records.select("source", "record_id", "is_deleted").with_row_index("r").filter(of_source)
    rows = rows.filter(~pl.col("is_deleted").fill_null(value=True)).select("r", "record_id")
    entity = members.filter(of_source).select("record_id", "entity_id")
    numbered = golden.select("entity_id").with_row_index("g")
    return rows.join(entity, on="record_id").join(numbered, on="entity_id").sort("record_id")


def _text(values: pl.Series) -> pl.Series:
    """Values as trimmed text; dates in ISO 8601, money in plain decimals, empty text as null."""
    if values.dtype == pl.Boolean:
        return values.cast(pl.String)
    as_text = values.cast(pl.String).str.strip_chars()
    return as_text.to_frame("v").select(pl.when(pl.col("v") != "").then("v"))["v"]


def _updates(
    tied: pl.DataFrame,
    records: pl.DataFrame,
    golden: pl.DataFrame,
    policy: WritebackPolicy,
    subject: Subject,
    provenance: pl.DataFrame | None,
    as_of: date,
) -> list[pl.DataFrame]:
    if subject == "people":
        is_suppressed = golden["is_suppressed"].fill_null(value=True).gather(tied["g"])
        tied = tied.filter(~is_suppressed)
    parts = []
    # One column at a time, and only its differing rows are kept: memory stays at two columns.
    for column, vendor_column in sorted(policy.columns.items()):
        before = _text(records[column].gather(tied["r"]))
        after = _text(golden[column].gather(tied["g"]))
        differing = tied.select("record_id", "entity_id").with_columns(
            before.alias("before"), after.alias("after")
        )
        differing = differing.filter(
            pl.col("after").is_not_null() & pl.col("after").ne_missing(pl.col("before"))
        )
        if differing.is_empty():
            continue
        reasoned = _with_reason(differing, GOLDEN_TABLE[subject], column, provenance, as_of)
        parts.append(_labelled(reasoned, policy, vendor_column, "update"))
    return parts


def _with_reason(
    differing: pl.DataFrame, table: str, column: str, provenance: pl.DataFrame | None, as_of: date
) -> pl.DataFrame:
    held = (
        pl.when(pl.col("before").is_null())
        .then(pl.lit(f"the field was empty when read on {as_of}"))
        .otherwise(pl.lit(f"the field held another value when read on {as_of}"))
    )
    if provenance is None:
        return differing.with_columns(
            pl.format("{} has a value for {}; {}", pl.lit(table), pl.lit(column), held).alias("reason")
        )
    origin = (
        provenance.filter((pl.col("table_name") == table) & (pl.col("column_name") == column))
        .select("entity_id", "rule", pl.format("{} {}", "source", "record_id").alias("origin"))
        .unique("entity_id", keep="any")
    )
    known = differing.join(origin, on="entity_id", how="left", maintain_order="left")
    stated = pl.format("{} from {} by rule {}; {}", pl.lit(f"{table}.{column}"), "origin", "rule", held)
    unstated = pl.format("{} has a value for {}; {}", pl.lit(table), pl.lit(column), held)
    return known.with_columns(pl.coalesce(stated, unstated).alias("reason")).drop("origin", "rule")


def _suppressions(
    tied: pl.DataFrame,
    golden: pl.DataFrame,
    policy: WritebackPolicy,
    consents: pl.DataFrame | None,
    as_of: date,
) -> list[pl.DataFrame]:
    parts = []
    for channel, vendor_column in sorted(policy.consent.items()):
        opted_out = (golden[f"{channel}_consent"] == "opt_out").fill_null(value=False).gather(tied["g"])
        asked = tied.select("record_id", "entity_id").filter(opted_out)
        if consents is not None:
            asked = asked.join(_own_opt_outs(consents, policy.source, channel), on="record_id", how="anti")
        words = _CHANNEL_WORDS[channel]
        reason = f"the person opted out of {words} elsewhere; not stated here when read on {as_of}"
        carried = asked.with_columns(
            pl.lit(None, dtype=pl.String).alias("before"),
            pl.lit("true").alias("after"),
            pl.lit(reason).alias("reason"),
        )
        parts.append(_labelled(carried, policy, vendor_column, "suppress"))
    return parts


def _own_opt_outs(consents: pl.DataFrame, source: str, channel: str) -> pl.DataFrame:
    """`record_id` of the records of a source that state an opt-out of the channel themselves."""
    own = consents.filter(
        (pl.col("source") == source)
        & (pl.col("consent_state") == "opt_out")
        & pl.col("channel").is_in([channel, "any"])
    )
    return own.select(pl.coalesce("person_record_id", "record_id").alias("record_id")).unique()


def _labelled(
    changes: pl.DataFrame, policy: WritebackPolicy, vendor_column: str, change_kind: str
) -> pl.DataFrame:
    return changes.select(
        pl.lit(policy.target).alias("target"),
        pl.lit(policy.object).alias("object"),
        pl.lit(policy.source).alias("source"),
        "record_id",
        pl.lit(vendor_column).alias("column_name"),
        pl.lit(change_kind).alias("change_kind"),
        "before",
        "after",
        "reason",
        "entity_id",
    )
