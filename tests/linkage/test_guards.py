"""What shared values and placeholders must not do, in small; the full sizes are the same code."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import polars as pl
import pytest

from crm_hygiene.contract import contract_of
from crm_hygiene.linkage import EntityKind, Linkage, LinkageSettings
from crm_hygiene.linkage.comparable import comparable
from crm_hygiene.linkage.generic_names import generic_names

People = Callable[..., pl.DataFrame]
Run = Callable[..., Linkage]

COUNT = 150


def word(random: Random, syllables: int) -> str:
    return "".join(
        random.choice("bdfgklmnprstvz") + random.choice("aeiou") for _ in range(syllables)
    ).capitalize()


def strangers(count: int, **shared: Any) -> list[dict[str, Any]]:
    """People of different names, mailboxes, numbers and cities, but for what they share."""
    random = Random(3)
    rows = []
    for i in range(count):
        given, family = word(random, 3), word(random, 4)
        row = {
            "record_id": f"x{i:04}",
            "given_name": given,
            "family_name": family,
            "email": f"{given}.{family}{i}@{word(random, 4)}.example".lower(),
            "phone": f"+4940{random.randrange(1000000, 9999999)}",
            "city": word(random, 3),
            "postal_code": str(random.randrange(10000, 99999)),
            "organisation_name": word(random, 4),
        }
        rows.append({**row, **shared})
    return rows


def firms(count: int, **shared: Any) -> pl.DataFrame:
    """Organisations of different names, domains, numbers and places, but for what they share."""
    random = Random(4)
    contract = contract_of("conformed.organisations")
    rows = []
    for i in range(count):
        name = f"{word(random, 3)} {word(random, 3)}"
        row = {
            "source": "crm_accounts",
            "record_id": f"x{i:04}",
            "organisation_name": name,
            "organisation_name_normalised": name,
            "website_domain": f"{name.replace(' ', '')}.example".lower(),
            "phone": f"+4940{random.randrange(1000000, 9999999)}",
            "street": f"{word(random, 3)}weg {random.randrange(1, 99)}",
            "city": word(random, 3),
            "postal_code": str(random.randrange(10000, 99999)),
            "country_code": "DE",
        }
        rows.append({**row, **shared})
    return pl.DataFrame(rows, schema_overrides=dict(contract.schema)).pipe(contract.shape)


def mixed(outcome: Linkage) -> int:
    """Entities with more than one of the strangers."""
    theirs = outcome.members.filter(pl.col("record_id").str.starts_with("x"))
    return theirs.group_by("entity_id").len().filter(pl.col("len") > 1).height


def same_entity(outcome: Linkage) -> set[tuple[str, ...]]:
    """Strangers that ended in one entity."""
    theirs = outcome.members.filter(pl.col("record_id").str.starts_with("x"))
    lists = (
        theirs.group_by("entity_id")
        .agg(pl.col("record_id").sort())
        .filter(pl.col("record_id").list.len() > 1)
    )
    return {tuple(ids) for ids in lists["record_id"].to_list()}


@pytest.fixture
def with_crowd(
    crowd: pl.DataFrame, linked_crowd: Linkage, people: People, run: Run
) -> Callable[[list[dict[str, Any]]], Linkage]:
    """A night of the crowd and some strangers, with the model the crowd alone trained."""

    def night(rows: list[dict[str, Any]]) -> Linkage:
        return run(pl.concat([crowd, people(*rows)]), model=linked_crowd.model)

    return night


_linked_without: dict[frozenset[str], set[tuple[str, ...]]] = {}


@pytest.fixture
def linked_without(
    with_crowd: Callable[[list[dict[str, Any]]], Linkage],
) -> Callable[[frozenset[str]], set[tuple[str, ...]]]:
    """Strangers that end in one entity though they share nothing, some columns being empty; found once."""

    def found(columns: frozenset[str]) -> set[tuple[str, ...]]:
        if columns not in _linked_without:
            outcome = with_crowd(strangers(COUNT, **dict.fromkeys(columns)))
            _linked_without[columns] = same_entity(outcome)
        return _linked_without[columns]

    return found


@pytest.mark.parametrize(
    ("shared", "told"),
    [
        ({"email": "reception@shared.example"}, "email: 1 generic value on 150 records"),
        ({"phone": "+498001234567"}, "phone: 1 generic value on 150 records"),
        ({"phone": "+498001234567", "organisation_name": "Megacorp"}, "phone: 1 generic value on 150"),
        ({"tax_id": "DE123456789"}, "tax_id: 1 generic value on 150 records"),
        ({"given_name": "Website", "family_name": "Visitor"}, "name: 1 generic value on 150 records"),
        ({"given_name": None, "family_name": "Kunde"}, "name: 1 generic value on 150 records"),
        ({"given_name": None, "family_name": None, "full_name": "Web Form"}, "name: 1 generic value on 150"),
        ({"given_name": "Test", "family_name": "Test"}, None),
        ({"given_name": "Unknown", "family_name": "Unknown"}, None),
        ({"city": "Bonn", "postal_code": "53111", "street": "Parkallee 1"}, None),
    ],
    ids=[
        "mailbox",
        "call centre",
        "switchboard",
        "tax id",
        "visitor",
        "lone",
        "full",
        "test",
        "unknown",
        "park",
    ],
)
def test_what_strangers_share_links_none_of_them(
    with_crowd: Callable[[list[dict[str, Any]]], Linkage],
    linked_without: Callable[[frozenset[str]], set[tuple[str, ...]]],
    shared: dict[str, Any],
    told: str | None,
) -> None:
    outcome = with_crowd(strangers(COUNT, **shared))
    # Made-up names are alike by chance: those are linked without what is shared, too.
    by_chance = linked_without(frozenset(shared))
    assert same_entity(outcome) <= by_chance
    assert len(by_chance) <= 1
    assert told is None or any(note.startswith(told) for note in outcome.notes)


@pytest.mark.parametrize(
    "shared",
    [
        {"tax_id": "00000000"},
        {"tax_id": "DE123456789"},
        {"street": "Parkallee 1", "city": "Bonn", "postal_code": "53111"},
        {"phone": "+498001234567"},
        {"organisation_name": "Privatkunde", "organisation_name_normalised": "Privatkunde"},
    ],
    ids=["zeros", "sample number", "business park", "call centre", "private"],
)
def test_what_many_firms_share_links_none_of_them(run: Run, shared: dict[str, Any]) -> None:
    assert mixed(run(firms(COUNT, **shared), kind="organisation")) == 0


def test_a_word_in_nearly_every_name_links_none(run: Run) -> None:
    rows = firms(COUNT).with_columns(
        pl.when(pl.int_range(pl.len()) % 100 < 92)
        .then(pl.col(c) + pl.lit(" Ltd"))
        .otherwise(pl.col(c))
        .alias(c)
        for c in ("organisation_name", "organisation_name_normalised")
    )
    assert mixed(run(rows, kind="organisation")) == 0


@pytest.mark.parametrize("share", [1, 2])
def test_a_common_name_is_no_placeholder(people: People, share: int) -> None:
    """Every first name goes with many last names, though one pair of them is frequent."""
    rows = strangers(4000)
    for i, row in enumerate(rows):
        row["given_name"] = f"Given{'abcdefgh'[i % 8]}"
        row["family_name"] = f"Family{'abcdefgh'[i // 8 % 8]}"
    for row in rows[: 30 * share]:
        row["given_name"], row["family_name"] = "Givena", "Familya"
    frame = comparable("person", people(*rows))
    assert generic_names("person", frame, LinkageSettings(generic_name_share=0.5)).is_empty()


@pytest.mark.parametrize("kind", ["person", "organisation"])
def test_the_name_of_one_entity_with_many_records_is_no_placeholder(people: People, kind: EntityKind) -> None:
    if kind == "person":
        one = {"given_name": "Ada", "family_name": "Lovelace", "email": "ada@engine.example"}
        rows = people(*strangers(60, **one, phone="+44201", postal_code="1", organisation_name="Engine"))
    else:
        rows = firms(
            60, organisation_name="Engine", organisation_name_normalised="Engine", website_domain="e.eu"
        )
    assert generic_names(kind, comparable(kind, rows), LinkageSettings()).is_empty()


def test_a_suspect_cluster_waits_while_the_rest_is_published(
    people: People, run: Run, crowd: pl.DataFrame
) -> None:
    good = run(crowd)
    # The same person typed 30 times: more records than a cluster may have.
    one = {"given_name": "Ada", "family_name": "Lovelace", "city": "London", "postal_code": "12345"}
    rows = people(*strangers(30, **one, email=None, phone=None, organisation_name="Engine"))
    outcome = run(
        pl.concat([crowd, rows]), model=good.model, max_cluster_records=10, generic_name_records=1000
    )
    assert mixed(outcome) == 0
    assert outcome.members.filter(~pl.col("record_id").str.starts_with("x"))["entity_id"].n_unique() == (
        good.members["entity_id"].n_unique()
    )
    suspects = outcome.questions.filter(pl.col("question_kind") == "suspect")
    assert suspects.height == 1
    assert any("keeps its last good state" in note for note in outcome.notes)
