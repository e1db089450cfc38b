"""A ledger: customers, documents, bank entries, and which entry pays which document.

What does not belong here: frames in the shape of the lake's tables (`books`), the vendors' files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from crm_hygiene.sample.cash.courses import pay_invoices
from crm_hygiene.sample.cash.customers import build_customers
from crm_hygiene.sample.cash.documents import COURSE, build_documents
from crm_hygiene.sample.cash.others import bounced, build_others, keys_from, repeated
from crm_hygiene.sample.cash.profile import Profile
from crm_hygiene.sample.cash.remittances import quote
from crm_hygiene.sample.draws import hit, stream, weighted
from crm_hygiene.sample.world import World


@dataclass(frozen=True)
class Ledger:
    """Customers, documents and entries, one row each; a row's number is its identity.

    `customers` as of `build_customers`, `documents` as of `build_documents`, `entries` as of `quote` in
    order of booking with valued, case, twin (row of the entry it repeats or -1), takes_back (row of the entry
    it returns or -1), reversed_reference. `legs`: entry, invoice (row), kind (number of `LEG_KINDS`), minor
    in the invoice's currency.
    """

    customers: pl.DataFrame
    documents: pl.DataFrame
    entries: pl.DataFrame
    legs: pl.DataFrame


def build_ledger(
    world: World, invoices: int, profile: Profile, span: int = 240, part: int = 0, first: int = 1
) -> Ledger:
    """A ledger of `invoices` invoices to the organisations of `world` over `span` days.

    Parameters
    ----------
    part
        number of this part of a larger ledger; parts have other customers and other numbers
    first
        serial number of the first invoice and of the first customer, less 10,000
    """
    rng = stream(world.seed, f"cash {profile.name} {part}")
    organisation = weighted(rng, world.organisations["size"].to_numpy(), invoices)
    customers, customer = build_customers(world, rng, profile, organisation, first + 10_000)
    documents = build_documents(world, rng, profile, customers, customer, span, first)
    entries, legs = pay_invoices(rng, customers, documents, profile.collected_days)
    entries = quote(world, rng, profile, customers, documents, entries, legs)
    entries = entries.with_columns(
        case=pl.col("course").replace_strict({v: k for k, v in COURSE.items()}, return_dtype=pl.String)
    )
    free = max(entries["key"], default=0) + 1
    again = repeated(rng, profile, entries)
    back, back_legs = bounced(rng, profile, entries, legs, again["twin"], free)
    free += len(back) + len(entries)
    others = build_others(world, rng, profile, customers, documents, span)
    silent = pl.concat([again.drop("key"), others], how="diagonal")
    silent = silent.with_columns(key=pl.Series(keys_from(free, len(silent))))
    found = pl.concat([entries, back, silent], how="diagonal").sort("day", "key")
    valued = found["day"] + pl.Series(hit(rng, len(found), 0.15).astype(np.int64))
    row = pl.DataFrame({"key": found["key"], "entry": np.arange(len(found))})

    def number(column: str) -> pl.Series:
        keyed = found.select(key=pl.col(column).cast(pl.Int64))
        return keyed.join(row, on="key", how="left", maintain_order="left")["entry"].fill_null(-1)

    found = found.with_columns(
        valued=valued,
        twin=number("twin") if "twin" in found.columns else pl.lit(-1),
        takes_back=number("takes_back"),
    )
    all_legs = pl.concat([legs, back_legs]).join(row, on="key", how="inner", maintain_order="left")
    return Ledger(
        customers, documents, found.drop("key"), all_legs.select("entry", "invoice", "kind", "minor")
    )
