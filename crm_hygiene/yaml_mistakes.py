"""What is wrong with a YAML file: one line per mistake, with file, line and the nearest right word.

What does not belong here: which words are right.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from crm_hygiene.contract import nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.yaml_file import Place, YamlFile


class Mistakes:
    """What is wrong with one file, gathered place by place."""

    def __init__(self, file: YamlFile) -> None:
        self.file = file
        self.found: list[str] = []

    def add(self, place: Place, said: str) -> None:
        """One more mistake, at a place of the file."""
        where = ".".join(p for p in place if isinstance(p, str))
        self.found.append(f"{self.file.at(place)}: {where + ': ' if where else ''}{said}")

    def mapping(self, place: Place, value: Any) -> dict[Any, Any]:
        """`value` if it is keys with values, else none, and a mistake unless there is nothing."""
        if value is not None and not isinstance(value, dict):
            self.add(place, "expected a mapping of keys to values")
        return value if isinstance(value, dict) else {}

    def listed(self, place: Place, value: Any) -> list[Any]:
        """`value` if it is a list, else an empty one, and a mistake unless there is nothing."""
        if value is not None and not isinstance(value, list):
            self.add(place, "expected a list")
        return value if isinstance(value, list) else []

    def keys(self, place: Place, value: Any, allowed: Iterable[str], what: str = "key") -> dict[Any, Any]:
        """`mapping`, and a mistake for each key that is not among the allowed ones."""
        found, words = self.mapping(place, value), sorted(allowed)
        for key in found:
            if key not in words:
                self.add((*place, str(key)), f"unknown {what} '{key}'{nearest(str(key), words)}")
        return found

    def words(self, place: Place, value: Any, allowed: Iterable[str], what: str) -> None:
        """A mistake for each word of a list that is not among the allowed ones."""
        words = sorted(allowed)
        for position, word in enumerate(self.listed(place, value)):
            if word not in words:
                self.add((*place, position), f"unknown {what} '{word}'{nearest(str(word), words)}")

    def refuse(self) -> None:
        """Raise `ConfigurationError` if anything is wrong."""
        if self.found:
            raise ConfigurationError("\n".join(self.found))


def explained(
    file: YamlFile, error: ValidationError, model: type[BaseModel], inside: Place = ()
) -> list[str]:
    """A line per mistake that pydantic found in what stands `inside` a file; never a value.

    `model` is what was validated.
    """
    lines = []
    for item in error.errors(include_url=False):
        place = tuple(part for part in item["loc"] if part != "[key]")
        where, dotted = file.at((*inside, *place)), ".".join(map(str, place))
        if item["type"] == "extra_forbidden":
            hint = nearest(str(place[-1]), _known_keys(model, place[:-1]))
            lines.append(f"{where}: unknown key '{dotted}'{hint}")
            continue
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "literal_error" and isinstance(item["input"], str):
            message += nearest(item["input"], _expected(item))
        lines.append(f"{where}: {dotted}: {message}" if dotted else f"{where}: {message}")
    return lines


def _expected(item: Any) -> list[str]:
    """The words of which a literal is one."""
    named = str(item.get("ctx", {}).get("expected", "")).replace(" or ", ", ")
    return [word.strip("'") for word in named.split(", ")]


def _known_keys(model: type[BaseModel], place: Place) -> list[str]:
    """Keys that would have been right at a place of what a model describes."""
    for part in place:
        field = next((f for n, f in model.model_fields.items() if str(part) in (n, f.alias)), None)
        # An index or a key of the user's own (an object's name) leads into the section already found.
        if field is not None and (found := _sections(field.annotation)):
            model = found[0]
    return [f.alias or n for n, f in model.model_fields.items() if not f.exclude]


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The models an annotation may hold, through optionals, mappings and sequences."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, dict, tuple, list, Annotated):
        return [m for part in get_args(annotation) for m in _sections(part)]
    return []
