"""Are the words of a rules file right? Every mistake is told with file, line and the nearest right word."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from crm_hygiene.contract import contract_of, nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.survivorship.rules import (
    CONFORMED,
    STRATEGIES,
    BounceRule,
    FieldRule,
    GroupRule,
    Preference,
    Rules,
    TableRules,
    TimesRule,
    ValidityTest,
    survivorship_columns,
)
from crm_hygiene.yaml_file import Place, YamlFile
from crm_hygiene.yaml_mistakes import Mistakes

_KINDS: dict[str, type[FieldRule]] = {"fields": FieldRule, "groups": GroupRule}


def check_words(text: YamlFile, known_tests: Collection[str]) -> list[str]:
    """A line per wrong word of one file; `known_tests` are those of every file in play."""
    seen = Mistakes(text)
    spec = dict(text.content)
    if "pins" in spec:
        del spec["pins"]
        seen.add(("pins",), "pins are not kept in a rules file; `crm-hygiene pin set` sets them")
    seen.keys((), spec, [*Rules.model_fields, "extends"])
    seen.mapping(("trust",), spec.get("trust"))
    seen.keys(("times",), spec.get("times"), TimesRule.model_fields)
    seen.keys(("bounces",), spec.get("bounces"), BounceRule.model_fields)
    stated = {c for table in CONFORMED.values() for c in contract_of(table).column_names}
    for name, test in seen.mapping(("tests",), spec.get("tests")).items():
        place = ("tests", str(name))
        test = seen.keys(place, test, ValidityTest.model_fields)
        if test.get("column") is not None:
            seen.words((*place, "column"), [test["column"]], stated, "column")
        if isinstance(test.get("matches"), str):
            try:
                re.compile(test["matches"])
            except re.error as error:
                seen.add((*place, "matches"), f"not a regular expression: {error}")
    for table in CONFORMED:
        _check_table(seen, table, spec.get(table), known_tests)
    return seen.found


def _check_table(seen: Mistakes, table: str, value: Any, known_tests: Collection[str]) -> None:
    columns = survivorship_columns(table)
    section = seen.keys((table,), value, TableRules.model_fields)
    for kind, model in _KINDS.items():
        place: Place = (table, kind)
        named = (
            seen.keys(place, section.get(kind), columns, "field")
            if kind == "fields"
            else seen.mapping(place, section.get(kind))
        )
        for name, rule in named.items():
            _check_rule(seen, table, (*place, str(name)), rule, model, known_tests)
    seen.words((table, "important"), section.get("important"), columns, "field")


def _check_rule(
    seen: Mistakes,
    table: str,
    place: Place,
    value: Any,
    model: type[FieldRule],
    known_tests: Collection[str],
) -> None:
    columns = survivorship_columns(table)
    rule = seen.keys(place, value, [*model.model_fields, "like"])
    seen.words((*place, "strategies"), rule.get("strategies"), STRATEGIES, "strategy")
    seen.words((*place, "valid"), rule.get("valid"), known_tests, "test")
    for key in ("columns", "needs"):
        seen.words((*place, key), rule.get(key), columns, "field")
    seen.listed((*place, "clears_from"), rule.get("clears_from"))
    seen.listed((*place, "placeholders"), rule.get("placeholders"))
    seen.mapping((*place, "trust"), rule.get("trust"))
    prefer = seen.keys((*place, "prefer"), rule.get("prefer"), Preference.model_fields)
    if prefer.get("column") is not None:
        stated = contract_of(CONFORMED[table]).column_names
        seen.words((*place, "prefer", "column"), [prefer["column"]], stated, "column")


def check_sources(text: YamlFile, sources: Collection[str]) -> list[str]:
    """A line per pattern of one checked file that fits no source and no system."""
    seen = Mistakes(text)
    for place, pattern in _patterns(text.content):
        if not any(fnmatchcase(source, pattern) for source in sources):
            seen.add(place, f"no source or system fits '{pattern}'{nearest(pattern, sorted(sources))}")
    return seen.found


def _patterns(spec: dict[str, Any]) -> Iterator[tuple[Place, str]]:
    for pattern in spec.get("trust") or {}:
        yield ("trust", str(pattern)), str(pattern)
    for table in CONFORMED:
        for kind in _KINDS:
            for name, rule in ((spec.get(table) or {}).get(kind) or {}).items():
                for pattern in (rule or {}).get("trust") or {}:
                    yield (table, kind, name, "trust", str(pattern)), str(pattern)
                for position, pattern in enumerate((rule or {}).get("clears_from") or []):
                    yield (table, kind, name, "clears_from", position), str(pattern)


def check_coverage(
    texts: Sequence[YamlFile],
    table: str,
    rules: TableRules,
    tests_of: Callable[[GroupRule], list[tuple[str, ValidityTest]]],
) -> None:
    """Every column has exactly one rule, and rules speak of columns that their table has.

    Raises
    ------
    ConfigurationError
        naming the first column or group that is wrong.
    """
    text = texts[-1]
    stated = {*contract_of(CONFORMED[table]).column_names}
    for name, rule in rules.all_rules.items():
        for test_name, test in tests_of(rule):
            if test.column not in stated:
                kind = "groups" if name in rules.groups else "fields"
                raise ConfigurationError(
                    f"{text.at((table, kind, name, 'valid'))}: {table}.{kind}.{name}: the test '{test_name}' "
                    f"looks at {test.column}, which {CONFORMED[table]} lacks"
                )
    ruled = [c for rule in rules.all_rules.values() for c in rule.columns]
    for column in survivorship_columns(table):
        if ruled.count(column) != 1:
            count = "no rule" if column not in ruled else "more than one rule"
            raise ConfigurationError(
                f"{text.at((table,))}: {table}: column '{column}' has {count}; name it in one field or group"
            )
    for name, rule in rules.groups.items():
        for column in rule.needs:
            if column not in rule.columns:
                raise ConfigurationError(
                    f"{text.at((table, 'groups', name))}: {table}.groups.{name}.needs: '{column}' is no "
                    f"column of the group{nearest(column, list(rule.columns))}"
                )
