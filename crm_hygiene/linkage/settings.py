"""Settings of linkage: thresholds, budgets, blocking rules and comparisons, read from `rules.yaml`.

What does not belong here: what the columns mean (`comparable`) and how the rules run (`recipe`, `blocking`).
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from string import Template
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.yaml_text import parse_yaml

RULES_FILE = Path(__file__).parent / "rules.yaml"

EntityKind = Literal["person", "organisation"]


class Level(BaseModel):
    """One level of a comparison: a condition with the shares of matches (m) and non-matches (u) in it.

    Attributes
    ----------
    frequency_of
        a column whose value's frequency stands in the place of u: agreement on a common value says less.
    told_apart_by
        columns by which bearers of one value are told apart. With them frequency is that of the value on
        records of others (`namesakes`), and u the least it can be.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    when: str
    is_null: bool = False
    frequency_of: str | None = None
    told_apart_by: tuple[str, ...] = ()
    m: float = Field(default=0.5, gt=0, lt=1)
    u: float = Field(default=0.5, gt=0, lt=1)


class Comparison(BaseModel):
    """How two records are compared on one subject; the first level whose condition holds counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    columns: tuple[str, ...]
    levels: tuple[Level, ...]

    @model_validator(mode="after")
    def _first_null_last_else(self) -> Comparison:
        if not self.levels or not self.levels[0].is_null or self.levels[-1].when != "ELSE":
            raise ValueError(f"comparison '{self.name}': the first level is the null level, the last is ELSE")
        return self

    @property
    def scored(self) -> tuple[Level, ...]:
        """The levels that carry weight, best first."""
        return tuple(level for level in self.levels if not level.is_null)


class KindRules(BaseModel):
    """Blocking, training and comparisons for one kind of entity."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prior: float = Field(default=1.0, gt=0)
    prior_recall: float = Field(default=0.6, gt=0, le=1)
    assumed_matches: float = Field(default=0.0, ge=0)
    learned_u: float = Field(default=1.0, ge=0, le=1)
    terms: dict[str, str] = Field(default_factory=dict)
    prior_rules: tuple[tuple[str, ...], ...]
    training: tuple[tuple[str, ...], ...]
    blocking: tuple[tuple[str, ...], ...]
    comparisons: tuple[Comparison, ...]

    @model_validator(mode="before")
    @classmethod
    def _terms_spelled_out(cls, given: Any) -> Any:
        """Replace `$name` in the levels' conditions by the term of that name, in brackets."""
        terms = given.get("terms") if isinstance(given, dict) else None
        if not terms:
            return given

        spelt = _in_brackets(terms)

        def spelled(level: Any) -> Any:
            if not isinstance(level, dict) or not isinstance(level.get("when"), str):
                return level
            return {**level, "when": Template(level["when"]).safe_substitute(spelt)}

        def each(comparison: Any) -> Any:
            if not isinstance(comparison, dict):
                return comparison
            return {**comparison, "levels": [spelled(level) for level in comparison.get("levels", ())]}

        return {**given, "comparisons": [each(c) for c in given.get("comparisons", ())]}

    @model_validator(mode="after")
    def _one_frequency_of_a_column(self) -> KindRules:
        told: dict[str, tuple[str, ...]] = {}
        for level in (level for comparison in self.comparisons for level in comparison.levels):
            column, told_apart_by = level.frequency_of, level.told_apart_by
            if column is None and told_apart_by:
                raise ValueError(f"level '{level.name}': told_apart_by needs frequency_of")
            if column is not None and told.setdefault(column, told_apart_by) != told_apart_by:
                raise ValueError(f"level '{level.name}': all levels of a frequency_of have one told_apart_by")
        return self


def _in_brackets(terms: dict[str, str]) -> dict[str, str]:
    """Terms by name, those that stand above a term put into it."""
    found: dict[str, str] = {}
    for name, condition in terms.items():
        found[name] = f"({Template(condition).safe_substitute(found)})"
    return found


@cache
def _defaults(path: Path = RULES_FILE) -> dict[str, Any]:
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path}: expected a mapping of keys to values")
    return document


class LinkageSettings(BaseModel):
    """Everything linkage can be told; what is not given comes from `rules.yaml`.

    Probabilities are 0 to 1; budgets are candidate pairs per record; `memory_limit` is DuckDB's
    text (`3GB`), beyond which it spills to `temp_directory`, by default the system's. `systems`
    names the vendor system of a source where the part of the source's name before the first
    underscore is not it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(gt=0, lt=1)
    review_low: float = Field(gt=0, lt=1)
    absent_pair_weight: float = Field(ge=0)
    most_pair_weight: float = Field(gt=0)
    max_cluster_records: int = Field(ge=2)
    generic_initials: int = Field(ge=1)
    generic_names: int = Field(ge=1)
    generic_name_records: int = Field(ge=2)
    generic_name_contacts: int = Field(ge=2)
    generic_name_share: float = Field(gt=0, le=1)
    pairs_per_record: float = Field(gt=0)
    total_pairs_per_record: float = Field(gt=0)
    least_budget: int = Field(ge=1)
    least_block: int = Field(ge=2)
    least_fill: float = Field(ge=0, le=1)
    min_training_records: int = Field(ge=2)
    min_training_pairs: int = Field(ge=1)
    training_pairs: int = Field(ge=1000)
    random_pairs: int = Field(ge=1000)
    term_frequency_values: int = Field(ge=0)
    namesakes: int = Field(ge=0)
    review_limit: int = Field(ge=0)
    seed: int
    threads: int | None = Field(default=None, ge=1)
    memory_limit: str = "3GB"
    temp_directory: str | None = None
    systems: dict[str, str] = Field(default_factory=dict)
    person: KindRules
    organisation: KindRules

    def __init__(self, **given: Any) -> None:
        super().__init__(**{**_defaults(), **given})

    @model_validator(mode="after")
    def _ordered(self) -> LinkageSettings:
        if self.review_low > self.threshold:
            raise ValueError("review_low must not exceed threshold")
        return self

    @classmethod
    def read(cls, path: Path = RULES_FILE) -> LinkageSettings:
        """Read a rules file; keys it leaves out keep their default.

        Raises
        ------
        ConfigurationError
            if the file is not YAML, or holds unknown keys or impossible values.
        """
        try:
            return cls(**_defaults(path))
        except ValidationError as error:
            raise ConfigurationError(f"{path}: {error}") from error

    def rules_of(self, kind: EntityKind) -> KindRules:
        """The rules for one kind of entity."""
        return self.person if kind == "person" else self.organisation

    def fingerprint(self, kind: EntityKind) -> str:
        """SHA-256 of all that shapes the outcome; threads, memory and temporary folder do not."""
        other = "organisation" if kind == "person" else "person"
        document = self.model_dump(mode="json", exclude={"threads", "memory_limit", "temp_directory", other})
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
