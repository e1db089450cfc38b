"""Contracts: the only place a table is described.

A contract is one YAML file per table below `expectations/`, its columns defined once in
`expectations/columns.yaml`. Polars schemas, Delta constraints, gates, Dagster schemas and the
reference page all derive from the objects here. What does not belong here: running checks
(`expectations.gate`) and storing tables (`crm_hygiene.lake`).
"""

from __future__ import annotations

import difflib
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.yaml_text import YamlError, parse_yaml

CONTRACTS_FOLDER = Path(__file__).parent.parent / "expectations"

Severity = Literal["critical", "warning", "info"]

POLARS_TYPES: dict[str, pl.DataType] = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "float": pl.Float64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us", "UTC"),
    "money": pl.Decimal(18, 4),
    "strings": pl.List(pl.String()),
}


class Column(BaseModel):
    """One column of the glossary: a name with one meaning and one type everywhere.

    `references` is the `layer.table.column` whose value the column holds; `ages` says that the value
    changes with the passing of time alone, so that its change is no news about the row.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    type: Literal["string", "integer", "float", "boolean", "date", "timestamp", "money", "strings"]
    meaning: str
    pii: bool = False
    values: tuple[str, ...] | None = None
    references: str | None = None
    ages: bool = False

    @property
    def polars_type(self) -> pl.DataType:
        """The Polars type of the column."""
        return POLARS_TYPES[self.type]


class Check(BaseModel):
    """One Great Expectations check: its own snake_case name, its arguments, its severity.

    Row-level checks with severity `warning` send the failing row to quarantine; `critical` stops
    the table; `info` is only noted. Table-level checks stop (`critical`) or are noted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    expectation: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    severity: Severity = "warning"
    because: str = ""

    @property
    def column(self) -> str | None:
        """The column the check speaks of, or None for a table-level check."""
        value = self.arguments.get("column")
        return str(value) if value is not None else None

    @property
    def name(self) -> str:
        """Unique, readable name of the check within its contract."""
        subject = self.column or ",".join(self.arguments.get("column_list", [])) or "table"
        return f"{self.expectation.removeprefix('expect_')}({subject})"


