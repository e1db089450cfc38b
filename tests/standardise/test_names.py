from __future__ import annotations

import polars as pl
import pytest

from crm_hygiene.standardise import standardise_names

PARTS = ("name_prefix", "given_name", "middle_name", "family_name", "name_suffix", "full_name")


def standardised(**given: str) -> dict[str, str | None]:
    frame = pl.DataFrame(
        {f"raw_{p}": [given.get(p)] for p in PARTS}, schema={f"raw_{p}": pl.String for p in PARTS}
    )
    return standardise_names(frame).select(PARTS).row(0, named=True)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("O'BRIEN", "O'Brien"),
        ("mcdonald", "McDonald"),
        ("VAN DER BERG", "van der Berg"),
        ("SMITH-JONES", "Smith-Jones"),
        ("D'ANGELO", "D'Angelo"),
        ("MacDonald", "MacDonald"),
        ("deVries", "deVries"),
        ("VAN", "Van"),
        ("MÜLLER", "Müller"),
        ("李", "李"),
        ("  García\u00a0 Lopez ", "García Lopez"),
        ("GarcÃ\u00ada", "García"),
    ],
)
def test_family_names_are_recased_only_when_in_one_case(written: str, expected: str) -> None:
    assert standardised(family_name=written)["family_name"] == expected


@pytest.mark.parametrize(
    ("full", "given", "middle", "family"),
    [
        ("John Smith", "John", None, "Smith"),
        ("Smith, John", "John", None, "Smith"),
        ("JOHN SMITH", "John", None, "Smith"),
        ("Anna Maria Rossi", "Anna", "Maria", "Rossi"),
        ("van der Berg, Anna Maria", "Anna", "Maria", "van der Berg"),
        ("Dr. Juan de la Vega III", "Juan", None, "de la Vega"),
        ("Cher", "Cher", None, None),
        ("Jane Unknown", "Jane", None, None),
    ],
)
def test_full_name_is_parsed_where_the_parts_are_missing(
    full: str, given: str | None, middle: str | None, family: str | None
) -> None:
    row = standardised(full_name=full)
    assert (row["given_name"], row["middle_name"], row["family_name"]) == (given, middle, family)


@pytest.mark.parametrize(
    ("full", "given", "middle", "family"),
    [
        ("Лавров Сергей Викторович", "Сергей", "Викторович", "Лавров"),
        ("Сергей Викторович Лавров", "Сергей", "Викторович", "Лавров"),
        ("ИВАНОВА АННА ИЛЬИНИЧНА", "Анна", "Ильинична", "Иванова"),
        ("Шевченко Леся Григорівна", "Леся", "Григорівна", "Шевченко"),
        ("Роман Аркадьевич Абрамович", "Роман", "Аркадьевич", "Абрамович"),
        ("Petrova Anna Sergeevna", "Anna", "Sergeevna", "Petrova"),
        ("David Aaron Rabinovich", "David", "Aaron", "Rabinovich"),
        ("Роман Абрамович", "Роман", None, "Абрамович"),
    ],
)
def test_a_patronymic_tells_which_name_is_the_family_s(
    full: str, given: str, middle: str | None, family: str
) -> None:
    row = standardised(full_name=full)
    assert (row["given_name"], row["middle_name"], row["family_name"]) == (given, middle, family)


def test_titles_and_suffixes_come_out_of_the_full_name() -> None:
    row = standardised(full_name="Dr. Juan de la Vega III")
    assert (row["name_prefix"], row["name_suffix"], row["full_name"]) == ("Dr.", "III", "Juan de la Vega")


def test_full_name_is_not_parsed_where_a_part_is_there() -> None:
    row = standardised(family_name="Roe", full_name="Jane Roe-Doe")
    assert (row["given_name"], row["family_name"], row["full_name"]) == (None, "Roe", "Roe")


def test_placeholders_make_way_for_the_full_name() -> None:
    row = standardised(given_name="n/a", family_name="-", full_name="Jane Roe")
    assert (row["given_name"], row["family_name"], row["full_name"]) == ("Jane", "Roe", "Jane Roe")


@pytest.mark.parametrize(
    "word", ["n/a", "Unknown", "TEST", "-", ".", "none", "NULL", "xxx", "[not provided]", "test test"]
)
def test_placeholders_become_null(word: str) -> None:
    assert set(standardised(given_name=word, family_name=word, full_name=word).values()) == {None}


def test_short_initials_and_suffixes_keep_their_capitals() -> None:
    row = standardised(given_name="TJ", family_name="NG", name_suffix="PHD")
    assert (row["given_name"], row["family_name"], row["name_suffix"]) == ("TJ", "Ng", "PhD")
