"""What an object store or Delta says of an error, in one line that tells what was asked and why it failed.

An error of the store's client is a page: a general word, what was asked, each cause on a line of its own, and
the answer's XML. An address may carry a signature behind its question mark; what stands there is not told.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

# Longer messages hold rows, plans or pages.
_MOST_LETTERS = 400

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_CAUSE = "↳"
_GENERAL = re.compile(r"^(Kernel error -> )?(Generic \w+ error$)?")
_QUERY = re.compile(r"(\w+://[^\s?]+)\?\S*")
_REQUEST = re.compile(r"^Error performing (?P<asked>[A-Z]+ \S+)")
_STATUS = re.compile(r"^[45]\d\d ")
_CODE, _MESSAGE = re.compile(r"<Code>([^<]*)</Code>"), re.compile(r"<Message>\s*([^<\n]*)")


def in_short(error: Exception) -> str:
    """An error's message in one line of at most 400 letters, without what may open a store."""
    first, *rest = _QUERY.sub(r"\1", _COLOURS.sub("", str(error))).split("\n")
    causes = [line.strip(f" {_CAUSE}") for line in rest if line.strip().startswith(_CAUSE)]
    first = _GENERAL.sub("", first) or ("" if causes else first)
    return ": ".join(filter(None, [first, *_told(causes), *_answered("\n".join(rest))]))[:_MOST_LETTERS]


def _told(causes: list[str]) -> list[str]:
    """What was asked, and the store's status or the last cause; all causes where nothing was asked."""
    for place, cause in enumerate(causes):
        if asked := _REQUEST.match(cause):
            after = [line for line in causes[place + 1 :] if not line.startswith("<")]
            return [unquote(asked["asked"]), *([line for line in after if _STATUS.match(line)] or after[-1:])]
    return causes


def _answered(page: str) -> list[str]:
    """Code and message of the answer's XML."""
    return [found[1].strip() for kind in (_CODE, _MESSAGE) if (found := kind.search(page))]
