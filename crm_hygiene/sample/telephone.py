"""Telephone numbers in the many ways people write them.

What does not belong here: which number belongs to whom (`people`, `organisations`).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from crm_hygiene.sample.draws import Ints, Rng, weighted
from crm_hygiene.sample.vocabulary import Vocabulary

# E.164, international with blanks, 00 international, national, national compact, +49 (0)30.
_STYLES = np.array([0.25, 0.25, 0.07, 0.25, 0.1, 0.08])


def written(vocabulary: Vocabulary, rng: Rng, numbers: pl.Series, country: Ints) -> pl.Series:
    """Numbers in national format without trunk prefix, as a person or a form would write them.

    Parameters
    ----------
    numbers
        e.g. `30 2345678`; nulls stay null
    country
        number of the country of each row
    """
    n = len(numbers)
    dial = pl.Series([c.dial for c in vocabulary.countries]).gather(country)
    trunk = pl.Series([c.trunk for c in vocabulary.countries]).gather(country)
    frame = pl.DataFrame({"n": numbers, "dial": dial, "trunk": trunk, "style": weighted(rng, _STYLES, n)})
    number, plus = pl.col("n"), pl.lit("+") + pl.col("dial")
    compact = number.str.replace_all("[ -]", "")
    style = pl.col("style")
    american = number.str.replace(r"^(\d{3}) ", "($1) ")
    national = pl.when(pl.col("dial") == "1").then(american).otherwise(pl.col("trunk") + number)
    with_trunk = plus + " (0)" + number.str.replace_all("-", " ")
    return frame.select(
        pl.when(style == 0)
        .then(plus + compact)
        .when(style == 1)
        .then(plus + " " + number)
        .when(style == 2)
        .then("00" + pl.col("dial") + " " + number)
        .when(style == 3)
        .then(national)
        .when(style == 4)
        .then(pl.col("trunk") + compact)
        .when(pl.col("trunk") == "0")
        .then(with_trunk)
        .otherwise(plus + " " + number)
    ).to_series()
