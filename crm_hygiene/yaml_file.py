"""A YAML file that a person writes: its keys and values, and the line on which each of them stands.

Only reading belongs here; which words are right is its reader's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.yaml_text import parse_with_nodes

Place = tuple[str | int, ...]
"""Keys and list positions that lead from the top of a file to a value."""


@dataclass(frozen=True)
class YamlFile:
    """One file.

    Attributes
    ----------
    content
        its keys and values; empty for an empty file.
    lines
        line (from 1) of every place: of the key in a mapping, of the entry in a list.
    """

    path: Path
    content: dict[str, Any]
    lines: dict[Place, int] = field(default_factory=dict)

    def at(self, place: Place) -> str:
        """`file:line` of a place, or of the nearest place around it that the file has."""
        while place and place not in self.lines:
            place = place[:-1]
        return f"{self.path}:{self.lines[place]}" if place else str(self.path)

    def has(self, place: Place) -> bool:
        """Whether the file itself writes something at `place`."""
        return place in self.lines


def read_yaml_file(path: Path) -> YamlFile:
    """Read a file of keys and values.

    Raises
    ------
    ConfigurationError
        naming file and line if it is missing, no YAML, no mapping, or names a key twice.
    """
    try:
        return yaml_file_of(path, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not readable: {error}") from error


def yaml_file_of(path: Path, text: str) -> YamlFile:
    """`read_yaml_file` of a text that was read before; `path` names it in messages."""
    try:
        root, content = parse_with_nodes(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        said = getattr(error, "problem", None) or error
        raise ConfigurationError(f"{where}: not readable as YAML: {said}") from error
    if root is None or content is None:
        return YamlFile(path, {})
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}:1: expected a mapping of keys to values")
    lines: dict[Place, int] = {}
    _walk(path, root, (), lines)
    return YamlFile(path, content, lines)


def _walk(path: Path, node: yaml.Node, place: Place, lines: dict[Place, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            word, line = str(key.value), key.start_mark.line + 1
            if word in seen:
                raise ConfigurationError(
                    f"{path}:{line}: '{word}' is written twice, first on line {seen[word]}; keep one"
                )
            seen[word] = line
            lines[(*place, word)] = line
            _walk(path, value, (*place, word), lines)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            lines[(*place, position)] = value.start_mark.line + 1
            _walk(path, value, (*place, position), lines)
