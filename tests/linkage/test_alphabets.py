"""One base in two alphabets: the CRM in the country's own letters, forms and invoices in Latin ones."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from random import Random
from typing import Any

import polars as pl
import pytest

from crm_hygiene.contract import contract_of
from crm_hygiene.linkage import Linkage
from crm_hygiene.linkage.comparable import comparable, with_block_columns
from crm_hygiene.standardise.organisations import standardise_organisation_names

from .test_guards import strangers

People = Callable[..., pl.DataFrame]
Run = Callable[..., Linkage]

# As passports spell them (Bulgaria, Greece, Ukraine), not as this library does.
GIVEN = {
    "Георги": "Georgi", "Димитър": "Dimitar", "Йордан": "Yordan", "Петя": "Petya", "Цветелина": "Tsvetelina",
    "Юлия": "Yulia", "Γεώργιος": "Georgios", "Ευάγγελος": "Evangelos", "Κωνσταντίνος": "Konstantinos",
    "Χρυσούλα": "Chrysoula", "Володимир": "Volodymyr", "Сергій": "Serhii", "Олександра": "Oleksandra",
}  # fmt: skip
FAMILY = {
    "Иванов": "Ivanov", "Стоянова": "Stoyanova", "Търновски": "Tarnovski", "Щерев": "Shterev",
    "Хаджиев": "Hadzhiev", "Παπαδόπουλος": "Papadopoulos", "Μητσοτάκης": "Mitsotakis",
    "Αυγερινός": "Avgerinos",
    "Οικονόμου": "Oikonomou", "Шевченко": "Shevchenko", "Гнатів": "Hnativ", "Щербак": "Shcherbak",
    "Яценюк": "Yatseniuk", "Дорошенко": "Doroshenko",
}  # fmt: skip
KANJI = {"直樹": "Naoki", "花子": "Hanako", "太一": "Taichi", "美樹": "Miki", "浩": "Hiroshi", "稔": "Minoru"}
KANJI_FAMILY = {"山田": "Yamada", "高橋": "Takahashi", "井上": "Inoue", "林": "Hayashi", "渡辺": "Watanabe"}


def _in_both(given: dict[str, str], family: dict[str, str], shared: str) -> list[dict[str, Any]]:
    """Each of some people once in either letters; `shared` is the column that is the same in both."""
    random = Random(5)
    rows = []
    names = [(g, f) for g, f in product(given, family)]
    for i, (g, f) in enumerate(random.sample(names, min(len(names), 120))):
        same = {"email": f"u{i:04}x@post.example", "phone": f"+35988{random.randrange(10**6, 10**7)}"}[shared]
        city = f"Град{i % 9}"
        own = {"given_name": g, "family_name": f, "city": city, "source": "crm_contacts"}
        latin = {"given_name": given[g], "family_name": family[f], "source": "web_forms"}
        rows += [{**row, "record_id": f"{row['source'][0]}{i:03}", shared: same} for row in (own, latin)]
    return rows


def _joined(outcome: Linkage) -> tuple[float, float]:
    """Share of the people who are one entity, and of the entities that are one person."""
    members = outcome.members.with_columns(truth=pl.col("record_id").str.slice(1))
    people = members.group_by("truth").agg(pl.col("entity_id").n_unique())["entity_id"]
    entities = members.group_by("entity_id").agg(pl.col("truth").n_unique())["truth"]
    return (people == 1).mean() or 0.0, (entities == 1).mean() or 0.0


@pytest.mark.parametrize("shared", ["email", "phone"])
def test_people_are_found_across_alphabets(people: People, run: Run, shared: str) -> None:
    found, right = _joined(run(people(*_in_both(GIVEN, FAMILY, shared))))
    assert found >= 0.97
    assert right >= 0.99


def test_a_mailbox_joins_names_that_cannot_be_compared(people: People, run: Run) -> None:
    assert _joined(run(people(*_in_both(KANJI, KANJI_FAMILY, "email")))) == (1.0, 1.0)


def test_a_mailbox_does_not_join_names_that_can(people: People, run: Run) -> None:
    rows = _in_both(GIVEN, FAMILY, "email")
    names = ({key: row[key] for key in ("given_name", "family_name")} for row in strangers(len(rows) // 2))
    others = [{**row, **name} for row, name in zip(rows[1::2], names, strict=True)]
    found, _ = _joined(run(people(*rows[::2], *others)))
    assert found <= 0.03


@pytest.mark.parametrize(
    ("own", "latin"),
    [
        ('ООО "Байкал Транс"', "OOO Baikal Trans"),
        ("ТОВ «Зелена Гора»", "Zelena Hora TOV"),
        ("Софарма Трейдинг АД", "Sofarma Treyding AD"),
        ("Παπαδόπουλος & Υιοί Ο.Ε.", "Papadopoulos & Yioi OE"),
        ("შპს თბილისი ღვინო", "Tbilisi Ghvino LLC"),
    ],
)
def test_firms_are_found_across_alphabets(run: Run, own: str, latin: str) -> None:
    contract = contract_of("conformed.organisations")
    names = standardise_organisation_names(pl.DataFrame({"raw": [own, latin]}))
    rows = names.select("organisation_name", "organisation_name_normalised").with_columns(
        source=pl.Series(["crm", "erp"]), record_id=pl.Series(["a", "b"]), postal_code=pl.lit("1000")
    )
    outcome = run(rows.pipe(contract.shape), kind="organisation")
    assert outcome.members["entity_id"].n_unique() == 1


@pytest.mark.parametrize(
    ("given", "family", "is_latin"),
    [
        ("Naoki", "Hayashi", True),
        ("直樹", "林", False),
        ("Сергей", None, True),
        ("직", "Kim", None),
        (None, None, None),
        ("3", "007", None),
    ],
)
def test_whose_letters_a_name_has(
    people: People, given: str | None, family: str | None, is_latin: bool | None
) -> None:
    frame = comparable("person", people({"given_name": given, "family_name": family}))
    assert frame["name_is_latin"].to_list() == [is_latin]


@pytest.mark.parametrize(
    ("one", "other"),
    [("Uli", "Ulrich"), ("Саша", "Александр"), ("Sasha", "Aleksandr"), ("Γιώργος", "Georgios"),
     ("Kasia", "Katarzyna"), ("Pepe", "José"), ("Bob", "Robert")],
)  # fmt: skip
def test_nicknames_are_known_in_many_languages(people: People, one: str, other: str) -> None:
    rows = people({"given_name": one}, {"given_name": other})
    roots = with_block_columns("person", comparable("person", rows))["given_roots"].to_list()
    assert set(roots[0]) & set(roots[1])
