"""Anchors: the person records, e-mail addresses and telephone numbers a statement holds on to.

A statement is a set of anchors. An entity is the set of anchors of its records. Which opt-outs an
opt-in lifted follows from the statements alone and never from who is linked with whom: that is what
makes consent monotone (docs/consent.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from crm_hygiene.golden.consent_rules import UNKNOWN, ConsentRules
from crm_hygiene.golden.consent_statements import as_statements
from crm_hygiene.golden.references import with_system

#: Kinds of anchor, in the order in which they are named as the reason; one number each.
KINDS = {"person record": 0, "own record": 1, "e-mail address": 2, "telephone number": 3}
_PERSON, _ROW, _EMAIL, _PHONE = KINDS.values()
_ANCHOR = ["kind", "value"]
_RECORD = ["source", "record_id"]

#: Columns of conformed.people that anchors are made of.
PERSON_ANCHORS = [*_RECORD, "merged_record_ids", "email", "email_normalised", "phone", "mobile_phone"]


def _named(frame: pl.DataFrame, owner: str, value: pl.Expr, kind: int) -> pl.DataFrame:
    return frame.select(owner, pl.lit(kind, dtype=pl.UInt8).alias("kind"), value.alias("value")).drop_nulls()


def _joined(scope: str, column: str) -> pl.Expr:
    return pl.concat_str([scope, column], separator="\x1f")


def stated_anchors(statements: pl.DataFrame, systems: Mapping[str, str]) -> pl.DataFrame:
    """(statement, kind, value), unique: what each statement names itself.

    The person record in the same system; the record that states it (record_id, also up to a `: # | /
    ~` in it); its e-mail address, as written and the mailbox behind it; its telephone number.
    """
    said = with_system(statements, systems)
    stem = pl.col("record_id").str.extract(r"^(.*?)[:#|/~]")
    long_stem = pl.col("record_id").str.extract(r"^(.*)[:#|/~]")
    rows = [said.with_columns(record_id=e) for e in (pl.col("record_id"), stem, long_stem)]
    parts = [
        _named(said, "statement", _joined("system", "person_record_id"), _PERSON),
        *(_named(frame, "statement", _joined("source", "record_id"), _ROW) for frame in rows),
        _named(said, "statement", pl.col("email").str.to_lowercase(), _EMAIL),
        _named(said, "statement", pl.col("email_normalised").str.to_lowercase(), _EMAIL),
        _named(said, "statement", pl.col("phone"), _PHONE),
    ]
    return pl.concat(parts).unique()


def record_anchors(
    people: pl.DataFrame, owner: str, systems: Mapping[str, str], only: pl.DataFrame | None = None
) -> pl.DataFrame:
    """(owner, kind, value): every anchor of person records, `owner` being a column of `people`.

    Records that the vendor merged into one are anchors of it. `only` (kind, value) limits the answer.
    """
    own = with_system(people, systems)
    merged = own.select(owner, "system", pl.col("merged_record_ids").alias("record_id"))
    merged = merged.filter(pl.col("record_id").list.len() > 0).explode("record_id")
    values = [
        (own, _joined("system", "record_id"), _PERSON),
        (merged, _joined("system", "record_id"), _PERSON),
        (own, _joined("source", "record_id"), _ROW),
        *((own, pl.col(c).str.to_lowercase(), _EMAIL) for c in ("email", "email_normalised")),
        *((own, pl.col(c), _PHONE) for c in ("phone", "mobile_phone")),
    ]
    parts = []
    for rows, value, kind in values:
        part = _named(rows, owner, value, kind)
        if only is not None:
            # Only anchors of the same kind can be those asked for.
            part = part.join(only.filter(pl.col("kind") == kind), on="value", how="semi")
        parts.append(part)
    return pl.concat(parts).unique()


def opt_out_anchors(
    statements: pl.DataFrame, stated: pl.DataFrame, people: pl.DataFrame, systems: Mapping[str, str]
) -> pl.DataFrame:
    """`stated`, and for opt-outs also the addresses of the person record that is named.

    Who opts out as a record has opted out with the address of it, for whoever comes back with that
    address. A number says nothing about e-mail: a switchboard is not its callers.
    """
    outs = statements.filter(pl.col("consent_state") == "opt_out").select("statement", "channel")
    named = stated.filter(pl.col("kind") <= _ROW).join(outs, on="statement")
    numbered = people.with_row_index("row")
    rows = record_anchors(numbered, "row", systems, named).join(named, on=_ANCHOR).drop(_ANCHOR)
    owned = numbered.join(rows, on="row").select(
        "statement", "channel", "email", "email_normalised", "phone", "mobile_phone"
    )
    by_phone = owned.filter(pl.col("channel") != "email")
    parts = [
        *(
            _named(owned, "statement", pl.col(c).str.to_lowercase(), _EMAIL)
            for c in ("email", "email_normalised")
        ),
        *(_named(by_phone, "statement", pl.col(c), _PHONE) for c in ("phone", "mobile_phone")),
    ]
    return pl.concat([stated, *parts]).unique()


@dataclass(frozen=True)
class Stated:
    """`statements` of `as_statements`, and their `anchors` of `opt_out_anchors`."""

    statements: pl.DataFrame
    anchors: pl.DataFrame


def stated_by_all(
    people: pl.DataFrame,
    consents: pl.DataFrame,
    interactions: pl.LazyFrame,
    rules: ConsentRules,
    systems: Mapping[str, str],
    remembered: pl.DataFrame | None = None,
) -> Stated:
    """Everything that was said, and what it holds on to.

    Frames are conformed tables, the interactions lazy; `remembered` as of `as_statements`.
    """
    statements = as_statements(consents, interactions, rules, remembered)
    stated = stated_anchors(statements, systems)
    return Stated(statements, opt_out_anchors(statements, stated, people, systems))


def lift(statements: pl.DataFrame, anchors: pl.DataFrame, rules: ConsentRules) -> pl.DataFrame:
    """`anchors` with `is_lifted` and `lifted_by` (a statement): opt-outs that an opt-in answered.

    An opt-in lifts an opt-out at one anchor if both name that very anchor, the same channel and the
    same purpose, its evidence is of a kind in `rules.restoring`, and the person said it later: both
    times are stated, and the opt-in's is not after its own landing (a clock that is ahead proves
    nothing).
    """
    said = anchors.join(
        statements.select(
            "statement", "consent_state", "channel", "purpose", "evidence_kind", "stated_at", "landed_at",
            "is_vague",
        ),
        on="statement",
    )  # fmt: skip
    same = [*_ANCHOR, "channel", "purpose"]
    yes = (
        said.filter(
            (pl.col("consent_state") == "opt_in")
            & pl.col("evidence_kind").is_in(list(rules.restoring))
            & ~pl.col("is_vague")
            & (pl.col("stated_at") <= pl.col("landed_at"))
        )
        .sort("stated_at", "statement", descending=[True, False])
        .unique(same, keep="first", maintain_order=True)
        .select(*same, pl.col("stated_at").alias("restored_at"), pl.col("statement").alias("lifted_by"))
    )
    answered = (
        (pl.col("consent_state") == "opt_out")
        & ~pl.col("is_vague")
        & (pl.col("restored_at") > pl.col("stated_at")).fill_null(value=False)
    )
    return (
        said.join(yes, on=same, how="left")
        .with_columns(is_lifted=answered)
        .select("statement", *_ANCHOR, "is_lifted", lifted_by=pl.when("is_lifted").then("lifted_by"))
    )


def former_members(members: pl.DataFrame, history: pl.DataFrame, register: pl.DataFrame) -> pl.DataFrame:
    """(source, record_id, entity_id): records that linkage no longer sees, with the entity they left last.

    A record that its source deleted still speaks for the person it was: an opt-out does not go with
    it. `history` and `register` are linked.person_history and linked.person_entities; what has become
    of the entity since counts, and a tombstone is nobody.
    """
    left = history.filter((pl.col("event") == "left") & pl.col("related_entity_id").is_null())
    return (
        left.join(members, on=_RECORD, how="anti")
        .sort("event_at", "event_id")
        .unique(_RECORD, keep="last", maintain_order=True)
        .join(register.select("entity_id", "status", "resolves_to"), on="entity_id")
        .filter(pl.col("status") != "tombstone")
        .select(*_RECORD, pl.coalesce("resolves_to", "entity_id").alias("entity_id"))
        .sort(_RECORD)
    )


def is_known(column: str) -> pl.Expr:
    """Whether a channel or purpose is one of the rules, or all of them."""
    return pl.col(column) != UNKNOWN
