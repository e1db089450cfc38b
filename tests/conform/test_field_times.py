from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from crm_hygiene.conform.field_times import with_field_times
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.mapping import Mapping
from crm_hygiene.mapping_file import load_mapping
from crm_hygiene.survivorship.rules import TimesRule
from crm_hygiene.survivorship.times import parse_field_times

MAPPING = Mapping(source="x", system="x", object="x", files=("x",), tables={}, day_first=True)


def told(cells: list[tuple[str | None, str | None, str | None]]) -> pl.DataFrame:
    """field_times and problems of (raw e-mail, standardised e-mail, raw time)."""
    raw = pl.DataFrame(
        {"email": [c[0] for c in cells], "_changed_at_email": [c[2] for c in cells]},
        schema={"email": pl.String, "_changed_at_email": pl.String},
    )
    frame = pl.DataFrame(
        {"email": [c[1] for c in cells], "problems": [[] for _ in cells]},
        schema={"email": pl.String, "problems": pl.List(pl.String)},
    )
    return with_field_times(frame, raw, MAPPING)


def test_a_time_is_kept_beside_a_value_and_beside_an_emptied_field() -> None:
    rows = told(
        [("a@b.de", "a@b.de", "2026-01-02T03:04:05Z"), (None, None, "03.02.2026"), (None, None, None)]
    )
    assert rows["field_times"].to_list() == [
        ["email=2026-01-02T03:04:05Z"],
        ["email=2026-02-03T00:00:00Z"],
        [],
    ]
    assert rows["problems"].to_list() == [[], [], []]


def test_what_was_no_value_was_not_emptied_on_purpose() -> None:
    assert told([("n/a", None, "2026-01-02")])["field_times"].to_list() == [[]]


def test_a_time_nobody_can_read_is_a_problem() -> None:
    rows = told([("a@b.de", "a@b.de", "last week")])
    assert rows["field_times"].to_list() == [[]]
    assert rows["problems"].to_list() == [["email changed_at: not a time"]]


def test_survivorship_reads_what_conforming_writes() -> None:
    rows = told([("a@b.de", "a@b.de", "2026-01-02T03:04:05.25Z"), ("c@d.de", "c@d.de", "2099-01-01")])
    landed = pl.lit("2026-06-01").str.to_datetime("%Y-%m-%d", time_unit="us", time_zone="UTC")
    found = parse_field_times(rows.with_columns(landed_at=landed), TimesRule())
    assert found["changed_at"].dt.strftime("%F %T%.3f").to_list() == [
        "2026-01-02 03:04:05.250",
        "2026-06-01 00:00:00.000",
    ]


def mapping_file(folder: Path, people: str, table: str = "people") -> Path:
    path = folder / "mine.yaml"
    path.write_text(
        "source: mine\nsystem: mine\nobject: x\nfiles: [x]\n"
        f"tables:\n  {table}:\n    record_id: Id\n    person_kind: {{constant: lead}}\n    {people}\n"
    )
    return path


def test_a_mapping_names_where_a_source_tells_the_change_time_of_a_field(tmp_path: Path) -> None:
    mapping = load_mapping(mapping_file(tmp_path, "email: {column: Email, changed_at: [EmailAt, At]}"))
    (block,) = mapping.blocks
    assert block.vendor_columns == ("Id", "Email", "EmailAt", "At")
    plain = load_mapping(mapping_file(tmp_path, "email: {column: Email}"))
    assert plain.blocks[0].changed_at == {}
    assert plain.fingerprint != mapping.fingerprint


@pytest.mark.parametrize(
    ("people", "table", "message"),
    [
        ("email: {column: Email, changed: At}", "people", "unknown form of expression"),
        ("email: {column: Email, changed_at: {colum: At}}", "people", r"tables\.people\.email"),
        ("email: {column: Email, changed_at: At}", "interactions", "keeps no change times of fields"),
        ("field_times: Times", "people", "the pipeline fills this column itself"),
    ],
)
def test_a_wrong_change_time_is_refused(tmp_path: Path, people: str, table: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_mapping(mapping_file(tmp_path, people, table))
