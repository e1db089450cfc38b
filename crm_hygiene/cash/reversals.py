"""Reversals and returns: which earlier payment an entry takes back.

By the reference it names, else by the end-to-end id, else by account; always by the same amount in the
same currency, and only where one payment fits. What does not belong here: the contra lines (`ledger`).
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.cash.doubts import Doubt

_NAMED = ("bank_reference", "end_to_end_id", "entry_key", "record_id")


def pair_reversals(entries: pl.DataFrame, days: int, near_days: int) -> tuple[pl.DataFrame, dict[int, Doubt]]:
    """(`p` taken back, `by` the entry that takes it back), and doubts for entries that fit none or several.

    Parameters
    ----------
    entries
        `p`, `source`, `record_id`, `amount`, `currency`, `booked_date`, `is_taking_back`, `is_repeat` and
        the references; `days` is how long a payment may be taken back.
    near_days
        of several payments that fit alike, the only one so many days before is the one.
    """
    reversing = entries.filter(pl.col("is_taking_back") & ~pl.col("is_repeat"))
    originals = entries.filter(~pl.col("is_taking_back") & ~pl.col("is_repeat")).with_columns(
        -pl.col("amount")
    )
    ways = [("reversed_reference", key, 0) for key in _NAMED]
    ways += [("end_to_end_id", "end_to_end_id", 1), ("payer_iban", "payer_iban", 2)]
    told = originals.select("p", "amount", "currency", "booked_date", *dict.fromkeys([*_NAMED, "payer_iban"]))
    found = []
    for asked, key, rank in ways:
        pairs = reversing.select(
            pl.col("p").alias("by"), "amount", "currency", pl.col("booked_date").alias("back_on"),
            pl.col(asked).alias("named"),
        ).drop_nulls("named").join(
            told.select("p", "amount", "currency", "booked_date", pl.col(key).alias("named")),
            on=["amount", "currency", "named"],
        )  # fmt: skip
        found.append(pairs.select("p", "by", "booked_date", "back_on", pl.lit(rank).alias("rank")))
    later = (pl.col("back_on") - pl.col("booked_date")).dt.total_days()
    near = (later.is_null()) | ((later >= 0) & (later <= days))
    pairs = pl.concat(found).filter(near).unique(["p", "by", "rank"])
    pairs = pairs.filter(pl.col("rank") == pl.col("rank").min().over("by")).sort("by", "p")
    # A return follows its payment within days, a subscription's next payment comes within weeks.
    recent = (pl.col("back_on") - pl.col("booked_date")).dt.total_days() <= near_days
    only = recent.fill_null(value=False).sum().over("by") == 1
    pairs = pairs.filter(~only | recent)
    sole = pairs.filter((pl.len().over("by") == 1) & (pl.len().over("p") == 1)).select("p", "by")
    names = dict(entries.select("p", pl.format("{}/{}", "source", "record_id")).iter_rows())
    candidates = dict(pairs.group_by("by").agg(pl.col("p").sort()).iter_rows())
    settled = set(sole["by"])
    doubts = {}
    for by in reversing["p"].to_list():
        if by in settled:
            continue
        fits = candidates.get(by, [])
        reason = (
            f"the entry takes back an earlier one, and {len(fits)} fit it"
            if fits
            else "the entry takes back an earlier one that is not known"
        )
        doubts[by] = Doubt("REVERSAL", reason, notes=tuple(f"reverses payment {names[p]}" for p in fits))
    return sole, doubts
