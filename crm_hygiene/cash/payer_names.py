"""Payer names: the one customer a misspelt or shortened name can only be.

The best must reach a similarity and beat every other customer clearly; numbers in a name are never
misspelt. What does not belong here: names that are equal to a known one (`payers`).
"""

from __future__ import annotations

import polars as pl
from rapidfuzz import fuzz, process

from crm_hygiene.cash.rules import NameRules
from crm_hygiene.standardise.text import latinised

_TOO_COMMON = 200


def similar_parties(names: pl.DataFrame, known: pl.DataFrame, rules: NameRules) -> pl.DataFrame:
    """(`name`, `party`, `is_clear`) for names like a known one; `party` is null where two are too near.

    Parameters
    ----------
    names
        distinct `name`s that are no known one.
    known
        `name` and `party`.

    Notes
    -----
    Only names that share a word of four letters that fewer than 200 known names have are compared;
    similarity is the better of rapidfuzz's token sort ratio and plain ratio, rounded.
    """
    empty = pl.DataFrame(schema={"name": pl.String, "party": pl.String, "is_clear": pl.Boolean})
    if names.is_empty() or known.is_empty():
        return empty
    spelt = known.select("name").unique()
    words = _words(spelt).filter(pl.len().over("word") < _TOO_COMMON).rename({"name": "like"})
    pairs = _words(names).join(words, on="word").select("name", "like").unique().sort("name", "like")
    pairs = pairs.filter(
        (pl.int_range(pl.len()).over("name") < rules.max_candidates)
        & (pl.col("name").str.extract_all(r"\d+") == pl.col("like").str.extract_all(r"\d+"))
    )
    if pairs.is_empty():
        return empty
    left, right = pairs["name"].to_list(), pairs["like"].to_list()
    sorted_words = process.cpdist(left, right, scorer=fuzz.token_sort_ratio, workers=1)
    as_spelt = process.cpdist(left, right, scorer=fuzz.ratio, workers=1)
    scored = pairs.with_columns(
        pl.max_horizontal(pl.Series("a", sorted_words), pl.Series("b", as_spelt))
        .round()
        .cast(pl.Int64)
        .alias("similarity")
    )
    best = (
        scored.join(known, left_on="like", right_on="name")
        .group_by("name", "party")
        .agg(pl.col("similarity").max())
        .sort("name", "similarity", "party", descending=[False, True, False])
        .group_by("name", maintain_order=True)
        .agg(
            pl.col("party").first(),
            pl.col("similarity").first().alias("best"),
            pl.col("similarity").slice(1, 1).first().fill_null(0).alias("second"),
        )
        .filter(pl.col("best") >= rules.min_similarity)
    )
    is_clear = pl.col("best") - pl.col("second") >= rules.margin
    return best.select("name", pl.when(is_clear).then("party").alias("party"), is_clear.alias("is_clear"))


def cut_parties(names: pl.DataFrame, known: pl.DataFrame, rules: NameRules) -> pl.DataFrame:
    """(`raw`, `party`) for names that are the beginning of one customer's name only.

    Banks cut names to the width of a form: 27, 35 or 70 characters.

    Parameters
    ----------
    names
        distinct names as the bank states them, `raw`; those shorter than `min_cut` are left alone.
    known
        names as stated of customers, `raw` and `party`.
    """
    asked = names.select("raw", _folded("raw").alias("cut")).filter(
        pl.col("cut").str.len_chars() >= rules.min_cut
    )
    whole = known.select(_folded("raw").alias("whole"), "party").unique()
    found = []
    for length in sorted(asked["cut"].str.len_chars().unique()):
        begun = whole.filter(pl.col("whole").str.len_chars() > length).select(
            "party", pl.col("whole").str.slice(0, length).alias("cut")
        )
        found.append(asked.join(begun, on="cut").select("raw", "party").unique())
    empty = pl.DataFrame(schema={"raw": pl.String, "party": pl.String})
    return pl.concat([empty, *found]).filter(pl.len().over("raw") == 1).sort("raw")


def _folded(column: str) -> pl.Expr:
    """Lower case without marks and in Latin letters, as a bank that knows no others writes it."""
    spelt = (
        pl.col(column)
        .str.to_lowercase()
        .str.replace_many(["ä", "ö", "ü", "ß", "å", "ø", "æ"], ["ae", "oe", "ue", "ss", "aa", "oe", "ae"])
    )
    return latinised(spelt).str.replace_all(r"\s+", " ").str.strip_chars()


def _words(names: pl.DataFrame) -> pl.DataFrame:
    return (
        names.select("name", pl.col("name").str.extract_all(r"[\p{L}\p{N}]{4,}").alias("word"))
        .explode("word")
        .drop_nulls()
        .unique()
    )
