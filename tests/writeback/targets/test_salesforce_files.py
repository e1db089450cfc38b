"""Salesforce as files: Bulk API 2.0 jobs written, and result files read back."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.errors import ConfigurationError, FileRefused
from crm_hygiene.writeback.operations import Answer, Operation, Outcome
from crm_hygiene.writeback.policy import TargetPolicy, read_target_policy
from crm_hygiene.writeback.target import CollectsLater, TargetUnavailable
from crm_hygiene.writeback.targets.salesforce_bulk_csv import ResultCut, jobs_of, result_rows
from crm_hygiene.writeback.targets.salesforce_files import SalesforceFiles, open_target

from .salesforce_server import SalesforceServer, salesforce_id

A, B, C = (salesforce_id("Contact", n) for n in range(3))


def target_of(folder: Path, **connection: str) -> SalesforceFiles:
    policy = TargetPolicy.model_validate(
        {
            "target": "salesforce",
            "connector": "salesforce_files",
            "connection": {"folder": "out"} | connection,
            "objects": {"Contact": {"names": {"job_title": "Title"}}},
        }
    )
    target = open_target(policy, {}, folder)
    assert isinstance(target, SalesforceFiles)
    target.connect()
    return target


def update(record_id: str, **after: str | None) -> Operation:
    return Operation(f"op-{record_id}", "write", "Contact", record_id, after=after)


def create(key: str, **after: str | None) -> Operation:
    return Operation(f"op-{key}", "create", "Contact", None, after=after, external_id=("Hygiene_Id__c", key))


def jobs(folder: Path) -> list[Path]:
    return sorted((folder / "out").iterdir())


def result(job: Path, kind: str, extra: dict[str, tuple[str, ...]], where: Path | None = None) -> Path:
    """A result file as Salesforce writes it: every cell in quotes; `extra` by row key: its own columns."""
    header, *rows = csv.reader(io.StringIO((job / "data.csv").read_text(), newline=""))
    own = {"successfulResults": ["sf__Id", "sf__Created"], "failedResults": ["sf__Id", "sf__Error"]}
    told = [[*extra[row[0]], *row] for row in rows if row[0] in extra]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(
        [own.get(kind, []) + header, *told]
    )
    path = (where or job) / f"7505e00000-{kind}.csv"
    path.write_text(text.getvalue())
    return path


def outcomes(answers: list[Answer]) -> dict[str, str]:
    return {answer.operation_id: answer.outcome.value for answer in answers}


# -- writing -----------------------------------------------------------------------------------------------


def test_a_job_to_the_byte(tmp_path: Path) -> None:
    answers = target_of(tmp_path).send(
        [
            update(A, job_title='Head of "Sales", EMEA', DoNotCall="TRUE"),
            update(B, Phone=None, job_title="two\r\nlines"),
        ]
    )
    assert set(outcomes(answers).values()) == {"done"}
    (job,) = jobs(tmp_path)
    assert job.name.startswith("Contact-update-")
    assert (job / "data.csv").read_bytes() == (
        b"Id,DoNotCall,Phone,Title\n"
        + f'{A},true,,"Head of ""Sales"", EMEA"\n'.encode()
        + f'{B},,#N/A,"two\nlines"\n'.encode()
    )
    manifest = json.loads((job / "manifest.json").read_text())
    assert manifest["job"] == {
        "object": "Contact",
        "operation": "update",
        "externalIdFieldName": None,
        "contentType": "CSV",
        "columnDelimiter": "COMMA",
        "lineEnding": "LF",
    }
    assert manifest["operation_ids"] == [f"op-{A}", f"op-{B}"]
    assert not target_of(tmp_path).is_live


def test_creates_are_upserts_by_external_id_and_deletes_hold_ids_alone(tmp_path: Path) -> None:
    target = target_of(tmp_path)
    target.send([create("e1", LastName="Doe"), create("e2", LastName="Roe")])
    target.send([Operation("d", "delete", "Contact", A, before={"LastName": "Doe"})])
    deleted, upserted = jobs(tmp_path)
    assert (upserted / "data.csv").read_text() == "Hygiene_Id__c,LastName\ne1,Doe\ne2,Roe\n"
    told = json.loads((upserted / "manifest.json").read_text())["job"]
    assert (told["operation"], told["externalIdFieldName"]) == ("upsert", "Hygiene_Id__c")
    assert (deleted / "data.csv").read_text() == f"Id\n{A}\n"


def test_told_again_after_a_crash_nothing_is_written_twice(tmp_path: Path) -> None:
    operations = [update(A, Title="x"), update(B, Title="y")]
    target_of(tmp_path).send(operations)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.*") if p.is_file()}
    again = target_of(tmp_path).send([*operations, update(C, Title="z")])
    assert set(outcomes(again).values()) == {"done"}
    assert len(jobs(tmp_path)) == 2
    assert all(path.read_bytes() == content for path, content in before.items())


def test_the_same_operations_give_the_same_bytes(tmp_path: Path) -> None:
    trees = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        target_of(tmp_path / name).send([update(A, Title="x", Phone="1"), update(B, Phone="2")])
        files = sorted(p for p in (tmp_path / name).rglob("*") if p.is_file())
        trees.append([(p.relative_to(tmp_path / name), p.read_bytes()) for p in files])
    assert trees[0] == trees[1]


def test_a_full_disk_shows_no_half_a_job_and_the_next_apply_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(TargetUnavailable, match="No space left"):
            target_of(tmp_path).send([update(A, Title="x")])
    assert list((tmp_path / "out").glob("[!.]*")) == []
    target_of(tmp_path).send([update(A, Title="x")])
    assert len(jobs(tmp_path)) == 1


def test_what_a_killed_process_left_is_cleared_and_never_seen(tmp_path: Path) -> None:
    left = tmp_path / "out" / ".Contact-update-abc.part"
    left.mkdir(parents=True)
    (left / "data.csv").write_text("Id\n")
    target = target_of(tmp_path)
    assert jobs(tmp_path) == []
    assert target.collect() == []


def test_jobs_are_cut_by_rows(tmp_path: Path) -> None:
    target = target_of(tmp_path, rows_per_file="2")
    assert target.batch_size == 2
    target.send([update(i, Title="x") for i in (A, B, C)])
    assert sorted(len((j / "data.csv").read_text().splitlines()) for j in jobs(tmp_path)) == [2, 3]


@given(
    texts=st.lists(st.text(alphabet='ab",\n é', max_size=40), min_size=1, max_size=20),
    most=st.integers(120, 300),
)
def test_jobs_never_exceed_their_bytes_and_hold_every_row_once(texts: list[str], most: int) -> None:
    operations = [update(salesforce_id("Contact", n), Title=t) for n, t in enumerate(texts)]
    cut = list(jobs_of(operations, 7, most))
    assert all(len(job.body) <= most and len(job.operations) <= 7 for job in cut)
    assert [o for job in cut for o in job.operations] == operations
    rows = [row for job in cut for row in result_rows(job.body.decode())]
    assert [(row["Id"], row["Title"]) for row in rows] == [
        (o.record_id, o.after["Title"] or "#N/A") for o in operations
    ]


def test_what_a_file_cannot_carry_is_refused_and_the_rest_is_written(tmp_path: Path) -> None:
    answers = target_of(tmp_path, bytes_per_file="100000").send(
        [
            update(A, Title="#N/A"),
            Operation("no key", "write", "Contact", None, after={"Title": "x"}),
            update(B, Title="long " * 20_000),
            update(C, Title="x"),
            Operation("again", "write", "Contact", C, after={"Phone": "1"}),
        ]
    )
    assert [a.outcome.value for a in answers] == ["refused", "refused", "refused", "done", "retry"]
    assert "long" not in answers[2].message.replace("longer", "")
    (job,) = jobs(tmp_path)
    assert len((job / "data.csv").read_text().splitlines()) == 2


def test_a_create_without_an_external_id_and_a_merge_are_not_for_files(tmp_path: Path) -> None:
    target = target_of(tmp_path)
    (answer,) = target.send([Operation("c", "create", "Contact", None, after={"LastName": "x"})])
    assert (answer.outcome, "external_id" in answer.message) == (Outcome.REFUSED, True)
    (answer,) = target.send([Operation("m", "merge", "Contact", A, losers=(B,))])
    assert answer.outcome is Outcome.REFUSED
    assert "merge" not in target.kinds


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file in the way")
    with pytest.raises(TargetUnavailable, match="out"):
        target_of(tmp_path)


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        ({"foldr": "x"}, "did you mean 'folder'"),
        ({"rows_per_file": "0"}, "from 1"),
        ({"bytes_per_file": "9"}, "100000"),
    ],
)
def test_a_wrong_connection(tmp_path: Path, connection: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        target_of(tmp_path, **connection)


# -- results -----------------------------------------------------------------------------------------------


@pytest.fixture
def job(tmp_path: Path) -> Path:
    target_of(tmp_path).send([update(A, Title="x"), update(B, Title="y, z"), update(C, Title=None)])
    return jobs(tmp_path)[0]


def test_results_in_the_jobs_folder_or_beside_it_are_read_back(tmp_path: Path, job: Path) -> None:
    result(job, "successfulResults", {A: (A, "false")})
    error = "INVALID_FIELD_FOR_INSERT_UPDATE:bad value y, z for it:Title --"
    result(job, "failedResults", {B: (B, error)}, where=job.parent)
    result(job, "unprocessedrecords", {C: ()})
    target = target_of(tmp_path)
    assert isinstance(target, CollectsLater)
    answers = {a.operation_id: a for a in target.collect()}
    assert {k: a.outcome.value for k, a in answers.items()} == {
        f"op-{A}": "done", f"op-{B}": "refused", f"op-{C}": "retry"
    }  # fmt: skip
    refused = answers[f"op-{B}"]
    assert refused.code == "INVALID_FIELD_FOR_INSERT_UPDATE"
    assert refused.message == f"job {job.name}: bad value *** for it:Title"
    assert target.collect() == list(answers.values())


def test_result_files_of_the_command_line_are_known_by_their_names(tmp_path: Path, job: Path) -> None:
    result(job, "successfulResults", {A: (A, "false")}).rename(job / "750xx-success-records.csv")
    result(job, "failedResults", {B: (B, "X:y --")}).rename(job / "750xx-failed-records.csv")
    assert outcomes(target_of(tmp_path).collect()) == {f"op-{A}": "done", f"op-{B}": "refused"}


def test_created_records_tell_their_ids(tmp_path: Path) -> None:
    target = target_of(tmp_path)
    target.send([create("e1", LastName="Doe"), create("e2", LastName="Roe")])
    result(jobs(tmp_path)[0], "successfulResults", {"e1": (A, "true"), "e2": (B, "false")})
    first, second = target.collect()
    assert (first.record_id, second.record_id) == (A, B)
    assert second.message.endswith("already there")


def test_rows_without_a_result_give_no_answer_and_empty_files_none(tmp_path: Path, job: Path) -> None:
    result(job, "successfulResults", {B: (B, "false")})
    (job / "failedResults.csv").write_text("")
    assert outcomes(target_of(tmp_path).collect()) == {f"op-{B}": "done"}


def test_line_ends_and_byte_order_marks_of_a_spreadsheet_do_no_harm(tmp_path: Path, job: Path) -> None:
    path = result(job, "successfulResults", {A: (A, "false"), B: (B, "false")})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(target_of(tmp_path).collect()) == 2


def test_a_record_told_twice_is_refused_with_both_files(tmp_path: Path, job: Path) -> None:
    result(job, "successfulResults", {A: (A, "false")})
    result(job, "failedResults", {A: (A, "UNABLE_TO_LOCK_ROW:x --")})
    with pytest.raises(FileRefused, match=f"{A} is told already by .*failedResults"):
        target_of(tmp_path).collect()


def test_a_row_twice_in_one_file_is_refused(tmp_path: Path, job: Path) -> None:
    path = result(job, "successfulResults", {A: (A, "false")})
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(FileRefused, match="told twice"):
        target_of(tmp_path).collect()


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path, job: Path) -> None:
    path = result(job, "successfulResults", {i: (i, "false") for i in (A, B, C)})
    whole = path.read_text()
    for length in range(len(whole.splitlines()[0]) + 2, len(whole)):
        path.write_text(whole[:length])
        if whole[length - 1] == "\n":
            continue  # cut between two rows: nothing shows it, and the rows left out stay open
        with pytest.raises(FileRefused, match="download it again"):
            target_of(tmp_path).collect()


@pytest.mark.parametrize("text", ["a,b\n1\n", "a,a\n1,2\n", 'a,b\n1,"2\n', "a,b\n1,2"])
def test_what_is_no_whole_table(text: str) -> None:
    with pytest.raises(ResultCut):
        result_rows(text)


def test_a_file_of_another_job_is_refused(tmp_path: Path, job: Path) -> None:
    other = tmp_path / "elsewhere"
    target_of(other).send([update(A, Title="another value")])
    text = result(jobs(other)[0], "successfulResults", {A: (A, "false")}).read_text()
    (job / "successfulResults.csv").write_text(text)
    with pytest.raises(FileRefused, match=f"not of the job {job.name}"):
        target_of(tmp_path).collect()
    (job / "successfulResults.csv").rename(job.parent / "successfulResults.csv")
    with pytest.raises(FileRefused, match="not of any job written here"):
        target_of(tmp_path).collect()


def test_a_result_without_its_columns_and_one_of_two_jobs(tmp_path: Path, job: Path) -> None:
    path = result(job, "successfulResults", {A: (A, "false")})
    path.rename(job / "failedResults.csv")
    with pytest.raises(FileRefused, match="no column sf__Error"):
        target_of(tmp_path).collect()
    (job / "failedResults.csv").unlink()
    same = Operation("another day", "write", "Contact", A, after={"Title": "x"})
    target_of(tmp_path).send([same])
    result(job, "successfulResults", {A: (A, "false")}, where=job.parent)
    with pytest.raises(FileRefused, match="fits several jobs"):
        target_of(tmp_path).collect()


def test_a_job_whose_own_file_was_changed_or_lost_says_so(tmp_path: Path, job: Path) -> None:
    (job / "data.csv").write_text("Id,Title\n")
    with pytest.raises(FileRefused, match="changed since it was written"):
        target_of(tmp_path).collect()
    (job / "manifest.json").write_text("{}")
    with pytest.raises(FileRefused, match="not a manifest"):
        target_of(tmp_path).collect()


def test_what_was_not_taken_goes_into_a_new_job_and_its_result_counts(tmp_path: Path, job: Path) -> None:
    operations = [update(A, Title="x"), update(B, Title="y, z"), update(C, Title=None)]
    result(job, "successfulResults", {A: (A, "false")})
    result(job, "failedResults", {B: (B, "UNABLE_TO_LOCK_ROW:unable to obtain access --")})
    assert outcomes(target_of(tmp_path).collect())[f"op-{B}"] == "retry"
    target_of(tmp_path).send(operations)
    (second,) = [j for j in jobs(tmp_path) if j != job]
    assert json.loads((second / "manifest.json").read_text())["operation_ids"] == [f"op-{B}"]
    assert outcomes(target_of(tmp_path).collect()) == {f"op-{A}": "done"}
    target_of(tmp_path).send(operations)
    assert len(jobs(tmp_path)) == 2
    result(second, "successfulResults", {B: (B, "false")})
    assert outcomes(target_of(tmp_path).collect()) == {f"op-{A}": "done", f"op-{B}": "done"}


def test_the_circle_through_a_bulk_job_of_the_server(tmp_path: Path) -> None:
    """The file as it is goes up to the server's Bulk API, and its result files come back."""
    import urllib.request

    with SalesforceServer() as server:
        ids = [server.add("Contact", n, Title="old") for n in range(4)]
        server.locked = {ids[1]}
        server.bulk_reach = 3
        target = target_of(tmp_path)
        target.send([update(i, job_title="new\nline") for i in ids])
        (job,) = jobs(tmp_path)
        manifest = json.loads((job / "manifest.json").read_text())

        def call(method: str, path: str, body: bytes, kind: str = "application/json") -> bytes:
            headers = {"Authorization": "Bearer first-token-0001", "Content-Type": kind}
            url = f"{server.url}/services/data/v62.0/jobs/ingest{path}"
            with urllib.request.urlopen(
                urllib.request.Request(url, body or None, headers, method=method)
            ) as answer:
                content: bytes = answer.read()
            return content

        asked = {k: v for k, v in manifest["job"].items() if v is not None}
        made: dict[str, Any] = json.loads(call("POST", "", json.dumps(asked).encode()))
        call("PUT", f"/{made['id']}/batches", (job / "data.csv").read_bytes(), "text/csv")
        call("PATCH", f"/{made['id']}", b'{"state": "UploadComplete"}')
        for which in ("successfulResults", "failedResults", "unprocessedrecords"):
            (job.parent / f"{which}.csv").write_bytes(call("GET", f"/{made['id']}/{which}", b""))
    assert list(outcomes(target.collect()).values()) == ["done", "retry", "done", "retry"]
    assert server.records[ids[0]]["Title"] == "new\nline"


# -- the documented policy ---------------------------------------------------------------------------------


def test_the_documented_policies_are_read(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "targets" / "salesforce.md"
    blocks = [block.partition("```")[0] for block in page.read_text().split("```yaml\n")[1:]]
    assert len(blocks) == 2
    policies = []
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block)
        policies.append(read_target_policy(path))
    assert [policy.connector for policy in policies] == ["salesforce", "salesforce_files"]
    assert open_target(policies[1], {}, tmp_path).batch_size == 10_000
