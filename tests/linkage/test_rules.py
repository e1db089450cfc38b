"""Conditions of the built-in rules, asked of two records."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from crm_hygiene.linkage import LinkageSettings
from crm_hygiene.linkage.connection import connection, fetch, load


def _holds(condition: str, left: dict[str, Any], right: dict[str, Any]) -> bool | None:
    """What a condition of the rules is of two records."""
    sides = {f"{name}_{side}": [v] for side, of in (("l", left), ("r", right)) for name, v in of.items()}
    texts = {name: pl.List(pl.String) if "roots" in name else pl.String for name in sides}
    with connection(LinkageSettings()) as con:
        load(con, "pair", pl.DataFrame(sides, schema_overrides=texts))
        (held,) = fetch(con, f"SELECT {condition} AS held FROM pair")["held"].to_list()
    return None if held is None else bool(held)


def _person(given: str | None, family: str, **more: Any) -> dict[str, Any]:
    return {
        "given": given,
        "family": family,
        "given_roots": given and [given],
        "name_is_latin": "true",
        **more,
    }


@pytest.mark.parametrize("given", [None, "kenneth"])
def test_a_switchboard_joins_no_colleagues_of_whom_one_has_no_first_name(given: str | None) -> None:
    """A condition with an empty name in it is true or false, not null: null would be the same as false."""
    phone = next(c for c in LinkageSettings().person.comparisons if c.name == "phone")
    more = {"phone_1": "+4930123456", "organisation": None, "domain": "acme.example", "street": None}
    one, other = _person(given, "romano", **more), _person("hans", "lehmann", **more)
    assert _holds(phone.levels[0].when, one, other) is True


@pytest.mark.parametrize(
    ("one", "other", "is_alike"),
    [
        ("john.smith@abc.com", "john.smith@xyz.com", False),
        ("john.smith@northwind.com", "jon.smith@northwnd.com", True),
    ],
)
def test_one_spelling_of_a_name_at_two_companies_is_no_like_mailbox(
    one: str, other: str, is_alike: bool
) -> None:
    email = next(c for c in LinkageSettings().person.comparisons if c.name == "email")
    alike = next(level for level in email.levels if level.name == "alike")
    assert _holds(alike.when, _person("john", "smith", email=one), _person("john", "smith", email=other)) is (
        is_alike
    )
