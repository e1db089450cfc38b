"""The words of the sample world, read from the YAML files beside this module.

What does not belong here: drawing from them (`draws`) and putting them together (`organisations`,
`people`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from crm_hygiene.sample.draws import Ints, Pools
from crm_hygiene.yaml_text import parse_yaml

FOLDER = Path(__file__).parent / "vocabulary"

_LATIN = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ł": "l", "ø": "o", "æ": "ae", "ı": "i", "đ": "d"}


class Country(BaseModel):
    """How a country writes itself, its telephone numbers, addresses and accounts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: float
    written: tuple[str, str, str, str]
    language: str
    currency: str
    dial: str
    trunk: str
    mobile: tuple[str, ...]
    legal: tuple[str, ...]
    free_mail: tuple[str, ...]
    tld: tuple[str, ...]
    iban: tuple[str, ...]
    cities: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True)
class Vocabulary:
    """Everything the sample can say; countries and languages are addressed by their number."""

    codes: list[str]
    countries: list[Country]
    language_of: Ints
    languages: list[str]
    female: Pools
    male: Pools
    family: Pools
    two_family_names: list[bool]
    nicknames: dict[str, str]
    streets: Pools
    titles: Pools
    company: dict[str, Any]
    words: dict[str, list[str]]

    @property
    def weights(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Share of each country in the world, unnormalised."""
        return np.array([c.weight for c in self.countries])

    def country_pools(self, name: str) -> Pools:
        """Pools of one attribute of the countries, e.g. `tld`."""
        return Pools.of([getattr(c, name) for c in self.countries])


def _read(name: str) -> Any:
    return parse_yaml((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


def _family(names: dict[str, Any]) -> list[str]:
    built = []
    if "parts" in names:
        first, second = names["parts"]
        built = [a + b for b in second for a in first]
    return [*names["family"], *built]


@cache
def load_vocabulary() -> Vocabulary:
    """Read the vocabulary; cached, the files are part of the package."""
    countries = {code: Country(**spec) for code, spec in _read("countries").items()}
    names = _read("names")
    words = _read("words")
    streets, titles = words.pop("streets"), words.pop("titles")
    languages = sorted(names)
    return Vocabulary(
        codes=list(countries),
        countries=list(countries.values()),
        language_of=np.array([languages.index(c.language) for c in countries.values()], dtype=np.int64),
        languages=languages,
        female=Pools.of([names[x]["female"] for x in languages]),
        male=Pools.of([names[x]["male"] for x in languages]),
        family=Pools.of([_family(names[x]) for x in languages]),
        two_family_names=[bool(names[x].get("two_family_names")) for x in languages],
        nicknames=_read("nicknames"),
        streets=Pools.of([streets[x] for x in languages]),
        titles=Pools.of([titles[x] for x in languages]),
        company=_read("companies"),
        words=words,
    )


def slug(values: pl.Series) -> pl.Series:
    """Names as they stand in mail addresses and domains: lower-case ASCII letters and digits."""
    return (
        values.str.to_lowercase()
        .str.replace_many(list(_LATIN), list(_LATIN.values()))
        .str.normalize("NFKD")
        .str.replace_all("[^a-z0-9]", "")
    )
