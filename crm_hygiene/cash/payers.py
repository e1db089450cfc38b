"""Payers: which customer sent a payment, by account, tax number or name.

A party is an organisation entity where the invoice's customer is linked, else the customer number,
tax number or name of the invoice. An account or tax number is strong evidence and can contradict; a
name is weak evidence and cannot. What does not belong here: matching of amounts (`stages`).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from crm_hygiene.cash.references import normalised


@dataclass(frozen=True)
class Payers:
    """Who owes and who paid.

    `invoice_party`: `i`, `party`; `payment_parties`: `p`, `strong` and `named` (lists of parties),
    `payer` (the one party the payment is from, or null) and `payer_by`.
    """

    invoice_party: pl.DataFrame
    payment_parties: pl.DataFrame


def _filled(column: str, prefix: str) -> pl.Expr:
    text = normalised(column)
    return pl.when(text.str.len_chars() > 0).then(pl.lit(prefix) + text)


def name_key(column: str = "organisation_name_normalised") -> pl.Expr:
    """The normalised name as a key: lower case, single blanks, null if empty."""
    text = pl.col(column).str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    return pl.when(text.str.len_chars() > 0).then(text)


def parties_of_documents(documents: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """Add `entity_id` and `party` to invoices or orders by their customer."""
    linked = members.select("entity_id", "source", pl.col("record_id").alias("customer_record_id"))
    customer = pl.lit("customer:") + pl.col("source") + "/" + pl.col("customer_record_id")
    return documents.join(
        linked, on=["source", "customer_record_id"], how="left", maintain_order="left"
    ).with_columns(
        pl.coalesce(
            pl.lit("entity:") + pl.col("entity_id"),
            customer,
            _filled("tax_id", "tax:"),
            pl.lit("name:") + name_key(),
        ).alias("party")
    )


def _keys(frame: pl.DataFrame) -> pl.DataFrame:
    """(`key`, `party`) for every account, tax number and name a frame states of a party."""
    have = [_filled(c, f"{c}:") for c in ("iban", "tax_id") if c in frame.columns]
    named = pl.lit("name:") + name_key()
    columns = [*have, named]
    return pl.concat([frame.select(c.alias("key"), "party") for c in columns]).drop_nulls()


def identify_payers(
    payments: pl.DataFrame,
    invoices: pl.DataFrame,
    organisations: pl.DataFrame,
    members: pl.DataFrame,
    max_parties: int,
) -> Payers:
    """Tie payments to the parties that owe.

    Parameters
    ----------
    payments
        `p`, `payer_iban`, `payer_tax_id`, `organisation_name_normalised`.
    invoices
        `i`, `party`, `iban`, `tax_id`, `organisation_name_normalised`.
    organisations, members
        `conformed.organisations` and `linked.organisation_members`.
    max_parties
        a key that stands for more parties names nobody.
    """
    known = organisations.filter(~pl.col("is_deleted")).join(members, on=["source", "record_id"])
    known = known.with_columns((pl.lit("entity:") + pl.col("entity_id")).alias("party"))
    keys = pl.concat([_keys(invoices), _keys(known)]).unique()
    parties = (
        keys.group_by("key")
        .agg(pl.col("party").unique().sort())
        .filter(pl.col("party").list.len() <= max_parties)
    )
    asked = payments.select(
        "p",
        _filled("payer_iban", "iban:").alias("iban"),
        _filled("payer_tax_id", "tax_id:").alias("tax_id"),
        (pl.lit("name:") + name_key()).alias("name"),
    )
    for column in ("iban", "tax_id", "name"):
        found = parties.select(pl.col("key").alias(column), pl.col("party").alias(f"{column}_parties"))
        asked = asked.join(found, on=column, how="left", maintain_order="left")
    nobody = pl.lit([], dtype=pl.List(pl.String))
    asked = asked.select(
        "p",
        pl.col("iban_parties").fill_null(nobody),
        pl.col("tax_id_parties").fill_null(nobody),
        pl.col("name_parties").fill_null(nobody).alias("named"),
    ).with_columns(pl.col("iban_parties").list.set_union("tax_id_parties").list.sort().alias("strong"))
    is_strong = pl.col("strong").list.len() > 0
    by = pl.when(is_strong).then(
        pl.when(pl.col("iban_parties").list.len() > 0).then(pl.lit("account")).otherwise(pl.lit("tax number"))
    )
    sole = pl.when(is_strong).then(pl.col("strong")).otherwise(pl.col("named"))
    asked = asked.with_columns(
        pl.when(sole.list.len() == 1).then(sole.list.first()).alias("payer"),
        by.otherwise(pl.lit("name")).alias("payer_by"),
    )
    return Payers(
        invoice_party=invoices.select("i", "party"),
        payment_parties=asked.select("p", "strong", "named", "payer", "payer_by").sort("p"),
    )


def judge_hits(hits: pl.DataFrame, payers: Payers) -> pl.DataFrame:
    """Add to each citation whether its payer `agrees` with the invoice's customer, or `contradicts` it.

    A payer contradicts where its account or tax number is known and belongs to other customers only;
    `is_other_name` says that just its name does.
    """
    holds_strong = pl.col("strong").list.contains(pl.col("party"))
    holds_name = pl.col("named").list.contains(pl.col("party"))
    judged = hits.join(payers.invoice_party, on="i", how="left").join(
        payers.payment_parties.select("p", "strong", "named"), on="p", how="left"
    )
    return (
        judged.with_columns((holds_strong | holds_name).fill_null(value=False).alias("agrees"))
        .with_columns(
            ((pl.col("strong").list.len() > 0) & pl.col("party").is_not_null() & ~pl.col("agrees")).alias(
                "contradicts"
            )
        )
        .with_columns(
            ((pl.col("named").list.len() > 0) & pl.col("party").is_not_null() & ~pl.col("agrees")).alias(
                "is_other_name"
            )
        )
        .drop("strong", "named", "party")
        .sort("p", "i")
    )
