"""Import files: whole or not at all, the same to the byte, and the error files that come back."""

from __future__ import annotations

import csv
import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.errors import ConfigurationError, FileRefused
from crm_hygiene.writeback.operations import Operation, Outcome
from crm_hygiene.writeback.policy import TargetPolicy, read_target_policy
from crm_hygiene.writeback.target import CollectsLater
from crm_hygiene.writeback.targets.hubspot_files import HubSpotFiles, open_target
from crm_hygiene.writeback.targets.job_folders import trimmed


def policy_of(**connection: str) -> TargetPolicy:
    return TargetPolicy.model_validate(
        {
            "target": "hubspot",
            "connector": "hubspot_files",
            "connection": {"folder": "out", **connection},
            "objects": {
                "contact": {
                    "external_id": "Hygiene id",
                    "links": "Associated Company IDs",
                    "names": {"First Name": "firstname", "Hygiene id": "hygiene_id"},
                }
            },
        }
    )


def opened(folder: Path, **connection: str) -> HubSpotFiles:
    target = open_target(policy_of(**connection), {}, folder)
    target.connect()
    return target


def write(key: str, record_id: str, **after: str | None) -> Operation:
    named = {k.replace("_", " "): v for k, v in after.items()}
    return Operation(key, "write", "contact", record_id, dict.fromkeys(named), named)


def files(folder: Path) -> dict[str, bytes]:
    out = folder / "out"
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def only(folder: Path) -> Path:
    (found,) = (folder / "out").iterdir()
    return found


