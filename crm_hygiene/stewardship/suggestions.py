"""What a steward may have meant by an id that is not there."""

from __future__ import annotations

from collections.abc import Iterable

from rapidfuzz import process

from crm_hygiene.errors import ConfigurationError


class UnknownTarget(ConfigurationError):  # noqa: N818 - named as what it is
    """A review id, record, entity or decision that a steward named is not there; nothing was written."""


def closest(word: str, known: Iterable[str], limit: int = 3) -> str:
    """`; nearest: a, b` with the ids most like `word`, or an empty text."""
    found = process.extract(word, sorted(set(known)), limit=limit, score_cutoff=60)
    return f"; nearest: {', '.join(text for text, _, _ in found)}" if found else ""


def by_prefix(word: str, known: Iterable[str], what: str) -> str:
    """The one id of `known` that is `word` or begins with it (4 characters or more).

    Raises
    ------
    UnknownTarget
        if there is none or more than one.
    """
    ids = sorted(set(known))
    if word in ids:
        return word
    found = [i for i in ids if i.startswith(word)] if len(word) >= 4 else []
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownTarget(f"'{word}' could be any of {len(found)} {what}s: {', '.join(found[:5])}")
    raise UnknownTarget(f"no {what} '{word}'{closest(word, ids)}")
