from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import polars as pl
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.errors import FileRefused
from crm_hygiene.expression import FirstFilled
from crm_hygiene.mapping import Mapping, TableMapping
from crm_hygiene.readers import LandedFile, RefusedRow, read_file
from crm_hygiene.readers.csv_blocks import is_cleanly_quoted
from crm_hygiene.readers.landed_file import MAX_RECORD_BYTES

HEADER = "Id,FirstName,Email\n"


def read(
    path: Path, mapping: Mapping, data: str | bytes, fast: bool = True
) -> tuple[pl.DataFrame, LandedFile]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    landed = read_file(path, mapping, fast=fast)
    frames = list(landed.chunks)
    empty = {**dict.fromkeys(mapping.vendor_columns, pl.String), "row_number": pl.Int64, "extra": pl.String}
    return (pl.concat(frames) if frames else pl.DataFrame(schema=empty)), landed


def refuse(path: Path, mapping: Mapping, data: str | bytes) -> str:
    with pytest.raises(FileRefused) as caught:
        read(path, mapping, data)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_rows_come_under_vendor_names_with_numbers_and_the_rest_in_extra(
    landing: Path, contacts: Mapping
) -> None:
    frame, landed = read(
        landing / "a.csv", contacts, 'ID,First Name,e-mail,Noise,x_1\n1,Jo,j@x.io,"a ""b""",\n2,#N/A,,,\n'
    )
    assert frame.to_dicts() == [
        {"Id": "1", "FirstName": "Jo", "Email": "j@x.io", "row_number": 1, "extra": '{"Noise":"a \\"b\\""}'},
        {"Id": "2", "FirstName": None, "Email": None, "row_number": 2, "extra": None},
    ]
    assert landed.refused == []
    assert landed.encoding == "utf-8"
    assert landed.header == ["ID", "First Name", "e-mail", "Noise", "x_1"]
    assert len(landed.file_hash) == 64


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^", "`"])
@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
def test_every_delimiter_is_found(landing: Path, contacts: Mapping, delimiter: str, name: str) -> None:
    data = "Id,FirstName,Email\n1,Jo,j@x.io\n".replace(",", delimiter)
    assert read(landing / name, contacts, data)[0].height == 1


def test_a_sep_line_names_the_delimiter(landing: Path, contacts: Mapping) -> None:
    frame, _ = read(landing / "a.csv", contacts, "sep=#\r\nId#FirstName#Email\r\n1#Jo#j@x.io\r\n")
    assert frame["FirstName"].to_list() == ["Jo"]


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("cp1252", "cp1252"),
    ],
)
def test_encodings(landing: Path, contacts: Mapping, encoding: str, said: str) -> None:
    data = (HEADER + "1,Jörg,j@x.io\n" * 1).encode(encoding)
    frame, landed = read(landing / "a.csv", contacts, data)
    assert frame["FirstName"].to_list() == ["Jörg"]
    assert landed.encoding == said


def test_lines_in_two_encodings_are_each_read_and_counted(landing: Path, contacts: Mapping) -> None:
    data = (
        HEADER.encode() + "1,Jörg,a\n".encode() + "2,Renée,b\n".encode("cp1252") + b"3,\x81\x8d,c\n4,Al,d\n"
    )
    frame, landed = read(landing / "a.csv", contacts, data)
    assert frame["FirstName"].to_list() == ["Jörg", "Renée", "Al"]
    assert landed.encoding == "utf-8+cp1252"
    assert [r.row_number for r in landed.refused] == [3]
    assert "neither" in landed.refused[0].reasons[0]
    assert any(w.startswith("1 lines are not utf-8 and were read as cp1252") for w in landed.warnings)


def test_quoted_newlines_carriage_returns_and_blank_lines(landing: Path, contacts: Mapping) -> None:
    data = 'Id,FirstName,Email\r\n1,"Jo\r\nAnn",a\r\n\r\n2,"B ""C""",b'
    for fast in (True, False):
        frame, landed = read(landing / "a.csv", contacts, data, fast)
        assert frame["FirstName"].to_list() == ["Jo\r\nAnn", 'B "C"']
        assert frame["row_number"].to_list() == [1, 2]
        assert landed.refused == []


def test_old_macintosh_line_ends(landing: Path, contacts: Mapping) -> None:
    frame, landed = read(landing / "a.csv", contacts, "Id,FirstName,Email\r1,Jo,a\r2,Al,b\r")
    assert frame.height == 2
    assert any("carriage returns alone" in w for w in landed.warnings)


def test_wrong_field_counts_cost_only_their_rows(landing: Path, contacts: Mapping) -> None:
    frame, landed = read(landing / "a.csv", contacts, HEADER + "1,Jo,a\n2,Al\n3,Bo,c,d\n4,Cy,e\n5,D")
    assert frame["Id"].to_list() == ["1", "4"]
    assert frame["row_number"].to_list() == [1, 4]
    assert landed.refused == [
        RefusedRow(2, ("2 fields where the header has 3",), "2,Al"),
        RefusedRow(3, ("4 fields where the header has 3",), "3,Bo,c,d"),
        RefusedRow(
            5, ("2 fields where the header has 3; it is the last line: was the file cut off?",), "5,D"
        ),
    ]


@pytest.mark.parametrize("bad", ['2,"open,b', '2,"x"y,b', '2," open,b'])
def test_an_unclosed_or_broken_quote_costs_one_line(landing: Path, contacts: Mapping, bad: str) -> None:
    frame, landed = read(landing / "a.csv", contacts, HEADER + f"1,Jo,a\n{bad}\n3,Al,c\n4,Bo,d\n")
    assert frame["Id"].to_list() == ["1", "3", "4"]
    assert [(r.row_number, r.row_text) for r in landed.refused] == [(2, bad)]
    assert frame["row_number"].to_list() == [1, 3, 4]


def test_nul_bytes_cost_their_row(landing: Path, contacts: Mapping) -> None:
    frame, landed = read(landing / "a.csv", contacts, HEADER + "1,J\0o,a\n2,Al,b\n")
    assert frame["Id"].to_list() == ["2"]
    assert landed.refused[0].reasons == ("NUL byte in the row",)
    assert "\0" not in landed.refused[0].row_text


def test_a_line_over_the_limit_costs_its_row(landing: Path, contacts: Mapping) -> None:
    long = "2," + "x" * (2 * MAX_RECORD_BYTES) + ",b\n"
    frame, landed = read(landing / "a.csv", contacts, HEADER + "1,Jo,a\n" + long + "3,Al,c\n")
    assert frame["Id"].to_list() == ["1", "3"]
    assert landed.refused[0].reasons == ("line over 10 MiB",)
    assert len(landed.refused[0].row_text) < 3000


def test_a_header_alone_lands_nothing_and_says_so(landing: Path, contacts: Mapping) -> None:
    frame, landed = read(landing / "a.csv", contacts, HEADER)
    assert frame.height == 0
    assert "the file has a header and no rows" in landed.warnings


def test_a_missing_required_column_is_named(landing: Path, contacts: Mapping) -> None:
    assert "required column missing: Id" in refuse(landing / "a.csv", contacts, "Idd,FirstName\n1,Jo\n")


def test_unknown_columns_are_named_or_warned_of(landing: Path, contacts: Mapping) -> None:
    data = "Id,FirstName,Emial\n1,Jo,a\n"
    said = refuse(landing / "a.csv", contacts, data)
    assert "Emial; did you mean 'Email'?" in said
    lenient = contacts.model_copy(update={"unknown_columns": "warn"})
    frame, landed = read(landing / "a.csv", lenient, data)
    assert frame["extra"].to_list() == ['{"Emial":"a"}']
    assert any("Emial" in w for w in landed.warnings)


def test_repeated_headers_are_refused(landing: Path, contacts: Mapping) -> None:
    assert "twice: 'Email'" in refuse(landing / "a.csv", contacts, "Id,Email,Email\n1,a,b\n")
    assert "'E-Mail' and 'e_mail'" in refuse(landing / "a.csv", contacts, "Id,E-Mail,e_mail\n1,a,b\n")


def test_the_exact_spelling_wins(landing: Path, contacts: Mapping) -> None:
    frame, _ = read(landing / "a.csv", contacts, "Id,e_mail,Email\n1,a,b\n")
    assert frame["Email"].to_list() == ["b"]
    assert frame["extra"].to_list() == ['{"e_mail":"a"}']


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>Please log in</body></html>", "HTML"),
        (b"\n1,2,3\n", "first line is blank"),
        (b"PK\x03\x04abc", "Excel"),
        (b"%PDF-1.4", "PDF"),
        (b"\xff\xfeI\x00d\x00\x00\xd8", "utf-16"),
    ],
)
def test_files_that_are_no_data(landing: Path, contacts: Mapping, data: bytes, said: str) -> None:
    assert said in refuse(landing / "a.csv", contacts, data)


def test_folders_missing_files_and_unknown_kinds(landing: Path, contacts: Mapping) -> None:
    with pytest.raises(FileRefused, match="folder"):
        read_file(landing, contacts)
    with pytest.raises(FileRefused, match="gone"):
        read_file(landing / "none.csv", contacts)
    assert "unsupported format" in refuse(landing / "a.dat", contacts, "Id,FirstName\n")


def test_a_file_that_grows_while_it_is_read_is_refused(
    landing: Path, contacts: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = landing / "a.csv"
    path.write_text(HEADER + "1,Jo,a\n")
    original = tempfile.NamedTemporaryFile

    def grow(*args: object, **kwargs: object) -> object:
        copy = original(*args, **kwargs)  # type: ignore[call-overload]
        write = copy.write

        def write_and_grow(block: bytes) -> int:
            with path.open("a") as stream:
                stream.write("2,Al,b\n")
            return int(write(block))

        copy.write = write_and_grow
        return copy

    monkeypatch.setattr("crm_hygiene.readers.snapshot.tempfile.NamedTemporaryFile", grow)
    with pytest.raises(FileRefused, match="changed while it was read"):
        read_file(path, contacts)


def test_nothing_is_left_in_scratch(landing: Path, contacts: Mapping, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    path = landing / "a.csv"
    path.write_bytes(HEADER.encode() + "1,Jörg,a\n".encode("cp1252"))
    landed = read_file(path, contacts, scratch)
    assert sum(c.height for c in landed.chunks) == 1
    del landed
    assert list(scratch.iterdir()) == []


MAPPING = Mapping(
    source="s",
    system="s",
    object="o",
    files=("*",),
    delimiter=",",
    tables={"people": (TableMapping("people", {"record_id": FirstFilled(first_filled=("a",))}),)},
    ignore=("b", "c"),
)
CELLS = st.text(alphabet="ab ,\"\n'éß;#", max_size=6)


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=8), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_fast_and_patient_path_agree_on_clean_files(
    rows: list[tuple[str, ...]], end: str, quote_all: bool
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL)
    writer.writerow(["a", "b", "c"])
    writer.writerows(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        fast, fast_file = read(path, MAPPING, out.getvalue())
        slow, slow_file = read(path, MAPPING, out.getvalue(), fast=False)
    assert fast.equals(slow)
    assert fast_file.refused == slow_file.refused == []
    assert fast["a"].to_list() == [r[0] or None for r in rows]


@settings(max_examples=examples(300), deadline=None)
@given(st.text(alphabet='ab,"\n\r \0é', max_size=40))
def test_fast_and_patient_path_agree_on_any_bytes(body: str) -> None:
    data = ("a,b,c\n" + body).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        fast, fast_file = read(path, MAPPING, data)
        slow, slow_file = read(path, MAPPING, data, fast=False)
    assert fast.equals(slow)
    assert fast_file.refused == slow_file.refused
    numbers = sorted([*fast["row_number"].to_list(), *(r.row_number for r in fast_file.refused)])
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ('a,"b"\n', True),
        ('a,"b ""c"""\r\n', True),
        ('a,""', True),
        ('a,b"c\n', False),
        ('a,"b" ,c\n', False),
        ('a, "b",c\n', False),
        ('a,"b\n', False),
        ("a\rb\n", False),
        ("a\r", False),
    ],
)
def test_clean_quoting(text: str, clean: bool) -> None:
    assert is_cleanly_quoted(io.BytesIO(text.encode()), ",") is clean