class TestWriting:
    def test_an_update_and_its_mapping(self, tmp_path: Path) -> None:
        answers = opened(tmp_path).send(
            [
                write("a", "1", First_Name=' Ann, "A"', Phone="1"),
                write("b", "2", First_Name="Bo\nB", Phone="2"),
            ]
        )
        assert [a.outcome for a in answers] == [Outcome.DONE, Outcome.DONE]
        folder = only(tmp_path)
        text = (folder / "data.csv").read_bytes().decode()
        assert text == 'Record ID,First Name,Phone\n1,"Ann, ""A""",1\n2,"Bo\nB",2\n'
        request = json.loads((folder / "import.json").read_text())
        assert request["importOperations"] == {"0-1": "UPDATE"}
        (file,) = request["files"]
        assert (file["fileName"], file["fileFormat"]) == ("data.csv", "CSV")
        assert file["fileImportPage"]["columnMappings"] == [
            {
                "columnObjectTypeId": "0-1", "columnName": "Record ID", "propertyName": "hs_object_id",
                "columnType": "HUBSPOT_OBJECT_ID",
            },
            {"columnObjectTypeId": "0-1", "columnName": "First Name", "propertyName": "firstname"},
            {"columnObjectTypeId": "0-1", "columnName": "Phone", "propertyName": "Phone"},
        ]  # fmt: skip

    def test_a_create_is_found_again_by_its_unique_property(self, tmp_path: Path) -> None:
        asked = Operation("c", "create", "contact", None, {}, {"First Name": "Ann"}, ("Hygiene id", "h1"))
        opened(tmp_path, headers="names").send([asked])
        assert (only(tmp_path) / "data.csv").read_text() == "hygiene_id,firstname\nh1,Ann\n"
        request = json.loads((only(tmp_path) / "import.json").read_text())
        assert request["importOperations"] == {"0-1": "UPSERT"}
        first = request["files"][0]["fileImportPage"]["columnMappings"][0]
        assert (first["propertyName"], first["columnType"]) == ("hygiene_id", "HUBSPOT_ALTERNATE_ID")

    def test_rows_with_other_columns_share_a_file_and_leave_the_rest_as_it_is(self, tmp_path: Path) -> None:
        opened(tmp_path).send(
            [write("a", "1", Phone="1"), write("b", "2", City="X"), write("c", "3", City="Y")]
        )
        bodies = sorted(b for n, b in files(tmp_path).items() if n.endswith("data.csv"))
        assert bodies == [b"Record ID,City,Phone\n1,,1\n2,X,\n3,Y,\n"]

    @pytest.mark.parametrize(
        ("asked", "words"),
        [
            (write("a", "1", Phone=None), "'Phone' cannot be cleared by an import"),
            (write("a", "1", Unsubscribed_from_all_email="true"), "takes no opt-outs"),
            (write("a", "1", Associated_Company_IDs="7"), "is an association"),
            (Operation("a", "merge", "contact", "1", losers=("2",)), "cannot merge records"),
            (Operation("a", "create", "contact", None, {}, {"Phone": "1"}), "needs external_id"),
            (write("a", "1", Phone="x" * 500), "longer than a whole file"),
        ],
    )
    def test_what_an_import_cannot_do_is_refused(self, tmp_path: Path, asked: Operation, words: str) -> None:
        target = opened(tmp_path, bytes_per_file="300")
        answers = (
            target.send([asked, write("z", "9", Phone="1")])
            if asked.kind == "write"
            else target.send([asked])
        )
        assert answers[0].outcome is Outcome.REFUSED
        assert words in answers[0].message
        assert sum(n.endswith("data.csv") for n in files(tmp_path)) == len(answers) - 1

    def test_limits_cut_files(self, tmp_path: Path) -> None:
        target = opened(tmp_path, rows_per_file="4", bytes_per_file="60")
        target.send([write(f"o{n}", str(n), Phone=f"{n:010d}") for n in range(10)])
        wide = opened(tmp_path / "wide", bytes_per_file="60")
        wide.send([write(f"w{n}", str(n), **{f"Field_{n % 3}": f"{n:06d}"}) for n in range(10)])
        cut = [b for n, b in files(tmp_path / "wide").items() if n.endswith("data.csv")]
        assert all(len(b) <= 60 for b in cut)
        assert len(cut) < 10
        data = [b for n, b in files(tmp_path).items() if n.endswith("data.csv")]
        assert all(len(b) <= 60 and b.count(b"\n") <= 5 for b in data)
        assert sum(b.count(b"\n") - 1 for b in data) == 10

    def test_one_record_is_once_in_a_file(self, tmp_path: Path) -> None:
        answers = opened(tmp_path).send([write("a", "1", Phone="1"), write("b", "1", Phone="2")])
        assert [a.outcome for a in answers] == [Outcome.DONE, Outcome.RETRY]

    def test_told_again_it_is_written_once(self, tmp_path: Path) -> None:
        asked = [write(f"o{n}", str(n), Phone="1") for n in range(5)]
        opened(tmp_path).send(asked[:3])
        before = files(tmp_path)
        opened(tmp_path).send(asked[:3])
        assert files(tmp_path) == before
        opened(tmp_path).send(asked[1:])
        rows = [
            row["Record ID"]
            for path in sorted((tmp_path / "out").glob("*/data.csv"))
            for row in csv.DictReader(path.open(newline=""))
        ]
        assert sorted(rows) == ["0", "1", "2", "3", "4"]

    def test_a_half_written_import_is_cleared(self, tmp_path: Path) -> None:
        part = tmp_path / "out" / ".contact-update-x.part"
        part.mkdir(parents=True)
        (part / "data.csv").write_text("Record ID\n")
        opened(tmp_path)
        assert files(tmp_path) == {}

    @settings(max_examples=examples(30))
    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(["A", "B", "C"]),
                st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=8),
                min_size=1,
            ),
            max_size=12,
        )
    )
    def test_every_value_is_in_the_files_once(
        self, tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
    ) -> None:
        folders = [tmp_path_factory.mktemp("f") for _ in range(2)]
        asked = [Operation(f"o{n}", "write", "contact", str(n), {}, row) for n, row in enumerate(rows)]
        answers = [opened(f, rows_per_file="3").send(asked) if asked else [] for f in folders]
        assert files(folders[0]) == files(folders[1])
        found = {}
        for path in (folders[0] / "out").glob("*/data.csv"):
            with path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    number = int(row.pop("Record ID"))
                    found[number] = {name: v for name, v in row.items() if v}
        taken = [n for n, a in enumerate(answers[0]) if a.outcome is Outcome.DONE]
        assert found == {n: {k: trimmed(v) for k, v in rows[n].items()} for n in taken}


