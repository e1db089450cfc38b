"""Entries that pay nothing of ours, entries sent twice, and entries that bounce.

What does not belong here: entries that pay an invoice the first time (`courses`).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from crm_hygiene.sample.cash.courses import LEG
from crm_hygiene.sample.cash.documents import COURSE
from crm_hygiene.sample.cash.profile import CURRENCIES, LAST_DAY, Profile
from crm_hygiene.sample.cash.remittances import banked_names, payers
from crm_hygiene.sample.draws import Ints, Rng, fill, hit, pick, weighted
from crm_hygiene.sample.registers import ibans
from crm_hygiene.sample.world import World

_OWN_BUSINESS = ("Kaution", "deposit returned", "Miete", "refund of credit balance", "Spende", "scrap sale")
_SWAPS = {"GmbH": "AG", "AG": "GmbH", "SARL": "SA", "SA": "SARL", "Ltd": "PLC", "B.V.": "N.V.", "Inc.": "LLC"}


def _blank_entries(n: int) -> dict[str, pl.Series]:
    text = pl.Series([None], dtype=pl.String).new_from_index(0, n)
    return {
        "course": pl.Series(np.full(n, -1)),
        "instructed_minor": pl.Series(np.zeros(n, dtype=np.int64)),
        "instructed_currency": pl.Series(np.full(n, -1)),
        "rate_micro": pl.Series(np.zeros(n, dtype=np.int64)),
        "reference": text,
        "virtual_account": text,
        "payer_tax_id": text,
        "payer_kind": pl.Series(np.full(n, -1)),
        "end_to_end_id": pl.Series(["NOTPROVIDED"]).new_from_index(0, n),
    }


def repeated(rng: Rng, profile: Profile, entries: pl.DataFrame) -> pl.DataFrame:
    """Copies of plain payments, the same day to five days later; `twin` is the key of the first."""
    plain = entries["course"].is_in([COURSE["one_to_one"], COURSE["together"]]).to_numpy()
    again = entries[np.flatnonzero(plain & hit(rng, len(entries), profile.duplicates))]
    day = again["day"] + pl.Series(rng.choice(np.array([0, 0, 1, 2, 3, 5]), len(again)))
    return again.with_columns(
        twin=pl.col("key"),
        day=day.clip(upper_bound=LAST_DAY),
        bank_reference=fill(rng, ["@@%#######-%###"], np.zeros(len(again), dtype=np.int64)),
        case=pl.lit("duplicate"),
    )


def bounced(
    rng: Rng, profile: Profile, entries: pl.DataFrame, legs: pl.DataFrame, doubled: pl.Series, first: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns of plain payments and, for most of them, the payment that replaces it; with legs.

    Parameters
    ----------
    doubled
        keys of payments that were sent twice: if the first came back, its copy would truly pay
    first
        the first free key
    """
    plain = (entries["course"] == COURSE["one_to_one"]).to_numpy()
    plain = plain & ~entries["key"].is_in(doubled.implode()).to_numpy()
    late = entries["day"].to_numpy() > LAST_DAY - 3
    back = entries[np.flatnonzero(plain & ~late & hit(rng, len(entries), profile.returns))]
    n = len(back)
    day = np.minimum(LAST_DAY, back["day"].to_numpy() + rng.integers(1, 9, n))
    known = hit(rng, n, 0.7)
    prefix = pick(rng, ["RETURN ", "Ruecklastschrift ", "REJECT AC04 ", "Rueckgabe "], n)
    returned = back.with_columns(
        key=pl.Series(first + np.arange(n)),
        minor=-pl.col("minor"),
        day=pl.Series(day),
        takes_back=pl.col("key"),
        reversed_reference=pl.when(pl.Series(known)).then(pl.col("bank_reference")),
        text=prefix + pl.col("text"),
        bank_reference=fill(rng, ["@@%#######-%###"], np.zeros(n, dtype=np.int64)),
        case=pl.lit("return"),
    )
    again = day + rng.integers(3, 15, n)
    chosen = np.flatnonzero(hit(rng, n, 0.6) & (again <= LAST_DAY))
    repaid = back[chosen].with_columns(
        key=pl.Series(first + n + np.arange(len(chosen))),
        day=pl.Series(again[chosen]),
        bank_reference=fill(rng, ["@@%#######-%###"], np.zeros(len(chosen), dtype=np.int64)),
        case=pl.lit("paid_again"),
    )
    numbers = pl.DataFrame({"key": back["key"], "back": returned["key"]})
    paying = legs.filter(pl.col("kind") == LEG["payment"])
    taken = paying.join(numbers, on="key", how="inner", maintain_order="left").select(
        key="back", invoice="invoice", kind=pl.lit(LEG["reversal"], dtype=pl.Int64), minor=-pl.col("minor")
    )
    anew = pl.DataFrame({"key": back["key"][chosen], "new": repaid["key"]})
    given = paying.join(anew, on="key", how="inner", maintain_order="left").select(
        key="new", invoice="invoice", kind="kind", minor="minor"
    )
    return pl.concat([returned, repaid], how="diagonal"), pl.concat([taken, given])


