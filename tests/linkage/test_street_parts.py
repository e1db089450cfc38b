from __future__ import annotations

import polars as pl
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.linkage.comparable import fold
from crm_hygiene.linkage.street_parts import street_columns


def parts(*streets: str | None) -> pl.DataFrame:
    frame = pl.DataFrame({"street": streets}, schema={"street": pl.String}).with_row_index("unique_id")
    return street_columns(frame.select("unique_id", road=fold(pl.col("street"), " ")))


@pytest.mark.parametrize(
    ("street", "number", "name"),
    [
        ("12224 Ventura Blvd.", "12224", "ventura"),
        ("152 W. 52nd St.", "152", "52"),
        ("1063 First Ave. at 58th St.", "1063", "1"),
        ("200 Park Avenue, Suite 12", "200", "park"),
        ("3200 Las Vegas Blvd. S", "3200", "las vegas"),
        ("Bahnhofstr. 127", "127", "bahnhof"),
        ("Bahnhofstraße 127", "127", "bahnhof"),
        ("46 rue Pasteur", "46", "pasteur"),
        ("ul. Długa 80", "80", "dluga"),
        ("ул. Иван Вазов 12", "12", "ivan vazov"),
        ("проспект Мира, 45", "45", "mira"),
        ("вул. Хрещатик 22", "22", "khreshchatik"),
        ("Λεωφόρος Κηφισίας 18", "18", "kifisias"),
        ("Market Street", None, "market"),
        ("East Street", None, "east street"),
        (None, None, None),
    ],
)
def test_number_and_name_of_a_street(street: str | None, number: str | None, name: str | None) -> None:
    row = parts(street).row(0, named=True)
    assert (row["house_number"], row["street_name"]) == (number, name)


def test_the_side_of_town_is_kept_apart() -> None:
    assert parts("100 N State St", "100 South State St", "100 State St")["street_side"].to_list() == [
        "n",
        "s",
        None,
    ]


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=30)), min_size=1, max_size=8))
def test_any_text_gives_one_row_per_record(streets: list[str | None]) -> None:
    assert parts(*streets)["unique_id"].to_list() == list(range(len(streets)))
