"""Effective consent of an entity: any opt-out holds.

Monotone by construction: what a statement applies to is a set union over keys, and the state is the
maximum of unknown < opt_in < opt_out; no newer statement, added record or merge takes an opt-out
back. Lifting one is for a person to do at the source and for the ledger to record, not for
computation.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.golden.references import with_system

# Channel of a statement -> golden columns it speaks for; sms and post have no column of their own.
_SPEAKS_FOR = {"email_consent": ["email", "any"], "phone_consent": ["phone", "any"]}

_KEYS_OF_A_PERSON = ["source", "record_id", "person_record_id", "email", "email_normalised", "phone"]


def tie_statements(
    statements: pl.DataFrame, people: pl.DataFrame, members: pl.DataFrame, systems: Mapping[str, str]
) -> pl.DataFrame:
    """Pairs (statement, entity), unique: which entities a statement of the ledger speaks of.

    `statements` as of `as_statements`; `members` (source, record_id, entity) are the person records
    of the entities in question. A statement is tied to an entity through every one of: its
    person_record_id in the same system; the record that states it (same source, record_id equal to a
    person's or beginning with it and one of `: # | / ~`); an e-mail address; a telephone number. More
    than one entity may be meant, and then the statement holds for all of them: an address that opted
    out has opted out. Deleted records of an entity count as well.
    """
    keys = ["source", "record_id"]
    owned = people.select(*keys, "email", "email_normalised", "phone", "mobile_phone").join(
        members.select(*keys, "entity"), on=keys, how="inner"
    )
    by_system = with_system(owned.select(*keys, "entity"), systems).select(
        "system", pl.col("record_id").alias("person_record_id"), "entity"
    )
    said = statements.select("statement", *_KEYS_OF_A_PERSON)
    by_person = with_system(said.select("statement", "source", "person_record_id").drop_nulls(), systems)
    # Only sources that hold people can state something about a record of their own.
    inline = said.select("statement", *keys).filter(
        pl.col("source").is_in(owned["source"].unique().implode())
    )
    stem = pl.col("record_id").str.extract(r"^(.*?)[:#|/~]")
    long_stem = pl.col("record_id").str.extract(r"^(.*)[:#|/~]")
    by_record = pl.concat(
        inline.select("statement", "source", e.alias("record_id")).drop_nulls()
        for e in (pl.col("record_id"), stem, long_stem)
    )
    by_address = _long(said, "statement", ["email", "email_normalised"], "address")
    addresses = _long(owned, "entity", ["email", "email_normalised"], "address")
    by_number = _long(said, "statement", ["phone"], "number")
    numbers = _long(owned, "entity", ["phone", "mobile_phone"], "number")
    found = ["statement", "entity"]
    pairs = [
        by_person.join(by_system.unique(), on=["system", "person_record_id"]).select(*found),
        by_record.join(owned.select(*keys, "entity"), on=keys).select(*found),
        by_address.join(addresses, on="address").select(*found),
        by_number.join(numbers, on="number").select(*found),
    ]
    return pl.concat(pairs).unique()


def _long(frame: pl.DataFrame, owner: str, columns: list[str], name: str) -> pl.DataFrame:
    """Distinct (owner, value) over several columns, values in lower case."""
    parts = (frame.select(owner, pl.col(c).str.to_lowercase().alias(name)).drop_nulls() for c in columns)
    return pl.concat(parts).unique()


def as_statements(consents: pl.DataFrame, interactions: pl.DataFrame) -> pl.DataFrame:
    """The ledger plus every `unsubscribe` among the interactions, which is an e-mail opt-out.

    `statement` is the row's position; `rank` its place in the order of source and record_id, which
    settles ties whatever the order of rows.
    """
    origin = ["file", "row_number", "observed_at"]
    ledger = consents.select(
        *_KEYS_OF_A_PERSON, "channel", "consent_state", *origin, at=pl.coalesce("stated_at", "observed_at")
    )
    left = interactions.filter(pl.col("interaction_kind") == "unsubscribe").select(
        *_KEYS_OF_A_PERSON,
        pl.lit("email").alias("channel"),
        pl.lit("opt_out").alias("consent_state"),
        *origin,
        at=pl.coalesce("occurred_at", "observed_at"),
    )
    both = pl.concat([ledger, left], rechunk=False).with_row_index("statement")
    order = ["source", "record_id", "channel", "consent_state", "at"]
    place = both.select("statement", *order).sort(order).select("statement").with_row_index("rank")
    return both.hstack(place.sort("statement").select("rank"))


def effective_consent(
    people: pl.DataFrame,
    members: pl.DataFrame,
    consents: pl.DataFrame,
    interactions: pl.DataFrame,
    systems: Mapping[str, str],
) -> tuple[pl.DataFrame, tuple[pl.DataFrame, ...]]:
    """State per entity, and its provenance.

    Returns
    -------
    state
        entity_id, email_consent, phone_consent, is_suppressed, sorted; only entities about whom
        something was said. is_suppressed: e-mail is opted out, by itself or through `any`.
    provenance
        frames of golden.provenance, one per consent column, naming the newest statement of the
        state that holds; `unknown` has no row.
    """
    statements = as_statements(consents, interactions)
    entities = members["entity_id"].unique().sort()
    numbered = members.join(
        pl.DataFrame({"entity_id": entities}).with_row_index("entity"), on="entity_id", how="left"
    )
    ties = tie_statements(statements, people, numbered, systems)
    at = statements["at"].dt.timestamp("us").fill_null(0)
    # Positions and numbers only: the ledger's texts are looked up for the statement that holds.
    said = ties.with_columns(
        (statements["consent_state"] == "opt_out").gather(ties["statement"]).alias("is_out"),
        at.gather(ties["statement"]).alias("at"),
        statements["rank"].gather(ties["statement"]).alias("rank"),
    )
    state = said.select("entity").unique().sort("entity")
    traced: list[pl.DataFrame] = []
    for column, channels in _SPEAKS_FOR.items():
        speaks = statements["channel"].is_in(channels)
        relevant = said.filter(speaks.gather(said["statement"]))
        holding = (
            relevant.sort(["entity", "is_out", "at", "rank"], descending=[False, True, True, False])
            .group_by("entity", maintain_order=True)
            .agg(
                pl.col("statement").first(),
                pl.col("is_out").first(),
                said=pl.len(),
                is_disputed=pl.col("is_out").any() & ~pl.col("is_out").all(),
            )
        )
        words = pl.when("is_out").then(pl.lit("opt_out")).otherwise(pl.lit("opt_in"))
        state = state.join(
            holding.select("entity", words.alias(column)), on="entity", how="left", maintain_order="left"
        ).with_columns(pl.col(column).fill_null("unknown"))
        traced.append(_trace(column, holding, statements, entities))
    state = state.select(
        entities.gather(state["entity"]).alias("entity_id"),
        *_SPEAKS_FOR,
        is_suppressed=pl.col("email_consent") == "opt_out",
    )
    return state, tuple(traced)


def _trace(column: str, holding: pl.DataFrame, statements: pl.DataFrame, entities: pl.Series) -> pl.DataFrame:
    origin = ["source", "record_id", "file", "row_number", "observed_at"]
    rows = holding.with_columns(
        entities.gather(holding["entity"]).alias("entity_id"),
        *(statements[c].gather(holding["statement"]).alias(c) for c in origin),
    )
    is_out = pl.col("is_out")
    return contract_of("golden.provenance").shape(
        rows.select(
            pl.lit("golden.contacts").alias("table_name"),
            "entity_id",
            pl.lit(column).alias("column_name"),
            pl.when(is_out).then(pl.lit("opt_out")).otherwise(pl.lit("opt_in")).alias("value"),
            "source",
            "record_id",
            "file",
            "row_number",
            pl.when(is_out)
            .then(pl.format("any opt-out holds, of {} statements", pl.col("said")))
            .otherwise(pl.format("opt-in and no opt-out, of {} statements", pl.col("said")))
            .alias("rule"),
            pl.when("is_disputed").then(pl.lit("opt_in")).alias("runner_up"),
            "observed_at",
        )
    )
