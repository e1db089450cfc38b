"""The pool: tonight's open payments and invoices and what is known of them, as the stages share it.

What does not belong here: any stage of matching; each is in the module named after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl
from rapidfuzz import process
from rapidfuzz.distance import OSA

from crm_hygiene.cash.doubts import Doubt
from crm_hygiene.cash.hypotheses import Claim, Hypothesis, Paid
from crm_hygiene.cash.kept_readings import KeptReadings
from crm_hygiene.cash.ledger import Ledger
from crm_hygiene.cash.payers import Payers
from crm_hygiene.cash.rules import CashRules

_CLAIM = [
    "i", "owed", "amount", "currency", "number", "issue_date", "due_date", "discount_days",
    "discount_percent", "late_interest_percent", "corrects",
]  # fmt: skip

#: Ways a payer is known that no other company can share by chance.
CERTAIN = ("account", "tax number", "virtual account", "relation", "earlier payments")


@dataclass
class Pool:
    """One night's payments and invoices.

    Attributes
    ----------
    entries, claims
        numbered payments and invoices; entries with `payers`, `payer_by`, `is_payer_unclear`.
    hits, orders, strangers
        citations (`payers.judge_hits`, `references.Citations`).
    told
        `advices.told_by_advice`.
    held
        payments that are not for automation.
    blocks
        invoice row -> why no payment may be posted to it.
    paid_before, fees_before
        (`p`, `i`) of live payment lines of earlier nights, (`i`, `fee`) of live fee lines.
    doubts
        of this round, by payment row.
    afterwards
        what only the doubts of the last round need: their suggestions.
    readings
        of payments that cite, as earlier rounds read them.
    pairs
        by series of equal invoices: (`p`, `i`, probability) of its pairs, as an earlier round found them.
    """

    ledger: Ledger
    entries: pl.DataFrame
    claims: pl.DataFrame
    who: Payers
    hits: pl.DataFrame
    orders: pl.DataFrame
    strangers: pl.DataFrame
    told: pl.DataFrame
    held: set[int]
    blocks: dict[int, str]
    paid_before: pl.DataFrame
    fees_before: pl.DataFrame
    rules: CashRules
    doubts: dict[int, Doubt] = field(default_factory=dict)
    afterwards: Callable[[], None] | None = None
    readings: KeptReadings = field(default_factory=KeptReadings)
    pairs: dict[Hashable, list[tuple[int, int, float]]] = field(default_factory=dict)

    def doubt(
        self, p: int, kind: str, reason: str, invoices: Iterable[int], readings: Iterable[Hypothesis] = ()
    ) -> None:
        """Say why payment row `p` is not posted."""
        self.doubts[p] = Doubt(kind, reason, tuple(invoices), tuple(readings))

    @cached_property
    def names(self) -> dict[int, list[str]]:
        """Payment row -> numbers in its text that look like an invoice's and are none of ours."""
        return dict(self.strangers.group_by("p").agg(pl.col("token").sort()).iter_rows())

    @cached_property
    def advised(self) -> dict[int, list[dict[str, Any]]]:
        """Payment row -> what its remittance advice tells."""
        return dict(by_payment(self.told))

    @cached_property
    def nameless(self) -> set[int]:
        """Payments that do not say who they are from: no name speaks against the invoice they cite."""
        told = pl.any_horizontal(
            pl.col("payer_name", "payer_iban", "payer_tax_id", "organisation_name_normalised").is_not_null()
        )
        return set(self.entries.filter(~told)["p"])

    def owed(self) -> pl.DataFrame:
        """`claims` with what is open on them now, as `owed`, and `is_blocked`."""
        return self.claims.with_columns(
            # A copy: postings change the ledger's own array.
            pl.Series("owed", self.ledger.invoice_open.copy()),
            pl.col("i").is_in(list(self.blocks)).alias("is_blocked"),
        )

    def pending(self) -> pl.DataFrame:
        """`entries` that have something `open` now and are automation's, with `is_touched`."""
        return self.entries.with_columns(
            pl.Series("open", self.ledger.payment_open.copy()),
            pl.Series("is_touched", self.ledger.is_touched.copy()),
        ).filter((pl.col("open") > 0) & ~pl.col("p").is_in(list(self.held)))

    @cached_property
    def dated(self) -> pl.DataFrame:
        """`claims` of a customer with a day of issue; the due date is that day where none is stated.

        `is_alike` says that the customer has several of the amount.
        """
        claims = self.claims.filter(
            pl.col("is_matchable")
            & (pl.col("amount") > 0)
            & pl.col("party").is_not_null()
            & pl.col("issue_date").is_not_null()
        )
        return claims.select(
            "i", "source", "customer_record_id", "party", "currency", "amount", "issue_date",
            pl.coalesce("due_date", "issue_date").alias("due_date"),
            (pl.len().over("party", "currency", "amount") > 1).alias("is_alike"),
        )  # fmt: skip

    def paid_so_far(self) -> pl.DataFrame:
        """(`p`, `i`) of the payment lines of earlier nights and of tonight."""
        lines = [self.paid_before, *(f.select("p", "i") for f in self.ledger.frames)]
        rows = [(row[0], row[1]) for row in self.ledger.rows if row[2] == "payment"]
        lines.append(pl.DataFrame(rows, schema={"p": pl.Int64, "i": pl.Int64}, orient="row"))
        return pl.concat(lines)

    def paid_alike(self, silent: pl.DataFrame) -> dict[int, int]:
        """Payments whose payer paid an invoice of exactly this amount shortly before or after."""
        paid = (
            self.paid_so_far()
            .join(self.entries.select("p", pl.col("booked_date").alias("paid_on")), on="p")
            .group_by("i")
            .agg(pl.col("paid_on").max())
            .join(self.claims.select("i", "party", "currency", pl.col("amount").alias("open")), on="i")
            .drop_nulls("party")
        )
        asked = silent.select(
            "p", "currency", "open", "booked_date", pl.col("payers").alias("party")
        ).explode("party")
        near = (pl.col("booked_date") - pl.col("paid_on")).dt.total_days().abs()
        found = asked.join(paid, on=["party", "currency", "open"]).filter(near <= self.rules.duplicate_days)
        found = (
            found.with_columns(near.alias("days"))
            .sort("p", "days", "i")
            .unique("p", keep="first", maintain_order=True)
        )
        return dict(found.select("p", "i").iter_rows())

    @cached_property
    def recurring(self) -> frozenset[int]:
        """Invoices of whose amount the same customer has more than one, settled ones counted."""
        alike = self.claims.filter(
            pl.col("party").is_not_null() & (pl.len().over("party", "currency", "amount") > 1)
        )
        return frozenset(alike["i"].to_list())

    @cached_property
    def slips(self) -> dict[int, frozenset[int]]:
        """Payment row -> invoices of its payer, settled ones too, whose number is few slips from the cited.

        For payments that cite a number that is nobody's, or one invoice of somebody else's. A number that is
        near to one of the payer's invoices alone names it, however many are equal.
        """
        foreign = self.hits.filter((pl.len().over("p") == 1) & ~pl.col("agrees")).select("p", "token")
        tokens = pl.concat([self.strangers.select("p", "token"), foreign])
        numbers = self.claims.filter(pl.col("number").str.len_chars() > 0)
        pairs = (
            tokens.join(self.entries.select("p", "currency", party="payers"), on="p")
            .explode("party")
            .drop_nulls("party")
            .join(numbers.select("party", "currency", "i", "number"), on=["party", "currency"])
        )
        if pairs.is_empty():
            return {}
        distance = process.cpdist(
            pairs["token"].to_list(), pairs["number"].to_list(), scorer=OSA.distance, workers=1
        )
        near = pairs.with_columns(pl.Series("slips", distance).cast(pl.Int64)).filter(
            pl.col("slips") <= self.rules.references.max_edits
        )
        asked = tokens.group_by("p").len("asked")
        whole = (
            near.group_by("p", "i").len("near").join(asked, on="p").filter(pl.col("near") == pl.col("asked"))
        )
        return {p: frozenset(i) for p, i in whole.group_by("p").agg("i").iter_rows()}

    @cached_property
    def other_purpose(self) -> set[int]:
        """Payments whose text says that they are for something else than an invoice."""
        words = self.rules.other_purposes
        if not words:
            return set()
        pattern = r"(?i)(?:^|[^\p{L}])(?:" + "|".join(re.escape(word) for word in words) + r")(?:[^\p{L}]|$)"
        says = pl.col("remittance_text").str.contains(pattern).fill_null(value=False)
        return set(self.entries.filter(says)["p"])


