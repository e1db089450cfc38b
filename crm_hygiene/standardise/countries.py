"""Countries as people write them to ISO 3166-1 alpha-2.

Names come from CLDR through babel: English, German, French, Spanish, Italian, Portuguese, Dutch, Polish
and each country's own official languages; alpha-3 and numeric codes too; common aliases are listed
below. Where a name is claimed twice, codes win over aliases, aliases over names, and names in the order
of the languages above.
"""

from __future__ import annotations

import re
from functools import cache

import polars as pl
from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.languages import get_official_languages

from crm_hygiene.standardise.placeholders import is_placeholder
from crm_hygiene.standardise.text import cleaned, complaint, fold, folded

LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl", "pl")
# CLDR regions that are no country of ISO 3166-1; Kosovo (XK) stays: banks and telephones use it.
NOT_COUNTRIES = frozenset(
    {"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"}
)
ALIASES: dict[str, tuple[str, ...]] = {
    "GB": (
        "uk", "u k", "england", "scotland", "wales", "northern ireland", "great britain", "britain", "gbr",
        "united kingdom of great britain and northern ireland", "vereinigtes konigreich",
        "grossbritannien", "schottland",
    ),
    "US": (
        "usa", "u s", "u s a", "united states of america", "america", "us of a",
        "vereinigte staaten von amerika",
        "etats unis d amerique", "estados unidos de america", "eeuu", "ee uu",
    ),
    "DE": ("deutschland", "brd", "federal republic of germany", "bundesrepublik deutschland", "d"),
    "NL": ("holland", "the netherlands", "netherlands the", "nederland"),
    "AE": ("uae", "u a e", "emirates", "vae"),
    "AT": ("osterreich", "oesterreich"), "CH": ("schweiz", "suisse", "svizzera", "confoederatio helvetica"),
    "CZ": ("czech republic", "czech", "ceska republika", "tschechische republik"),
    "KR": ("korea", "south korea", "republic of korea", "korea republic of", "korea south"),
    "KP": ("north korea", "korea north", "dprk"),
    "RU": ("russian federation", "russia"), "VN": ("viet nam",), "LA": ("lao", "lao pdr"),
    "IR": ("iran islamic republic of", "islamic republic of iran"), "SY": ("syrian arab republic",),
    "MD": ("republic of moldova", "moldova republic of"), "TZ": ("united republic of tanzania",),
    "BO": ("plurinational state of bolivia",), "VE": ("bolivarian republic of venezuela",),
    "TW": ("republic of china taiwan", "taiwan province of china", "chinese taipei"),
    "CN": ("peoples republic of china", "people s republic of china", "prc", "mainland china"),
    "HK": ("hong kong", "hongkong"), "MO": ("macau", "macao"), "TR": ("turkey", "turkiye"),
    "MK": ("macedonia", "fyrom", "republic of north macedonia"), "CI": ("ivory coast", "cote d ivoire"),
    "CD": ("drc", "democratic republic of the congo", "zaire", "congo kinshasa"),
    "CG": ("congo", "republic of the congo", "congo brazzaville"), "CV": ("cape verde",),
    "SZ": ("swaziland",),
    "MM": ("burma",), "TL": ("east timor",), "VA": ("vatican", "holy see"), "BA": ("bosnia",),
    "IE": ("eire", "republic of ireland"), "NZ": ("aotearoa",), "PS": ("palestine", "state of palestine"),
    "SA": ("ksa",), "ZA": ("rsa",), "SK": ("slovak republic",), "BY": ("belorussia",), "XK": ("kosovo",
    "xkx"),
}  # fmt: skip


def _key(text: str) -> str:
    """Folded, punctuation to blanks, a leading 'the' off."""
    words = re.sub(r"[^\w]+|_", " ", fold(text)).strip()
    return words.removeprefix("the ")


@cache
def _names() -> dict[str, str]:
    """Folded name or code -> alpha-2."""
    listed = sorted(str(c) for c in Locale("en").territories)
    codes = [c for c in listed if re.fullmatch("[A-Z]{2}", c) and c not in NOT_COUNTRIES]
    names: dict[str, str] = {c.lower(): c for c in codes}
    for alias, targets in sorted(get_global("territory_aliases").items()):
        # A retired code with several heirs (SU, YU) names no country of today.
        if len(alias) == 3 and len(targets) == 1 and targets[0] in codes:
            names.setdefault(alias.lower(), targets[0])
    for code, aliases in ALIASES.items():
        for alias in aliases:
            names.setdefault(_key(alias), code)
    for language in LANGUAGES:
        territories = Locale(language).territories
        for code in codes:
            if code in territories:
                names.setdefault(_key(territories[code]), code)
    for code in codes:
        for language in get_official_languages(code, de_facto=True, regional=True):
            try:
                name = Locale.parse(language).territories.get(code)
            except (UnknownLocaleError, ValueError):
                continue
            if name:
                names.setdefault(_key(name), code)
    names.pop("", None)
    return names


@cache
def _lookup() -> pl.DataFrame:
    names = _names()
    return pl.DataFrame({"_key": list(names), "country_code": list(names.values())})


def standardise_countries(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns [raw] -> adds country_code (ISO 3166-1 alpha-2) and problem."""
    key = (
        folded("_text").str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars(" ").str.replace("^the ", "")
    )
    return (
        frame.with_columns(_text=cleaned("raw"))
        .with_columns(_key=key)
        .join(_lookup(), on="_key", how="left", maintain_order="left")
        .with_columns(
            problem=pl.when(pl.col("_text").is_not_null() & pl.col("country_code").is_null()).then(
                complaint(
                    "country",
                    "_text",
                    pl.when(is_placeholder("_text"))
                    .then(pl.lit("is a placeholder"))
                    .otherwise(pl.lit("is not the name or code of a country")),
                )
            )
        )
        .drop("_text", "_key")
    )
