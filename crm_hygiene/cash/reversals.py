"""Reversals and returns: which earlier payment an entry takes back.

By the reference it names, else by the end-to-end id, else by account, else by the payer's name or the text
that comes back within days; always by the same amount in the same currency, and only where one payment fits.
What does not belong here: the contra lines (`ledger`), what clerks decide (`decided_reversals`).
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.cash.doubts import Doubt

_NAMED = ("bank_reference", "end_to_end_id", "entry_key", "record_id")
_BY_NAME, _BY_TEXT = 3, 4
# Shorter texts ("invoice") come with too many payments to tell one.
_TELLING_TEXT = 8


_PAIR = ("p", "by", "booked_date", "back_on")


def _alike(reversing: pl.DataFrame, originals: pl.DataFrame, near_days: int) -> list[pl.DataFrame]:
    """Pairs of one amount within days: of one payer's name, or where the return repeats the payment's text.

    A name or a text alone names no payment of last month; another name speaks against the text.
    """
    name = pl.coalesce("organisation_name_normalised", "payer_name").str.to_lowercase()
    name = name.str.replace_all(r"[^\p{L}\p{N}]+", "")
    words = pl.col("remittance_text").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    named, told = name.replace("", None), words.replace("", None)
    what = ["amount", "currency"]
    pairs = (
        reversing.select(
            pl.col("p").alias("by"), *what, pl.col("booked_date").alias("back_on"),
            named.alias("its_name"), told.alias("its_text"),
        ).join(
            originals.select("p", *what, "booked_date", named.alias("name"), told.alias("text")), on=what
        )
    )  # fmt: skip
    later = (pl.col("back_on") - pl.col("booked_date")).dt.total_days()
    pairs = pairs.filter((later >= 0) & (later <= near_days))
    is_same = (pl.col("name") == pl.col("its_name")).fill_null(value=False)
    is_other = (pl.col("name") != pl.col("its_name")).fill_null(value=False)
    is_long = pl.col("text").str.len_chars() >= _TELLING_TEXT
    repeats = (is_long & pl.col("its_text").str.ends_with(pl.col("text"))).fill_null(value=False)
    return [
        pairs.filter(is_same).select(*_PAIR, pl.lit(_BY_NAME).alias("rank")),
        pairs.filter(repeats & ~is_other).select(*_PAIR, pl.lit(_BY_TEXT).alias("rank")),
    ]


def pair_reversals(entries: pl.DataFrame, days: int, near_days: int) -> tuple[pl.DataFrame, dict[int, Doubt]]:
    """(`p` taken back, `by` the entry that takes it back), and doubts for entries that fit none or several.

    Parameters
    ----------
    entries
        `p`, `source`, `record_id`, `amount`, `currency`, `booked_date`, `is_taking_back`, `is_repeat` and
        the references, payer and text; `days` is how long a payment may be taken back.
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
        found.append(pairs.select(*_PAIR, pl.lit(rank).alias("rank")))
    found += _alike(reversing, originals, near_days)
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
