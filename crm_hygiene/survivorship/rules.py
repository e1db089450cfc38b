"""The survivorship rules: data in `rules.yaml`, overridden per field by a file of the user's.

Here belong the shape of the rules, their reading and their fingerprint. How a rule is applied
belongs to `choose`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crm_hygiene.contract import contract_of, nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.fingerprint import fingerprint

DEFAULT_RULES = Path(__file__).with_name("rules.yaml")

Strategy = Literal["validity", "trust", "recency", "frequency", "completeness", "longest", "earliest"]
STRATEGIES: tuple[str, ...] = get_args(Strategy)
Weight = Annotated[float, Field(ge=0, le=1)]

_CONFORMED = {"contacts": "conformed.people", "accounts": "conformed.organisations"}
# Columns that survive like any other but are resolved to entities before the choice.
_RESOLVED = {"contacts": "account_entity_id", "accounts": "parent_entity_id"}


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Preference(_Rule):
    """Best-first order of another column's values, for the strategy `validity`."""

    column: str
    order: tuple[str, ...]


class FieldRule(_Rule):
    """How one golden field is chosen.

    `clears_from` lists the sources (patterns) whose empty value counts as a value: without it a
    clear never beats a value.
    """

    strategies: Annotated[tuple[Strategy, ...], Field(min_length=1)]
    trust: dict[str, Weight] | None = None
    half_life_days: Annotated[float, Field(gt=0)] | None = None
    prefer: Preference | None = None
    clears_from: tuple[str, ...] = ()


class GroupRule(FieldRule):
    """How columns that survive together are chosen; `needs` says which of them make a candidate."""

    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    needs: tuple[str, ...] = ()


class TableRules(_Rule):
    """Rules of one golden table, and what its quality score looks at."""

    fields: dict[str, FieldRule]
    groups: dict[str, GroupRule]
    important: Annotated[tuple[str, ...], Field(min_length=1)]
    freshness_half_life_days: Annotated[float, Field(gt=0)]

    @property
    def all_rules(self) -> dict[str, GroupRule]:
        """Groups and single fields alike, as groups, by name in a stable order."""
        single = {
            name: GroupRule(**rule.model_dump(), columns=(name,), needs=(name,))
            for name, rule in self.fields.items()
        }
        return dict(sorted({**self.groups, **single}.items()))


class Pin(_Rule):
    """A steward's word: the cell or group of this entity comes from this record."""

    table: Literal["contacts", "accounts"]
    entity_id: str
    field: str
    source: str
    record_id: str


class Rules(_Rule):
    """Every survivorship rule of the project."""

    trust: dict[str, Weight]
    half_life_days: Annotated[float, Field(gt=0)]
    contacts: TableRules
    accounts: TableRules
    pins: tuple[Pin, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the rules' content; the order of trust patterns counts, layout does not."""
        return fingerprint(self.model_dump_json())


def survivorship_columns(table: str) -> list[str]:
    """Golden columns of `contacts` or `accounts` that are chosen from records."""
    stated = set(contract_of(_CONFORMED[table]).column_names) | {_RESOLVED[table]}
    return [c for c in contract_of(f"golden.{table}").column_names if c in stated]


def load_rules(path: Path | None = None, sources: Collection[str] | None = None) -> Rules:
    """The default rules, overridden field by field by the file at `path`.

    A field or group of the user's replaces the default of that name and takes its columns out of
    default groups. Trust patterns of the user's come before the default ones. `sources` are the
    known source and system names; with them, a pattern of the user's that fits none is an error.

    Raises
    ------
    ConfigurationError
        for an unreadable file, an unknown field, strategy, key or source (with the nearest word),
        or a column without a rule.
    """
    spec = _read(DEFAULT_RULES)
    if path is not None:
        own = _read(path)
        _check_words(path, own)
        if sources is not None:
            _check_sources(path, own, sources)
        spec = _override(path, spec, own)
    where = path or DEFAULT_RULES
    try:
        rules = Rules(**spec)
    except (ValidationError, TypeError) as error:
        raise ConfigurationError(f"{where}: {error}") from error
    for table in _CONFORMED:
        _check_coverage(where, table, getattr(rules, table))
    for pin in rules.pins:
        _known(where, f"pins of {pin.entity_id}", [pin.field], getattr(rules, pin.table).all_rules)
    return rules


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: not readable as YAML: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path}: expected a mapping of keys to values")
    return document


