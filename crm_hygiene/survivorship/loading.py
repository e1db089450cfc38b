"""Loading the survivorship rules: read, checked word by word, put together, typed."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.survivorship.inheritance import extended_files, overridden, with_likes
from crm_hygiene.survivorship.rules import CONFORMED, Rules
from crm_hygiene.survivorship.vocabulary import check_coverage, check_sources, check_words
from crm_hygiene.yaml_file import YamlFile


def load_rules(path: Path | None = None, sources: Collection[str] | None = None) -> Rules:
    """The built-in rules, overridden by the file at `path` and by those it extends.

    Parameters
    ----------
    sources
        known source and system names; with them, a pattern of the user's that fits none is an error.

    Raises
    ------
    ConfigurationError
        one line per mistake, each with file, line and the nearest right word: an unreadable file, an unknown
        key, field, strategy, test or source, a circle of `extends` or `like`, a column without a rule.
    """
    texts = extended_files(path)
    known_tests = {str(name) for text in texts for name in text.content.get("tests") or {}}
    mistakes = [line for text in texts for line in check_words(text, known_tests)]
    if not mistakes and sources is not None:
        mistakes = [line for text in texts[1:] for line in check_sources(text, sources)]
    if mistakes:
        raise ConfigurationError("\n".join(mistakes))
    spec: dict[str, Any] = texts[0].content
    for text in texts[1:]:
        spec = overridden(spec, text)
    spec = with_likes(spec, texts)
    try:
        rules = Rules(**spec)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_placed(texts, error))) from error
    for table in CONFORMED:
        check_coverage(texts, table, rules.of(table), rules.tests_of)
    return rules


def _placed(texts: list[YamlFile], error: ValidationError) -> list[str]:
    """A line per mistake that pydantic found, at the place in the latest file that writes it."""
    lines = []
    for item in error.errors():
        place = item["loc"]
        writing = next(
            (t for depth in range(len(place), 0, -1) for t in reversed(texts) if t.has(place[:depth])),
            texts[-1],
        )
        said = item["msg"].removeprefix("Value error, ")
        lines.append(f"{writing.at(place)}: {'.'.join(map(str, place))}: {said}")
    return lines
