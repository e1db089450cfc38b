from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.errors import FileRefused
from crm_hygiene.expression import FirstFilled
from crm_hygiene.mapping import Mapping, TableMapping
from crm_hygiene.readers import LandedFile, read_file
from crm_hygiene.readers.json_format import flatten
from crm_hygiene.readers.landed_file import MAX_RECORD_BYTES


def read(path: Path, mapping: Mapping, data: str | bytes) -> tuple[pl.DataFrame, LandedFile]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    landed = read_file(path, mapping)
    frames = list(landed.chunks)
    return (pl.concat(frames) if frames else pl.DataFrame()), landed


RECORD = '{"Id": "1", "FirstName": "Jo", "Email": null}'


@pytest.mark.parametrize(
    "data",
    [
        f"[{RECORD}]",
        f'{{"totalSize": 1, "done": true, "records": [{RECORD}]}}',
        f'{{"results": [{RECORD}], "paging": {{}}}}',
        "\ufeff" + f"[{RECORD}]\n",
    ],
)
def test_lists_and_envelopes(landing: Path, contacts: Mapping, data: str) -> None:
    frame, landed = read(landing / "a.json", contacts, data)
    assert frame.to_dicts() == [{"Id": "1", "FirstName": "Jo", "Email": None, "row_number": 1, "extra": None}]
    assert landed.header == ["Id", "FirstName", "Email"]


def test_values_keep_the_text_they_were_written_in(landing: Path, contacts: Mapping) -> None:
    data = '[{"Id": 123456789012345678901, "FirstName": 0.10, "Email": true, "x_a": 1e3, "x_b": false}]'
    frame, _ = read(landing / "a.json", contacts, data)
    assert frame.row(0)[:3] == ("123456789012345678901", "0.10", "true")
    assert json.loads(frame["extra"][0]) == {"x_a": "1e3", "x_b": "false"}


def test_nested_objects_are_lifted_or_dotted_and_lists_stay_json(landing: Path, contacts: Mapping) -> None:
    record = {"Id": "1", "properties": {"firstname": "Jo", "Id": "2"}, "x_": {"a": {"b": [{"id": 7}]}}}
    assert flatten(record, ("properties",)) == {
        "Id": "1",
        "x_.a.b": '[{"id":7}]',
        "firstname": "Jo",
        "properties.Id": "2",
    }
    lenient = contacts.model_copy(update={"unknown_columns": "warn"})
    frame, _ = read(landing / "a.json", lenient, json.dumps([record]))
    assert frame["FirstName"].to_list() == ["Jo"]


def test_one_page_of_several_is_said(landing: Path, contacts: Mapping) -> None:
    _, landed = read(landing / "a.json", contacts, f'{{"done": false, "records": [{RECORD}]}}')
    assert any("one page of several" in w for w in landed.warnings)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (f"[{RECORD}, ", "malformed JSON"),
        (f"[{RECORD}] x", "text after the end"),
        ('{"error": "expired", "status": 401}', "no list of records at records or results"),
        ('[{"Name": "x"}]', "required column missing: Id"),
        ('[{"Id": "1", "Foo": "x"}]', "Foo"),
        ("[" + "[" * 100_000, "nested too deeply"),
        ('[{"Id": "' + "x" * (MAX_RECORD_BYTES + 9_000_000), "over 10 MiB"),
        ("<html>", "HTML"),
    ],
)
def test_documents_that_are_refused(landing: Path, contacts: Mapping, data: str, said: str) -> None:
    with pytest.raises(FileRefused, match=said):
        read(landing / "a.json", contacts, data)


def test_an_empty_list_lands_nothing_and_says_so(landing: Path, contacts: Mapping) -> None:
    frame, landed = read(landing / "a.json", contacts, "[]")
    assert frame.height == 0
    assert landed.warnings == ["the file has no records"]


def test_records_that_are_no_text_cost_themselves(landing: Path, contacts: Mapping) -> None:
    data = '[{"Id": "1"}, 7, {"Id": "\\ud800"}, {"Id": "a\\u0000"}, {"Id": "5"}]'
    frame, landed = read(landing / "a.json", contacts, data)
    assert frame["Id"].to_list() == ["1", "5"]
    assert frame["row_number"].to_list() == [1, 5]
    assert sorted(r.row_number for r in landed.refused) == [2, 3, 4]


def test_bad_lines_cost_themselves(landing: Path, contacts: Mapping) -> None:
    long = '{"Id": "' + "x" * MAX_RECORD_BYTES + '"}'
    lines = [
        '{"Id": "1"}',
        "{broken",
        "",
        "[1]",
        '{"Id": "4"} {"Id": "5"}',
        long,
        '{"Id": "\0"}',
        '{"Id": "7"',
    ]
    frame, landed = read(landing / "a.jsonl", contacts, "\n".join(lines))
    assert frame["Id"].to_list() == ["1"]
    assert [r.row_number for r in landed.refused] == [2, 3, 4, 5, 6, 7]
    assert landed.refused[0].reasons[0].startswith("malformed JSON")
    assert landed.refused[3].reasons == ("line over 10 MiB",)


def test_lines_are_recognised_behind_a_json_name(landing: Path, contacts: Mapping) -> None:
    frame, _ = read(landing / "a.json", contacts, '{"Id": "1"}\n{"Id": "2"}\n')
    assert frame.height == 2


def test_not_one_good_line_refuses_the_file(landing: Path, contacts: Mapping) -> None:
    with pytest.raises(FileRefused, match="not one line"):
        read(landing / "a.jsonl", contacts, "{a\n{b\n")


MAPPING = Mapping(
    source="s",
    system="s",
    object="o",
    files=("*",),
    ignore=("*",),
    tables={"people": (TableMapping("people", {"record_id": FirstFilled(first_filled=("k",))}),)},
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["m", "n"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b"]), VALUES, max_size=2), min_size=1, max_size=5))
def test_a_document_and_its_lines_read_alike(records: list[dict[str, Any]]) -> None:
    records = [{"k": str(i)} | r for i, r in enumerate(records)]
    with tempfile.TemporaryDirectory() as folder:
        as_list, _ = read(Path(folder) / "a.json", MAPPING, json.dumps(records, indent=1))
        as_lines, _ = read(Path(folder) / "a.jsonl", MAPPING, "\n".join(map(json.dumps, records)))
    assert as_list.equals(as_lines)
    assert as_list["k"].to_list() == [r["k"] for r in records]
