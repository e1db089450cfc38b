"""Names and codes of countries by what they are called: CLDR's through babel, and our own aliases.

Gathering them opens two hundred locales (0.8 CPU s), so what the pinned babel says is kept as data;
`python -m crm_hygiene.standardise.country_names` writes it anew. With another babel they are gathered. What
does not belong here: reading a text a source wrote (`countries`).
"""

from __future__ import annotations

import hashlib
import re
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

from crm_hygiene.standardise.text import fold

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

KEPT = Path(__file__).parent / "data" / "country_names.txt"
_TERMS = """\
# What countries are called: folded name or code, tab, alpha-2. Made by crm_hygiene.standardise.country_names.
# Origin: Unicode CLDR, as {babel} has it; aliases {aliases}. Licence: Unicode License v3.
# Copyright © 1991-Present Unicode, Inc. https://www.unicode.org/license.txt
"""


def key(text: str) -> str:
    """Folded, punctuation to blanks, a leading 'the' off."""
    words = re.sub(r"[^\w]+|_", " ", fold(text)).strip()
    return words.removeprefix("the ")


def gathered() -> dict[str, str]:
    """Folded name or code -> alpha-2, from babel; where two claim a name, see `countries`."""
    from babel import Locale, UnknownLocaleError
    from babel.core import get_global
    from babel.languages import get_official_languages

    listed = sorted(str(c) for c in Locale("en").territories)
    codes = [c for c in listed if re.fullmatch("[A-Z]{2}", c) and c not in NOT_COUNTRIES]
    names: dict[str, str] = {c.lower(): c for c in codes}
    for alias, targets in sorted(get_global("territory_aliases").items()):
        # A retired code with several heirs (SU, YU) names no country of today.
        if len(alias) == 3 and len(targets) == 1 and targets[0] in codes:
            names.setdefault(alias.lower(), targets[0])
    for code, aliases in ALIASES.items():
        for alias in aliases:
            names.setdefault(key(alias), code)
    for language in LANGUAGES:
        territories = Locale(language).territories
        for code in codes:
            if code in territories:
                names.setdefault(key(territories[code]), code)
    for code in codes:
        for language in get_official_languages(code, de_facto=True, regional=True):
            try:
                name = Locale.parse(language).territories.get(code)
            except (UnknownLocaleError, ValueError):
                continue
            if name:
                names.setdefault(key(name), code)
    names.pop("", None)
    return names


def _terms() -> str:
    """Head of the kept names: they hold for one babel and one list of aliases."""
    said = repr((sorted(ALIASES.items()), LANGUAGES, sorted(NOT_COUNTRIES)))
    digest = hashlib.sha256(said.encode()).hexdigest()[:12]
    return _TERMS.format(babel=f"babel {version('babel')}", aliases=digest)


def written() -> str:
    """The text of `data/country_names.txt` for the installed babel."""
    return _terms() + "".join(f"{name}\t{code}\n" for name, code in sorted(gathered().items()))


@cache
def country_names() -> dict[str, str]:
    """Folded name or code -> alpha-2."""
    text = KEPT.read_text(encoding="utf-8") if KEPT.is_file() else ""
    if not text.startswith(_terms()):
        return gathered()
    lines = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return {line[0]: line[1] for line in lines}


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.write(written())
