"""How the invoices are paid: exactly, with slips, in part, together, short of a fee, or not at all.

What does not belong here: the banks' file formats (`bank_exports`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from crm_hygiene.sample.draws import Ints, Mask, Rng, blank, fill, hit, pick, stream, weighted, where
from crm_hygiene.sample.faults import typo
from crm_hygiene.sample.invoices import LAST_DAY, Billing
from crm_hygiene.sample.registers import ibans
from crm_hygiene.sample.world import World

CURRENCIES = ("EUR", "GBP", "JPY", "USD")

_EXACT, _TYPO, _WRONG, _BARE, _PART, _FEE, _UNPAID, _TOGETHER = range(8)
_SHARES = np.array([0.65, 0.07, 0.03, 0.08, 0.05, 0.04, 0.08])
_UMLAUTS = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "AE", "Ö": "OE", "Ü": "UE"}
_KEPT = 35
"""Characters of a name that banks hand on."""


@dataclass(frozen=True)
class Payments:
    """Bank entries and what they pay.

    `entries`, in order of booking: booked, valued (days since 1970), currency, minor (signed minor
    units), is_yen, name, iban, remittance, reference (structured, or null), end_to_end_id, at_bank (0
    keeps the ledger, 1 sends statements). `legs`: entry, invoice (numbers), minor.
    """

    entries: pl.DataFrame
    legs: pl.DataFrame


def _courses(rng: Rng, billing: Billing) -> tuple[Ints, Ints]:
    """What becomes of each invoice, and on which day it is paid."""
    invoices = billing.invoices
    n = len(invoices)
    course = weighted(rng, _SHARES, n)
    collective = hit(rng, len(billing.customers), 0.1)[invoices["customer"].to_numpy()]
    course = np.where(collective & hit(rng, n, 0.8), _TOGETHER, course)
    issued, due = invoices["issued"].to_numpy(), invoices["due"].to_numpy()
    paid = np.maximum(issued + 1, due + np.round(rng.normal(-2, 9, n)).astype(np.int64))
    course = np.where((course == _FEE) & (invoices["minor"].to_numpy() < 15_000), _EXACT, course)
    return np.where(~invoices["is_payable"].to_numpy() | (paid > LAST_DAY), _UNPAID, course), paid


def _together(invoices: pl.DataFrame, course: Ints, paid: Ints) -> tuple[Ints, Ints, Ints]:
    """Invoices paid together: their numbers, the number of their payment, its day.

    Up to three consecutive invoices of a customer in one currency, issued within two months.
    """
    at = np.flatnonzero(course == _TOGETHER)
    number = {c: i for i, c in enumerate(CURRENCIES)}
    currency = invoices["currency"].replace_strict(number, return_dtype=pl.Int64).to_numpy()[at]
    at = at[np.lexsort((at, currency, invoices["customer"].to_numpy()[at]))]
    frame = pl.DataFrame(
        {
            "at": at,
            "customer": invoices["customer"].gather(at),
            "currency": invoices["currency"].gather(at),
            "block": invoices["issued"].gather(at) // 61,
            "paid": paid[at],
        }
    ).with_columns(rank=pl.int_range(pl.len()).over("customer", "currency", "block") // 3)
    key = frame.select(pl.struct("customer", "currency", "block", "rank").rle_id()).to_series()
    day = frame.with_columns(key=key).select(pl.col("paid").max().over("key")).to_series()
    return frame["at"].to_numpy(), key.to_numpy().astype(np.int64), day.to_numpy()


def _legs(rng: Rng, billing: Billing) -> pl.DataFrame:
    """Who pays what when: entry key, invoice, minor, day, course; in order of entry key."""
    invoices = billing.invoices
    course, paid = _courses(rng, billing)
    minor, is_yen = invoices["minor"].to_numpy(), invoices["is_yen"].to_numpy()
    single = np.flatnonzero((course != _UNPAID) & (course != _TOGETHER))
    fee = rng.integers(500, 3001, len(invoices))
    part = (minor * rng.uniform(0.3, 0.7, len(invoices))).astype(np.int64)
    part = np.where(is_yen, part, part // 100 * 100)
    first = np.where(course == _FEE, minor - fee, np.where(course == _PART, part, minor))
    later = paid + rng.integers(15, 60, len(invoices))
    rest = np.flatnonzero((course == _PART) & hit(rng, len(invoices), 0.6) & (later <= LAST_DAY))
    joint, key, day = _together(invoices, course, paid)
    parts = [
        (np.arange(len(single)), single, first[single], paid[single]),
        (len(single) + np.arange(len(rest)), rest, (minor - part)[rest], later[rest]),
        (len(single) + len(rest) + key, joint, minor[joint], day),
    ]
    columns = [np.concatenate([p[i] for p in parts]).astype(np.int64) for i in range(4)]
    return pl.DataFrame(dict(zip(["key", "invoice", "minor", "day"], columns, strict=True))).with_columns(
        course=pl.Series(course[columns[1]])
    )


def _remittance(world: World, rng: Rng, billing: Billing, legs: pl.DataFrame) -> pl.DataFrame:
    """Texts of the payments, one row per entry key: remittance, reference, end_to_end_id."""
    words = world.vocabulary.words
    invoices = billing.invoices
    m = len(legs)
    number = invoices["invoice_number"].gather(legs["invoice"])
    quoted = where(hit(rng, m, 0.08), number.str.replace_all("-", ""), number)
    course = legs["course"].to_numpy()
    slipped = course == _TYPO
    quoted = where(slipped, quoted.str.slice(0, 6) + typo(rng, quoted.str.slice(6)), quoted)
    other = invoices["invoice_number"].gather(rng.integers(0, len(invoices), m)) if len(invoices) else quoted
    quoted = where(course == _WRONG, other, quoted)
    frame = legs.select("key", "course").with_columns(
        quoted=quoted, structured=invoices["reference"].gather(legs["invoice"])
    )
    one = frame.group_by("key", maintain_order=True).agg(
        pl.col("course").first(), pl.col("quoted").str.join(", "), pl.col("structured").first(), pl.len()
    )
    n = len(one)
    kind = one["course"].to_numpy()
    pattern = pick(rng, words["remittance_with_reference"], n)
    said = (
        pl.DataFrame({"p": pattern, "q": one["quoted"]})
        .select(pl.col("p").str.replace("{}", pl.col("q"), literal=True))
        .to_series()
    )
    silent = pick(rng, words["remittance_without_reference"], n)
    bare = kind == _BARE
    able = one["structured"].is_not_null().to_numpy() & (one["len"] == 1).to_numpy()
    structured = able & np.isin(kind, [_EXACT, _PART, _FEE]) & hit(rng, n, 0.7)
    through = ~structured & (kind == _EXACT) & hit(rng, n, 0.15)
    own = fill(rng, ["E2E%#######", "%#########-%##"], rng.integers(0, 2, n))
    end_to_end = where(hit(rng, n, 0.6), pl.Series(["NOTPROVIDED"]).new_from_index(0, n), own)
    return pl.DataFrame(
        {
            "remittance": where(bare | through, silent, said),
            "reference": blank(~structured, one["structured"]),
            "end_to_end_id": where(through, one["quoted"], end_to_end),
        }
    )


def _payers(world: World, rng: Rng, billing: Billing, customer: Ints) -> tuple[pl.Series, pl.Series]:
    """Names and accounts of payers as banks print them, one per row of customer numbers."""
    n = len(customer)
    who = billing.customers[customer]
    organisation = who["organisation"].to_numpy()
    truth = world.organisations[organisation]
    # One customer in thirty lets its parent or another company of the group pay.
    parent = truth["parent"].fill_null(-1).to_numpy()
    by_parent = (parent >= 0) & hit(rng, n, 0.5)
    payer = world.organisations[np.where(by_parent, parent, organisation)]
    name = where(by_parent, payer["name"] + " " + payer["legal"], who["name"])
    name = where(hit(rng, n, 0.45), name.str.to_uppercase(), name)
    plain = name.str.replace_many(list(_UMLAUTS), list(_UMLAUTS.values()))
    name = where(hit(rng, n, 0.5), plain.str.normalize("NFKD").str.replace_all(r"\p{M}", ""), name)
    return name.str.slice(0, _KEPT).str.strip_chars(), blank(hit(rng, n, 0.06), payer["iban"])


def _others(world: World, rng: Rng, n: int) -> pl.DataFrame:
    """Entries that belong to no invoice: `n` from strangers and three times as many outgoing ones."""
    total = 4 * n

    def drawn(name: str) -> pl.Series:
        return pick(rng, world.vocabulary.words[name], total)

    stranger = np.arange(total) < n
    currency = pl.Series(CURRENCIES).gather(weighted(rng, np.array([0.7, 0.12, 0.03, 0.15]), total))
    minor = np.maximum(500, rng.lognormal(10.8, 1.2, total).astype(np.int64))
    country = weighted(rng, world.vocabulary.weights, total)
    return pl.DataFrame(
        {
            "day": rng.integers(LAST_DAY - 600, LAST_DAY + 1, total),
            "currency": currency,
            "minor": np.where(stranger, minor, -minor),
            "name": where(stranger, drawn("foreign_payers"), drawn("suppliers")),
            "iban": ibans(rng, world.vocabulary, country),
            "remittance": where(stranger, drawn("foreign_remittance"), drawn("outgoing_remittance")),
            "reference": pl.Series([None], dtype=pl.String).new_from_index(0, total),
            "end_to_end_id": pl.Series(["NOTPROVIDED"]).new_from_index(0, total),
            "bank": rng.integers(0, 2, total),
            "key": np.full(total, -1),
        }
    )


def _repeated(rng: Rng, entries: pl.DataFrame, course: Mask) -> pl.DataFrame:
    """Payments sent twice: copies of a few exact ones some days later, which pay nothing."""
    chosen = np.flatnonzero(course & hit(rng, len(entries), 0.006))
    again = entries[chosen].with_columns(key=pl.lit(-1, dtype=pl.Int64))
    day = again["day"] + pl.Series(rng.integers(1, 6, len(again)))
    return again.with_columns(day=day.clip(upper_bound=LAST_DAY))


def pay(world: World, billing: Billing) -> Payments:
    """Everything on the bank accounts, and which part of it pays which invoice."""
    rng = stream(world.seed, "payments")
    legs = _legs(rng, billing)
    paid = legs.group_by("key", maintain_order=True).agg(
        pl.col("day").first(), pl.col("minor").sum(), pl.col("invoice").first(), pl.col("course").first()
    )
    invoices = billing.invoices
    customer = invoices["customer"].gather(paid["invoice"]).to_numpy()
    name, iban = _payers(world, rng, billing, customer)
    bank = hit(rng, len(world.organisations), 0.42).astype(np.int64)
    of_organisation = billing.customers["organisation"].gather(customer).to_numpy()
    texts = _remittance(world, rng, billing, legs)
    entries = pl.DataFrame(
        {
            "day": paid["day"],
            "currency": invoices["currency"].gather(paid["invoice"]),
            "minor": paid["minor"],
            "name": name,
            "iban": iban,
            **texts.to_dict(),
            "bank": bank[of_organisation],
            "key": paid["key"],
        }
    )
    again = _repeated(rng, entries, (paid["course"] == _EXACT).to_numpy())
    others = _others(world, rng, max(1, len(invoices) // 100))
    entries = pl.concat([entries, again, others.select(entries.columns)])
    order = np.lexsort((np.arange(len(entries)), entries["day"].to_numpy()))
    entries = entries[order]
    valued = entries["day"] + pl.Series((hit(rng, len(entries), 0.15)).astype(np.int64))
    number = np.full(len(paid), -1, dtype=np.int64)
    key = entries["key"].to_numpy()
    number[key[key >= 0]] = np.flatnonzero(key >= 0)
    return Payments(
        entries.with_columns(valued=valued, is_yen=pl.col("currency") == "JPY").rename({"bank": "at_bank"}),
        pl.DataFrame(
            {"entry": number[legs["key"].to_numpy()], "invoice": legs["invoice"], "minor": legs["minor"]}
        ),
    )
