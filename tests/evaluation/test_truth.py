"""Truth files: what is read, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.evaluation.truth import Truth, of_one_kind, read_truth
from crm_hygiene.linkage.settings import EntityKind

HEADER = "CLUSTER_ID,RECORD_ID,DATA_SOURCE\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "truth.csv"


def members(*records: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(records, schema={"source": pl.String, "record_id": pl.String}, orient="row")


def test_columns_in_any_order_with_a_mark_and_blanks(file: Path) -> None:
    file.write_text(
        "\ufeffnote, DATA_SOURCE,RECORD_ID,CLUSTER_ID\nx, crm , 007,1\n\n,crm,8,1\n", encoding="utf-8"
    )
    found = read_truth(file)
    assert found.rows.rows() == [("1", "007", "crm"), ("1", "8", "crm")]
    assert found.notes == ()


def test_a_repeated_row_counts_once_and_is_said(file: Path) -> None:
    file.write_text(HEADER + "1,7,crm\n1,8,crm\n1,7,crm\n")
    found = read_truth(file)
    assert found.rows.height == 2
    assert "crm:7 on lines 2, 4" in found.notes[0]


def test_a_record_in_two_clusters_names_both_lines(file: Path) -> None:
    file.write_text(HEADER + '1,7,crm\n"1",8,"crm"\n"2\n",9,crm\n2,7,crm\n')
    with pytest.raises(
        ConfigurationError, match="crm:7 is in cluster 1 on line 2 and in cluster 2 on line 6"
    ):
        read_truth(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CLUSTER_ID,RECORD_ID\n1,7\n", "DATA_SOURCE is missing"),
        ("", "CLUSTER_ID, RECORD_ID, DATA_SOURCE is missing"),
        (HEADER, "no row"),
        (HEADER + "1,7,crm\n1,,crm\n", "line 3"),
        (HEADER + "1,7\n", "line 2 has 2 cells"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        read_truth(file)


def test_no_file_no_text(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        read_truth(file)
    file.write_bytes(b"CLUSTER_ID\xff\n")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        read_truth(file)


def test_the_kind_is_told_from_the_records(file: Path) -> None:
    file.write_text(HEADER + "1,7,crm\n1,8,crm\n2,9,crm\n")
    known: dict[EntityKind, pl.DataFrame] = {
        "person": members(("crm", "7"), ("crm", "8")),
        "organisation": members(("crm", "9"), ("erp", "1")),
    }
    kind, rows = of_one_kind(read_truth(file), known)
    assert kind == "person"
    assert rows.rows["RECORD_ID"].to_list() == ["7", "8"]
    assert "1 records of the file are not people" in rows.notes[-1]
    assert of_one_kind(read_truth(file), known, "organisation")[0] == "organisation"


def test_a_file_of_unknown_records_is_refused() -> None:
    rows = pl.DataFrame({"CLUSTER_ID": ["1"], "RECORD_ID": ["7"], "DATA_SOURCE": ["web"]})
    known: dict[EntityKind, pl.DataFrame] = {
        "person": members(("crm", "7")),
        "organisation": members(("web", "7")),
    }
    with pytest.raises(ConfigurationError, match="try --kind organisation"):
        of_one_kind(Truth(rows), known, "person")
    nothing: dict[EntityKind, pl.DataFrame] = {"person": members(), "organisation": members()}
    with pytest.raises(ConfigurationError, match="no night has linked"):
        of_one_kind(Truth(rows), nothing)
