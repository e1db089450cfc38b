"""The consent rules: what words mean and which evidence may restore, as data in `consent_rules.yaml`.

Here belong their shape, their reading and their fingerprint. How they are applied belongs to
`consent_statements` (words) and `consent_anchors` (restoring).
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crm_hygiene.contract import nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.fingerprint import fingerprint
from crm_hygiene.yaml_file import YamlFile, read_yaml_file
from crm_hygiene.yaml_mistakes import Mistakes, explained

DEFAULT_RULES = Path(__file__).with_name("consent_rules.yaml")

#: A statement that speaks of every channel or purpose.
EVERYTHING = "any"
#: An opt-in in words nobody knows.
UNKNOWN = "unknown"
#: Evidence of a statement that only the suppression list still knows.
SUPPRESSION_LIST = "suppression_list"

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


def word_key(word: str) -> str:
    """What is left of a word when spellings differ: letters and digits in lower case, and `*`."""
    return re.sub(r"[^\w*]+|_+", "", word.lower())


class ConsentRules(BaseModel):
    """Vocabulary of channels, purposes and evidence with their synonyms, and what may restore."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: Annotated[dict[Name, tuple[str, ...]], Field(min_length=1)]
    purposes: Annotated[dict[Name, tuple[str, ...]], Field(min_length=1)]
    everything: tuple[str, ...]
    evidence: dict[Name, tuple[str, ...]]
    restoring: tuple[str, ...]

    @cached_property
    def channel_words(self) -> dict[str, str]:
        """Channel, or `any`, by the key of each of its words."""
        return _words(self.channels, self.everything)

    @cached_property
    def purpose_words(self) -> dict[str, str]:
        """Purpose, or `any`, by the key of each of its words."""
        return _words(self.purposes, self.everything)

    @cached_property
    def evidence_words(self) -> dict[str, str]:
        """Kind of evidence by the key of each of its words."""
        return _words(self.evidence, ())

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the rules' content; layout does not count."""
        return fingerprint(self.model_dump_json())


def _words(vocabulary: dict[str, tuple[str, ...]], everything: tuple[str, ...]) -> dict[str, str]:
    found = {word_key(word): EVERYTHING for word in (EVERYTHING, *everything)} if everything else {}
    for name, synonyms in vocabulary.items():
        found |= {word_key(word): name for word in (name, *synonyms)}
    return found


def load_consent_rules(path: Path | None = None) -> ConsentRules:
    """The default rules, with the words of the file at `path` added and its `restoring` instead.

    Raises
    ------
    ConfigurationError
        for an unreadable file, an unknown key or kind of evidence (with its line and the nearest
        word), or a word that would mean two things.
    """
    file = read_yaml_file(DEFAULT_RULES)
    spec = file.content
    if path is not None:
        file = read_yaml_file(path)
        mistakes = Mistakes(file)
        mistakes.keys((), file.content, ConsentRules.model_fields)
        mistakes.refuse()
        spec = _merge(file, spec)
    try:
        rules = ConsentRules(**spec)
    except ValidationError as error:
        raise ConfigurationError("\n".join(explained(file, error, ConsentRules))) from error
    for kind in rules.restoring:
        if kind not in rules.evidence:
            hint = nearest(kind, list(rules.evidence))
            raise ConfigurationError(
                f"{file.at(('restoring',))}: restoring: no evidence is called '{kind}'{hint}"
            )
    return rules


def _merge(file: YamlFile, base: dict[str, Any]) -> dict[str, Any]:
    merged = {**base}
    for key, value in file.content.items():
        line = f"{file.at((key,))}: {key}"
        if key in ("everything", "restoring"):
            if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
                raise ConfigurationError(f"{line}: expected a list of words")
            merged[key] = value if key == "restoring" else [*base[key], *value]
            continue
        if not isinstance(value, dict):
            raise ConfigurationError(f"{line}: expected names, each with a list of its other words")
        words = {name: list(synonyms) for name, synonyms in base[key].items()}
        meant = _words(words, base["everything"] if key != "evidence" else ())  # type: ignore[arg-type]
        for name, synonyms in value.items():
            here = f"{file.at((key, str(name)))}: {key}.{name}"
            if not isinstance(synonyms, list) or not all(isinstance(word, str) for word in synonyms):
                raise ConfigurationError(f"{here}: expected a list of words")
            for word in (name, *synonyms):
                known = meant.setdefault(word_key(word), name)
                if known != name:
                    raise ConfigurationError(
                        f"{here}: '{word}' already means '{known}'; a word means one thing"
                    )
            words[name] = [*words.get(name, []), *synonyms]
        merged[key] = words
    return merged
