"""Conservation: the checks that gate publishing, to the cent, per payment, invoice, currency and night.

What does not belong here: keeping the ledger (`ledger`); this module trusts none of it and counts again.
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.cash.ledger import BESIDE_INVOICE, INVOICE_KEY, PAYMENT_KEY, with_effect
from crm_hygiene.cash.money import to_units
from crm_hygiene.errors import GateStopped

BROKEN = pl.Schema({"rule": pl.String(), "about": pl.String(), "expected": pl.Int64(), "found": pl.Int64()})
_SAME_SIDE = ("payment", "interest", "refund")
_COUNTED = [
    "allocation_id",
    *PAYMENT_KEY,
    *INVOICE_KEY,
    "allocation_kind",
    "used_amount",
    "used_currency",
    "allocated_amount",
    "currency",
    "reverses_allocation_id",
]
_SPENT = ("applied_amount", "refunded_amount", "written_off_amount")


def broken_conservation(
    allocations: pl.DataFrame, previous: pl.DataFrame, invoices: pl.DataFrame, payments: pl.DataFrame
) -> pl.DataFrame:
    """Every breach as (`rule`, `about`, `expected`, `found`), in ten-thousandths; none if all is fine.

    Parameters
    ----------
    allocations, invoices, payments
        the tables of layer `reconciled` as they would be published.
    previous
        `reconciled.allocations` of the night before: each of its lines must still be there, unchanged.
    """
    effects = with_effect(allocations.select(_COUNTED))
    used = _per_payment(effects, payments)
    settled = _per_invoice(effects, invoices)
    parts = [*used, *settled, _per_currency(effects), _contras(effects), *_nights(allocations, previous)]
    return pl.concat([part.select(BROKEN.names()).cast(dict(BROKEN)) for part in parts]).sort("rule", "about")  # type: ignore[arg-type]


def check_conservation(
    allocations: pl.DataFrame, previous: pl.DataFrame, invoices: pl.DataFrame, payments: pl.DataFrame
) -> None:
    """Refuse tables whose money does not add up.

    Raises
    ------
    GateStopped
        naming the first breaches; nothing of the step is published then.
    """
    broken = broken_conservation(allocations, previous, invoices, payments)
    if broken.height:
        first = "; ".join(
            f"{rule}: {about} should be {expected / 10_000:.2f} and is {found / 10_000:.2f}"
            for rule, about, expected, found in broken.head(5).iter_rows()
        )
        raise GateStopped(f"reconciled.allocations: {broken.height} breaches of conservation: {first}")


def _about(columns: list[str]) -> pl.Expr:
    return pl.concat_str([pl.col(c).fill_null("-") for c in columns], separator="/").alias("about")


def _named(rule: str, about: pl.Expr, expected: pl.Expr, found: pl.Expr) -> list[pl.Expr]:
    return [
        pl.lit(rule).alias("rule"),
        about.alias("about"),
        expected.alias("expected"),
        found.alias("found"),
    ]


def _per_payment(effects: pl.DataFrame, payments: pl.DataFrame) -> list[pl.DataFrame]:
    used = effects.filter(pl.col("payment_record_id").is_not_null()).group_by(PAYMENT_KEY)
    sums = used.agg(pl.col("used_amount").sum().alias("used"))
    state = (
        payments.select(
            pl.col("source").alias("payment_source"),
            pl.col("record_id").alias("payment_record_id"),
            *(to_units(c) for c in ("amount", "unapplied_amount", *_SPENT)),
        )
        .join(sums, on=PAYMENT_KEY, how="left")
        .with_columns(pl.col("used").fill_null(0))
    )
    about = _about(PAYMENT_KEY)
    told = pl.sum_horizontal(_SPENT)
    amount, spent = pl.col("amount"), pl.col("used")
    return [
        state.filter((spent < 0) | ((spent > amount) & (spent > 0))).select(
            _named("a payment is used up to its amount", about, amount, spent)
        ),
        state.filter(told != spent).select(_named("a payment's state is its lines", about, spent, told)),
        state.filter(told + pl.col("unapplied_amount") != amount).select(
            _named(
                "applied, refunded, written off and unapplied are the amount",
                about,
                amount,
                told + pl.col("unapplied_amount"),
            )
        ),
    ]


def _per_invoice(effects: pl.DataFrame, invoices: pl.DataFrame) -> list[pl.DataFrame]:
    lines = effects.filter(pl.col("invoice_record_id").is_not_null())
    lines = lines.filter(~pl.col("effect").is_in(list(BESIDE_INVOICE)))
    sums = lines.group_by(INVOICE_KEY).agg(pl.col("allocated_amount").sum().alias("settled"))
    told = (
        "paid_amount",
        "fee_amount",
        "discount_amount",
        "exchange_amount",
        "credited_amount",
        "written_off_amount",
    )
    state = (
        invoices.select(
            pl.col("source").alias("invoice_source"),
            pl.col("record_id").alias("invoice_record_id"),
            "status",
            *(to_units(c) for c in ("amount", "open_amount", *told)),
        )
        .join(sums, on=INVOICE_KEY, how="left")
        .with_columns(pl.col("settled").fill_null(0))
    )
    about, amount, settled = _about(INVOICE_KEY), pl.col("amount"), pl.col("settled")
    total = pl.sum_horizontal(told)
    # An invoice that was lowered after it was paid is overpaid; nothing tonight may make it so.
    is_lowered = pl.col("status").is_in(["overpaid", "refused"])
    over = (
        pl.when(amount >= 0)
        .then((settled < 0) | (settled > amount))
        .otherwise((settled > 0) | (settled < amount))
    )
    return [
        state.filter(over & ~is_lowered).select(
            _named("an invoice is settled up to its amount", about, amount, settled)
        ),
        state.filter(total != settled).select(
            _named("an invoice's state is its lines", about, settled, total)
        ),
        state.filter((total + pl.col("open_amount") != amount) & ~is_lowered).select(
            _named("settled and open are the amount", about, amount, total + pl.col("open_amount"))
        ),
    ]


def _per_currency(effects: pl.DataFrame) -> pl.DataFrame:
    """What payments give is what invoices take, by currency; credit notes give what they take."""
    same = effects.filter(pl.col("used_currency") == pl.col("currency"))
    is_rest = (pl.col("effect") == "write_off") & pl.col("invoice_record_id").is_null()
    is_money = pl.col("effect").is_in(list(_SAME_SIDE)) | is_rest
    sums = same.group_by("currency").agg(
        pl.col("used_amount").sum().alias("given"),
        pl.col("allocated_amount").filter(is_money).sum().alias("taken"),
    )
    netted = (
        effects.filter(pl.col("effect") == "credit_note")
        .group_by("currency")
        .agg(pl.lit(0).first().alias("given"), pl.col("allocated_amount").sum().alias("taken"))
    )
    both = pl.concat([sums, netted], how="vertical_relaxed").filter(pl.col("given") != pl.col("taken"))
    return both.select(
        _named(
            "what payments give is what invoices take", pl.col("currency"), pl.col("given"), pl.col("taken")
        )
    )


def _contras(effects: pl.DataFrame) -> pl.DataFrame:
    """A contra line is the exact negative of one line, which is taken back once."""
    contra = effects.filter(pl.col("allocation_kind") == "reversal")
    original = effects.select(
        pl.col("allocation_id").alias("reverses_allocation_id"), pl.col("allocated_amount").alias("was")
    )
    judged = contra.join(original, on="reverses_allocation_id", how="left").with_columns(
        pl.len().over("reverses_allocation_id").alias("times")
    )
    wrong = pl.col("was").is_null() | (pl.col("was") != -pl.col("allocated_amount")) | (pl.col("times") > 1)
    return judged.filter(wrong).select(
        _named(
            "a contra line takes back one line",
            pl.col("allocation_id"),
            -pl.col("was").fill_null(0),
            pl.col("allocated_amount"),
        )
    )


def _nights(allocations: pl.DataFrame, previous: pl.DataFrame) -> list[pl.DataFrame]:
    """No line of an earlier night is gone or changed, and no id is there twice."""
    kept = previous.select("allocation_id", to_units("allocated_amount").alias("was"))
    now = allocations.select("allocation_id", to_units("allocated_amount").alias("is"))
    lost = kept.join(now, on="allocation_id", how="left").filter(
        pl.col("is").is_null() | (pl.col("is") != pl.col("was"))
    )
    twice = now.filter(pl.col("allocation_id").is_duplicated())
    return [
        lost.select(
            _named(
                "a line of an earlier night stays",
                pl.col("allocation_id"),
                pl.col("was"),
                pl.col("is").fill_null(0),
            )
        ),
        twice.select(_named("a line has its own id", pl.col("allocation_id"), pl.lit(0), pl.col("is"))),
    ]
