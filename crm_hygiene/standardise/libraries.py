"""The libraries whose version decides what a text becomes."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

#: Numbering plans, names of countries, suffixes, registers of banks and taxes are these libraries' data.
LIBRARIES = (
    "anyascii",
    "babel",
    "cleanco",
    "email-validator",
    "ftfy",
    "idna",
    "nameparser",
    "phonenumbers",
    "polars",
    "python-stdnum",
    "schwifty",
    "tldextract",
)


@cache
def library_versions() -> dict[str, str]:
    """Installed version of each library: with another one, the same text may become another value."""
    return {name: version(name) for name in LIBRARIES}
