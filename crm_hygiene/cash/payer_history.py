"""Payer history: accounts that have paid a customer's invoices before, by the invoices' own numbers.

What nobody entered as a relation shows in the books: an account that cited and paid exactly a customer's
invoices pays for that customer. It names a payer where nothing on file does; it never contradicts a
citation, for it may begin to pay for another customer any day. What does not belong here: what is on file
(`payers`).
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.cash.plain import REFERENCE
from crm_hygiene.cash.references import normalised
from crm_hygiene.cash.rules import CashRules


def learned_accounts(
    entries: pl.DataFrame, claims: pl.DataFrame, standing: pl.DataFrame, hits: pl.DataFrame, rules: CashRules
) -> pl.DataFrame:
    """(`key`, `party`) of accounts with at least `learned_payments` exact payments for a customer.

    Parameters
    ----------
    entries, claims
        numbered payments with `payer_iban` and numbered invoices with `party`.
    standing
        live lines of earlier nights: `p`, `i`, `allocation_kind`, `stage_name`, `decision_id`.
    hits
        tonight's citations (`references.Citations`).
    """
    settled = standing.filter(
        (pl.col("allocation_kind") == "payment")
        & ((pl.col("stage_name") == REFERENCE) | pl.col("decision_id").is_not_null())
    ).select("p", "i")
    cited = (
        hits.filter((pl.len().over("p") == 1) & pl.col("is_specific") & pl.col("is_strong"))
        .filter("same_currency")
        .join(entries.select("p", "amount"), on="p")
        .join(claims.select("i", owed="amount"), on="i")
        .filter(pl.col("amount") == pl.col("owed"))
        .select("p", "i")
    )
    account = normalised("payer_iban")
    return (
        pl.concat([settled, cited])
        .unique()
        .join(claims.select("i", "party"), on="i")
        .join(entries.select("p", account.alias("iban")), on="p")
        .drop_nulls()
        .filter(pl.col("iban").str.len_chars() > 0)
        .group_by("iban", "party")
        .agg(pl.col("p").n_unique().alias("payments"))
        .filter(pl.col("payments") >= rules.learned_payments)
        .filter(pl.col("party").n_unique().over("iban") <= rules.max_parties)
        .select((pl.lit("iban:") + pl.col("iban")).alias("key"), "party")
        .sort("key", "party")
    )
