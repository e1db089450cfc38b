"""The ledger: what payments and invoices still have open, and the lines posted between them.

Append-only: what is taken back is a contra line. No posting takes more than a payment has or an invoice
is open for; amounts of credit notes are negative and so is what is posted to them. What does not belong
here: the choice of what to post (`choice`) and the states that follow (`states`).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from crm_hygiene.cash.money import from_units, to_units
from crm_hygiene.contract import contract_of

PAYMENT_KEY = ["payment_source", "payment_record_id"]
INVOICE_KEY = ["invoice_source", "invoice_record_id"]
#: Kinds that leave the invoice's open amount alone.
BESIDE_INVOICE = ("interest", "refund")
NOBODY = -1

Units = npt.NDArray[np.int64]

LINES = pl.Schema(
    {
        "p": pl.Int64(),
        "i": pl.Int64(),
        "allocation_kind": pl.String(),
        "used_amount": pl.Int64(),
        "allocated_amount": pl.Int64(),
        "stage_name": pl.String(),
        "hypothesis_kind": pl.String(),
        "score": pl.Int64(),
        "evidence": pl.String(),
        "decision_id": pl.String(),
        "reverses_allocation_id": pl.String(),
    }
)


class Line(NamedTuple):
    """`used` of the payment and `allocated` to invoice row `i` (-1 for none), in ten-thousandths."""

    i: int
    kind: str
    used: int
    allocated: int


@dataclass
class Ledger:
    """Open amounts by row number of payment and invoice, in ten-thousandths, and tonight's lines."""

    payment_amount: Units
    payment_open: Units
    invoice_open: Units
    is_touched: npt.NDArray[np.bool_]
    frames: list[pl.DataFrame] = field(default_factory=list)
    rows: list[tuple[int, int, str, int, int, str, str, int | None, str, str | None, str | None]] = field(
        default_factory=list
    )

    def post(
        self,
        p: int,
        lines: Sequence[Line],
        *,
        stage: str,
        kind: str,
        score: int | None,
        evidence: str,
        decision_id: str | None = None,
    ) -> None:
        """Post the lines of one payment together.

        Raises
        ------
        ValueError
            if they would break conservation.
        """
        used = sum(line.used for line in lines)
        have = int(self.payment_open[p]) if p != NOBODY else 0
        net: defaultdict[int, int] = defaultdict(int)
        for line in lines:
            # The rest of a payment is written off of the payment alone.
            if line.kind not in BESIDE_INVOICE and line.i != NOBODY:
                net[line.i] += line.allocated
        if not 0 <= used <= have or any(not _fits(n, int(self.invoice_open[i])) for i, n in net.items()):
            raise ValueError(f"posting {list(lines)} of payment row {p} breaks conservation")
        if p != NOBODY:
            self.payment_open[p] -= used
            self.is_touched[p] = True
        for i, n in net.items():
            self.invoice_open[i] -= n
        for line in lines:
            self.rows.append(
                (
                    p,
                    line.i,
                    line.kind,
                    line.used,
                    line.allocated,
                    stage,
                    kind,
                    score,
                    evidence,
                    decision_id,
                    None,
                )
            )

    def post_plain(self, frame: pl.DataFrame) -> None:
        """Post many payments in full: `p`, `i`, `amount`, stage, kind, score and evidence.

        Each payment and each invoice at most once.

        Raises
        ------
        ValueError
            if they would break conservation.
        """
        if frame.is_empty():
            return
        p, i, amount = (frame[c].to_numpy() for c in ("p", "i", "amount"))
        if len(np.unique(p)) != len(p) or len(np.unique(i)) != len(i):
            raise ValueError("a payment or an invoice is posted twice")
        if (
            (amount <= 0).any()
            or (amount > self.payment_open[p]).any()
            or (amount > self.invoice_open[i]).any()
        ):
            raise ValueError("plain postings break conservation")
        self.payment_open[p] -= amount
        self.invoice_open[i] -= amount
        self.is_touched[p] = True
        self.frames.append(
            frame.select(
                "p",
                "i",
                pl.lit("payment").alias("allocation_kind"),
                pl.col("amount").alias("used_amount"),
                pl.col("amount").alias("allocated_amount"),
                "stage_name",
                "hypothesis_kind",
                "score",
                "evidence",
                pl.lit(None, pl.String).alias("decision_id"),
                pl.lit(None, pl.String).alias("reverses_allocation_id"),
            ).cast(dict(LINES))  # type: ignore[arg-type]
        )

    def reverse(
        self, live: pl.DataFrame, *, stage: str, evidence: dict[str, str], decision_id: str | None = None
    ) -> None:
        """Contra lines for `live` ones (`live_lines`); `evidence` by allocation id.

        The payment's and the invoice's open amounts rise by what is taken back.
        """
        columns = ["allocation_id", "p", "i", "allocation_kind", "used_amount", "allocated_amount"]
        for key, p, i, kind, used, allocated in live.sort("allocation_id").select(columns).iter_rows():
            if p != NOBODY:
                self.payment_open[p] += used
                self.is_touched[p] = self.payment_open[p] < self.payment_amount[p]
            if i != NOBODY and kind not in BESIDE_INVOICE:
                self.invoice_open[i] += allocated
            self.rows.append(
                (
                    p,
                    i,
                    "reversal",
                    -used,
                    -allocated,
                    stage,
                    "reversal",
                    None,
                    evidence[key],
                    decision_id,
                    key,
                )
            )

    @property
    def line_count(self) -> int:
        """Lines posted tonight."""
        return len(self.rows) + sum(frame.height for frame in self.frames)


