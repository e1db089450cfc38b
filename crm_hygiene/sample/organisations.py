"""The true organisations: what each of them is, before any export misspells it.

What does not belong here: records about organisations (`organisation_exports`).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from crm_hygiene.sample.draws import Ints, Pools, Rng, blank, fill, hit, stream, weighted, where
from crm_hygiene.sample.registers import ibans, vat_numbers
from crm_hygiene.sample.vocabulary import Vocabulary, slug

MAIL_PATTERNS = 6


def _names(vocabulary: Vocabulary, rng: Rng, country: Ints, city: Ints) -> tuple[pl.Series, pl.Series]:
    """Names without legal form, and industries, one per organisation."""
    n = len(country)
    language = vocabulary.language_of[country]
    roots = vocabulary.company["roots"]
    begin, middle, end = (
        pl.Series(roots[part], dtype=pl.String).gather(rng.integers(0, len(roots[part]), n))
        for part in ("begin", "middle", "end")
    )
    root = begin + middle + end
    trades = vocabulary.company["industries"]
    listed = [[(word, trade) for trade, by in trades.items() for word in by[x]] for x in vocabulary.languages]
    words = Pools.of([[word for word, _ in pairs] for pairs in listed])
    industries = pl.Series([trade for pairs in listed for _, trade in pairs], dtype=pl.String)
    at = words.positions(rng, language)
    word = words.values.gather(at)
    family, second = (vocabulary.family.pick(rng, language, 1.3) for _ in range(2))
    kin = Pools.of([vocabulary.company["kinship"][x] for x in vocabulary.languages]).pick(rng, language)
    town = pl.Series([c[0] for x in vocabulary.countries for c in x.cities], dtype=pl.String).gather(city)
    shape = rng.random(n)
    name = root + " " + word
    name = where(shape < 0.33, family + " " + word, name)
    name = where(shape < 0.17, family + " " + kin, name)
    name = where(shape < 0.11, root, name)
    name = where(shape < 0.06, town + " " + word, name)
    name = where(shape < 0.03, family + " & " + second, name)
    return name, industries.gather(at)


def _domains(vocabulary: Vocabulary, rng: Rng, name: pl.Series, country: Ints, city: Ints) -> pl.Series:
    """One registrable domain per organisation, no two alike."""
    towns = pl.Series([c[0] for x in vocabulary.countries for c in x.cities], dtype=pl.String)
    town = slug(towns).gather(city)
    hyphen = hit(rng, len(name), 0.35)
    stem = where(hyphen, slug(name.str.replace_all(" & ", " und ").str.replace(" ", "0")), slug(name))
    stem = stem.str.replace("0", "-")
    tld = vocabulary.country_pools("tld").pick(rng, country)
    frame = pl.DataFrame({"stem": stem, "tld": tld, "town": town})
    frame = frame.with_columns(n=pl.cum_count("stem").over("stem", "tld"))
    in_town = pl.col("stem") + "-" + pl.col("town")
    frame = frame.with_columns(stem=pl.when(pl.col("n") > 1).then(in_town).otherwise("stem"))
    frame = frame.with_columns(n=pl.cum_count("stem").over("stem", "tld"))
    number = pl.col("n").cast(pl.String)
    return frame.select(
        domain=pl.when(pl.col("n") > 1).then(pl.col("stem") + number).otherwise("stem") + "." + pl.col("tld")
    ).to_series()


def build_organisations(vocabulary: Vocabulary, seed: int, n: int) -> pl.DataFrame:
    """`n` organisations, one row each; row number = number of the organisation.

    Columns: name (without legal form), legal, domain, country, city (numbers), street, postal_code,
    phone (national format), industry, employees, revenue (whole units of the country's currency),
    tax_id, iban, mail_pattern, parent (number of an earlier organisation or null), size (weight as
    employer).
    """
    rng = stream(seed, "organisations")
    country = weighted(rng, vocabulary.weights, n)
    cities = np.array([len(c.cities) for c in vocabulary.countries])
    first = np.cumsum(cities) - cities
    city = (first[country] + (rng.random(n) ** 1.5 * cities[country]).astype(np.int64)).astype(np.int64)
    flat = [c for x in vocabulary.countries for c in x.cities]
    name, industry = _names(vocabulary, rng, country, city)
    size = rng.lognormal(0.0, 1.1, n)
    employees = np.maximum(1, (size * 18 * rng.lognormal(0.0, 0.5, n)).astype(np.int64))
    yen = np.array([c.currency == "JPY" for c in vocabulary.countries])[country]
    revenue = employees * rng.integers(60, 260, n) * 1000 * np.where(yen, 150, 1)
    street = vocabulary.streets.pick(rng, vocabulary.language_of[country])
    number = pl.Series(1 + (rng.random(n) ** 2 * 180).astype(np.int64)).cast(pl.String)
    earlier = (rng.random(n) * np.arange(n)).astype(np.int64)
    parent = np.where(hit(rng, n, 0.05) & (np.arange(n) > 0), earlier, -1)
    return pl.DataFrame(
        {
            "name": name,
            "legal": vocabulary.country_pools("legal").pick(rng, country),
            "domain": _domains(vocabulary, rng, name, country, city),
            "country": country,
            "city": city,
            "street": pl.DataFrame({"s": street, "n": number})
            .select(pl.col("s").str.replace("#", pl.col("n"), literal=True))
            .to_series(),
            "postal_code": fill(rng, [c[2] for c in flat], city),
            "phone": fill(rng, [c[3] for c in flat], city),
            "industry": industry,
            "employees": employees,
            "revenue": revenue,
            "tax_id": blank(hit(rng, n, 0.3), vat_numbers(rng, vocabulary, country)),
            "iban": ibans(rng, vocabulary, country),
            "mail_pattern": rng.integers(0, MAIL_PATTERNS, n),
            "parent": blank(parent < 0, pl.Series(parent)),
            "size": size,
        }
    )
