"""The consent rules: what words mean and which evidence may restore, as data in `consent_rules.yaml`.

Here belong their shape, their reading and their fingerprint. How they are applied belongs to
`consent_statements` (words) and `consent_anchors` (restoring).
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crm_hygiene.contract import nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.fingerprint import fingerprint
from crm_hygiene.yaml_text import compose_yaml, parse_yaml

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
    spec, _ = _read(DEFAULT_RULES)
    where = path or DEFAULT_RULES
    lines: dict[str, int] = {}
    if path is not None:
        own, lines = _read(path)
        for key in own:
            if key not in ConsentRules.model_fields:
                hint = nearest(str(key), list(ConsentRules.model_fields))
                raise ConfigurationError(f"{path}, line {lines[key]}: unknown key '{key}'{hint}")
        spec = _merge(path, spec, own, lines)
    try:
        rules = ConsentRules(**spec)
    except (ValidationError, TypeError) as error:
        raise ConfigurationError(f"{where}: {error}") from error
    for kind in rules.restoring:
        if kind not in rules.evidence:
            line = f", line {lines['restoring']}" if "restoring" in lines else ""
            hint = nearest(kind, list(rules.evidence))
            raise ConfigurationError(f"{where}{line}: restoring: no evidence is called '{kind}'{hint}")
    return rules


def _read(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Content of a rules file, and the line of each of its keys (those inside as `channels.email`)."""
    try:
        text = path.read_text(encoding="utf-8")
        document, tree = parse_yaml(text), compose_yaml(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: not readable as YAML: {error}") from error
    if document is None:
        return {}, {}
    if not isinstance(document, dict) or not isinstance(tree, yaml.MappingNode):
        raise ConfigurationError(f"{path}: expected a mapping of keys to values")
    lines: dict[str, int] = {}
    for key, value in tree.value:
        lines[key.value] = key.start_mark.line + 1
        if isinstance(value, yaml.MappingNode):
            lines |= {f"{key.value}.{k.value}": k.start_mark.line + 1 for k, _ in value.value}
    return document, lines


def _merge(path: Path, base: dict[str, Any], own: dict[str, Any], lines: dict[str, int]) -> dict[str, Any]:
    merged = {**base}
    for key, value in own.items():
        line = f"{path}, line {lines[key]}: {key}"
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
            here = f"{path}, line {lines[f'{key}.{name}']}: {key}.{name}"
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
