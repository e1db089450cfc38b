"""Effective consent: what each person allows, from every statement that speaks of them.

Monotone by construction (docs/consent.md has the law and its proof): which opt-outs are in force
follows from the statements alone, and a person is out if any of their anchors is held by one, so that
merging people is a union and can only add. Reading words belongs to `consent_statements`, whose a
statement is and what lifts one to `consent_anchors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.golden.consent_anchors import (
    KINDS,
    PERSON_ANCHORS,
    Stated,
    is_known,
    lift,
    record_anchors,
    stated_by_all,
)
from crm_hygiene.golden.consent_rules import EVERYTHING, ConsentRules, load_consent_rules
from crm_hygiene.row_ids import row_ids

# Columns of golden.contacts and the channel each speaks for, whatever the purpose.
_SPEAKS_FOR = {"email_consent": "email", "phone_consent": "phone"}
_KIND_WORDS = {number: words for words, number in KINDS.items()}
_ORIGIN = ["source", "record_id", "file", "landed_at", "row_number", "observed_at"]


@dataclass(frozen=True)
class ConsentMemory:
    """What a night knows of consent besides its conformed tables.

    Attributes
    ----------
    rules
        the consent rules.
    former
        source, record_id, entity_id of deleted records, with the entity they left (`former_members`).
    remembered
        opt-outs only the suppression list still knows, as of `privacy.recall_opt_outs`.
    stated
        what the conformed tables state, where whoever remembers has worked it out: it is not done again.
    """

    rules: ConsentRules
    former: pl.DataFrame | None = None
    remembered: pl.DataFrame | None = None
    stated: Stated | None = None


@dataclass(frozen=True)
class Consent:
    """What follows from the statements for the entities in question.

    Attributes
    ----------
    events, consents
        golden.consent_events and golden.consents.
    contacts
        entity_id, email_consent, phone_consent, is_suppressed, sorted; only entities about whom
        something was said. is_suppressed: e-mail is opted out of, for any purpose.
    provenance
        frames of golden.provenance, one per consent column of the contacts, naming the newest
        statement of the state that holds; `unknown` has no row.
    statements
        of `as_statements`.
    """

    events: pl.DataFrame
    consents: pl.DataFrame
    contacts: pl.DataFrame
    provenance: tuple[pl.DataFrame, ...]
    statements: pl.DataFrame


def effective_consent(
    people: pl.DataFrame,
    members: pl.DataFrame,
    consents: pl.DataFrame,
    interactions: pl.LazyFrame,
    systems: Mapping[str, str],
    bounced: pl.Series | None = None,
    memory: ConsentMemory | None = None,
) -> Consent:
    """State per entity, channel and purpose, the ledger behind it, and what contacts show of it.

    Parameters
    ----------
    people, consents, interactions
        conformed tables; deleted people count with the entity `members` give them.
    members
        source, record_id, entity_id of the entities in question; those of `memory.former` are added.
    bounced
        mailboxes that take no mail (`survivorship.deliverability`); no statement of consent.
    """
    memory = memory or ConsentMemory(load_consent_rules())
    rules = memory.rules
    if memory.former is not None:
        members = pl.concat([members.select(memory.former.columns), memory.former])
    stated = memory.stated
    if stated is None or memory.remembered is not None:
        stated = stated_by_all(people, consents, interactions, rules, systems, memory.remembered)
    statements = stated.statements
    entities = members["entity_id"].unique().sort()
    numbered = members.join(
        pl.DataFrame({"entity_id": entities}).with_row_index("entity"), on="entity_id", how="left"
    ).select("source", "record_id", "entity")
    owned = people.select(PERSON_ANCHORS).join(numbered, on=["source", "record_id"], how="inner")
    anchors = lift(statements, stated.anchors, rules)
    ties = _tie(anchors, record_anchors(owned, "entity", systems, anchors))
    said = _in_force(ties, statements)
    state, provenance = _contact_states(said, statements, entities)
    return Consent(
        events=_events(said, statements, entities),
        consents=_consents(_cells(said, rules), _undeliverable(owned, bounced), statements, entities, rules),
        contacts=state,
        provenance=provenance,
        statements=statements,
    )


def _tie(anchors: pl.DataFrame, owned: pl.DataFrame) -> pl.DataFrame:
    """One row per statement and entity that share an anchor: (statement, entity, kind, is_lifted, lifted_by).

    An opt-out is lifted for an entity only if it is at every anchor they share.
    """
    return (
        anchors.join(owned, on=["kind", "value"])
        .sort("statement", "entity", "kind", "lifted_by")
        .group_by("statement", "entity", maintain_order=True)
        .agg(pl.col("kind").first(), pl.col("is_lifted").all(), pl.col("lifted_by").max())
        .with_columns(lifted_by=pl.when("is_lifted").then("lifted_by"))
    )


def _in_force(ties: pl.DataFrame, statements: pl.DataFrame) -> pl.DataFrame:
    """`ties` with what was said; `is_out` is an opt-out in force, `counts` any statement that is."""
    what = statements.select(
        "statement", "channel", "purpose", "consent_state", at=pl.coalesce("stated_at", "observed_at")
    )
    known = is_known("channel") & is_known("purpose")
    return ties.join(what, on="statement", how="left", maintain_order="left").with_columns(
        is_out=(pl.col("consent_state") == "opt_out") & ~pl.col("is_lifted"),
        counts=~pl.col("is_lifted") & known,
    )


def _newest(said: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Per group the newest statement of the state that holds: opt-outs before opt-ins."""
    return (
        said.sort([*by, "is_out", "at", "statement"], descending=[*(False for _ in by), True, True, False])
        .group_by(by, maintain_order=True)
        .agg(
            pl.col("statement").first(),
            pl.col("is_out").first(),
            statement_count=pl.len().cast(pl.Int64),
            is_disputed=pl.col("is_out").any() & ~pl.col("is_out").all(),
        )
    )


