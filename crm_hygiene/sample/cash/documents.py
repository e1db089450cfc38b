"""Invoices and credit notes of a ledger.

What does not belong here: whether and how they are paid (`courses`).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from crm_hygiene.sample.cash.profile import COURSES, CURRENCIES, LAST_DAY, Profile
from crm_hygiene.sample.cash.structured import belgian_messages, swiss_references
from crm_hygiene.sample.draws import Ints, Mask, Rng, blank, fill, hit, weighted, where
from crm_hygiene.sample.identifiers import serials
from crm_hygiene.sample.registers import creditor_references
from crm_hygiene.sample.world import World

_PRICES = np.array([4900, 9900, 19000, 29000, 49000, 99000, 119000, 149000, 240000, 500000, 1200000])
_TERMS = np.array([14, 30, 30, 45, 60])
_DISCOUNTS = np.array([(14, 200), (10, 300), (8, 200), (10, 200)])
"""Days and hundredths of a per cent of early-payment discounts."""
_LEAST_FEE = 15_000
"""Total in minor units below which no bank keeps a fee in this world."""

COURSE = {name: number for number, name in enumerate(COURSES)}


def _amounts(rng: Rng, frame: pl.DataFrame, months: int) -> Ints:
    """Totals in minor units: the same every month for subscriptions, drawn for the rest."""
    n = len(frame)
    drawn = np.maximum(1500, rng.lognormal(11.2, 1.2, n).astype(np.int64))
    drawn = np.where(hit(rng, n, 0.12), _PRICES[rng.integers(0, len(_PRICES), n)], drawn)
    plan = frame["rank"].to_numpy() // months
    choice = (frame["customer"].to_numpy() * 7919 + plan * 104_729) % (len(_PRICES) * 3)
    price = _PRICES[choice % len(_PRICES)] * (1 + choice // len(_PRICES))
    return np.asarray(np.where(frame["is_recurring"].to_numpy(), price, drawn), dtype=np.int64)


def _references(
    world: World, rng: Rng, customers: pl.DataFrame, customer: Ints, serial: Ints, is_euro: Mask
) -> pl.Series:
    """Structured references by the customer's country: QRR, OGM or RF; null for half of the customers."""
    has = hit(rng, len(customers), 0.45)[customer] & is_euro
    code = np.array(world.vocabulary.codes)[customers["country"].to_numpy()[customer]]
    found = creditor_references(serials("", serial + 10_000_000, 10))
    found = where(code == "CH", swiss_references(serial), found)
    found = where(code == "BE", belgian_messages(serial), found)
    return blank(~has, found)


def _courses(rng: Rng, profile: Profile, frame: pl.DataFrame, customers: pl.DataFrame) -> Ints:
    """What becomes of each invoice, as far as its terms allow it."""
    n = len(frame)
    course = weighted(rng, np.array([profile.courses[name] for name in COURSES]), n)
    customer = frame["customer"].to_numpy()
    collective = hit(rng, len(customers), profile.collective)[customer] & hit(rng, n, 0.85)
    course = np.where(collective & (course == COURSE["one_to_one"]), COURSE["together"], course)
    plain = COURSE["one_to_one"]
    euro = CURRENCIES.index("EUR")
    impossible = (
        ((course == COURSE["bank_fee"]) & (frame["minor"].to_numpy() < _LEAST_FEE))
        | (
            np.isin(course, [COURSE["early_discount"], COURSE["late_discount"]])
            & (frame["discount_days"].to_numpy() == 0)
        )
        | ((course == COURSE["late_interest"]) & (frame["interest_bp"].to_numpy() == 0))
        | ((course == COURSE["foreign_currency"]) & (frame["currency"].to_numpy() == euro))
        | (frame["is_recurring"].to_numpy() & (course == COURSE["unpaid"]) & hit(rng, n, 0.5))
    )
    return np.asarray(np.where(impossible, plain, course), dtype=np.int64)