def by_payment(rows: pl.DataFrame) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Rows payment by payment, in order."""
    current, group = -1, list[dict[str, Any]]()
    for row in rows.sort("p", "i").iter_rows(named=True):
        if row["p"] != current:
            if group:
                yield current, group
            current, group = row["p"], []
        group.append(row)
    if group:
        yield current, group


def claims_of(frame: pl.DataFrame) -> dict[int, Claim]:
    """Claims by invoice row."""
    told = frame.with_columns(
        pl.col("corrects_invoice_number")
        .str.to_uppercase()
        .str.replace_all(r"[^\p{L}\p{N}]", "")
        .alias("corrects")
    )
    return {row[0]: Claim(*row) for row in told.select(_CLAIM).iter_rows()}


def payments_of(frame: pl.DataFrame) -> dict[int, Paid]:
    """Payments by row."""
    columns = [
        "p", "open", "currency", "booked_date", pl.col("payer_by").fill_null("unknown"), "instructed_amount",
        "instructed_currency", "charges_amount", "exchange_rate",
    ]  # fmt: skip
    return {row[0]: Paid(*row) for row in frame.select(columns).iter_rows()}


def days(column: str) -> pl.Expr:
    """A date as days since 1970."""
    return pl.col(column).cast(pl.Int32).cast(pl.Int64)
