"""What becomes of invoices: which entry pays which of them how much, of which kind, and when.

What does not belong here: what payers write (`remittances`), entries that pay nothing (`others`).
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import polars as pl

from crm_hygiene.sample.cash.documents import COURSE
from crm_hygiene.sample.cash.profile import LAST_DAY
from crm_hygiene.sample.draws import Ints, Mask, Rng, hit

RATES = np.array([1.0, 1.17, 0.0061, 0.92])
"""Euro for a unit of each currency, as numbers of `CURRENCIES`."""
LEG_KINDS = ("payment", "fee", "discount", "interest", "write_off", "credit_note", "reversal", "overpaid")
LEG = {name: number for number, name in enumerate(LEG_KINDS)}
CASH_LEGS = ("payment", "interest", "credit_note", "reversal", "overpaid")
"""Kinds of legs that are money of the entry; the others settle an invoice without money."""


def _share(minor: Ints, hundredths: Ints, parts: int = 1) -> Ints:
    """Hundredths of a per cent of amounts, over `parts`, rounded half to even without floats."""
    product, divisor = minor * hundredths, 10_000 * parts
    quotient, rest = product // divisor, product % divisor
    up = (2 * rest > divisor) | ((2 * rest == divisor) & (quotient % 2 == 1))
    return np.asarray(quotient + up, dtype=np.int64)


def _together(invoices: pl.DataFrame, at: Ints, day: Ints, days: int) -> tuple[Ints, Ints, Ints]:
    """Invoices paid together: their rows, the number of their payment, its day.

    Up to six invoices of a customer in one currency, issued within `days`.
    """
    frame = (
        invoices[at]
        .select("customer", "currency", block=pl.col("issued") // days)
        .with_columns(at=at, day=day[at])
        .sort("customer", "currency", "block", "at")
        .with_columns(rank=pl.int_range(pl.len()).over("customer", "currency", "block") // 6)
    )
    key = frame.select(pl.struct("customer", "currency", "block", "rank").rle_id()).to_series()
    last = frame.with_columns(key=key).select(pl.col("day").max().over("key")).to_series()
    return frame["at"].to_numpy(), key.to_numpy().astype(np.int64), last.to_numpy()


def _days(rng: Rng, invoices: pl.DataFrame, customers: pl.DataFrame) -> Ints:
    """The day each invoice is paid: due date, the payer's habit, and some noise; terms where they bind."""
    n = len(invoices)
    course = invoices["course"].to_numpy()
    issued, due = invoices["issued"].to_numpy(), invoices["due"].to_numpy()
    habit = customers["habit"].to_numpy()[invoices["customer"].to_numpy()]
    day = np.maximum(issued + 1, due + habit + np.round(rng.normal(0, 2.5, n)).astype(np.int64))
    terms = np.maximum(1, invoices["discount_days"].to_numpy())
    early = issued + 1 + (rng.random(n) * terms).astype(np.int64)
    day = np.where(course == COURSE["early_discount"], np.minimum(early, issued + terms), day)
    day = np.where(course == COURSE["late_discount"], np.maximum(day, issued + terms + 8), day)
    late = due + rng.integers(15, 75, n)
    day = np.where(course == COURSE["late_interest"], late, day)
    # A credit note is known to the payer before it is netted.
    return np.where(course == COURSE["credit_netted"], np.maximum(day, issued + 9), day)


def _frame(key: Ints, invoice: Ints, kind: str, minor: Ints, where: Mask | None = None) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "key": key,
            "invoice": invoice,
            "kind": np.full(len(key), LEG[kind], dtype=np.int64),
            "minor": minor.astype(np.int64),
        }
    )
    return frame if where is None else frame.filter(pl.Series(where))


