"""The lake: one publication is one commit, and what is live already is not written again."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

import crm_hygiene.lake as lake_module
from crm_hygiene.contract import Contract, contract_of, load_contracts
from crm_hygiene.errors import LakeError
from crm_hygiene.fingerprint import content_of
from crm_hygiene.lake import Lake, OvertakenError

RUNS = "audit.runs"
META = {"run_id": "r1", "rules": "f", "inputs": "i1"}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "Jörg's lake, {all} & *more* (100 %)"))


@pytest.fixture
def contract() -> Contract:
    return contract_of(RUNS)


def _runs(*ids: str, status: str = "succeeded") -> pl.DataFrame:
    rows = [{"run_id": i, "status": status} for i in ids]
    return contract_of(RUNS).shape(pl.DataFrame(rows, schema={"run_id": pl.String, "status": pl.String}))


def test_never_published(lake: Lake, contract: Contract) -> None:
    assert not lake.exists(RUNS)
    assert lake.version(RUNS) is None
    assert lake.metadata(RUNS) == {}
    assert lake.state(RUNS) == "absent"
    assert lake.read(contract).equals(contract.empty())
    assert lake.tables() == []


def test_publish_read_and_commit_texts(lake: Lake, contract: Contract) -> None:
    publication = lake.publish(contract, _runs("b", "a"), META)
    assert publication.is_changed
    assert publication.row_count == 2
    assert lake.read(contract)["run_id"].to_list() == ["a", "b"]
    found = lake.metadata(RUNS)
    assert {k: found[k] for k in META} == META
    assert lake.tables() == [RUNS]
    assert lake.is_current(RUNS, "i1")


def test_a_table_asked_often_is_read_once_where_it_is_small(lake: Lake, contract: Contract) -> None:
    assert lake.scan_often(contract, 2).collect().equals(contract.empty())
    lake.publish(contract, _runs("a", "b"), META)
    held, scanned = lake.scan_often(contract, 2), lake.scan_often(contract, 1)
    assert held.collect().equals(scanned.collect())
    lake.publish(contract, _runs("c"), META)
    for file in Path(lake.uri, *RUNS.split(".")).glob("*.parquet"):
        file.unlink()
    assert held.select("run_id").collect()["run_id"].to_list() == ["a", "b"]
    with pytest.raises(OSError, match=r"\.parquet"):
        scanned.collect()
    with pytest.raises(LakeError, match="cannot be read"):
        lake.scan_often(contract, 2)


def test_equal_content_is_no_commit_and_newer_inputs_are_no_change(lake: Lake, contract: Contract) -> None:
    first = lake.publish(contract, _runs("a", "b"), META)
    state = lake.state(RUNS)
    again = lake.publish(contract, _runs("b", "a"), META)
    assert (again.version, again.is_changed) == (first.version, False)
    noted = lake.publish(contract, _runs("a", "b"), {**META, "inputs": "i2"})
    assert noted.version == first.version + 1
    assert not noted.is_changed
    assert lake.state(RUNS) == state
    assert lake.is_current(RUNS, "i2")


def test_what_newer_inputs_leave_the_same_is_not_written_again(lake: Lake, contract: Contract) -> None:
    lake.publish(contract, _runs("a", "b"), META)
    files = lake.file_uris(RUNS)
    for night in range(3):
        lake.publish(contract, _runs("b", "a"), {**META, "inputs": f"of night {night}"})
    assert lake.file_uris(RUNS) == files
    assert len(list(Path(lake.table_uri(RUNS)).glob("*.parquet"))) == len(files)
    assert lake.read(contract)["run_id"].to_list() == ["a", "b"]
    # Commits that change no row count as versions of the same state.
    assert len({version.state for version in lake.versions(RUNS)}) == 1


def test_ten_commits_are_the_most_that_opening_a_table_reads(lake: Lake, contract: Contract) -> None:
    for number in range(25):
        lake.append(contract, [_runs(str(number))], {"run_id": "r"})
        assert lake.tidying(RUNS).commits_since_checkpoint() <= 10


def test_only_upkeep_takes_anything_of_a_log_away(lake: Lake, contract: Contract) -> None:
    for number in range(12):
        lake.append(contract, [_runs(str(number))], {"run_id": "r"})
    # Delta looks at when a commit's file was written.
    log = Path(lake.table_uri(RUNS), "_delta_log")
    for commit in log.glob("*.json"):
        os.utime(commit, (0, 0))
    for number in range(12):
        lake.append(contract, [_runs(f"later {number}")], {"run_id": "r"})
    assert len(list(log.glob("*.json"))) >= 24
    assert lake.read(contract, 3).height == lake.read(contract, 2).height + 1


def test_other_columns_are_written_though_the_rows_seem_the_same(lake: Lake, contract: Contract) -> None:
    fewer = contract.model_copy(update={"columns": contract.columns[:-1]})
    lake.publish(fewer, fewer.empty(), META)
    lake.publish(contract, contract.empty(), {**META, "inputs": "i2"})
    assert DeltaTable(lake.table_uri(RUNS)).schema().fields[-1].name == contract.columns[-1].name


def test_two_nights_that_note_the_same_rows_both_go_on(lake: Lake, contract: Contract) -> None:
    lake.publish(contract, _runs("a", "b"), META)
    with ThreadPoolExecutor(4) as pool:
        told = [
            pool.submit(Lake(lake.uri).publish, contract, _runs("a", "b"), {**META, "inputs": f"n{n}"})
            for n in range(8)
        ]
    assert not any(found.result().is_changed for found in told)
    assert lake.read(contract)["run_id"].to_list() == ["a", "b"]


def test_append_once(lake: Lake, contract: Contract) -> None:
    assert lake.append(contract, [_runs("a")], META, once="x/1")
    assert not lake.append(contract, [_runs("b")], META, once="x/1")
    assert lake.append(contract, [_runs("b")], META, once="x/2")
    assert lake.read(contract)["run_id"].to_list() == ["a", "b"]


def test_what_is_known_to_be_absent_is_looked_up_only_where_the_table_moved_on(
    lake: Lake, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    transaction_version = DeltaTable.transaction_version

    def counted(delta: DeltaTable, text: str) -> int | None:
        asked.append(text)
        return transaction_version(delta, text)

    monkeypatch.setattr(DeltaTable, "transaction_version", counted)
    lake.append(contract, [_runs("a")], META)
    version = lake.version(contract.table)
    assert lake.append_each(contract, {"x/1": _runs("b")}, META, absent_at=version) == {"x/1"}
    assert asked == []
    assert lake.append_each(contract, {"x/1": _runs("b"), "x/2": _runs("c")}, META, absent_at=version) == {
        "x/2"
    }
    assert asked == ["x/1", "x/2"]
    assert sorted(lake.read(contract)["run_id"].to_list()) == ["a", "b", "c"]


def test_each_frame_is_added_once_though_another_process_came_between(
    lake: Lake, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Lake._stream
    overtaken = []

    def beaten(lake: Lake, *args: Any, **options: Any) -> int:
        if not overtaken:
            overtaken.append(True)
            lake.append(contract, [_runs("a")], META, once="x/1")
            raise OvertakenError("another process came between")
        return stream(lake, *args, **options)

    monkeypatch.setattr(Lake, "_stream", beaten)
    assert lake.append_each(contract, {"x/1": _runs("a"), "x/2": _runs("b")}, META) == {"x/2"}
    assert lake.append_each(contract, {"x/1": _runs("a"), "x/2": _runs("b")}, META) == set()
    assert sorted(lake.read(contract)["run_id"].to_list()) == ["a", "b"]


def test_files_are_small_and_their_row_groups_are_those_of_their_readers(
    lake: Lake, contract: Contract
) -> None:
    def row_groups(version: int | None = None) -> list[int]:
        before = set() if version is None else set(lake.file_uris(RUNS, version))
        (path,) = set(lake.file_uris(RUNS)) - before
        found = parquet.ParquetFile(path).metadata
        groups = [found.row_group(i) for i in range(found.num_row_groups)]
        assert {g.column(c).compression for g in groups for c in range(g.num_columns)} == {"ZSTD"}
        return [g.num_rows for g in groups]

    rows = _runs(*map(str, range(250_000)))
    of_duckdb = 122_880
    lake.publish(contract, rows, META)
    assert row_groups() == [2 * of_duckdb, 250_000 - 2 * of_duckdb]
    version = lake.version(RUNS)
    lake.append(contract, [rows.head(of_duckdb)] * 3, META)
    assert row_groups(version) == [2 * of_duckdb, of_duckdb]
    lake.publish_parts(contract, [rows, rows], META)
    assert row_groups() == [2 * of_duckdb, 2 * of_duckdb, 500_000 - 4 * of_duckdb]
    lake.replace_rows(contract, rows.head(1), "run_id", "0", META)
    lake.tidying(RUNS).compact(2**30)
    assert row_groups()[0] == 2 * of_duckdb
    lake.tidying(RUNS).z_order(["run_id"], 2**30)
    assert row_groups()[0] == 2 * of_duckdb


def test_error_while_a_part_is_made_surfaces_as_itself_and_nothing_is_kept(
    lake: Lake, contract: Contract
) -> None:
    class Stop(BaseException):
        pass

    def parts(error: BaseException) -> Iterator[pl.DataFrame]:
        yield _runs("a")
        raise error

    for error in (ValueError("mine"), Stop("kill"), LakeError("other")):
        with pytest.raises(type(error)) as caught:
            lake.append(contract, parts(error), META)
        assert caught.value is error
    assert lake.read(contract).height == 0


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_failing_writer_is_a_lake_error_and_the_last_good_version_stays(
    lake: Lake, contract: Contract, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    lake.publish(contract, _runs("a"), META)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(code, "trouble")

    with monkeypatch.context() as patch:
        patch.setattr(lake_module, "write_deltalake", fail)
        with pytest.raises(LakeError, match=r"last good version stays.*trouble"):
            lake.publish(contract, _runs("b"), META)
        with pytest.raises(LakeError):
            lake.append(contract, [_runs("b")], META)
    assert lake.read(contract)["run_id"].to_list() == ["a"]


def test_lake_folder_that_cannot_be_made_is_a_lake_error(tmp_path: Path, contract: Contract) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LakeError):
        Lake(str(tmp_path / "file")).publish(contract, _runs("a"), META)


def test_constraint_refuses_without_showing_the_row(lake: Lake) -> None:
    contract = contract_of("conformed.people")
    row = {"source": "s", "record_id": "1", "person_kind": "vip", "given_name": "Secret"}
    frame = contract.shape(pl.DataFrame([row]))
    with pytest.raises(LakeError) as caught:
        lake.publish(contract, frame, META)
    assert "Secret" not in str(caught.value)
    assert lake.read(contract).height == 0


def test_table_killed_before_its_constraints_gets_them(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = contract_of("conformed.people")

    class Kill(BaseException):
        pass

    def die(*_: Any) -> dict[str, str]:
        raise Kill

    with monkeypatch.context() as patch:
        patch.setattr(Contract, "constraints", die)
        with pytest.raises(Kill):
            lake.publish(contract, contract.empty(), META)
    row = {"source": "s", "record_id": "1", "person_kind": "vip"}
    with pytest.raises(LakeError, match="constraint"):
        lake.publish(contract, contract.shape(pl.DataFrame([row])), META)


def test_replace_rows_touches_only_its_rows(lake: Lake, contract: Contract) -> None:
    lake.publish(contract, pl.concat([_runs("a"), _runs("b", status="stopped")]), META)
    assert not lake.replace_rows(contract, _runs("b", status="stopped"), "status", "stopped", META)
    version = lake.version(RUNS)
    assert lake.replace_rows(contract, _runs("c", status="stopped"), "status", "stopped", META)
    assert lake.version(RUNS) == (version or 0) + 1
    assert lake.read(contract)["run_id"].to_list() == ["a", "c"]
    assert not lake.replace_rows(contract, contract.empty(), "status", "it's", META)


def test_parts_are_one_commit(lake: Lake, contract: Contract) -> None:
    lake.publish_parts(contract, [_runs("a"), _runs("b")], META)
    version = lake.version(RUNS)
    publication = lake.publish_parts(contract, iter([_runs("c"), _runs("d"), _runs("e")]), META)
    assert publication.row_count == 3
    assert publication.version == (version or 0) + 1
    assert lake.read(contract, version)["run_id"].to_list() == ["a", "b"]


def test_parts_can_tell_their_content(lake: Lake, contract: Contract) -> None:
    whole = pl.concat([_runs("a"), _runs("b"), _runs("c")])
    first = lake.publish_parts(contract, [_runs("a", "b"), _runs("c")], META, tells_content=True)
    assert lake.state(RUNS) == content_of(whole)
    assert (first.is_changed, first.row_count) == (True, 3)
    again = lake.publish_parts(contract, iter([_runs("c"), _runs("b"), _runs("a")]), META, tells_content=True)
    assert not again.is_changed
    assert lake.metadata(RUNS)["is_changed"] == "False"
    assert lake.state(RUNS) == content_of(whole)
    assert lake.is_current(RUNS, META["inputs"])
    assert not lake.publish(contract, whole, {**META, "inputs": "i2"}).is_changed
    other = lake.publish_parts(contract, [_runs("d")], META, tells_content=True)
    assert other.is_changed
    assert lake.read(contract, other.version)["run_id"].to_list() == ["d"]
    assert lake.read(contract, other.version - 1)["run_id"].to_list() == ["a", "b", "c"]
    # The commits that tell change no row.
    told = [(v.version, v.state, v.row_count) for v in lake.versions(RUNS)]
    assert [told[0], told[1], told[3]] == [
        (first.version, content_of(whole), 3),
        (again.version, content_of(whole), 3),
        (other.version, content_of(_runs("d")), 1),
    ]
    assert len(told) == 4


def test_who_makes_parts_may_write_to_other_tables(lake: Lake, contract: Contract) -> None:
    other = contract_of("quality.quarantine")

    def parts() -> Iterator[pl.DataFrame]:
        yield _runs("a")
        lake.append(other, [other.empty()], META)
        lake.replace_rows(other, other.empty(), "table_name", "t", META)
        yield _runs("b")
        assert lake.read(other).is_empty()

    assert lake.publish_parts(contract, parts(), META).row_count == 2
    assert lake.exists(other.table)


@pytest.mark.parametrize("table", sorted(load_contracts()))
def test_every_contract_can_be_a_table(tmp_path: Path, table: str) -> None:
    lake, contract = Lake(str(tmp_path)), contract_of(table)
    lake.publish(contract, contract.empty(), META)
    assert lake.read(contract).schema == contract.schema


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(50), deadline=None
)
@given(st.lists(st.tuples(st.text(max_size=5), st.none() | st.integers(-9, 9)), max_size=12), st.randoms())
def test_content_fingerprint_knows_rows_not_their_order(rows: list[Any], random: Any) -> None:
    schema = {"a": pl.String, "b": pl.Int64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    mixed = list(rows)
    random.shuffle(mixed)
    assert content_of(pl.DataFrame(mixed, schema=schema, orient="row")) == content_of(frame)
    more = pl.concat([frame, pl.DataFrame([("new", 100)], schema=schema, orient="row")])
    assert content_of(more) != content_of(frame)


def test_a_constraint_that_the_contract_dropped_refuses_nothing_any_more(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    contract = contract_of("golden.relationships")
    strict = contract.model_copy(update={"required": ("job_title", "is_current")})
    row = {"person_entity_id": "P-1", "account_entity_id": "O-1", "role": "employee", "is_current": True}
    lake.publish(strict, strict.shape(pl.DataFrame([{**row, "job_title": "Clerk"}])), {"inputs": "1"})
    with pytest.raises(LakeError):
        lake.publish(strict, strict.shape(pl.DataFrame([row])), {"inputs": "2"})
    lake.publish(contract, contract.shape(pl.DataFrame([row])), {"inputs": "3"})
    assert lake.read(contract)["job_title"].to_list() == [None]
