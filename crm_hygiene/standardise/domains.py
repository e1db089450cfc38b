"""Websites to registrable domains: the public suffix plus one label.

The suffixes are the Public Suffix List as tldextract ships it (its ICANN part), looked up by whole
columns. Nothing is downloaded.
"""

from __future__ import annotations

import re
from functools import cache

import idna
import polars as pl
import tldextract

from crm_hygiene.standardise.placeholders import is_placeholder
from crm_hygiene.standardise.text import any_of, cleaned, complaint, text_column

_LONGEST_SUFFIX = 5
_HOST = r"^(?:[a-z0-9_](?:[a-z0-9_\-]{0,61}[a-z0-9_])?\.)+[a-z](?:[a-z0-9\-]{0,61}[a-z0-9])$"


# Such a host is its own ASCII form; hyphens at the third and fourth place may be somebody's encoding.
_LABEL = r"(?!..--)[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9-])){0,62}"
_IS_ASCII = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def ascii_host(host: str) -> str | None:
    """A host in ASCII as IDNA encodes it, in lower case; None where it cannot."""
    if len(host) <= 200 and _IS_ASCII.fullmatch(host):
        return host
    try:
        return idna.encode(host, uts46=True, transitional=False).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        return None


@cache
def _suffixes() -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Plain suffixes, parents of wildcard suffixes and exceptions of the list, in ASCII, sorted."""
    rules = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None).tlds
    plain: set[str] = set()
    wild: set[str] = set()
    exceptions: set[str] = set()
    for rule in rules:
        kind = wild if rule.startswith("*.") else exceptions if rule.startswith("!") else plain
        name = ascii_host(rule.removeprefix("*.").removeprefix("!"))
        if name:
            kind.add(name)
    return tuple(sorted(plain)), tuple(sorted(wild)), tuple(sorted(exceptions))


def _host(column: str) -> pl.Expr:
    """The host of a URL, a bare host, or the domain of an e-mail-like text."""
    return (
        cleaned(column)
        .str.to_lowercase()
        .str.replace(r"^[a-z][a-z0-9+.\-]*:/+", "")
        .str.replace(r"^(?:mailto:|//+|\\\\+)", "")
        .str.replace(r"[/?#\\].*$", "")
        .str.replace(r"^.*@", "")
        .str.replace(r":[0-9]*$", "")
        .str.strip_chars(" .,;<>()\"'")
    )


@cache
def _registrable() -> pl.Expr:
    """Public suffix plus one label of `_host`, null without either, by the list's own algorithm.

    The longest matching rule wins, a wildcard stands for one label, an exception takes its own first
    label off again (publicsuffix.org/list).
    """
    plain, wild, exceptions = _suffixes()
    tails = {
        k: pl.col("_host").str.extract(rf"((?:[^.]+\.){{{k - 1}}}[^.]+)$")
        for k in range(1, _LONGEST_SUFFIX + 2)
    }
    result: pl.Expr = pl.lit(None, dtype=pl.String)
    for k in range(1, _LONGEST_SUFFIX + 1):
        is_suffix = tails[k].is_in(any_of(plain))
        if k > 1:
            is_suffix = is_suffix | tails[k - 1].is_in(any_of(wild))
        result = pl.when(is_suffix & tails[k].is_not_null()).then(tails[k + 1]).otherwise(result)
    for k in range(2, _LONGEST_SUFFIX + 1):
        result = pl.when(tails[k].is_in(any_of(exceptions))).then(tails[k]).otherwise(result)
    return result


def standardise_domains(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns [raw] -> adds website_domain (ASCII) and problem.

    Accepts URLs, bare hosts, paths and e-mail-like texts. IP addresses, unknown top-level domains and
    bare public suffixes are problems.
    """
    frame = frame.with_columns(_text=cleaned("raw"), _host=_host("raw"))
    where = frame["_host"].str.contains(r"[^\x00-\x7f]").fill_null(False).arg_true()
    if where.len():
        encoded = text_column([ascii_host(h) for h in frame["_host"].gather(where)])
        frame = frame.with_columns(frame["_host"].clone().scatter(where, encoded).alias("_host"))
    return (
        frame.with_columns(website_domain=pl.when(pl.col("_host").str.contains(_HOST)).then(_registrable()))
        .with_columns(
            problem=pl.when(pl.col("_text").is_not_null() & pl.col("website_domain").is_null()).then(
                complaint(
                    "website",
                    "_text",
                    pl.when(is_placeholder("_text"))
                    .then(pl.lit("is a placeholder"))
                    .otherwise(pl.lit("has no registrable domain")),
                )
            )
        )
        .drop("_text", "_host")
    )