def pay_invoices(
    rng: Rng, customers: pl.DataFrame, documents: pl.DataFrame, days: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Entries that pay invoices, and their legs; `days` of issue are what a customer pays together.

    Returns
    -------
    tuple
        entries (key, day, course, currency, minor, instructed_minor, instructed_currency, rate_micro: the
        bank's euro for a million units) and legs (key, invoice, kind, minor in the invoice's currency).
        The cash legs of an entry sum to its amount in the invoices' currency.
    """
    invoices = documents.filter(pl.col("kind") == 0)
    day = _days(rng, invoices, customers)
    course, minor = invoices["course"].to_numpy(), invoices["minor"].to_numpy()
    is_yen = invoices["currency"].to_numpy() == 2
    joint, joint_key, joint_day = _together(invoices, np.flatnonzero(course == COURSE["together"]), day, days)
    silent = np.isin(course, [COURSE["together"], COURSE["unpaid"], COURSE["credited_whole"]])
    single = np.flatnonzero(~silent)
    m = len(single)
    s_minor, s_course, s_day = minor[single], course[single], day[single]

    def is_course(name: str) -> Mask:
        return np.asarray(s_course == COURSE[name])

    part = (s_minor * rng.uniform(0.3, 0.7, m)).astype(np.int64)
    part = np.maximum(1, np.where(is_yen[single], part, part // 100 * 100))
    fee = rng.choice(np.array([500, 750, 1000, 1250, 1500, 2000, 2500]), m)
    fee = np.where(is_yen[single], fee * 2, fee)
    discount = _share(s_minor, invoices["discount_bp"].to_numpy()[single])
    overdue = np.maximum(0, s_day - invoices["due"].to_numpy()[single])
    interest = _share(s_minor, invoices["interest_bp"].to_numpy()[single] * overdue, 365)
    slip = rng.integers(1, 6, m)
    over = is_course("rounding") & hit(rng, m, 0.4)
    extra = np.maximum(100, _share(s_minor, rng.integers(100, 2000, m)))
    credit = invoices["credit"].to_numpy()[single]
    credited = np.where(
        is_course("credit_netted"), documents["minor"].to_numpy()[np.maximum(credit, 0)], 0
    ).astype(np.int64)
    cash = s_minor.copy()
    for name, less in (("bank_fee", fee), ("early_discount", discount), ("late_discount", discount)):
        cash = np.where(is_course(name), s_minor - less, cash)
    cash = np.where(is_course("partial") | is_course("instalments"), part, cash)
    cash = np.where(is_course("rounding") & ~over, s_minor - slip, cash)
    key = np.arange(m)
    legs = [
        _frame(key, single, "payment", cash),
        _frame(key, single, "fee", fee, is_course("bank_fee")),
        _frame(key, single, "discount", discount, is_course("early_discount")),
        _frame(key, single, "interest", interest, is_course("late_interest") & (interest > 0)),
        _frame(key, single, "write_off", slip, is_course("rounding") & ~over),
        _frame(key, single, "overpaid", slip, over),
        _frame(key, single, "overpaid", extra, is_course("overpaid")),
        _frame(key, credit, "credit_note", credited, is_course("credit_netted")),
    ]
    later = s_day + rng.integers(12, 45, m)
    rest = np.flatnonzero(is_course("instalments"))
    thirds = hit(rng, len(rest), 0.3)
    remaining = (s_minor - cash)[rest]
    middle = np.where(thirds, remaining // 200 * 100, remaining)
    middle = np.where(middle == 0, remaining, middle)
    last = np.flatnonzero(remaining > middle)
    second = m + np.arange(len(rest))
    third = m + len(rest) + np.arange(len(last))
    final_day = later[rest][last] + rng.integers(12, 45, len(last))
    joint_key = joint_key + m + len(rest) + len(last)
    legs += [
        _frame(second, single[rest], "payment", middle),
        _frame(third, single[rest][last], "payment", (remaining - middle)[last]),
        _frame(joint_key, joint, "payment", minor[joint]),
    ]
    dated = pl.DataFrame(
        {
            "key": np.concatenate([key, second, third, joint_key]),
            "day": np.concatenate([s_day, later[rest], final_day, joint_day]),
            "invoice": np.concatenate([single, single[rest], single[rest][last], joint]),
        }
    ).unique("key", keep="first", maintain_order=True)
    all_legs = pl.concat(legs)
    cash_kinds = [LEG[k] for k in CASH_LEGS]
    sums = (
        all_legs.filter(pl.col("kind").is_in(cash_kinds))
        .group_by("key", maintain_order=True)
        .agg(pl.col("minor").sum())
    )
    entries = dated.join(sums, on="key", how="inner", maintain_order="left").filter(
        pl.col("day") <= LAST_DAY, pl.col("minor") > 0
    )
    entries = _in_bank_currency(rng, entries, invoices)
    kept = all_legs.join(entries.select("key"), on="key", how="semi", maintain_order="left")
    return entries.drop("invoice"), kept


def _in_bank_currency(rng: Rng, entries: pl.DataFrame, invoices: pl.DataFrame) -> pl.DataFrame:
    """Entries with the bank's side of the exchange, where an invoice is paid from a euro account."""
    at = entries["invoice"].to_numpy()
    currency, course = invoices["currency"].to_numpy()[at], invoices["course"].to_numpy()[at]
    minor = entries["minor"].to_numpy()
    n = len(entries)
    changed = course == COURSE["foreign_currency"]
    rate = np.round(RATES[currency] * rng.uniform(0.97, 1.03, n) * 1_000_000).astype(np.int64)
    euro = minor.copy()
    for i in np.flatnonzero(changed):
        units = 100 if currency[i] == 2 else 1
        exact = Decimal(int(minor[i]) * int(rate[i]) * units) / 1_000_000
        euro[i] = int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))
    # Three banks in ten print nothing but the amount in euro.
    told = changed & ~hit(rng, n, 0.3)
    return entries.with_columns(
        course=course,
        minor=euro,
        currency=np.where(changed, 0, currency),
        instructed_minor=np.where(told, minor, 0),
        instructed_currency=np.where(told, currency, -1),
        rate_micro=np.where(told, rate, 0),
    )
