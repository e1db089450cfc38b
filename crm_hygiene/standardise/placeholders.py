"""Texts that stand for "no value".

The words are data (`data/placeholders.txt`); the patterns are below. Doubtful words that are also
real names (Na, Nan, Test as part of a longer name) are left out on purpose.
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.standardise.text import any_of, package_list

PLACEHOLDER_PATTERN = (
    r"^(?:"
    r"[\p{P}\p{S}\s]*"  # nothing but punctuation: -, ., ???, ***
    r"|(?:x[ .]?){3,}"  # xxx, XXXX
    r"|(?:test|dummy|unknown|none|null|asdf)"
    r"(?:[ _.\-]*(?:test|user|lead|contact|account|company|dummy|unknown|none|null|asdf|[0-9]+))*"
    r")$"
)
_WRAPPING = "[](){}<>*\"'` "


def is_placeholder(column: str | pl.Expr) -> pl.Expr:
    """True where a cleaned text only stands for a missing value; null stays null."""
    expression = pl.col(column) if isinstance(column, str) else column
    bare = expression.str.to_lowercase().str.strip_chars(_WRAPPING)
    return bare.is_in(any_of(package_list("placeholders"))) | bare.str.contains(PLACEHOLDER_PATTERN)


def without_placeholders(column: str | pl.Expr) -> pl.Expr:
    """The text, or null where it is a placeholder."""
    expression = pl.col(column) if isinstance(column, str) else column
    return pl.when(~is_placeholder(expression)).then(expression)