def _strangers(world: World, rng: Rng, n: int, sign: int, span: int) -> pl.DataFrame:
    words = world.vocabulary.words
    names, texts = (
        ("foreign_payers", "foreign_remittance") if sign > 0 else ("suppliers", "outgoing_remittance")
    )
    minor = np.maximum(500, rng.lognormal(10.8, 1.2, n).astype(np.int64))
    return pl.DataFrame(
        {
            "day": rng.integers(LAST_DAY - span, LAST_DAY + 1, n),
            "currency": weighted(rng, np.array([0.8, 0.12, 0.0, 0.08]), n),
            "minor": sign * minor,
            "name": pick(rng, words[names], n),
            "iban": ibans(rng, world.vocabulary, weighted(rng, world.vocabulary.weights, n)),
            "text": pick(rng, words[texts], n),
            "case": pl.Series(["stranger" if sign > 0 else "outgoing"]).new_from_index(0, n),
            **_blank_entries(n),
        }
    )


def _lookalikes(
    world: World, rng: Rng, customers: pl.DataFrame, documents: pl.DataFrame, n: int
) -> pl.DataFrame:
    """Payments of strangers built to be taken for a customer's.

    A third comes from another company at the very amount of an open invoice, a third quotes a number one
    step from ours, a third comes from a company whose name differs in its legal form alone.
    """
    at = rng.integers(0, len(documents), n if len(world.organisations) > 1 else 0)
    n = len(at)
    like = documents[at]
    who = customers[like["customer"].to_numpy()]
    kind = rng.integers(0, 3, n)
    drawn = rng.integers(0, len(world.organisations), n)
    # A customer who pays the very amount of its own invoice would be no stranger.
    is_owner = drawn == who["organisation"].to_numpy()
    other = world.organisations[np.where(is_owner, (drawn + 1) % len(world.organisations), drawn)]
    stranger = other["name"] + " " + other["legal"]
    owner = world.organisations[who["organisation"].to_numpy()]
    swapped = owner["name"] + " " + owner["legal"].replace(_SWAPS)
    is_swapped = (kind == 2) & (owner["legal"].replace(_SWAPS) != owner["legal"]).to_numpy()
    name = swapped.zip_with(pl.Series(is_swapped), stranger)
    # Another company may be a customer too: then its own invoices are no further from the amount.
    minor = np.abs(like["minor"].to_numpy())
    minor = np.where(kind == 1, minor * 3 // 2 + 37, minor)
    near = like["invoice_number"].str.replace(r"\d{2}$", "") + fill(rng, ["##"], np.zeros(n, dtype=np.int64))
    text = near.zip_with(pl.Series(kind == 1), pick(rng, ["Payment", "Zahlung", "", "invoice"], n))
    return pl.DataFrame(
        {
            "day": np.minimum(LAST_DAY, like["due"].to_numpy() + rng.integers(-10, 5, n)),
            "currency": like["currency"],
            "minor": minor,
            "name": banked_names(rng, name),
            "iban": ibans(rng, world.vocabulary, weighted(rng, world.vocabulary.weights, n)),
            "text": text,
            "case": pl.Series(["lookalike_amount", "lookalike_number", "lookalike_name"]).gather(
                np.where((kind == 2) & ~is_swapped, 0, kind)
            ),
            **_blank_entries(n),
        }
    )


def _own_business(rng: Rng, customers: pl.DataFrame, documents: pl.DataFrame, n: int) -> pl.DataFrame:
    """Payments of customers for something else, near the amount of an invoice of theirs.

    None is what the invoice's own terms give, such as 3 % off: then nothing in the books would say that it
    is for something else.
    """
    like = documents[rng.integers(0, len(documents), n)]
    near = np.abs(like["minor"].to_numpy()) * (1000 + rng.choice(np.array([-31, -9, 8, 40]), n)) // 1000
    paid = payers(rng, customers, like["customer"].to_numpy())
    fixed = {k: v for k, v in _blank_entries(n).items() if k not in paid.columns}
    return pl.DataFrame(
        {
            "day": np.minimum(LAST_DAY, like["due"].to_numpy() + rng.integers(-10, 5, n)),
            "currency": like["currency"],
            "minor": np.maximum(near, 100),
            "text": pick(rng, _OWN_BUSINESS, n),
            "case": pl.Series(["own_business"]).new_from_index(0, n),
            **fixed,
            **paid.to_dict(),
        }
    )


def _orphan_returns(
    rng: Rng, customers: pl.DataFrame, documents: pl.DataFrame, n: int, span: int
) -> pl.DataFrame:
    """Money that goes back to customers for payments that came before the books begin."""
    like = documents[rng.integers(0, len(documents), n)]
    paid = payers(rng, customers, like["customer"].to_numpy())
    fixed = {k: v for k, v in _blank_entries(n).items() if k not in paid.columns}
    # An odd amount, so that it takes back nothing by chance.
    minor = np.maximum(1, np.abs(like["minor"].to_numpy()) // 100) * 100
    minor = np.where(like["currency"].to_numpy() == CURRENCIES.index("JPY"), minor, minor + 13)
    return pl.DataFrame(
        {
            "day": LAST_DAY - span + rng.integers(0, 20, n),
            "currency": like["currency"],
            "minor": -minor,
            "text": pick(rng, ["RETURN of an earlier payment", "Ruecklastschrift", "REJECT AC04"], n),
            "case": pl.Series(["orphan_return"]).new_from_index(0, n),
            **fixed,
            **paid.to_dict(),
        }
    )


def build_others(
    world: World, rng: Rng, profile: Profile, customers: pl.DataFrame, documents: pl.DataFrame, span: int
) -> pl.DataFrame:
    """Entries that pay nothing of ours, in the columns of `quote`."""
    n = len(documents)

    def count(share: float) -> int:
        return max(1, round(n * share))

    parts = [
        _strangers(world, rng, count(profile.strangers), 1, span),
        _strangers(world, rng, count(profile.outgoing), -1, span),
        _lookalikes(world, rng, customers, documents, count(profile.lookalikes)),
        _own_business(rng, customers, documents, count(profile.own_business)),
    ]
    if profile.orphan_returns:
        parts.append(_orphan_returns(rng, customers, documents, count(profile.orphan_returns), span))
    found = pl.concat(
        [p.with_columns(pl.col("day", "currency", "minor").cast(pl.Int64)) for p in parts], how="diagonal"
    )
    return found.with_columns(
        bank_reference=fill(rng, ["@@%#######-%###"], np.zeros(len(found), dtype=np.int64)),
        reference_kind=pl.lit("none"),
        customer=pl.lit(-1, dtype=pl.Int64),
    )


def keys_from(first: int, n: int) -> Ints:
    """`n` free keys."""
    return np.arange(first, first + n, dtype=np.int64)
