"""The true people: who they are, where they work and worked, how they can be reached.

What does not belong here: records about people (`observation`).
"""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import polars as pl

from crm_hygiene.sample.draws import Ints, Mask, Rng, blank, fill, hit, stream, weighted, where
from crm_hygiene.sample.vocabulary import Vocabulary, slug

EPOCH = datetime(2026, 11, 1)
"""The end of the sample world's time; nothing true happens after it."""


def microseconds(moment: datetime) -> int:
    """Microseconds of a UTC moment since 1970."""
    return int((moment - datetime(1970, 1, 1)).total_seconds()) * 1_000_000


def moments(rng: Rng, n: int, since: datetime, until: datetime = EPOCH) -> Ints:
    """`n` moments in microseconds since 1970, on whole seconds, drawn evenly."""
    low, high = microseconds(since) // 1_000_000, microseconds(until) // 1_000_000
    return rng.integers(low, high, n) * 1_000_000


def _names(vocabulary: Vocabulary, rng: Rng, country: Ints, is_female: Mask) -> dict[str, pl.Series]:
    n = len(country)
    language = vocabulary.language_of[country]
    abroad = hit(rng, n, 0.08)
    foreign = vocabulary.language_of[weighted(rng, vocabulary.weights, n)]
    spoken = np.where(abroad, foreign, language).astype(np.int64)
    given, middle = (
        where(is_female, vocabulary.female.pick(rng, spoken, 1.3), vocabulary.male.pick(rng, spoken, 1.3))
        for _ in range(2)
    )
    family, second = (vocabulary.family.pick(rng, spoken, 1.6) for _ in range(2))
    double = np.array(vocabulary.two_family_names)[spoken]
    hyphenated = hit(rng, n, 0.03) & ~double
    family = where(double, family + " " + second, where(hyphenated, family + "-" + second, family))
    polish = is_female & (np.array(vocabulary.languages)[spoken] == "pl")
    family = where(polish, family.str.replace("ski$", "ska"), family)
    known, called = list(vocabulary.nicknames), list(vocabulary.nicknames.values())
    return {
        "given": given,
        "middle": blank(hit(rng, n, 0.8) | (middle == given).to_numpy(), middle),
        "family": family,
        "nickname": given.replace_strict(known, called, default=None, return_dtype=pl.String),
    }


def _unique(local: pl.Series, domain: pl.Series) -> pl.Series:
    """Addresses; the second owner of a local part gets a number, as mail administrators do it."""
    frame = pl.DataFrame({"l": local, "d": domain}).with_columns(n=pl.cum_count("l").over("l", "d"))
    numbered = pl.when(pl.col("n") > 1).then(pl.col("l") + pl.col("n").cast(pl.String)).otherwise("l")
    return frame.select(pl.when(pl.col("d").is_not_null()).then(numbered + "@" + pl.col("d"))).to_series()


def _work_addresses(
    organisations: pl.DataFrame, given: pl.Series, family: pl.Series, employer: Ints
) -> pl.Series:
    """Addresses at the employers, one per row; null where `employer` is -1."""
    at = np.maximum(employer, 0)
    frame = pl.DataFrame({"g": given, "f": family, "p": organisations["mail_pattern"].gather(at)})
    g, f, initial = pl.col("g"), pl.col("f"), pl.col("g").str.slice(0, 1)
    local = frame.select(
        pl.when(pl.col("p") <= 1)
        .then(g + "." + f)
        .when(pl.col("p") == 2)
        .then(initial + "." + f)
        .when(pl.col("p") == 3)
        .then(initial + f)
        .when(pl.col("p") == 4)
        .then(g)
        .otherwise(g + "_" + f)
    ).to_series()
    return _unique(local, blank(employer < 0, organisations["domain"].gather(at)))


