"""References: which invoices a payment cites.

Numbers of invoices, structured references and orders go into one inverted index; the texts of each
payment are cut into pieces once, and runs of neighbouring pieces are looked up in it, so that
`INV-2024-001`, `INV 2024 001` and a number broken across two lines are the same reference, while
`1INV20240019` is not. What does not belong here: whether a citation settles anything (`hypotheses`).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from crm_hygiene.cash.rules import ReferenceRules
from crm_hygiene.lookup import Lookup

#: Where an invoice states a reference, best first.
INVOICE_FIELDS = ("invoice_number", "payment_reference", "purchase_order_number", "serial")
SERIAL = INVOICE_FIELDS.index("serial")
"""What clerks type of `INV-2026-064950`: its last digits, or all of them. Says little of itself."""
#: Where a payment may cite one, best first; from the third on free text.
PAYMENT_FIELDS = ("creditor_reference", "end_to_end_id", "remittance_text", "bank_reference")
CHUNK = 250_000
_PREFIX = 4

HITS = pl.Schema(
    {
        "p": pl.Int64(),
        "i": pl.Int64(),
        "token": pl.String(),
        "field": pl.Int8(),
        "kind": pl.Int8(),
        "same_currency": pl.Boolean(),
        "is_specific": pl.Boolean(),
        "is_strong": pl.Boolean(),
    }
)


@dataclass(frozen=True)
class Citations:
    """What the payments cite.

    `hits`: one row per payment `p` and invoice `i` with the best token; `orders`: payments that
    name an order without any invoice (`p`, `token`, `o` row of the order); `strangers`: payments
    that cite something in the shape of an invoice number which is no known one (`p`, `token`).
    """

    hits: pl.DataFrame
    orders: pl.DataFrame
    strangers: pl.DataFrame


def normalised(column: str) -> pl.Expr:
    """Upper case, letters and digits only."""
    return pl.col(column).str.to_uppercase().str.replace_all(r"[^\p{L}\p{N}]", "")


def _specific(rules: ReferenceRules) -> pl.Expr:
    length = pl.col("token").str.len_chars()
    return (length >= rules.min_length) & (length <= rules.max_length) & pl.col("token").str.contains(r"\d")


def index_references(invoices: pl.DataFrame, rules: ReferenceRules) -> pl.DataFrame:
    """The inverted index: one row (`token`, `kind`, `i`, `currency`, `is_specific`) per reference.

    `is_specific` says that the token belongs to exactly one invoice of its currency.
    """
    parts = [
        invoices.select(
            "i", "currency", normalised(field).alias("token"), pl.lit(rank, pl.Int8).alias("kind")
        )
        for rank, field in enumerate(INVOICE_FIELDS[:SERIAL])
    ]
    index = pl.concat(parts).filter(pl.col("token").is_not_null()).filter(_specific(rules))
    index = index.group_by("token", "i", "currency").agg(pl.col("kind").min())
    # A credit note often has the serial of the invoice it corrects.
    billed = invoices.filter(pl.col("amount") > 0)
    digits = (
        pl.col("invoice_number").str.extract(r"[^0-9]([0-9]+)$"),
        normalised("invoice_number").str.extract(r"^\p{L}+([0-9]+)$"),
    )
    kind = pl.lit(SERIAL, pl.Int8).alias("kind")
    serials = (
        pl.concat(billed.select("i", "currency", text.alias("token"), kind) for text in digits)
        .drop_nulls("token")
        .filter(_specific(rules))
        .unique()
        .join(index.select("token"), on="token", how="anti")
    )
    index = pl.concat([index, serials.select(index.columns)])
    holders = pl.col("i").n_unique().over("token", "currency")
    return (
        index.with_columns((holders == 1).alias("is_specific"))
        .filter(holders <= rules.max_shared)
        .sort("token", "i")
    )


def _pieces(payments: pl.DataFrame, field: str) -> pl.DataFrame:
    return (
        payments.filter(pl.col(field).is_not_null())
        .select("p", pl.col(field).str.to_uppercase().str.extract_all(r"[\p{L}\p{N}]+").alias("piece"))
        .explode("piece")
        .filter(pl.col("piece").is_not_null())
    )


def _spans(
    pieces: pl.DataFrame,
    tokens: Lookup,
    longest: int,
    prefixes: pl.Series,
    shapes: pl.Series,
    rules: ReferenceRules,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Runs of pieces that are a known token, and runs that only have the shape of an invoice number.

    No token is longer than `longest`; `prefixes` are their beginnings of up to `_PREFIX` characters.
    """
    run = pieces.with_columns(pl.col("piece").alias("token"), pl.int_range(pl.len()).alias("start"))
    found, strange = [], []
    for size in range(1, rules.max_pieces + 1):
        # A run can only grow into a reference while some reference begins like it.
        run = run.filter(
            (pl.col("token").str.len_chars() <= longest)
            & pl.col("token").str.slice(0, _PREFIX).is_in(prefixes.implode())
        )
        if run.is_empty():
            break
        sized = run.select("p", "token", "start", pl.lit(size).alias("size")).filter(_specific(rules))
        known = sized.filter(tokens.places(sized["token"]).is_not_null())
        found.append(known)
        shape = pl.col("token").str.replace_all(r"\d", "9")
        strange.append(
            sized.join(known, on=["start"], how="anti")
            .filter(shape.is_in(shapes.implode()))
            .select("p", "token")
        )
        run = run.filter(pl.col("start") + size < pieces.height)
        following = pieces[(run["start"] + size)]
        run = run.with_columns(
            (pl.col("token") + following["piece"]).alias("token"), following["p"].alias("next_p")
        ).filter(pl.col("next_p") == pl.col("p"))
    empty = pl.DataFrame(schema={"p": pl.Int64, "token": pl.String, "start": pl.Int64, "size": pl.Int32})
    return pl.concat([empty, *found], how="vertical_relaxed"), pl.concat(
        [empty.select("p", "token"), *strange]
    )