def _fits(net: int, is_open: int) -> bool:
    return 0 <= net <= is_open if is_open >= 0 else is_open <= net <= 0


def with_effect(allocations: pl.DataFrame) -> pl.DataFrame:
    """Allocations with `effect`, the kind whose balance a line changes, and whether it `is_live`.

    A contra line changes the balance of the line it takes back. Amounts become ten-thousandths; lines of
    nights before `used_amount` was kept used what they posted, fees aside.
    """
    taken_back = allocations.select(
        pl.col("reverses_allocation_id").alias("allocation_id"), pl.lit(value=False).alias("is_live")
    ).filter(pl.col("allocation_id").is_not_null())
    original = allocations.select(
        pl.col("allocation_id").alias("reverses_allocation_id"), pl.col("allocation_kind").alias("original")
    )
    uses = ["payment", "interest", "refund"]
    used = (
        pl.when(pl.col("used_amount").is_not_null())
        .then(to_units("used_amount"))
        .when(pl.col("allocation_kind").is_in(uses))
        .then(to_units("allocated_amount"))
        .otherwise(0)
    )
    known = allocations.join(taken_back.unique(), on="allocation_id", how="left")
    if taken_back.height:
        known = known.join(original, on="reverses_allocation_id", how="left")
    else:
        known = known.with_columns(pl.lit(None, pl.String).alias("original"))
    is_contra = pl.col("allocation_kind") == "reversal"
    return known.with_columns(
        pl.coalesce("original", "allocation_kind").alias("effect"),
        (~is_contra & pl.col("is_live").fill_null(value=True)).alias("is_live"),
        used.alias("used_amount"),
        to_units("allocated_amount"),
    ).drop("original")


def used_by_payment(effects: pl.DataFrame) -> pl.DataFrame:
    """Per payment `used` with `fee`, `refunded`, `written_off` in ten-thousandths, and `has_live`.

    Of `with_effect`'s lines.
    """
    of = pl.col("effect")
    return (
        effects.filter(pl.col("payment_record_id").is_not_null())
        .group_by(PAYMENT_KEY)
        .agg(
            pl.col("used_amount").sum().alias("used"),
            pl.col("allocated_amount").filter(of == "fee").sum().alias("fee"),
            pl.col("used_amount").filter(of == "refund").sum().alias("refunded"),
            pl.col("used_amount").filter(of == "write_off").sum().alias("written_off"),
            pl.col("is_live").any().alias("has_live"),
            ((pl.col("stage_name") == "reversal") & (pl.col("allocation_kind") == "reversal"))
            .any()
            .alias("is_taken_back"),
        )
    )


def settled_by_invoice(effects: pl.DataFrame) -> pl.DataFrame:
    """Per invoice `settled` and its parts by kind (`payment`, `fee`, ...), in ten-thousandths."""
    of, amount = pl.col("effect"), pl.col("allocated_amount")
    kinds = ("payment", "fee", "discount", "exchange", "credit_note", "write_off", "interest")
    return (
        effects.filter(pl.col("invoice_record_id").is_not_null())
        .group_by(INVOICE_KEY)
        .agg(
            amount.filter(~of.is_in(list(BESIDE_INVOICE))).sum().alias("settled"),
            *(amount.filter(of == kind).sum().alias(kind) for kind in kinds),
        )
    )