def build_documents(
    world: World,
    rng: Rng,
    profile: Profile,
    customers: pl.DataFrame,
    customer: Ints,
    span: int,
    first: int,
) -> pl.DataFrame:
    """Invoices in order of issue, then the credit notes that correct some of them.

    Columns: customer, kind (0 invoice, 1 credit note), corrects (row or -1), credit (row of its credit
    note or -1), course, rank, invoice_id, invoice_number, reference, order_number, issued, due, currency
    (number), minor (total in minor units, negative for credit notes), discount_days, discount_bp and
    interest_bp (hundredths of a per cent, 0 where there is none), is_recurring.

    Parameters
    ----------
    span
        days over which invoices are issued, up to the last day
    first
        serial number of the first invoice
    """
    n = len(customer)
    months = max(1, span // 30)
    frame = pl.DataFrame({"customer": customer}).with_columns(rank=pl.int_range(pl.len()).over("customer"))
    recurring = customers["is_recurring"].to_numpy()[customer]
    start = LAST_DAY - span
    offset = rng.integers(0, 30, len(customers))[customer]
    monthly = start + offset + 30 * (frame["rank"].to_numpy() % months)
    issued = np.where(recurring, monthly, start + (rng.random(n) * span).astype(np.int64))
    frame = frame.with_columns(issued=issued, is_recurring=recurring)
    frame = frame.with_columns(minor=_amounts(rng, frame, months))
    order = np.lexsort((np.arange(n), issued))
    frame, customer = frame[order], customer[order]
    serial = first + np.arange(n)
    terms = _TERMS[rng.integers(0, len(_TERMS), len(customers))][customer]
    offered = hit(rng, len(customers), 0.25)[customer]
    offer = _DISCOUNTS[rng.integers(0, len(_DISCOUNTS), len(customers))][customer]
    own = customers["currency"].to_numpy()[customer]
    foreign = hit(rng, n, 0.05) & (own == 0)
    currency = np.where(foreign, CURRENCIES.index("USD"), own)
    minor = frame["minor"].to_numpy()
    minor = np.where(currency == CURRENCIES.index("JPY"), minor * 3 // 2, minor)
    year = pl.Series(frame["issued"].to_numpy().astype(np.int32)).cast(pl.Date).dt.year().cast(pl.String)
    ordered = hit(rng, n, 0.3)
    order_number = fill(rng, ["PO-45######", "4500######", "B-%####"], rng.integers(0, 3, n))
    frame = frame.with_columns(
        currency=currency,
        minor=minor,
        kind=np.zeros(n, dtype=np.int64),
        corrects=np.full(n, -1),
        due=frame["issued"].to_numpy() + terms,
        discount_days=np.where(offered, offer[:, 0], 0),
        discount_bp=np.where(offered, offer[:, 1], 0),
        interest_bp=np.where(hit(rng, len(customers), 0.3)[customer], 900, 0),
        invoice_id=serials("", 500_000 + serial * 3, 8),
        invoice_number="INV-" + year + "-" + serials("", serial, 6),
        reference=_references(world, rng, customers, customer, serial, currency == 0),
        order_number=blank(~ordered, order_number),
    )
    course = _courses(rng, profile, frame, customers)
    frame = frame.with_columns(course=course)
    credited = np.flatnonzero(np.isin(course, [COURSE["credit_netted"], COURSE["credited_whole"]]))
    number = np.full(n, -1)
    number[credited] = n + np.arange(len(credited))
    frame = frame.with_columns(credit=number)
    noted = frame[credited]
    part = np.maximum(100, (noted["minor"].to_numpy() * rng.uniform(0.1, 0.5, len(noted))).astype(np.int64))
    whole = noted["course"].to_numpy() == COURSE["credited_whole"]
    later = np.minimum(noted["issued"].to_numpy() + rng.integers(1, 8, len(noted)), LAST_DAY)
    notes = noted.with_columns(
        kind=np.ones(len(noted), dtype=np.int64),
        corrects=credited,
        credit=np.full(len(noted), -1),
        minor=-np.where(whole, noted["minor"].to_numpy(), part),
        issued=later,
        due=later,
        invoice_id=serials("9", 500_000 + serial[credited] * 3, 8),
        invoice_number=noted["invoice_number"].str.replace("INV", "CN", literal=True),
        reference=pl.lit(None, dtype=pl.String),
        order_number=pl.lit(None, dtype=pl.String),
        discount_days=np.zeros(len(noted), dtype=np.int64),
    )
    return pl.concat([frame, notes.select(frame.columns)])