def _known(path: Path, where: str, words: Iterable[Any], allowed: Iterable[str]) -> None:
    listed = sorted(allowed)
    for word in words:
        if word not in listed:
            raise ConfigurationError(f"{path}: {where}: unknown '{word}'{nearest(str(word), listed)}")


def _mapping(path: Path, where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigurationError(f"{path}: {where}: expected a mapping of keys to values")
    return value


def _listed(path: Path, where: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ConfigurationError(f"{path}: {where}: expected a list")
    return value


def _check_words(path: Path, spec: dict[str, Any]) -> None:
    _known(path, "rules", spec, Rules.model_fields)
    for table in _CONFORMED.keys() & spec.keys():
        section = _mapping(path, table, spec[table])
        _known(path, table, section, TableRules.model_fields)
        columns = survivorship_columns(table)
        for kind, model in (("fields", FieldRule), ("groups", GroupRule)):
            for name, rule in _mapping(path, f"{table}.{kind}", section.get(kind, {})).items():
                where = f"{table}.{kind}.{name}"
                rule = _mapping(path, where, rule)
                if kind == "fields":
                    _known(path, f"{table}.fields", [name], columns)
                _known(path, where, rule, model.model_fields)
                _known(path, where, _listed(path, where, rule.get("strategies", [])), STRATEGIES)
                for key in ("columns", "needs"):
                    _known(path, where, _listed(path, where, rule.get(key, [])), columns)
                if rule.get("prefer") is not None:
                    prefer = _mapping(path, where, rule["prefer"])
                    stated = contract_of(_CONFORMED[table]).column_names
                    _known(path, f"{where}.prefer", [prefer.get("column")], stated)
        important = _listed(path, f"{table}.important", section.get("important", []))
        _known(path, f"{table}.important", important, columns)


def _check_sources(path: Path, spec: dict[str, Any], sources: Collection[str]) -> None:
    patterns = list(_mapping(path, "trust", spec.get("trust", {})))
    for table in _CONFORMED:
        for kind in ("fields", "groups"):
            for rule in spec.get(table, {}).get(kind, {}).values():
                patterns += [*(rule.get("trust") or {}), *rule.get("clears_from", [])]
    for pattern in patterns:
        if not any(fnmatchcase(source, str(pattern)) for source in sources):
            raise ConfigurationError(
                f"{path}: trust: no source or system fits '{pattern}'{nearest(str(pattern), sorted(sources))}"
            )


def _override(path: Path, default: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = {**default, **{k: v for k, v in own.items() if k not in (*_CONFORMED, "trust")}}
    trust = _mapping(path, "trust", own.get("trust", {}))
    # A new pattern goes before the default ones; a restated one keeps its place, so that a `*` of the
    # user's does not hide every other line.
    new = {k: v for k, v in trust.items() if k not in default["trust"]}
    merged["trust"] = {**new, **{k: trust.get(k, v) for k, v in default["trust"].items()}}
    for table in _CONFORMED:
        section, base = own.get(table, {}), default[table]
        fields, groups = section.get("fields", {}), section.get("groups", {})
        taken = {*fields, *(c for rule in groups.values() for c in rule.get("columns", []))}
        kept_groups: dict[str, Any] = {}
        for name, rule in base["groups"].items():
            columns = [c for c in rule["columns"] if c not in taken]
            if columns:
                needs = [c for c in rule.get("needs", []) if c in columns]
                kept_groups[name] = {**rule, "columns": columns, "needs": needs}
        # A group restated without its columns keeps the default's.
        for name, rule in groups.items():
            if "columns" not in rule and name in kept_groups:
                rule = {**{k: kept_groups[name][k] for k in ("columns", "needs")}, **rule}
            kept_groups[name] = rule
        merged[table] = {
            **base,
            **section,
            "fields": {**{k: v for k, v in base["fields"].items() if k not in taken}, **fields},
            "groups": kept_groups,
        }
    return merged


def _check_coverage(path: Path, table: str, rules: TableRules) -> None:
    ruled = [c for rule in rules.all_rules.values() for c in rule.columns]
    columns = survivorship_columns(table)
    _known(path, table, ruled, columns)
    for column in columns:
        if ruled.count(column) != 1:
            count = "no rule" if column not in ruled else "more than one rule"
            raise ConfigurationError(
                f"{path}: {table}: column '{column}' has {count}; name it in one field or group"
            )
    for name, rule in rules.groups.items():
        _known(path, f"{table}.groups.{name}.needs", rule.needs, rule.columns)
    _known(path, f"{table}.important", rules.important, columns)