def keyed(frame: pl.DataFrame, sums: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """`sums` beside the rows of `frame` with (`source`, `record_id`), in its order."""
    return frame.join(sums, left_on=["source", "record_id"], right_on=key, how="left", maintain_order="left")


def open_ledger(payments: pl.DataFrame, invoices: pl.DataFrame, effects: pl.DataFrame) -> Ledger:
    """The ledger before tonight: amounts less what earlier nights posted.

    Parameters
    ----------
    payments
        in row order: `source`, `record_id`, `amount` in ten-thousandths, `is_matchable`.
    invoices
        in row order: `source`, `record_id`, `amount` in ten-thousandths, negative for credit notes.
    effects
        `with_effect` of `reconciled.allocations`.
    """
    had = keyed(payments, used_by_payment(effects), PAYMENT_KEY)
    left = (pl.col("amount") - pl.col("used").fill_null(0)).clip(lower_bound=0)
    owed = keyed(invoices, settled_by_invoice(effects), INVOICE_KEY)
    rest = pl.col("amount") - pl.col("settled").fill_null(0)
    is_credit = pl.col("amount") < 0
    bounded = pl.when(is_credit).then(rest.clip(upper_bound=0)).otherwise(rest.clip(lower_bound=0))
    has_open = had.select(pl.when("is_matchable").then(left).otherwise(0).alias("n"))["n"]
    return Ledger(
        payment_amount=payments["amount"].to_numpy().copy(),
        payment_open=has_open.cast(pl.Int64).to_numpy().copy(),
        invoice_open=owed.select(bounded.alias("n"))["n"].cast(pl.Int64).to_numpy().copy(),
        is_touched=had["has_live"].fill_null(value=False).to_numpy().copy(),
    )


def live_lines(effects: pl.DataFrame, payments: pl.DataFrame, invoices: pl.DataFrame) -> pl.DataFrame:
    """Lines of earlier nights not yet taken back, with row numbers `p` and `i` (-1 for none)."""
    p = payments.select(
        pl.col("source").alias("payment_source"), pl.col("record_id").alias("payment_record_id"), "p"
    )
    i = invoices.select(
        pl.col("source").alias("invoice_source"), pl.col("record_id").alias("invoice_record_id"), "i"
    )
    return (
        effects.filter("is_live")
        .join(p, on=PAYMENT_KEY, how="left")
        .join(i, on=INVOICE_KEY, how="left")
        .with_columns(pl.col("p", "i").fill_null(NOBODY))
    )


def _allocation_ids(new: pl.DataFrame, previous: pl.DataFrame) -> list[str]:
    """SHA-256 of payment, invoice, amount and kind; the same line made again on a later night counts up."""
    what = [*PAYMENT_KEY, *INVOICE_KEY, "allocation_kind", "allocated_amount", "reverses_allocation_id"]
    touched = previous.join(new.select(PAYMENT_KEY).unique(), on=PAYMENT_KEY, how="semi", nulls_equal=True)
    seen = Counter(touched.select(what).iter_rows())
    ids = []
    for row in new.select(what).iter_rows():
        again = seen[row]
        seen[row] += 1
        parts = [*(str(v) for v in row[:6]), *([row[6]] if row[6] else []), *([str(again)] if again else [])]
        ids.append(hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32])
    return ids


def _keys_of(allocations: pl.DataFrame) -> pl.DataFrame:
    """What a contra line takes over from the line `reverses_allocation_id`, under names ending in `_back`."""
    return allocations.select(
        pl.col("allocation_id").alias("reverses_allocation_id"),
        *(pl.col(c).name.suffix("_back") for c in [*PAYMENT_KEY, *INVOICE_KEY, "used_currency", "currency"]),
    )


def allocations_of(
    ledger: Ledger, payments: pl.DataFrame, invoices: pl.DataFrame, previous: pl.DataFrame, today: date
) -> pl.DataFrame:
    """`reconciled.allocations`: earlier lines as they are, tonight's added, sorted by payment and invoice."""
    contract = contract_of("reconciled.allocations")
    order = [*PAYMENT_KEY, *INVOICE_KEY, "allocation_kind", "allocation_id"]
    taken_over = [*PAYMENT_KEY, *INVOICE_KEY, "used_currency"]
    kept = contract.shape(previous)
    parts = [
        *ledger.frames,
        *([pl.DataFrame(ledger.rows, schema=LINES, orient="row")] if ledger.rows else []),
    ]
    if not parts:
        return kept.sort(order)
    paid_by = payments.select(
        "p",
        pl.col("source").alias("payment_source"),
        pl.col("record_id").alias("payment_record_id"),
        pl.col("currency").alias("used_currency"),
        "booked_date",
    )
    owed_by = invoices.select(
        "i",
        pl.col("source").alias("invoice_source"),
        pl.col("record_id").alias("invoice_record_id"),
        pl.col("currency").alias("owed_currency"),
    )
    new = (
        pl.concat(parts)
        .join(paid_by, on="p", how="left")
        .join(owed_by, on="i", how="left")
        .join(_keys_of(kept), on="reverses_allocation_id", how="left")
        # A contra line is of what it takes back, though the entry or the invoice be gone meanwhile.
        .with_columns(pl.coalesce(key, f"{key}_back") for key in taken_over)
        .with_columns(pl.coalesce("owed_currency", "currency_back", "used_currency").alias("currency"))
        .with_columns(from_units("allocated_amount"), from_units("used_amount"))
        .with_columns(pl.lit(datetime.combine(today, time(), UTC)).alias("posted_at"))
        .drop("p", "i", "owed_currency", "currency_back", *(f"{key}_back" for key in taken_over))
        # Equal lines of one night are numbered, so their order must not hang on the work's.
        .sort(*order[:-1], "allocated_amount", "reverses_allocation_id", "evidence", nulls_last=True)
    )
    new = new.with_columns(pl.Series("allocation_id", _allocation_ids(new, kept), dtype=pl.String))
    return pl.concat([kept, contract.shape(new)]).sort(order)
