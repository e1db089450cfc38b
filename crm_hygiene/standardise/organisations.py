"""Names of organisations: one for display, one for comparing, and the legal form between them.

Trading-as clauses, branches and abbreviations of ordinary words are not touched: which of two names is
the better one is for linking and survivorship to say.
"""

from __future__ import annotations

import re
from functools import cache

import polars as pl
from cleanco.termdata import terms_by_type

from crm_hygiene.standardise.placeholders import is_placeholder
from crm_hygiene.standardise.text import (
    cleaned,
    complaint,
    fold,
    folded,
    latinised,
    package_list,
    umlauts_alike,
)

# cleanco's terms that are everyday words or countries' and states' initials in other languages.
_NOT_FORMS = frozenset(
    {
        "private",
        "teo",
        "dat",
        "vat",
        "ses",
        "gte",
        "esv",
        "stg",
        "nuf",
        "cpt",
        "fie",
        "fop",
        "ans",
        "gie",
        "aat",
    }
)
# Forms that some countries write in front; only those that are no words elsewhere.
_LEADING_FORMS = (
    "ooo",
    "oao",
    "zao",
    "pao",
    "uab",
    "sia",
    "pt",
    "tov",
    "too",
    "ud",
)
# Of the short forms in other alphabets those that stand in front, too, and are no words there.
_LEADING_SHORT = frozenset(
    {
        *("ао", "оао", "зао", "пао", "ано", "ооо", "одо", "тоо", "ип", "чп", "чуп"),
        *("тов", "тдв", "пп", "ат", "пат", "прат", "фоп", "ет", "доо", "дооел", "შპს"),
    }
)
_CJK_FORMS = (
    "股份有限公司", "有限责任公司", "有限公司", "株式会社", "有限会社", "合同会社", "合資会社",
    "주식회사", "유한회사", "(주)", "㈜", "(株)",
)  # fmt: skip


# What a name in quotation marks begins with.
_OPENING = r"[\"'«„“”]"


@cache
def _forms() -> tuple[str, ...]:
    """Every legal form as words without dots, longest first."""
    forms = {fold(form) for form in package_list("legal_forms")}
    for terms in terms_by_type.values():
        for term in terms:
            words = re.sub(r"[^a-z0-9&]+", " ", fold(term).replace(".", "")).replace("&", " and ").split()
            compact = " ".join(words)
            if len(compact) >= 3 and term.isascii() and compact not in _NOT_FORMS:
                forms.add(compact)
    return tuple(sorted(forms, key=lambda f: (-len(f), f)))


def _loosely(form: str) -> str:
    """The form as a pattern in which short words may have dots and 'and' is written in any way."""
    words = []
    for word in form.split(" "):
        if word == "and":
            words.append(r"(?:&|\+|and|und|et|y|e)")
        elif len(word) <= 5:
            words.append(r"\.? ?".join(word) + r"\.?" if len(word) <= 4 else r"\.?".join(word) + r"\.?")
        else:
            words.append(re.escape(word) + r"\.?")
    return r"[ ,()\-]*".join(words)


@cache
def _tail_pattern() -> str:
    """One or more legal forms at the end of a folded name, after a blank, a comma or a bracket."""
    words = "|".join([*(_loosely(f) for f in _forms()), "a/s", "i/s", "k/s", "p/s", "s/a"])
    cjk = "|".join(re.escape(f) for f in _CJK_FORMS)
    return rf"(?:(?:[ ,]+\(?|\()(?:{words})\)?|[ ,]*(?:{cjk}))+[ .,;]*$"


@cache
def _head_pattern() -> str:
    cjk = "|".join(re.escape(f) for f in _CJK_FORMS)
    others = [f for f in _forms() if not f.isascii() and (" " in f or f in _LEADING_SHORT)]
    words = "|".join([*_LEADING_FORMS, *(_loosely(f) for f in others)])
    return rf"^(?:(?:{words})\.?(?:[ ,]+|[ ,]*{_OPENING})|(?:{cjk})[ ,]*)"


def _compared(column: str) -> pl.Expr:
    """`&` to and, dots inside abbreviations closed up, other punctuation to blanks, leading 'the' off.

    In Latin letters, where the alphabet has letters for sounds; umlauts alike however they are written.
    """
    return (
        umlauts_alike(latinised(column))
        .str.replace_all("&", " and ", literal=True)
        .str.replace_all(r"\b(\p{L})\.", "$1")
        .str.replace_all("'", "", literal=True)
        .str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ")
        .str.strip_chars(" ")
        .str.replace(r"^the +", "")
    )


def standardise_organisation_names(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns [raw] -> adds organisation_name, organisation_name_normalised, legal_form and problem.

    The normalised name is lower case, in Latin letters where the script allows (`romanise`), without
    punctuation, legal forms and a leading 'the', and is never empty: a name that is nothing but a legal form
    keeps it. `legal_form` is the text as written.
    """
    frame = frame.with_columns(_text=cleaned("raw"))
    text = pl.col("_text")
    absent = is_placeholder(text).fill_null(False)
    name = pl.when(~absent).then(
        text.str.strip_chars(" ,;").str.replace(r'^"(.*)"$', "$1").str.strip_chars(" ,;")
    )
    shown, folded_name, base = pl.col("organisation_name"), pl.col("_folded"), pl.col("_base")
    cut = folded_name.str.len_chars() - base.str.len_chars()
    tail = _as_written(shown.str.tail(cut), folded_name.str.tail(cut))
    head = _as_written(shown.str.head(pl.col("_head")), folded_name.str.head(pl.col("_head")))
    form = pl.coalesce(*(pl.when(f != "").then(f) for f in (_trimmed(tail), _trimmed(head))))
    return (
        frame.with_columns(organisation_name=pl.when(name != "").then(name))
        .with_columns(_folded=folded("organisation_name"))
        .with_columns(_base=folded_name.str.replace(_tail_pattern(), ""))
        .with_columns(_head=base.str.extract(f"({_head_pattern()})").str.len_chars().fill_null(0))
        .with_columns(legal_form=form, _core=base.str.slice(pl.col("_head")))
        .with_columns(_short=_compared("_core"), _long=_compared("_folded"))
        .with_columns(
            organisation_name_normalised=pl.coalesce(
                *(pl.when(pl.col(c) != "").then(pl.col(c)) for c in ("_short", "_long", "_folded"))
            ),
            problem=pl.when(text.is_not_null() & pl.col("organisation_name").is_null()).then(
                complaint("organisation", text, "is a placeholder")
            ),
        )
        .drop("_text", "_folded", "_base", "_head", "_core", "_short", "_long")
    )


def _as_written(shown: pl.Expr, folded_part: pl.Expr) -> pl.Expr:
    """The form from the display name; folding can change lengths (ß), then from the folded one."""
    return pl.when(folded(shown) == folded_part).then(shown).otherwise(folded_part)


def _trimmed(form: pl.Expr) -> pl.Expr:
    return form.str.strip_chars(" ,;\"'«„“”").str.replace(r"^\((.*)\)$", "$1")
