"""Greek, Cyrillic, Armenian and Georgian letters in Latin ones, so that names meet across alphabets.

Names of one person or firm come in both: typed by a colleague in the country's own, from a form or a bank
(SWIFT and SEPA messages know no other) in Latin letters. Only alphabets whose letters stand for sounds are
here: written in Latin letters, names that differ still do. Chinese characters of many names sound alike, and
Arabic and Hebrew leave vowels out; they keep their letters. For comparing, never for display.

Letters are anyascii's, which goes by what national standards have in common. Greek pairs of letters are read
as ELOT 743 (passports) has them, the Bulgarian "ъ" as that country's law of 2009 does. A text with a letter
that only Serbian and Macedonian have is written as their own Latin alphabet has it, one with a letter of
Ukrainian or Belarusian as their passports have it (Ukraine's cabinet, resolution 55 of 2010).
"""

from __future__ import annotations

from functools import cache

import polars as pl

_BLOCKS = (
    (0x0370, 0x03FF), (0x1F00, 0x1FFF),  # Greek, with marks
    (0x0400, 0x052F), (0x1C80, 0x1C8F),  # Cyrillic
    (0x0530, 0x058F), (0xFB13, 0xFB17),  # Armenian
    (0x10A0, 0x10FF), (0x1C90, 0x1CBF), (0x2D00, 0x2D2F),  # Georgian
)  # fmt: skip

#: A text with such a letter is changed.
LETTERS = "[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in _BLOCKS) + "]"

# Of lower case texts, in this order.
_PAIRS = (
    ("[οό][υύ]", "ou"),
    # Voiceless before voiceless letters and at the end of a word.
    (r"([αάεέηή])[υύ]([θκξπσςτφχψ]|[^\p{L}]|$)", "${1}f${2}"),
    ("([αάεέηή])[υύ]", "${1}v"),
    ("γγ", "ng"),
    ("γξ", "nx"),
    ("γχ", "nch"),
    (r"(^|[^\p{L}])μπ", "${1}b"),
    # Silent before e, yo, yu, ya, as Russian has it.
    ("ъ([еёюя])", "${1}"),
    ("ъ", "a"),
)


# Letters that tell the language, letters that tell it is another one all the same, and how it writes which.
_LANGUAGES = (
    ("[ђјљњћџѓќѕ]", None, {"ж": "z", "ч": "c", "ш": "s", "ц": "c", "х": "h", "ђ": "d", "џ": "dz"}),
    ("[іїєґў]", "[әғқңөұүһыъё]", {"г": "h", "и": "y"}),
)


@cache
def _letters() -> tuple[list[str], list[str]]:
    """Small letters and what is written for them; signs that only soften go."""
    # Only nights that know such letters pay for the import.
    from anyascii import anyascii

    letters = [c for first, last in _BLOCKS for c in map(chr, range(first, last + 1)) if c.isalpha()]
    small = [c for c in letters if c == c.lower()]
    return small, [anyascii(c).lower().replace("'", "").replace("`", "") for c in small]


def romanised(values: pl.Series) -> pl.Series:
    """Lower case texts, composed (NFC), with the letters of these alphabets in Latin ones."""
    found = values
    for told_by, unless, spelt in _LANGUAGES:
        is_told = pl.col("t").str.contains(told_by)
        if unless is not None:
            is_told &= ~pl.col("t").str.contains(unless)
        own = pl.col("t").str.replace_many(list(spelt), list(spelt.values()))
        found = found.to_frame("t").select(pl.when(is_told).then(own).otherwise("t").alias("t"))["t"]
    for pattern, latin in _PAIRS:
        found = found.str.replace_all(pattern, latin)
    return found.str.replace_many(*_letters())