def _cells(said: pl.DataFrame, rules: ConsentRules) -> pl.DataFrame:
    """The statement that holds per (entity, channel, purpose); `any` speaks for each one there is."""
    cells = said.filter("counts").select("entity", "statement", "channel", "purpose", "at", "is_out")
    for column, names in (("channel", rules.channels), ("purpose", rules.purposes)):
        every = pl.DataFrame({column: EVERYTHING, "each": list(names)})
        wide = cells.join(every, on=column).with_columns(pl.col("each").alias(column)).drop("each")
        cells = pl.concat([cells.filter(pl.col(column) != EVERYTHING), wide.select(cells.columns)])
    return _newest(cells, ["entity", "channel", "purpose"])


def _consents(
    cells: pl.DataFrame,
    undeliverable: pl.Series,
    statements: pl.DataFrame,
    entities: pl.Series,
    rules: ConsentRules,
) -> pl.DataFrame:
    bounced = (
        undeliverable.to_frame("entity")
        .join(pl.DataFrame({"purpose": list(rules.purposes)}), how="cross")
        .with_columns(channel=pl.lit("email"), is_undeliverable=pl.lit(value=True))
    )
    both = cells.join(bounced, on=["entity", "channel", "purpose"], how="full", coalesce=True)
    named = statements.select("statement", "statement_id", "source", "record_id", "stated_at")
    frame = both.join(named, on="statement", how="left").with_columns(
        entities.gather(both["entity"]).alias("entity_id"),
        pl.col("is_undeliverable").fill_null(value=False),
        pl.col("statement_count").fill_null(0),
        effective_consent=_state(),
    )
    holding = frame.filter(pl.col("statement").is_not_null())
    ids = _event_ids(holding["statement_id"], holding["entity_id"])
    frame = frame.join(
        holding.select("entity_id", "channel", "purpose").with_columns(ids),
        on=["entity_id", "channel", "purpose"],
        how="left",
    )
    contract = contract_of("golden.consents")
    return contract.shape(frame.select(contract.column_names)).sort(contract.key)


def _undeliverable(owned: pl.DataFrame, bounced: pl.Series | None) -> pl.Series:
    """`entity` of everyone who has mailboxes and all of them bounced, sorted."""
    if bounced is None or bounced.is_empty():
        return owned["entity"].clear()
    return (
        owned.filter(pl.col("email_normalised").is_not_null())
        # Asked per row: within an aggregation the list of bounced mailboxes is copied for every entity.
        .select("entity", pl.col("email_normalised").is_in(bounced.implode()).alias("is_dead"))
        .group_by("entity")
        .agg(pl.col("is_dead").all())
        .filter("is_dead")["entity"]
        .sort()
    )


