"""Out to a spreadsheet and back: nothing runs, nothing is damaged, nothing is taken twice."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.night import Night
from crm_hygiene.stewardship.act import decide, judged
from crm_hygiene.stewardship.bulk import Import, import_judgements
from crm_hygiene.stewardship.log import DecisionLog
from crm_hygiene.stewardship.revocation import revoke
from crm_hygiene.stewardship.spreadsheet import guarded, read_csv, unguarded
from crm_hygiene.stewardship.targets import resolve_targets
from crm_hygiene.stewardship.worksheet import export_worksheet

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
HEADER = "source_l,record_id_l,source_r,record_id_r,judgement,why\n"


def take(night: Night, path: Path, is_strict: bool = False) -> Import:
    return import_judgements(night, path, "ann", is_strict, NOW)


def standing(night: Night) -> dict[tuple[str, str], str]:
    return {
        (left[1], right[1]): row["judgement"]
        for (_, left, right), row in DecisionLog.read(night.lake).standing().items()
    }


@given(st.text(alphabet="'=+-@\t\r\n＝＋－＠a1 ", max_size=6) | st.text(max_size=6))
def test_a_guarded_cell_runs_no_formula_and_comes_back_as_it_was(cell: str) -> None:
    assert not guarded(cell).startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))
    assert unguarded(guarded(cell)) == cell


def _filled(night: Night, path: Path, answers: list[str], delimiter: str, encoding: str) -> None:
    export_worksheet(night.lake, path)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.reader(stream))
    assert any(cell == "'+491701234567" for cell in rows[1])
    for row, answer in zip(rows[1:], answers, strict=True):
        row[0], row[1] = answer, "gehört zusammen"
    with path.open("w", encoding=encoding, newline="") as stream:
        csv.writer(stream, delimiter=delimiter).writerows(rows)


@pytest.mark.parametrize(
    ("delimiter", "encoding"), [(",", "utf-8-sig"), (";", "cp1252"), ("\t", "utf-16"), (",", "utf-8")]
)
def test_the_queue_comes_back_as_spreadsheets_save_it(
    night: Night, tmp_path: Path, delimiter: str, encoding: str
) -> None:
    path = tmp_path / "queue.csv"
    _filled(night, path, ["Same ", ""], delimiter, encoding)
    done = take(night, path)
    assert (done.refused, done.blank) == ((), 1)
    assert standing(night) == {("1", "3"): "same"}
    assert DecisionLog.read(night.lake).frame["reason"].to_list() == ["gehört zusammen"]


def test_a_reason_in_a_country_s_code_page_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "queue.csv"
    reason = "един и същ човек, казва колегата от Велико Търново, който го познава отдавна"
    path.write_bytes(f"judgement;reason\r\nsame;{reason}\r\n".encode("cp1251"))
    _, _, lines = read_csv(path, ("judgement", "reason"))
    assert [line.cells["reason"] for line in lines] == [reason]


def test_a_question_that_left_the_queue_is_known_by_its_records(night: Night, tmp_path: Path) -> None:
    path = tmp_path / "queue.csv"
    _filled(night, path, ["different", "unsure"], ",", "utf-8")
    path.write_text(path.read_text().replace("R-aaa", "R-fff"))
    assert take(night, path).refused == ()
    assert standing(night) == {("1", "3"): "different", ("3", "d"): "unsure"}


def test_lines_that_are_wrong_are_listed_and_the_others_taken(night: Night, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(
        HEADER
        + "crm,1,web,d,same,\n"  # 2
        + "crm,1,web,nobody,same,\n"  # 3
        + "crm,gone,web,d,same,\n"  # 4
        + "crm,1,web,b,sme,\n"  # 5
        + "crm,1,crm,1,same,\n"  # 6
        + "web,b,crm,2,same,\n"  # 7
        + "crm,2,web,b,different,\n"  # 8
        + "crm,3,crm,007,same,\n"  # 9
        + ",,web,b,same,\n"  # 10
    )
    strict = take(night, path, is_strict=True)
    assert strict.act is None
    assert not night.lake.exists("stewardship.decisions")
    done = take(night, path)
    reasons = {line.number: line.reason for line in done.refused}
    assert list(reasons) == [3, 4, 5, 6, 7, 8, 9, 10]
    assert "no record web:nobody" in reasons[3]
    assert "deleted in its source" in reasons[4]
    assert "did you mean 'same'" in reasons[5]
    assert "same record" in reasons[6]
    assert "line 7 says same, line 8 says different" in reasons[7]
    assert "column entity_kind" in reasons[9]
    assert "names neither" in reasons[10]
    assert standing(night) == {("1", "d"): "same"}


def test_line_numbers_count_lines_within_cells(night: Night, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("sep=,\n" + HEADER + 'crm,1,web,d,same,"two\nlines"\n\ncrm,1,web,b,nonsense,\n')
    assert [line.number for line in take(night, path).refused] == [6]


def test_the_same_file_adds_nothing_even_after_a_revocation(night: Night, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(HEADER + "crm,1,web,d,same,\ncrm,2,web,b,different,\n")
    first = take(night, path)
    assert first.act is not None
    assert take(night, path).act is not None
    assert DecisionLog.read(night.lake).frame.height == 2
    revoke(night, first.act.group or "", None, "bob", NOW)
    targets = resolve_targets(night, ["crm:2", "web:b"])
    decide(night, judged(targets, "same", None), "bob", NOW)
    again = take(night, path)
    assert again.act is not None
    assert len(again.act.recognised) == 2
    assert standing(night) == {("2", "b"): "same"}


def test_a_mended_file_brings_what_was_refused_before(night: Night, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(HEADER + "crm,1,web,d,same,\ncrm,2,web,b,diff,\n")
    take(night, path)
    path.write_text(HEADER + "crm,1,web,d,same,\ncrm,2,web,b,different,\n")
    assert take(night, path).refused == ()
    assert standing(night) == {("1", "d"): "same", ("2", "b"): "different"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n", "no column 'judgement'"),
        (b"judgment,review_id\n", "did you mean 'judgment'"),
        (b"judgement,why\nsame,x\n", "no columns that name the records"),
        (b"judgement,review_id,review_id\n", "occurs twice"),
        (b"PK\x03\x04rest", "save it as CSV"),
        (b"a\x00b", "not a text file"),
        (b"", "no column 'judgement'"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    night: Night, tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=message):
        take(night, path)


def test_a_file_that_is_not_there_and_a_folder_that_is_not_there(night: Night, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        take(night, tmp_path / "no.csv")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        export_worksheet(night.lake, tmp_path / "no" / "queue.csv")


def test_whole_clusters_are_not_in_the_worksheet(night: Night, tmp_path: Path) -> None:
    assert export_worksheet(night.lake, tmp_path / "queue.csv") == (2, 1)
