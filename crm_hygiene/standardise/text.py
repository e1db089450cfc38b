"""Text as every standardiser wants it: repaired, composed, without control characters, blanks folded.

Belongs here: cleaning, folding for comparison, masked complaints, reading the package's lists.
Does not belong here: the meaning of any one kind of value.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib import resources

import ftfy
import polars as pl

from crm_hygiene.standardise.romanise import LETTERS, romanised

# UTF-8 read as cp1252 or Latin-1 always shows a lead byte followed by a continuation byte. Only
# texts with such a pair pay for ftfy, which costs about 30 microseconds a value.
_LEAD = "Â-ô"
_CONTINUATION = "\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_SUSPICIOUS = f"[{_LEAD}][{_CONTINUATION}]"

_BLANKS = r"[\s\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\u0080-\u009f]+"
# Zero-width space and marks of direction, byte order mark; joiners carry meaning in Indic and Persian
# script and stay. The soft hyphen goes last: it is the second half of a misread "í".
_SOFT_HYPHEN = "\u00ad"
_INVISIBLE = (
    "[\u0000-\u0008\u000e-\u001f\u007f\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]"
)
_NOT_PRINTABLE_ASCII = r"[^\x20-\x7e]"
_EDGE = " \u200c\u200d"

_UNDECOMPOSED = {
    "ß": "ss", "ẞ": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th",
    "ħ": "h", "ı": "i", "ŋ": "n", "ŧ": "t", "ʼ": "'", "’": "'", "‘": "'", "–": "-", "—": "-",
}  # fmt: skip

# Marks over and under letters, Hebrew points and Arabic vowel signs, which are left out as often as not. The
# marks of other scripts (the vowels of India, the voice of kana) make another letter; so does that of й.
_ACCENTS = (
    "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc]+"
)
_KEPT = {"и\u0306": "й", "И\u0306": "Й"}

_ACCENT = re.compile(_ACCENTS)
_SPACES = re.compile(_BLANKS)
_HIDDEN = re.compile(_INVISIBLE)
_PAIR = re.compile(_SUSPICIOUS)


def _repair(text: str) -> str:
    """Undo mojibake and tidy until nothing changes, so that a second pass finds nothing to do."""
    for _ in range(10):
        repaired = _HIDDEN.sub("", unicodedata.normalize("NFC", ftfy.fix_encoding(text)))
        if repaired == text:
            # Only now: soft hyphens and no-break blanks can be halves of misread letters.
            repaired = _SPACES.sub(" ", text.replace(_SOFT_HYPHEN, "")).strip(_EDGE)
        if repaired == text:
            break
        text = repaired
    return text


def _clean_all(values: pl.Series) -> pl.Series:
    """Only texts with anything but printable ASCII pay for Unicode."""
    odd = values.str.contains(_NOT_PRINTABLE_ASCII).fill_null(False)
    where = odd.arg_true()
    if where.len():
        some = values.gather(where).str.normalize("NFC").str.replace_all(_INVISIBLE, "")
        some = at_rows(some, some.str.contains(_SUSPICIOUS).fill_null(False), _repair)
        some = some.str.replace_all(_SOFT_HYPHEN, "", literal=True).str.replace_all(_BLANKS, " ")
        values = values.clone().scatter(where, some.str.strip_chars(_EDGE).str.normalize("NFC"))
    values = values.str.replace_all(" {2,}", " ").str.strip_chars(" ")
    empty = (values == "").fill_null(False)
    return values.set(empty, None) if empty.any() else values


def _fold_all(values: pl.Series, *, romanise: bool = False) -> pl.Series:
    where = values.str.contains(_NOT_PRINTABLE_ASCII).fill_null(False).arg_true()
    if where.len():
        some = values.gather(where)
        if romanise:
            some = _romanise_all(some)
        some = some.str.normalize("NFKD").str.replace_many(list(_KEPT), list(_KEPT.values()))
        some = some.str.replace_all(_ACCENTS, "").str.to_lowercase().str.normalize("NFC")
        some = some.str.replace_many(list(_UNDECOMPOSED), list(_UNDECOMPOSED.values()))
        values = values.clone().scatter(where, some)
    return values.str.to_lowercase()


def _romanise_all(values: pl.Series) -> pl.Series:
    where = values.str.contains(LETTERS).fill_null(False).arg_true()
    if where.len() == 0:
        return values
    return values.clone().scatter(
        where, romanised(values.gather(where).str.normalize("NFC").str.to_lowercase())
    )


def at_rows(values: pl.Series, rows: pl.Series, change: Callable[[str], str | None]) -> pl.Series:
    """`values` with `change` applied to the texts at `rows` (a boolean mask); the rest untouched."""
    where = rows.arg_true()
    if where.len() == 0:
        return values
    return values.clone().scatter(
        where, pl.Series([change(t) for t in values.gather(where)], dtype=pl.String)
    )


def text_column(values: Sequence[str | None]) -> pl.Series:
    """A string series, also when every value is missing."""
    return pl.Series(values, dtype=pl.String)


def cleaned(column: str | pl.Expr) -> pl.Expr:
    """A text column repaired (ftfy), in NFC, without control characters, blanks folded and stripped.

    Empty text becomes null.
    """
    expression = (pl.col(column) if isinstance(column, str) else column).cast(pl.String)
    return expression.map_batches(_clean_all, return_dtype=pl.String, is_elementwise=True)


def clean(text: str) -> str:
    """The same as `cleaned` for one text, with "" for nothing."""
    text = _HIDDEN.sub("", unicodedata.normalize("NFC", text))
    if _PAIR.search(text):
        text = _repair(text)
    return unicodedata.normalize("NFC", _SPACES.sub(" ", text.replace(_SOFT_HYPHEN, "")).strip(_EDGE))


def folded(column: str | pl.Expr) -> pl.Expr:
    """A text column in lower case with accents off and the letters NFKD leaves whole spelt out.

    Other scripts keep their letters, and the marks that make another letter. For comparing, not for display.
    """
    expression = pl.col(column) if isinstance(column, str) else column
    return expression.map_batches(_fold_all, return_dtype=pl.String, is_elementwise=True)


def latinised(column: str | pl.Expr) -> pl.Expr:
    """The same as `folded`, with the letters of Greek, Cyrillic, Armenian and Georgian in Latin ones."""
    expression = pl.col(column) if isinstance(column, str) else column
    fold_all = partial(_fold_all, romanise=True)
    return expression.map_batches(fold_all, return_dtype=pl.String, is_elementwise=True)


def plain_vowels(text: pl.Expr) -> pl.Expr:
    """Mueller, as mailboxes and banks spell it, and muller, as Müller folds, alike; so with ae, oe and aa.

    Expects folded text.
    """
    return text.str.replace_many(["ae", "oe", "ue", "aa"], ["a", "o", "u", "a"])


def umlauts_alike(text: pl.Expr) -> pl.Expr:
    """As `plain_vowels`, but where two letters are two sounds: ending a word, before a last l, after q.

    So Zoe, Avenue, Michael, Manuel and Quell stay as they are.
    """
    follows = r"([\p{L}--l]|l\p{L})"
    text = text.str.replace_all(rf"([ao])e{follows}", "$1$2").str.replace_all(
        rf"(^|[^q])ue{follows}", "${1}u$2"
    )
    return text.str.replace_all(r"aa(\p{L})", "a$1")


def fold(text: str) -> str:
    """The same as `folded` for one text."""
    apart = unicodedata.normalize("NFKD", text)
    for letter, kept in _KEPT.items():
        apart = apart.replace(letter, kept)
    bare = unicodedata.normalize("NFC", _ACCENT.sub("", apart).lower())
    return "".join(_UNDECOMPOSED.get(c, c) for c in bare)


def complaint(subject: str, column: str | pl.Expr, why: str | pl.Expr) -> pl.Expr:
    """A reason like "phone '+1 …' is not a number of US"; the value shows at most 3 characters."""
    value = pl.col(column) if isinstance(column, str) else column
    reason = pl.lit(why) if isinstance(why, str) else why
    return pl.format("{} '{}…' {}", pl.lit(subject), value.str.slice(0, 3), reason)


@cache
def any_of(words: tuple[str, ...]) -> pl.Expr:
    """Words for `is_in`, made once: of thousands that takes longer than looking up a small night's texts."""
    return pl.lit(pl.Series(words, dtype=pl.String).implode())


@cache
def package_list(name: str) -> tuple[str, ...]:
    """The lines of `data/<name>.txt`; a first word `#` and a blank marks a comment."""
    body = (resources.files("crm_hygiene.standardise") / "data" / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(line for line in body.splitlines() if line and line != "#" and not line.startswith("# "))
