"""Limits on metrics: how far a figure may go before a night warns or stops.

They are declared beside the contracts, in expectations/limits.yaml; the user's own file
(`limits.quality` of hygiene.yaml) adds to them and replaces those of the same name. What does not
belong here: holding figures against them (`evaluation`).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from crm_hygiene.contract import CONTRACTS_FOLDER, load_contracts, nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.quality.metric import METRICS
from crm_hygiene.yaml_file import Place, YamlFile, read_yaml_file
from crm_hygiene.yaml_mistakes import Mistakes, explained

BUILT_IN = CONTRACTS_FOLDER / "limits.yaml"
ALL = "*"

_BOUNDS = ("at_least", "at_most", "max_fall", "max_rise")


class Limit(BaseModel):
    """One limit on one metric.

    `at_least` and `at_most` bound the figure itself. `max_fall` and `max_rise` bound it against the
    mean of the nights before, as a share of that mean: `max_fall: 0.5` is broken below half of it.
    `table` is a table or `layer.*`, `source` and `field` a name or `*`; without `field` only figures of
    whole tables are meant. Sources below `at_least_rows` rows, now and before, are not judged.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=80)
    metric: str
    table: str = ALL
    source: str = ALL
    field: str = ""
    at_least: float | None = None
    at_most: float | None = None
    max_fall: float | None = Field(default=None, ge=0, le=1)
    max_rise: float | None = Field(default=None, ge=0)
    at_least_rows: int = Field(default=0, ge=0)
    then: Literal["warn", "stop", "ignore"] = "warn"
    because: str = ""

    @field_validator("metric")
    @classmethod
    def _metric_is_known(cls, value: str) -> str:
        if value not in METRICS:
            raise ValueError(f"no metric '{value}'{nearest(value, list(METRICS))}")
        return value

    @model_validator(mode="after")
    def _bounds_something(self) -> Limit:
        if self.then != "ignore" and not self.bounds:
            raise ValueError(f"a limit needs one of {', '.join(_BOUNDS)}")
        return self

    @property
    def bounds(self) -> dict[str, float]:
        """The bounds that are set, by name."""
        return {name: value for name in _BOUNDS if (value := getattr(self, name)) is not None}

    @property
    def severity(self) -> Literal["critical", "warning"]:
        """`critical` stops what comes after, `warning` is told."""
        return "critical" if self.then == "stop" else "warning"


class Limits(BaseModel):
    """The limits in force, by the order of their names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limits: tuple[Limit, ...] = ()


def load_limits(own: Path | None = None, sources: Collection[str] = ()) -> Limits:
    """The built-in limits and the user's own, those set to `ignore` left out.

    `sources` are the sources in use; with none given, names of sources are not looked up.

    Raises
    ------
    ConfigurationError
        if a file is no YAML, or a limit names an unknown key, metric, table, source or field: with the
        file, the line and the nearest right word.
    """
    by_name: dict[str, Limit] = {}
    for path in (BUILT_IN, *([own] if own else [])):
        for limit in _read(path, sources):
            by_name[limit.name] = limit
    return Limits(limits=tuple(by_name[n] for n in sorted(by_name) if by_name[n].then != "ignore"))


def _read(path: Path, sources: Collection[str]) -> list[Limit]:
    if not path.is_file():
        raise ConfigurationError(f"limits.quality: {path}: no such file")
    file = read_yaml_file(path)
    mistakes = Mistakes(file)
    mistakes.keys((), file.content, ["limits"])
    mistakes.refuse()
    listed = file.content.get("limits", [])
    if not isinstance(listed, list):
        raise ConfigurationError(f"{path}: expected `limits:` with a list below")
    found: list[Limit] = []
    for number, spec in enumerate(listed):
        place = ("limits", number)
        limit = _limit(file, place, spec)
        _check_names(file.at(place), limit, sources)
        if any(limit.name == other.name for other in found):
            raise ConfigurationError(f"{file.at(place)}: two limits named '{limit.name}'")
        found.append(limit)
    return found


def _limit(file: YamlFile, place: Place, spec: Any) -> Limit:
    if not isinstance(spec, dict):
        raise ConfigurationError(f"{file.at(place)}: a limit is keys and values")
    try:
        return Limit.model_validate(spec)
    except ValidationError as error:
        raise ConfigurationError("\n".join(explained(file, error, Limit, place))) from error


def _check_names(where: str, limit: Limit, sources: Collection[str]) -> None:
    contracts = load_contracts()
    layers = [f"{layer}.*" for layer in dict.fromkeys(c.layer for c in contracts.values())]
    tables = [*contracts, *layers, *(f"landing.{source}" for source in sources)]
    is_landing = limit.table.startswith("landing.") and not sources
    if limit.table != ALL and limit.table not in tables and not is_landing:
        raise ConfigurationError(f"{where}: no table '{limit.table}'{nearest(limit.table, tables)}")
    if sources and limit.source not in (ALL, "") and limit.source not in sources:
        raise ConfigurationError(f"{where}: no source '{limit.source}'{nearest(limit.source, list(sources))}")
    if limit.field in (ALL, "") or limit.table.startswith("landing."):
        return  # columns of a landing table are the vendor's
    meant = [c for name, c in contracts.items() if covers(limit.table, name)]
    columns = list(dict.fromkeys(name for c in meant for name in c.column_names))
    if limit.field not in columns:
        of = "" if limit.table == ALL else f" in {limit.table}"
        raise ConfigurationError(f"{where}: no field '{limit.field}'{of}{nearest(limit.field, columns)}")


def covers(pattern: str, table: str) -> bool:
    """Whether `*`, `layer.*` or a table's name means `table`."""
    return pattern in (ALL, table) or (pattern.endswith(".*") and table.startswith(pattern[:-1]))
