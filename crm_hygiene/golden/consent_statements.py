"""Statements: what people said about being contacted, in one vocabulary, whatever said it.

Consents, unsubscribes among the interactions and what the suppression list remembers become one
frame. Whose they are belongs to `consent_anchors`, what follows from them to `consent`.
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.golden.consent_rules import EVERYTHING, UNKNOWN, ConsentRules
from crm_hygiene.row_ids import row_ids

_WHO = ["source", "record_id", "person_record_id", "email", "email_normalised", "phone"]
_ORIGIN = ["file", "row_number", "observed_at", "landed_at"]
_SAID = ["said_channel", "said_purpose", "consent_state", "said_evidence", "stated_at"]

# What is equal where one event is both an interaction and a consent.
_TWIN = ["source", "record_id", "person_record_id", "email", "email_normalised", "phone", "stated_at"]

#: Columns of a statement as it came, before its words are looked up.
RAW = [*_WHO, *_SAID, *_ORIGIN]


def as_statements(
    consents: pl.DataFrame,
    interactions: pl.LazyFrame,
    rules: ConsentRules,
    remembered: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Every statement once, sorted by `statement_id`; `statement` is the row's position.

    Parameters
    ----------
    consents, interactions
        conformed tables, the interactions lazy; every `unsubscribe` of them is an opt-out of marketing by
        e-mail.
    remembered
        opt-outs in the columns `RAW` that only the suppression list still knows.

    Returns
    -------
    polars.DataFrame
        `RAW` less the words said, and `channel`, `purpose`, `evidence_kind` in the words of the rules;
        `is_vague` where channel or purpose is in none of them: such an opt-out is one of everything
        (`any`) and `note` says so, such an opt-in is `unknown`. One statement landed several times is
        the one that landed first.
    """
    ledger = consents.select(
        *_WHO,
        pl.col("channel").alias("said_channel"),
        pl.col("purpose").alias("said_purpose"),
        "consent_state",
        pl.col("evidence_kind").alias("said_evidence"),
        "stated_at",
        *_ORIGIN,
    )
    unsubscribed = interactions.filter(pl.col("interaction_kind") == "unsubscribe").select(
        *_WHO,
        pl.lit("email").alias("said_channel"),
        pl.lit("marketing").alias("said_purpose"),
        pl.lit("opt_out").alias("consent_state"),
        pl.lit("unsubscribe").alias("said_evidence"),
        pl.col("occurred_at").alias("stated_at"),
        *_ORIGIN,
    )
    left = unsubscribed.collect().join(_twins(ledger), on=_TWIN, how="anti", nulls_equal=True)
    said = [ledger, left] if remembered is None else [ledger, left, remembered.select(RAW)]
    both = pl.concat(said)
    both = both.with_columns(statement_id=row_ids(both.select(*_WHO, *_SAID), "statement_id"))
    both = both.sort("statement_id", "landed_at", "file", "row_number", nulls_last=True)
    return _in_words(both.unique("statement_id", keep="first", maintain_order=True), rules).with_row_index(
        "statement"
    )


def _twins(ledger: pl.DataFrame) -> pl.DataFrame:
    """Opt-outs of an event that a source states as a consent as well (`7:unsubscribe` of event `7`)."""
    outs = ledger.filter(
        (pl.col("consent_state") == "opt_out")
        & (pl.col("said_channel") == "email")
        & (pl.col("said_purpose") == "marketing")
    )
    return outs.with_columns(pl.col("record_id").str.extract(r"^(.*):")).select(_TWIN)


def _key(column: str) -> pl.Expr:
    """`consent_rules.word_key` of a text column."""
    return pl.col(column).str.to_lowercase().str.replace_all(r"[^\w*]+|_+", "")


def _in_words(said: pl.DataFrame, rules: ConsentRules) -> pl.DataFrame:
    text = pl.String()
    known = said.with_columns(
        _key("said_channel")
        .replace_strict(rules.channel_words, default=None, return_dtype=text)
        .alias("channel"),
        _key("said_purpose")
        .replace_strict(rules.purpose_words, default=None, return_dtype=text)
        .alias("purpose"),
        _key("said_evidence")
        .replace_strict(
            rules.evidence_words | {"suppressionlist": "suppression_list"}, default=None, return_dtype=text
        )
        .alias("evidence_kind"),
    )
    is_out = pl.col("consent_state") == "opt_out"
    worst = pl.when(is_out).then(pl.lit(EVERYTHING)).otherwise(pl.lit(UNKNOWN))
    notes = [
        pl.when(pl.col(name).is_null()).then(
            pl.when(pl.col(f"said_{name}").is_null())
            .then(pl.lit(f"no {name} stated"))
            .otherwise(pl.format(f"{name} '{{}}' is in no rule", f"said_{name}"))
        )
        for name in ("channel", "purpose")
    ]
    doubt = pl.concat_str(notes, separator=", ", ignore_nulls=True)
    taken = pl.when(is_out).then(pl.lit("taken for every one")).otherwise(pl.lit("counts for nothing"))
    is_vague = pl.col("channel").is_null() | pl.col("purpose").is_null()
    return known.with_columns(
        pl.col("channel").fill_null(worst),
        pl.col("purpose").fill_null(worst),
        is_vague=is_vague,
        note=pl.when(is_vague).then(pl.format("{}: {}", doubt, taken)),
    )


def vague_notes(statements: pl.DataFrame) -> list[str]:
    """One line per source and doubt for the operator: words that no consent rule knows."""
    counted = (
        statements.filter("is_vague").group_by("source", "consent_state", "note").agg(n=pl.len())
    ).sort("source", "consent_state", "note")
    return [
        f"consent: {row['n']:,} {'opt-outs' if row['consent_state'] == 'opt_out' else 'opt-ins'} of "
        f"{row['source']}: {row['note']}; a word can be added in the file that rules.consent names"
        for row in counted.iter_rows(named=True)
    ]