class Contract(BaseModel):
    """A table: its meaning, grain, key, columns and checks.

    `preview` names the columns a person looks at first, after the key; where there are none, previews
    show the fullest columns.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str
    meaning: str
    grain: str
    owner: str
    key: tuple[str, ...]
    required: tuple[str, ...] = ()
    columns: tuple[Column, ...]
    preview: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()

    @property
    def layer(self) -> str:
        """`golden` of `golden.contacts`."""
        return self.table.split(".")[0]

    @property
    def column_names(self) -> list[str]:
        """Names of the columns in their order."""
        return [c.name for c in self.columns]

    @cached_property
    def schema(self) -> pl.Schema:  # type: ignore[override]
        """Polars schema of the table."""
        return pl.Schema({c.name: c.polars_type for c in self.columns})

    @cached_property
    def _cells(self) -> dict[str, tuple[pl.Expr, pl.Expr]]:
        """By column: what casts it to its type, and what is null of that type."""
        return {
            c.name: (pl.col(c.name).cast(c.polars_type), pl.lit(None, dtype=c.polars_type).alias(c.name))
            for c in self.columns
        }

    @property
    def pii_columns(self) -> frozenset[str]:
        """Names of the columns whose values are masked in messages."""
        return frozenset(c.name for c in self.columns if c.pii)

    @property
    def told_by(self) -> list[str]:
        """Names of the columns that tell whether a row changed: those that do not age."""
        return [c.name for c in self.columns if not c.ages]

    def empty(self) -> pl.DataFrame:
        """A frame of the contract's schema without rows."""
        return pl.DataFrame(schema=self.schema)

    def shape(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Select and cast `frame` to the contract; missing nullable columns become null.

        Raises
        ------
        ConfigurationError
            if `frame` has a column the contract does not know.
        """
        unknown = [c for c in frame.columns if c not in self.schema]
        if unknown:
            raise ConfigurationError(f"{self.table}: columns not in its contract: {', '.join(unknown)}")
        have = set(frame.columns)
        return frame.select([cast if name in have else null for name, (cast, null) in self._cells.items()])

    def all_checks(self) -> tuple[Check, ...]:
        """The derived checks (key, required, closed vocabularies) and the written ones, derived first.

        Null keys and required columns quarantine their rows; a repeated key stops the table.
        """
        derived = [
            Check(
                expectation="expect_column_values_to_not_be_null",
                arguments={"column": name},
                because=f"{name} is part of the key." if name in self.key else f"{name} is required.",
            )
            for name in dict.fromkeys((*self.key, *self.required))
        ]
        derived += [
            Check(
                expectation="expect_column_values_to_be_in_set",
                arguments={"column": c.name, "value_set": list(c.values)},
                severity="critical",
                because=f"{c.name} has a closed vocabulary.",
            )
            for c in self.columns
            if c.values is not None
        ]
        unique = (
            Check(
                expectation="expect_column_values_to_be_unique",
                arguments={"column": self.key[0]},
                severity="critical",
                because="The key must be unique.",
            )
            if len(self.key) == 1
            else Check(
                expectation="expect_compound_columns_to_be_unique",
                arguments={"column_list": list(self.key)},
                severity="critical",
                because="The key must be unique.",
            )
        )
        return (*derived, unique, *self.checks)

    def constraints(self) -> dict[str, str]:
        """Delta CHECK constraints by name, derived from closed vocabularies and required columns."""
        rules = {
            f"{name}_required": f"{name} IS NOT NULL" for name in dict.fromkeys((*self.key, *self.required))
        }
        for c in self.columns:
            if c.values is not None:
                listed = ", ".join(f"'{v}'" for v in c.values)
                rules[f"{c.name}_vocabulary"] = f"{c.name} IS NULL OR {c.name} IN ({listed})"
        return rules


def nearest(word: str, words: list[str]) -> str:
    """`; did you mean 'x'?` for the closest of `words`, or an empty text."""
    found = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f"; did you mean '{found[0]}'?" if found else ""


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"))
    except YamlError as error:
        raise ConfigurationError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path}: expected a mapping of keys to values")
    return document


@cache
def load_glossary(folder: Path = CONTRACTS_FOLDER) -> dict[str, Column]:
    """Every column name of the project with its type and meaning."""
    path = folder / "columns.yaml"
    try:
        return {name: Column(name=name, **spec) for name, spec in _read_yaml(path).items()}
    except (ValidationError, TypeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _check(path: Path, spec: dict[str, Any]) -> Check:
    known = {"severity", "because"}
    named = [key for key in spec if key not in known]
    if len(named) != 1:
        raise ConfigurationError(f"{path}: a check names exactly one expectation, found {named}")
    return Check(
        expectation=named[0], arguments=spec[named[0]] or {}, **{k: spec[k] for k in known & spec.keys()}
    )


def load_contract(path: Path, glossary: dict[str, Column]) -> Contract:
    """Read one contract; every column name must be in the glossary."""
    spec = _read_yaml(path)
    table = f"{path.parent.name}.{path.stem}"
    names: list[str] = spec.pop("columns", [])
    for name in (*names, *spec.get("key", []), *spec.get("required", [])):
        if name not in glossary:
            raise ConfigurationError(
                f"{path}: column '{name}' is not in columns.yaml{nearest(name, list(glossary))}"
            )
    for name in spec.get("preview", []):
        if name not in names:
            raise ConfigurationError(
                f"{path}: the preview names a column the table lacks: '{name}'{nearest(name, names)}"
            )
    checks = tuple(_check(path, c) for c in spec.pop("checks", []))
    for check in checks:
        if check.column is not None and check.column not in names:
            raise ConfigurationError(
                f"{path}: {check.name} speaks of a column the table lacks{nearest(check.column, names)}"
            )
    try:
        return Contract(table=table, columns=tuple(glossary[n] for n in names), checks=checks, **spec)
    except (ValidationError, TypeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


@cache
def load_contracts(folder: Path = CONTRACTS_FOLDER) -> dict[str, Contract]:
    """Every contract below `folder` by table name, in a stable order."""
    glossary = load_glossary(folder)
    paths = sorted(p for p in folder.glob("*/*.yaml"))
    contracts = [load_contract(path, glossary) for path in paths]
    return {c.table: c for c in contracts}


def contract_of(table: str) -> Contract:
    """The contract of one table.

    Raises
    ------
    ConfigurationError
        if no contract has that name; the message gives the nearest one.
    """
    contracts = load_contracts()
    if table not in contracts:
        raise ConfigurationError(f"no contract for '{table}'{nearest(table, list(contracts))}")
    return contracts[table]
