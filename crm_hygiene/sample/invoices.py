"""Invoices and purchase orders of the invoicing system, with the customers they are addressed to.

What does not belong here: whether and how they are paid (`payments`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from crm_hygiene.sample.draws import Ints, Mask, Rng, blank, fill, hit, stream, weighted, where
from crm_hygiene.sample.faults import with_gaps
from crm_hygiene.sample.identifiers import serials
from crm_hygiene.sample.layouts import bad_rows, constant
from crm_hygiene.sample.organisation_names import as_typed
from crm_hygiene.sample.registers import creditor_references
from crm_hygiene.sample.world import World

LAST_DAY = (date(2026, 10, 31) - date(1970, 1, 1)).days
"""The last banking day of the sample, in days since 1970."""

_FIRST_DAY = (date(2025, 1, 2) - date(1970, 1, 1)).days
_PRICES = np.array([19000, 49000, 99000, 119000, 240000, 500000])


def dates(days: Ints) -> pl.Series:
    """Days since 1970 as dates."""
    return pl.Series(days.astype(np.int32)).cast(pl.Date)


def money(minor: Ints, is_yen: Mask) -> pl.Series:
    """Minor units as text: two decimals, none for yen."""
    whole, sign = np.abs(minor), np.where(minor < 0, "-", "")
    head = pl.Series(np.where(is_yen, whole, whole // 100)).cast(pl.String)
    cents = "." + pl.Series(whole % 100).cast(pl.String).str.zfill(2)
    tail = where(is_yen, constant("", len(minor)), cents)
    return pl.Series(sign, dtype=pl.String) + head + tail


@dataclass(frozen=True)
class Billing:
    """Customers and invoices, one row each; a row's number is its identity.

    `customers`: organisation, customer_id, name, tax_id, iban, currency.
    `invoices`: customer (number), invoice_id, invoice_number, reference, issued, due (days since 1970),
    currency, is_yen, minor (total in minor units), is_payable.
    """

    customers: pl.DataFrame
    invoices: pl.DataFrame


def _customers(world: World, rng: Rng, organisation: Ints) -> tuple[pl.DataFrame, Ints]:
    """The customers behind invoices to organisations; one in thirty organisations is kept twice."""
    twice = hit(rng, len(world.organisations), 0.035)
    second = twice[organisation] & hit(rng, len(organisation), 0.45)
    keys, number = np.unique(organisation * 2 + second, return_inverse=True)
    owner = keys // 2
    truth = world.organisations[owner]
    ids = 10_001 + rng.permutation(len(keys))
    frame = pl.DataFrame(
        {
            "organisation": owner,
            "customer_id": serials("C", ids, 6),
            "name": as_typed(world, rng, owner, typos=0.01, bare=0.1),
            "tax_id": with_gaps(rng, truth["tax_id"], 0.2),
            "iban": with_gaps(rng, truth["iban"], 0.35),
            "currency": pl.Series([c.currency for c in world.vocabulary.countries]).gather(truth["country"]),
        }
    )
    return frame, number.reshape(-1).astype(np.int64)


def bill(world: World, n: int) -> Billing:
    """`n` invoices to organisations in proportion to their size, ordered by issue date."""
    rng = stream(world.seed, "invoices")
    organisation = weighted(rng, world.organisations["size"].to_numpy(), n)
    customers, customer = _customers(world, rng, organisation)
    issued = np.sort(rng.integers(_FIRST_DAY, LAST_DAY, n))
    terms = np.array([14, 30, 30, 45, 60])[rng.integers(0, 5, n)]
    currency = customers["currency"].gather(customer)
    # Some customers are billed in a currency that is not their own.
    currency = where(hit(rng, n, 0.03) & (currency == "EUR").to_numpy(), constant("USD", n), currency)
    is_yen = (currency == "JPY").to_numpy()
    minor = np.maximum(1500, (rng.lognormal(11.6, 1.2, n)).astype(np.int64))
    minor = np.where(hit(rng, n, 0.12), _PRICES[rng.integers(0, len(_PRICES), n)], minor)
    minor = np.where(is_yen, minor * 3 // 2, minor)
    serial = np.arange(1, n + 1)
    structured = hit(rng, n, 0.45) & (currency == "EUR").to_numpy()
    year = dates(issued).dt.year().cast(pl.String)
    number = "INV-" + year + "-" + serials("", serial, 6)
    invoices = pl.DataFrame(
        {
            "customer": customer,
            "invoice_id": serials("", 500_000 + serial * 3, 7),
            "invoice_number": number,
            "reference": blank(~structured, creditor_references(serials("", serial + 10_000_000, 9))),
            "issued": issued,
            "due": issued + terms,
            "currency": currency,
            "is_yen": is_yen,
            "minor": minor,
            "is_cancelled": hit(rng, n, 0.012),
            "is_broken": bad_rows(rng, n, 0.0005),
        }
    )
    payable = ~pl.col("is_cancelled") & ~pl.col("is_broken")
    return Billing(customers, invoices.with_columns(is_payable=payable))


def write_invoices(world: World, billing: Billing, invoices_path: Path, orders_path: Path) -> tuple[int, int]:
    """`invoices.csv` and `purchase_orders.csv`; returns the number of rows of both."""
    rng = stream(world.seed, "invoices file")
    invoices = billing.invoices
    n = len(invoices)
    customer = invoices["customer"].to_numpy()
    who = billing.customers[customer]
    minor, is_yen = invoices["minor"].to_numpy(), invoices["is_yen"].to_numpy()
    ordered = hit(rng, n, 0.55)
    order_number = fill(rng, ["PO-45######", "4500######", "B-%####"], rng.integers(0, 3, n))
    total = money(minor, is_yen)
    broken = invoices["is_broken"].to_numpy()
    spoiled = pl.Series(["n/a", "12.34.56", "-", "1O0.00"]).gather(rng.integers(0, 4, n))
    state = where(invoices["due"].to_numpy() < LAST_DAY, constant("overdue", n), constant("open", n))
    state = where(invoices["is_cancelled"].to_numpy(), constant("cancelled", n), state)
    party = {
        "customer_id": who["customer_id"],
        "customer_name": who["name"],
        "customer_tax_id": who["tax_id"],
    }
    pl.DataFrame(
        {
            "invoice_id": invoices["invoice_id"],
            "invoice_number": invoices["invoice_number"],
            **party,
            "customer_iban": who["iban"],
            "purchase_order_number": blank(~ordered, order_number),
            "payment_reference": invoices["reference"],
            "issue_date": dates(invoices["issued"].to_numpy()),
            "due_date": dates(invoices["due"].to_numpy()),
            "currency": invoices["currency"],
            "total_amount": where(broken, spoiled, total),
            "status": state,
        }
    ).write_csv(invoices_path)
    more = np.where(hit(rng, n, 0.08), minor + minor // 10, minor)
    orders = pl.DataFrame(
        {
            "order_id": serials("PO", 70_000 + np.arange(n), 7),
            "order_number": order_number,
            **party,
            "order_date": dates(invoices["issued"].to_numpy() - rng.integers(3, 45, n)),
            "currency": invoices["currency"],
            "total_amount": money(more, is_yen),
            "status": where(hit(rng, n, 0.9), constant("invoiced", n), constant("received", n)),
        }
    ).filter(pl.Series(ordered))
    orders.write_csv(orders_path)
    return n, len(orders)