class TestCollecting:
    def written(self, folder: Path) -> HubSpotFiles:
        target = opened(folder)
        target.send([write("a", "1", Email="x"), write("b", "2", Email="b@x.de"), write("c", "3", Email="y")])
        return target

    def lay(self, folder: Path, text: str, name: str = "import-errors.csv") -> None:
        (only(folder) / name).write_text(text, encoding="utf-8")

    def test_before_the_import_nothing_is_known(self, tmp_path: Path) -> None:
        target = self.written(tmp_path)
        assert isinstance(target, CollectsLater)
        assert target.collect() == []

    def test_named_rows_were_refused_and_the_others_taken(self, tmp_path: Path) -> None:
        target = self.written(tmp_path)
        self.lay(
            tmp_path,
            "Record ID,Email,Error type,Error message\n1,x,INVALID_EMAIL,x is no address\n",
        )
        self.lay(tmp_path, "Line number,Error\n4,Invalid email\n", "more ERRORS.csv")
        answers = target.collect()
        assert [(a.operation_id, a.outcome.value, a.code) for a in answers] == [
            ("a", "refused", "INVALID_EMAIL"), ("b", "done", ""), ("c", "refused", "INVALID_EMAIL"),
        ]  # fmt: skip
        assert "is no address" not in answers[0].message
        assert target.collect() == answers

    def test_a_value_in_the_place_of_a_type_is_not_passed_on(self, tmp_path: Path) -> None:
        target = self.written(tmp_path)
        self.lay(tmp_path, "Record ID,Error\n1,BOB_IS_WRONG\n")
        told = target.collect()[0]
        assert (told.code, "BOB" in told.message) == ("IMPORT_ERROR", False)

    def test_an_empty_error_file_confirms_all(self, tmp_path: Path) -> None:
        target = self.written(tmp_path)
        self.lay(tmp_path, "Record ID,Email,Error type\n")
        assert {a.outcome for a in target.collect()} == {Outcome.DONE}

    def test_what_was_refused_goes_into_a_new_import(self, tmp_path: Path) -> None:
        self.written(tmp_path)
        self.lay(tmp_path, "Record ID,Error type\n1,INVALID_EMAIL\n")
        target = opened(tmp_path)
        target.send([write("a", "1", Email="a@x.de"), write("b", "2", Email="b@x.de")])
        data = sorted(b for n, b in files(tmp_path).items() if n.endswith("data.csv"))
        assert data[0] == b"Record ID,Email\n1,a@x.de\n"
        assert {a.operation_id for a in target.collect()} == {"b", "c"}

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("Record ID,Error type\n99,X\n", "not of the import"),
            ('Record ID,Error type\n1,"INV', "cut"),
            ("", "empty"),
            ("Record ID,Error type\n1\n", "does not fit"),
        ],
    )
    def test_a_wrong_error_file_is_refused_whole(self, tmp_path: Path, text: str, words: str) -> None:
        target = self.written(tmp_path)
        self.lay(tmp_path, text)
        with pytest.raises(FileRefused, match=words):
            target.collect()

    def test_a_data_file_that_was_edited_is_refused(self, tmp_path: Path) -> None:
        target = self.written(tmp_path)
        (only(tmp_path) / "data.csv").write_text("Record ID,Email\n1,z\n")
        with pytest.raises(FileRefused, match="changed since it was written"):
            target.collect()


@pytest.mark.parametrize(
    "connection", [{"foldr": "x"}, {"rows_per_file": "0"}, {"bytes_per_file": "9999999999"}, {"headers": "x"}]
)
def test_a_wrong_connection_is_named(tmp_path: Path, connection: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(connection))):
        open_target(policy_of(**connection), {}, tmp_path)


def test_the_policies_of_the_documentation_can_be_opened(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs/targets/hubspot.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block, encoding="utf-8")
        policy = read_target_policy(path)
        module = import_module(f"crm_hygiene.writeback.targets.{policy.connector}")
        assert module.open_target(policy, dict.fromkeys(policy.secrets, "x"), tmp_path).batch_size > 0
