"""The plain case: one payment, one invoice, one exact amount, and nobody else claims either.

Whole columns at a time, for this is most of a night. What does not belong here: anything that has to be
weighed (`hypotheses`, `choice`).
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.cash.references import INVOICE_FIELDS, PAYMENT_FIELDS
from crm_hygiene.cash.rules import CashRules, Window

REFERENCE = "exact_reference"
PAYER = "payer_and_amount"


def in_window(window: Window) -> pl.Expr:
    """Whether `booked_date` lies within the window; a missing date never contradicts."""
    early = (pl.col("issue_date") - pl.col("booked_date")).dt.total_days() <= window.before_issue
    last = pl.coalesce("due_date", "issue_date")
    late = (pl.col("booked_date") - last).dt.total_days() <= window.after_due
    return early.fill_null(value=True) & late.fill_null(value=True)


def citation_words() -> pl.Expr:
    """`invoice number INV1 in remittance text`."""
    named = ("invoice number", "payment reference", "purchase order number", "invoice number ending in")
    kinds = dict(enumerate(named[: len(INVOICE_FIELDS)]))
    fields = dict(enumerate(name.replace("_", " ") for name in PAYMENT_FIELDS))
    return pl.format(
        "{} {} in {}",
        pl.col("kind").replace_strict(kinds, return_dtype=pl.String),
        "token",
        pl.col("field").replace_strict(fields, return_dtype=pl.String),
    )


def date_weight(rules: CashRules) -> pl.Expr:
    """What the day of booking says for an invoice: after its issue, up to a month after it is due."""
    last = pl.coalesce("due_date", "issue_date")
    after = (pl.col("booked_date") >= pl.col("issue_date")).fill_null(value=True)
    before = (pl.col("booked_date") <= last + pl.duration(days=30)).fill_null(value=True)
    known = pl.col("booked_date").is_not_null()
    return pl.when(known & after & before).then(rules.evidence.date).otherwise(0)


def plain_references(hits: pl.DataFrame, taken: pl.DataFrame, rules: CashRules) -> pl.DataFrame:
    """Rows for `Ledger.post_plain` among the citations of tonight's pending payments.

    Parameters
    ----------
    hits
        every citation of a pending payment, judged, with `open` and `booked_date` of the payment,
        `owed`, `issue_date` and `due_date` of the invoice, `is_blocked`, `payer_by`.
    taken
        `p` of payments that are not for the plain way (duplicates, told by an advice).
    """
    weights = rules.evidence
    payer = pl.when("agrees").then(pl.col("payer_by").fill_null("unknown")).otherwise(
        pl.when("is_other_name").then(pl.lit("another name")).otherwise(pl.lit("unknown"))
    )  # fmt: skip
    reference = (
        pl.when("is_strong").then(weights.reference["specific"]).otherwise(weights.reference["digits"])
    )
    plain = (
        hits.filter((pl.len().over("p") == 1) & (pl.len().over("i") == 1))
        .filter(
            pl.col("same_currency") & pl.col("is_specific") & ~pl.col("contradicts") & ~pl.col("is_blocked")
        )
        .filter((pl.col("open") == pl.col("owed")) & in_window(rules.windows.reference))
        .join(taken, on="p", how="anti")
        .with_columns(
            (
                reference
                + weights.amount["exact"]
                + payer.replace_strict(weights.payer, return_dtype=pl.Int64)
                + date_weight(rules)
            ).alias("score")
        )
        .filter(pl.col("score") >= rules.minimum)
    )
    return plain.select(
        "p", "i", pl.col("open").alias("amount"), pl.lit(REFERENCE).alias("stage_name"),
        pl.lit("one_to_one").alias("hypothesis_kind"), "score",
        (citation_words() + pl.lit("; amount equals the open amount")).alias("evidence"),
    ).sort("p")  # fmt: skip


def _is_odd(rules: CashRules) -> pl.Expr:
    """Whether a round amount came on a day far from the due date, or from who may be several customers."""
    last = pl.coalesce("due_date", "issue_date")
    far = (pl.col("booked_date") - last).dt.total_days().abs() > rules.due_order.round_days
    return (far.fill_null(value=False) | pl.col("is_of_several")) & pl.col("is_round")


def plain_payers(edges: pl.DataFrame, rules: CashRules) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows for `Ledger.post_plain` where payer and amount name one invoice, and the edges that remain.

    Parameters
    ----------
    edges
        `candidates.amount_edges`: `p`, `i`, `way`, `open`, `payer_by`, dates, `is_contested`,
        `is_blocked`, `is_repeat_risk`, `has_stranger`, `is_round`, `is_of_several`.

    A round amount proves little of itself: then the day has to be near the due date too.
    """
    weights = rules.evidence
    score = (
        pl.col("payer_by").replace_strict(weights.payer, return_dtype=pl.Int64)
        + weights.amount["exact"]
        + date_weight(rules)
    )
    marked = edges.with_columns(
        score.alias("score"),
        _is_odd(rules).alias("is_odd"),
        ((pl.len().over("p") == 1) & (pl.len().over("i") == 1) & (pl.col("way") == "exact")).alias("is_sole"),
    )
    doubtful = pl.any_horizontal("is_contested", "is_blocked", "is_repeat_risk", "has_stranger", "is_odd")
    is_plain = pl.col("is_sole") & ~doubtful & (pl.col("score") >= rules.minimum)
    plain = marked.filter(is_plain)
    words = pl.format("payer by {}; the only open invoice of the payer with this amount", "payer_by")
    return plain.select(
        "p", "i", pl.col("open").alias("amount"), pl.lit(PAYER).alias("stage_name"),
        pl.lit("one_to_one").alias("hypothesis_kind"), "score", words.alias("evidence"),
    ).sort("p"), marked.filter(~is_plain)  # fmt: skip