def _state() -> pl.Expr:
    """`unknown` where no statement holds, which bounces do not change."""
    return (
        pl.when(pl.col("is_out").is_null())
        .then(pl.lit("unknown"))
        .when("is_out")
        .then(pl.lit("opt_out"))
        .otherwise(pl.lit("opt_in"))
    )


def _event_ids(statement_ids: pl.Series, entity_ids: pl.Series) -> pl.Series:
    return row_ids(pl.DataFrame([statement_ids.alias("s"), entity_ids.alias("e")]), "event_id", null="")


def _events(said: pl.DataFrame, statements: pl.DataFrame, entities: pl.Series) -> pl.DataFrame:
    """The ledger: one row per tie, and one without a person for each statement of nobody known."""
    ties = said.select(
        "statement",
        entities.gather(said["entity"]).alias("entity_id"),
        pl.col("kind").replace_strict(_KIND_WORDS, return_dtype=pl.String).alias("tied_by"),
        "is_lifted",
        "lifted_by",
    )
    every = statements.join(ties, on="statement", how="left").with_columns(
        is_in_force=~pl.col("is_lifted").fill_null(value=False) & is_known("channel") & is_known("purpose"),
    )
    by = every["lifted_by"]
    contract = contract_of("golden.consent_events")
    every = every.with_columns(
        _event_ids(every["statement_id"], every["entity_id"]),
        statements["statement_id"].gather(by).alias("lifted_by"),
    )
    return contract.shape(every.select(contract.column_names)).sort(contract.key)


def _contact_states(
    said: pl.DataFrame, statements: pl.DataFrame, entities: pl.Series
) -> tuple[pl.DataFrame, tuple[pl.DataFrame, ...]]:
    """The states golden.contacts shows: a channel is out if it is for any purpose."""
    state = said.select("entity").unique().sort("entity")
    traced = []
    for column, channel in _SPEAKS_FOR.items():
        relevant = said.filter(pl.col("counts") & pl.col("channel").is_in([channel, EVERYTHING]))
        lifted = said.filter(pl.col("is_lifted") & pl.col("channel").is_in([channel, EVERYTHING]))
        holding = _newest(relevant, ["entity"]).join(
            lifted.group_by("entity").agg(lifted_count=pl.len()),
            on="entity",
            how="left",
            maintain_order="left",
        )
        words = pl.when("is_out").then(pl.lit("opt_out")).otherwise(pl.lit("opt_in"))
        state = state.join(
            holding.select("entity", words.alias(column)), on="entity", how="left", maintain_order="left"
        ).with_columns(pl.col(column).fill_null("unknown"))
        traced.append(_trace(column, holding, statements, entities))
    contacts = state.select(
        entities.gather(state["entity"]).alias("entity_id"),
        *_SPEAKS_FOR,
        is_suppressed=pl.col("email_consent") == "opt_out",
    )
    return contacts, tuple(traced)


def _trace(column: str, holding: pl.DataFrame, statements: pl.DataFrame, entities: pl.Series) -> pl.DataFrame:
    rows = holding.with_columns(
        entities.gather(holding["entity"]).alias("entity_id"),
        *(statements[c].gather(holding["statement"]).alias(c) for c in _ORIGIN),
    )
    is_out, count = pl.col("is_out"), pl.col("statement_count")
    return contract_of("golden.provenance").shape(
        rows.select(
            pl.lit("golden.contacts").alias("table_name"),
            "entity_id",
            pl.lit(column).alias("column_name"),
            _state().alias("value"),
            "source",
            "record_id",
            "file",
            "landed_at",
            "row_number",
            pl.when(is_out)
            .then(pl.format("any opt-out holds, of {} statements", count))
            .when(pl.col("lifted_count").is_not_null())
            .then(
                pl.format("opt-in, {} earlier opt-outs lifted by it, of {} statements", "lifted_count", count)
            )
            .otherwise(pl.format("opt-in and no opt-out, of {} statements", count))
            .alias("rule"),
            pl.when("is_disputed").then(pl.lit("opt_in")).alias("runner_up"),
            "observed_at",
        )
    )