def _private_addresses(
    vocabulary: Vocabulary, rng: Rng, names: tuple[pl.Series, pl.Series], born: pl.Series, country: Ints
) -> pl.Series:
    given, family = names
    n = len(country)
    year = born.dt.year().cast(pl.String)
    shape = rng.random(n)
    local = given + "." + family
    local = where(shape < 0.6, given + family + year.str.slice(2), local)
    local = where(shape < 0.4, given.str.slice(0, 1) + family + year, local)
    local = where(shape < 0.2, family + "." + given, local)
    return _unique(local, vocabulary.country_pools("free_mail").pick(rng, country))


def build_people(vocabulary: Vocabulary, seed: int, n: int, organisations: pl.DataFrame) -> pl.DataFrame:
    """`n` people, one row each; row number = number of the person.

    Columns: given, middle, family, nickname, is_female, country (number), birth_date, employer and
    previous_employer (numbers of organisations, -1 for none), moved_on (microseconds since 1970; before
    it the previous employer holds), work_email, previous_email, private_email, direct_phone and mobile
    (national format), title, home_city (number), home_street, home_postal_code, opted_out, do_not_call.
    """
    rng = stream(seed, "people")
    weights = organisations["size"].to_numpy()
    employer = weighted(rng, weights, n)
    is_alone = hit(rng, n, 0.04)
    home = weighted(rng, vocabulary.weights, n)
    country = organisations["country"].to_numpy()[employer]
    country = np.where(is_alone | hit(rng, n, 0.03), home, country).astype(np.int64)
    moved = hit(rng, n, 0.1) & ~is_alone
    previous = np.where(moved, weighted(rng, weights, n), employer)
    moved &= previous != employer
    employer = np.where(is_alone, -1, employer).astype(np.int64)
    previous = np.where(moved, previous, -1).astype(np.int64)
    is_female = hit(rng, n, 0.48)
    names = _names(vocabulary, rng, country, is_female)
    given, family = slug(names["given"]), slug(names["family"])
    # Present and former employees share one name space at each employer.
    both = _work_addresses(
        organisations,
        pl.concat([given, given]),
        pl.concat([family, family]),
        np.concatenate([employer, previous]),
    )
    cities = np.array([len(c.cities) for c in vocabulary.countries])
    city = np.cumsum(cities)[country] - cities[country] + (rng.random(n) * cities[country]).astype(np.int64)
    work_city = np.where(employer < 0, city, organisations["city"].to_numpy()[np.maximum(employer, 0)])
    flat = [c for x in vocabulary.countries for c in x.cities]
    days = (date(1956, 1, 1) - date(1970, 1, 1)).days + (rng.beta(2.2, 2.0, n) * 47 * 365.25).astype(np.int64)
    born = pl.Series(days.astype(np.int32)).cast(pl.Date)
    mobiles = vocabulary.country_pools("mobile")
    street = vocabulary.streets.pick(rng, vocabulary.language_of[country])
    number = pl.Series(1 + (rng.random(n) ** 2 * 180).astype(np.int64)).cast(pl.String)
    return pl.DataFrame(
        {
            **names,
            "is_female": is_female,
            "country": country,
            "birth_date": born,
            "employer": employer,
            "previous_employer": previous,
            "moved_on": moments(rng, n, datetime(2022, 1, 1), datetime(2026, 9, 1)),
            "work_email": both.slice(0, n),
            "previous_email": both.slice(n),
            "private_email": _private_addresses(vocabulary, rng, (given, family), born, country),
            "direct_phone": fill(rng, [c[3] for c in flat], work_city.astype(np.int64)),
            "mobile": fill(rng, mobiles.values.to_list(), mobiles.positions(rng, country)),
            "title": vocabulary.titles.pick(rng, vocabulary.language_of[country]),
            "home_city": city,
            "home_street": pl.DataFrame({"s": street, "n": number})
            .select(pl.col("s").str.replace("#", pl.col("n"), literal=True))
            .to_series(),
            "home_postal_code": fill(rng, [c[2] for c in flat], city.astype(np.int64)),
            "opted_out": hit(rng, n, 0.12),
            "do_not_call": hit(rng, n, 0.05),
        }
    )
