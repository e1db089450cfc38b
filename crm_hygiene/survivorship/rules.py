"""The survivorship rules: data in `rules.yaml`, overridden per field by a file of the user's.

Here belong the shape of the rules and their fingerprint. Reading them is `loading`, how files override
each other `inheritance`, which words are right `vocabulary`, how a rule is applied `choose`.
"""

from __future__ import annotations

from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from crm_hygiene.contract import contract_of
from crm_hygiene.fingerprint import fingerprint

DEFAULT_RULES = Path(__file__).with_name("rules.yaml")

Strategy = Literal[
    "validity", "trust", "recency", "agreement", "frequency", "completeness", "longest", "earliest"
]
STRATEGIES: tuple[str, ...] = get_args(Strategy)
Weight = Annotated[float, Field(ge=0, le=1)]
Days = Annotated[float, Field(gt=0)]

CONFORMED = {"contacts": "conformed.people", "accounts": "conformed.organisations"}
# Columns that survive like any other but are resolved to entities before the choice.
RESOLVED = {"contacts": "account_entity_id", "accounts": "parent_entity_id"}


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Preference(_Rule):
    """Best-first order of another column's values, for the strategy `validity`."""

    column: str
    order: tuple[str, ...]


class ValidityTest(_Rule):
    """A test that a value passes or fails; `column` is the field itself where it is not named.

    Exactly one of: `matches` (a regular expression the value must fit), `one_of` and `none_of` (texts),
    `no_bounce` (no undeliverable mail to the record's address since), `no_problems` (conforming had no
    trouble with the record). An empty cell passes: nothing is known against it.
    """

    column: str | None = None
    matches: str | None = None
    one_of: tuple[str, ...] | None = None
    none_of: tuple[str, ...] | None = None
    no_bounce: Literal[True] | None = None
    no_problems: Literal[True] | None = None

    @model_validator(mode="after")
    def _is_one_test(self) -> ValidityTest:
        kinds = ("matches", "one_of", "none_of", "no_bounce", "no_problems")
        if sum(getattr(self, kind) is not None for kind in kinds) != 1:
            raise ValueError(f"a test says exactly one of {', '.join(kinds)}")
        return self


class TimesRule(_Rule):
    """Which change times are believed.

    `future` says what a time after the landing is: the landing time, or no time (`ignore`). `placeholders`
    are days that only stand for "no time". A value without a believable time counts as the oldest.
    """

    future: Literal["landing", "ignore"] = "landing"
    placeholders: tuple[date, ...] = ()


class BounceRule(_Rule):
    """Interaction kinds after which mail to an address does not arrive, and those that show it does again."""

    kinds: tuple[str, ...] = ("bounce",)
    cleared_by: tuple[str, ...] = ("delivered", "open", "click")


class FieldRule(_Rule):
    """How one golden field is chosen.

    Attributes
    ----------
    strategies
        tried in order until one tells two values apart.
    trust, half_life_days
        for this field, before or instead of the general ones.
    valid
        names of tests for the strategy `validity`, the gravest first.
    prefer
        what `validity` looks at after the tests.
    clears
        `wins`: a source that emptied the field on purpose outdoes every value older than that.
    clears_from
        sources (patterns) whose empty cell counts as emptied without a change time of the field's own.
    placeholders
        texts (patterns, any case) that only stand for "no value" here.
    """

    strategies: Annotated[tuple[Strategy, ...], Field(min_length=1)]
    trust: dict[str, Weight] | None = None
    half_life_days: Days | None = None
    valid: tuple[str, ...] = ()
    prefer: Preference | None = None
    clears: Literal["ignored", "wins"] = "ignored"
    clears_from: tuple[str, ...] = ()
    placeholders: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _clears_have_an_effect(self) -> FieldRule:
        if self.clears_from and self.clears == "ignored":
            raise ValueError("clears_from has no effect without `clears: wins`")
        return self


class GroupRule(FieldRule):
    """How columns that survive together are chosen; `needs` says which of them make a candidate."""

    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    needs: tuple[str, ...] = ()


class TableRules(_Rule):
    """Rules of one golden table, and what its quality score looks at."""

    fields: dict[str, FieldRule]
    groups: dict[str, GroupRule]
    important: Annotated[tuple[str, ...], Field(min_length=1)]
    freshness_half_life_days: Days

    @property
    def all_rules(self) -> dict[str, GroupRule]:
        """Groups and single fields alike, as groups, by name in a stable order."""
        single = {
            name: GroupRule(**rule.model_dump(), columns=(name,), needs=(name,))
            for name, rule in self.fields.items()
        }
        return dict(sorted({**self.groups, **single}.items()))

    def rule_of(self, column: str) -> tuple[str, GroupRule] | None:
        """Name and rule of the field or group that chooses `column`."""
        return next(((n, r) for n, r in self.all_rules.items() if column in r.columns), None)


class Rules(_Rule):
    """Every survivorship rule of the project."""

    trust: dict[str, Weight]
    half_life_days: Days
    times: TimesRule = TimesRule()
    bounces: BounceRule = BounceRule()
    tests: dict[str, ValidityTest] = Field(default_factory=dict)
    contacts: TableRules
    accounts: TableRules

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the rules' content; the order of trust patterns counts, layout does not."""
        return fingerprint(self.model_dump_json())

    def of(self, table: str) -> TableRules:
        """Rules of `contacts` or `accounts`."""
        return self.contacts if table == "contacts" else self.accounts

    def tests_of(self, rule: GroupRule) -> list[tuple[str, ValidityTest]]:
        """Name and test of everything `valid` lists, each with its column filled in."""
        own = (rule.needs or rule.columns)[0]
        found = [(name, self.tests[name]) for name in rule.valid]
        return [
            (name, test if test.column else test.model_copy(update={"column": own})) for name, test in found
        ]


def survivorship_columns(table: str) -> list[str]:
    """Golden columns of `contacts` or `accounts` that are chosen from records."""
    stated = set(contract_of(CONFORMED[table]).column_names) | {RESOLVED[table]}
    return [c for c in contract_of(f"golden.{table}").column_names if c in stated]
