"""Names of people: cleaned, parsed only where a source gives nothing but the full name, and re-cased.

Mixed case is somebody's decision and stays; only all-capitals and all-lower-case names are re-cased.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import polars as pl
from nameparser import HumanName
from nameparser.config import CONSTANTS

from crm_hygiene.standardise.placeholders import without_placeholders
from crm_hygiene.standardise.text import any_of, clean, cleaned, text_column

PARTS = ("name_prefix", "given_name", "middle_name", "family_name", "name_suffix", "full_name")

PARTICLES = frozenset(
    {
        "van", "von", "der", "den", "de", "del", "della", "di", "da", "do", "dos", "das", "du", "la", "le",
        "las", "los", "ter", "ten", "te", "zu", "zum", "zur", "af", "av", "al", "el", "bin", "ibn", "y",
        "e", "i",
    }
)  # fmt: skip
_NOBLE = (
    "van der",
    "van den",
    "van de",
    "van",
    "von der",
    "von",
    "de la",
    "de los",
    "de las",
    "de",
    "del",
    "della",
    "di",
)
# Written as here, whatever the source's case.
_SUFFIXES = {
    "jr": "Jr", "jr.": "Jr.", "sr": "Sr", "sr.": "Sr.", "phd": "PhD", "ph.d.": "Ph.D.", "ph.d": "Ph.D",
    "esq": "Esq", "esq.": "Esq.", "md": "MD", "m.d.": "M.D.", "mba": "MBA", "cpa": "CPA", "dds": "DDS",
}  # fmt: skip
_ROMAN = re.compile(r"[ivx]+")
_WORD = re.compile(r"[^\W\d_]+")
# nameparser is written for names; text that slipped a column only makes it slow.
_LONGEST_NAME = 120
_SIMPLE = r"[\p{L}][\p{L}\p{M}'’\-]+"
# The father's name in East Slavic names: where it stands last, the family name stands first. In Latin letters
# only women's: Rabinovich is a family name as well.
_PATRONYMIC = (
    r"(?i)(?:[оеё]вич|[аое]віч|ильич|кузьмич|лукич|фомич"
    r"|[оеё]вна|ична|[ії]вна|[оае]ўна|[oe]vna|ivna|ichna)$"
)


def _capital(letters: str) -> str:
    first = letters[0].upper()
    # Letters whose capital is two letters (ß, ŉ) have no sensible one.
    return (first if len(first) == 1 else letters[0]) + letters[1:].lower()


def _word(word: str) -> str:
    """One blank-free word in title case: hyphens, O'Brien, D'Angelo, McDonald."""

    def recased(match: re.Match[str]) -> str:
        letters = match.group()
        before = word[: match.start()]
        # In "Nina's" the apostrophe is followed by an ending, in "O'Brien" by a name.
        if before.endswith(("'", "’")) and len(re.split(r"[\W]", before[:-1])[-1]) > 1:
            return letters.lower()
        if len(letters) > 3 and letters[:2].lower() == "mc":
            return "Mc" + _capital(letters[2:])
        return _capital(letters)

    return _WORD.sub(recased, word)


def _recased(text: str, part: str) -> str:
    """`text` in sensible title case, in NFC; text with both cases is returned as it is."""
    if part == "name_suffix":
        words = [
            _SUFFIXES.get(w.lower(), w.upper() if _ROMAN.fullmatch(w.lower()) else w) for w in text.split(" ")
        ]
        return " ".join(words)
    if (
        part in ("given_name", "middle_name")
        and len(text) == 2
        and text.isupper()
        and not set(text) & set("AEIOUYÄÖÜ")
    ):
        return text  # initials: TJ, JT
    words = text.split(" ")
    result = []
    for place, word in enumerate(words):
        last = place == len(words) - 1
        leads = place == 0 and part != "family_name"
        is_particle = word.lower() in PARTICLES and not last and not leads
        result.append(word.lower() if is_particle else _word(word))
    written = unicodedata.normalize("NFC", " ".join(result))
    return written if clean(written) == written else text


def _recase(part: str) -> pl.Expr:
    def change(values: pl.Series) -> pl.Series:
        one_case = (values.str.to_uppercase() == values) | (values.str.to_lowercase() == values)
        where = (one_case & values.str.contains(r"[\p{Lu}\p{Ll}]")).fill_null(False).arg_true()
        if where.len() == 0:
            return values
        # First names repeat even among distinct whole names.
        chosen = values.gather(where)
        known = {t: _recased(t, part) for t in chosen.unique()}
        return values.clone().scatter(where, text_column([known[t] for t in chosen]))

    return pl.col(part).map_batches(change, return_dtype=pl.String)


@cache
def _special_words() -> tuple[str, ...]:
    """Words that make a name more than given, middle and family: titles, particles, suffixes, 'and'."""
    sets = (
        "prefixes",
        "titles",
        "first_name_titles",
        "suffix_acronyms",
        "suffix_not_acronyms",
        "conjunctions",
    )
    words = (
        {str(w) for s in sets for w in getattr(CONSTANTS, s)}
        | PARTICLES
        | {"ii", "iii", "iv", "bin", "abu", "st"}
    )
    return tuple(sorted({w.strip(".") for w in words}))


def _parsed(text: str) -> tuple[str | None, ...]:
    name = HumanName(text)
    return tuple(part or None for part in (name.title, name.first, name.middle, name.last, name.suffix))


def _parse_full_names(full_names: pl.Series) -> pl.DataFrame:
    """Distinct full names -> full_name and the five parts.

    Two or three ordinary words, 'Last, First', 'Last First Patronymic' and 'Jan van der Berg' are split by
    columns; only the rest, with titles and suffixes, pays for nameparser (140 microseconds a name).
    """
    full = pl.col("full_name")
    direct = rf"^({_SIMPLE})(?: ({_SIMPLE}))? ({_SIMPLE})$"
    comma = rf"^({_SIMPLE}), ?({_SIMPLE})(?: ({_SIMPLE}))?$"
    noble = rf"^({_SIMPLE})()((?: (?i:{'|'.join(_NOBLE)}))+ {_SIMPLE})$"
    frame = pl.DataFrame({"full_name": full_names})
    for label, pattern in (("_direct", direct), ("_comma", comma), ("_noble", noble)):
        words = [full.str.extract(pattern, k) for k in (1, 2, 3)]
        words[2] = words[2].str.extract(r"([^ ]+)$")
        special = pl.any_horizontal(
            w.str.to_lowercase().is_in(any_of(_special_words())).fill_null(False) for w in words
        )
        frame = frame.with_columns((full.str.contains(pattern) & ~special).alias(label))
    nothing = pl.lit(None, dtype=pl.String)

    def either(in_order: int, after_comma: int) -> pl.Expr:
        return (
            pl.when("_family_first")
            .then(full.str.extract(direct, after_comma))
            .when("_direct")
            .then(full.str.extract(direct, in_order))
            .when("_comma")
            .then(full.str.extract(comma, after_comma))
            .when("_noble")
            .then(full.str.extract(noble, in_order).str.strip_chars(" "))
        )

    def is_patronymic(name: pl.Expr) -> pl.Expr:
        return name.str.contains(_PATRONYMIC).fill_null(value=False)

    second, third = full.str.extract(direct, 2), full.str.extract(direct, 3)
    family_first = pl.col("_direct") & is_patronymic(third) & second.is_not_null() & ~is_patronymic(second)
    frame = frame.with_columns(family_first.alias("_family_first"))
    is_simple = pl.col("_direct") | pl.col("_comma") | pl.col("_noble")
    simple = (
        frame.filter(is_simple)
        .select(
            "full_name",
            name_prefix=nothing,
            given_name=either(1, 2),
            middle_name=either(2, 3),
            family_name=either(3, 1),
            name_suffix=nothing,
        )
        .with_columns(middle_name=pl.when(pl.col("middle_name") != "").then(pl.col("middle_name")))
    )
    hard = frame.filter(~is_simple & (full.str.len_chars() <= _LONGEST_NAME))["full_name"]
    parsed = [_parsed(t) for t in hard]
    rest = pl.DataFrame(
        [hard, *(text_column([p[i] for p in parsed]).alias(name) for i, name in enumerate(PARTS[:5]))]
    )
    return pl.concat([simple, rest])


def standardise_names(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns raw_name_prefix .. raw_full_name -> adds the six columns without `raw_`, cleaned.

    Placeholders become null. Where given and family name are both missing, the full name is parsed
    ('Last, First' too). `full_name` is given, middle and family name joined, else the cleaned full name.
    """
    work = frame.select(without_placeholders(cleaned(f"raw_{part}")).alias(part) for part in PARTS)
    needed = work["given_name"].is_null() & work["family_name"].is_null() & work["full_name"].is_not_null()
    if needed.any():
        read = _parse_full_names(work.filter(needed)["full_name"].unique(maintain_order=True))
        # Parts of a parsed name can be placeholders in their turn ("Jane Unknown").
        read = read.with_columns(without_placeholders(cleaned(part)).alias(part) for part in PARTS[:5])
        work = (
            work.with_columns(_key=pl.when(pl.lit(needed)).then(pl.col("full_name")))
            .join(
                read.rename({"full_name": "_key"}),
                on="_key",
                how="left",
                maintain_order="left",
                suffix="_parsed",
            )
            .with_columns(pl.coalesce(part, f"{part}_parsed").alias(part) for part in PARTS[:5])
            .select(PARTS)
        )
    work = work.with_columns(_recase(part) for part in PARTS)
    joined = pl.concat_str("given_name", "middle_name", "family_name", separator=" ", ignore_nulls=True)
    has_name = pl.col("given_name").is_not_null() | pl.col("family_name").is_not_null()
    work = work.with_columns(full_name=pl.when(has_name).then(joined).otherwise(pl.col("full_name")))
    return frame.with_columns(work.get_columns())