def _longest_only(spans: pl.DataFrame) -> pl.DataFrame:
    """Drop a token that lies inside a longer one of the same text: part of a number is not the number."""
    several = spans.filter(pl.len().over("p") > 1)
    if several.is_empty():
        return spans
    end = pl.col("start") + pl.col("size")
    inside = (
        several.join(several, on="p", suffix="_other")
        .filter(
            (pl.col("size_other") > pl.col("size"))
            & (pl.col("start_other") <= pl.col("start"))
            & (pl.col("start_other") + pl.col("size_other") >= end)
        )
        .select("p", "start", "size")
    )
    return spans.join(inside, on=["p", "start", "size"], how="anti")


def find_references(
    payments: pl.DataFrame, invoices: pl.DataFrame, orders: pl.DataFrame, rules: ReferenceRules
) -> Citations:
    """What each payment cites.

    Parameters
    ----------
    payments
        `p` (row number), `currency` and the `PAYMENT_FIELDS` of a payment.
    invoices
        `i` (row number), `currency`, `amount` and the three reference fields of an invoice.
    orders
        `o` (row number) and `purchase_order_number`.
    """
    index = index_references(invoices, rules)
    order_index = (
        orders.select("o", normalised("purchase_order_number").alias("token"))
        .filter(pl.col("token").is_not_null())
        .filter(_specific(rules))
        .join(index, on="token", how="anti")
        .sort("token", "o")
        .unique("token", keep="first", maintain_order=True)
    )
    tokens = pl.concat([index["token"], order_index["token"]]).unique().sort()
    number_shapes = invoices.select(normalised("invoice_number").str.replace_all(r"\d", "9").alias("s"))
    # Bare digits are dates, telephone and customer numbers as well: no shape to go by.
    shapes = number_shapes.filter(pl.col("s").str.contains(r"\p{L}"))["s"].unique()
    prefixes = pl.concat([tokens.str.slice(0, n) for n in range(1, _PREFIX + 1)]).unique()
    longest = min(rules.max_length, int(tokens.str.len_chars().max() or 0))  # type: ignore[arg-type]
    known_tokens = Lookup(tokens)
    spans, strange = [], []
    for offset in range(0, payments.height, CHUNK):
        chunk = payments.slice(offset, CHUNK)
        for rank, field in enumerate(PAYMENT_FIELDS):
            known, shaped = _spans(_pieces(chunk, field), known_tokens, longest, prefixes, shapes, rules)
            known = _longest_only(known).select("p", "token").unique()
            spans.append(known.with_columns(pl.lit(rank, pl.Int8).alias("field")))
            strange.append(shaped.unique())
    if not spans:
        spans = [pl.DataFrame(schema={"p": pl.Int64, "token": pl.String, "field": pl.Int8})]
        strange = [pl.DataFrame(schema={"p": pl.Int64, "token": pl.String})]
    cited = pl.concat(spans)
    hits = _hits(cited, index, payments.select("p", pl.col("currency").alias("paid_currency")))
    named = cited.join(order_index, on="token").sort("p", "field", "token").unique("p", keep="first")
    stranger = pl.concat(strange).unique().sort("p", "token")
    return Citations(
        hits=hits,
        orders=named.select("p", "token", "o").join(hits, on="p", how="anti").sort("p"),
        strangers=stranger.join(hits, on="p", how="anti").sort("p", "token"),
    )


def without_chance_serials(hits: pl.DataFrame) -> pl.DataFrame:
    """`payers.judge_hits` without serials of others' invoices than the payer's: digits are dates too."""
    return hits.filter((pl.col("kind") != SERIAL) | pl.col("agrees"))


def _hits(cited: pl.DataFrame, index: pl.DataFrame, currencies: pl.DataFrame) -> pl.DataFrame:
    structured = pl.col("field") < PAYMENT_FIELDS.index("remittance_text")
    return (
        cited.join(index, on="token")
        .join(currencies, on="p")
        .with_columns(
            (pl.col("currency") == pl.col("paid_currency")).alias("same_currency"),
            (structured | pl.col("token").str.contains(r"\p{L}")).alias("is_strong"),
        )
        .sort(
            "p",
            "i",
            "is_specific",
            "is_strong",
            "kind",
            "field",
            "token",
            descending=[False, False, True, True, False, False, False],
        )
        .unique(["p", "i"], keep="first", maintain_order=True)
        .select(HITS.names())
        .cast(dict(HITS))  # type: ignore[arg-type]
    )
