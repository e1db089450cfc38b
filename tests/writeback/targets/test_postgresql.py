"""A real PostgreSQL server: savepoints, versions, the ledger, merges and what a cut line leaves behind."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.operations import Answer, Child, Operation, OperationKind, Outcome
from crm_hygiene.writeback.policy import TargetPolicy, read_target_policy
from crm_hygiene.writeback.target import AnswerLost, SignInRefused, TargetUnavailable
from crm_hygiene.writeback.targets.postgresql import PostgreSQLTarget, open_target
from crm_hygiene.writeback.targets.postgresql_ledger import LEDGER, LEDGER_COLUMNS

from .postgresql_server import PASSWORD, SCHEMA, PostgreSQL, line_to

SECRETS = {"password": PASSWORD}
DELETING = {"contact.merge_losers": "delete"}


@pytest.fixture
def database(cluster: PostgreSQL) -> PostgreSQL:
    cluster.empty()
    return cluster


@pytest.fixture(scope="module")
def lasting(cluster: PostgreSQL) -> Iterator[PostgreSQLTarget]:
    target = opened(cluster)
    yield target
    target.close()


@pytest.fixture
def target(database: PostgreSQL) -> Iterator[PostgreSQLTarget]:
    opened = open_target(policy_of(database), SECRETS, Path())
    opened.connect()
    yield opened
    opened.close()


def policy_of(database: PostgreSQL, objects: dict[str, Any] | None = None, **connection: str) -> TargetPolicy:
    return TargetPolicy.model_validate(
        {
            "target": "warehouse",
            "connector": "postgresql",
            "connection": database.connection(**{"lock_seconds": "0.05", **connection}),
            "secrets": {"password": "WAREHOUSE_PASSWORD"},
            "objects": objects
            or {
                "contact": {
                    "external_id": "external_id",
                    "names": {"Name": "name"},
                    "children": [{"object": "note", "field": "contact_id"}],
                },
                "account": {"external_id": "external_id"},
                "note": {"external_id": "id"},
            },
        }
    )  # fmt: skip


def opened(database: PostgreSQL, **connection: str) -> PostgreSQLTarget:
    told = {k: v for k, v in connection.items() if v}
    target = open_target(policy_of(database, **told), SECRETS, Path())
    target.connect()
    return target


def add(database: PostgreSQL, **values: object) -> str:
    names = ", ".join(values)
    statement = f"insert into crm.contact ({names}) values ({', '.join(['%s'] * len(values))}) returning id"
    found = database.admin.execute(statement.encode(), list(values.values())).fetchone()
    assert found is not None
    return str(found[0])


def operation(kind: OperationKind, record_id: str | None = None, key: str = "op", **told: Any) -> Operation:
    return Operation(key, kind, "contact", record_id, **told)


def write(key: str, record_id: str, field: str, before: str | None, after: str | None) -> Operation:
    return Operation(key, "write", "contact", record_id, {field: before}, {field: after})


def one(target: PostgreSQLTarget, asked: Operation) -> Answer:
    (answer,) = target.send([asked])
    return answer


def names(database: PostgreSQL) -> list[object]:
    return [row[0] for row in database.rows("select name from crm.contact order by id")]


class TestWriting:
    def test_the_version_grows_by_one_and_the_ledger_says_so(
        self, database: PostgreSQL, target: PostgreSQLTarget
    ) -> None:
        record = add(database, name="Ann")
        answer = one(target, write("op", record, "Name", "Ann", "Anna"))
        assert (answer.outcome, answer.version) == (Outcome.DONE, "2")
        assert database.rows("select name, version from crm.contact") == [("Anna", 2)]
        ledger = "select operation_id, kind, object, record_id, version from crm.crm_hygiene_operations"
        assert database.rows(ledger) == [("op", "write", "contact", record, 2)]

    def test_a_value_that_a_user_changed_is_a_conflict(
        self, database: PostgreSQL, target: PostgreSQLTarget
    ) -> None:
        record = add(database, name="Ann")
        database.run("update crm.contact set name = 'Anne'")
        answer = one(target, write("op", record, "Name", "Ann", "Anna"))
        assert (answer.outcome, answer.message) == (Outcome.CONFLICT, "changed since it was read: Name")
        assert names(database) == ["Anne"]

    def test_a_version_that_moved_is_a_conflict(self, database: PostgreSQL, target: PostgreSQLTarget) -> None:
        record = add(database, name="Ann", version=3)
        asked = operation("write", record, before={"Name": "Ann"}, after={"Name": "Anna"}, version="2")
        assert one(target, asked).outcome is Outcome.CONFLICT
        assert names(database) == ["Ann"]

    def test_two_operations_on_one_row_read_before_both(
        self, database: PostgreSQL, target: PostgreSQLTarget
    ) -> None:
        record = add(database, name="Ann")
        asked = [
            operation("write", record, "a", before={"Name": "Ann"}, after={"Name": "Anna"}, version="1"),
            operation("write", record, "b", before={"age": None}, after={"age": "-1"}, version="1"),
            operation("write", record, "c", before={"vip": None}, after={"vip": "true"}, version="1"),
        ]
        assert [a.outcome.value for a in target.send(asked)] == ["done", "refused", "done"]
        assert database.rows("select name, age, vip, version from crm.contact") == [("Anna", None, True, 3)]

    def test_taken_once_it_is_not_taken_again_over_a_user(
        self, database: PostgreSQL, target: PostgreSQLTarget
    ) -> None:
        record = add(database, name="Ann")
        asked = operation("write", record, before={"Name": "Ann"}, after={"Name": "Anna"}, version="1")
        one(target, asked)
        database.run("update crm.contact set name = 'Ann', version = version + 1")
        assert one(target, asked).code == "FOUND"
        assert names(database) == ["Ann"]
        later = operation("write", record, before={"Name": "Ann"}, after={"Name": "Anna"}, version="3")
        assert one(target, later).version == "4"
        assert names(database) == ["Anna"]

    def test_what_is_there_already_changes_no_version(
        self, database: PostgreSQL, target: PostgreSQLTarget
    ) -> None:
        record = add(database, name="Anna", amount="1.50")
        asked = operation(
            "write", record, before={"Name": "x", "amount": None}, after={"Name": "Anna", "amount": "1.5"}
        )
        assert one(target, asked).code == "UNCHANGED"
        assert database.rows("select version from crm.contact") == [(1,)]

    @pytest.mark.parametrize(
        ("field", "after", "code", "words"),
        [
            ("email", "taken@x.de", "23505", "UniqueViolation (contact, contact_email_key)"),
            ("age", "-1", "23514", "CheckViolation (contact, contact_age_check)"),
            ("age", "many", "22P02", "InvalidTextRepresentation"),
            ("code", "ABCD", "22001", "StringDataRightTruncation"),
            ("account_id", "99", "23503", "ForeignKeyViolation (contact, contact_account_id_fkey)"),
            ("later_id", "99", "23503", "ForeignKeyViolation (contact, contact_later_id_fkey)"),
            ("Name", "forbidden", "P0001", "RaiseException"),
            ("loud", "X", "FIELD", "contact.loud is not ours to write"),
            ("version", "9", "FIELD", "contact.version is not ours to write"),
            ("emial", "X", "FIELD", "contact has no column 'emial'; did you mean 'email'?"),
        ],
    )
    def test_a_refused_row_leaves_the_rest_alone(
        self, database: PostgreSQL, target: PostgreSQLTarget, field: str, after: str, code: str, words: str
    ) -> None:
        add(database, name="z", email="taken@x.de")
        ids = [add(database, name="a") for _ in range(3)]
        asked = [write(f"op{i}", i, "Name", "a", "b") for i in ids]
        asked[1] = write("bad", ids[1], field, "a" if field == "Name" else None, after)
        answers = target.send(asked)
        assert [a.outcome.value for a in answers] == ["done", "refused", "done"]
        assert (answers[1].code, answers[1].message) == (code, words)
        assert names(database) == ["z", "b", "a", "b"]

    def test_a_row_that_another_holds_is_for_later(
        self, database: PostgreSQL, target: PostgreSQLTarget
    ) -> None:
        held, free = (add(database, name="a") for _ in range(2))
        with database.admin.transaction():
            database.admin.execute("select 1 from crm.contact where id = %s for update", [held])
            answers = target.send([write(f"op{i}", i, "Name", "a", "b") for i in (held, free)])
        assert [a.outcome.value for a in answers] == ["retry", "done"]

    def test_a_serialization_failure_is_for_later(
        self, database: PostgreSQL, target: PostgreSQLTarget
    ) -> None:
        record = add(database, name="a", email="secret@x.de")
        answer = one(target, write("op", record, "Name", "a", "busy"))
        assert (answer.outcome, answer.code) == (Outcome.RETRY, "40001")
        assert "secret" not in answer.message

    def test_a_gone_or_merged_row_is_a_conflict(self, database: PostgreSQL, target: PostgreSQLTarget) -> None:
        merged = add(database, name="a", merged_into=7)
        answers = target.send([write(f"op{i}", i, "Name", "a", "b") for i in ("99", merged)])
        assert [a.code for a in answers] == ["GONE", "GONE"]


class TestReading:
    def test_unknown_ids_and_fields(self, database: PostgreSQL, target: PostgreSQLTarget) -> None:
        record, merged = add(database, name="Ann", vip=True), add(database, merged_into=1)
        held = target.read("contact", [record, merged, "99", "no number"], ["Name", "vip", "hat"])
        assert set(held) == {record, merged}
        assert held[record].values == {"Name": "Ann", "vip": "true", "hat": None}
        assert (held[record].version, held[record].is_deleted) == ("1", False)
        assert held[merged].is_deleted

    @settings(max_examples=examples(25))
    @given(
        values=st.fixed_dictionaries(
            {
                "Name": st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
                "padded": st.text("ab ", max_size=4),
                "amount": st.decimals(-9999, 9999, places=3).map(str),
                "born": st.dates().map(str),
                "seen": st.datetimes(timezones=st.timezones()).map(str),
                "vip": st.sampled_from(["true", "YES", "f", "0", ""]),
                "tags": st.sampled_from(['{"b":1,  "a": [1]}', "[]", "null"]),
            }
        )
    )
    def test_what_is_written_reads_back_as_its_normal_form(
        self, cluster: PostgreSQL, lasting: PostgreSQLTarget, values: dict[str, str]
    ) -> None:
        target = lasting
        record = add(cluster, name="never this")
        before = dict.fromkeys(values) | {"Name": "never this"}
        asked = operation("write", record, f"p{record}", before=before, after=values)
        answer = one(target, asked)
        if answer.code == "22008":  # a year of the time zone's that the calendar does not have
            return
        assert answer.outcome is Outcome.DONE
        held = target.read("contact", [record], list(values))[record].values
        normal = target.normalise("contact", values)
        assert target.normalise("contact", held) == normal
        assert target.normalise("contact", normal) == normal


class TestCreating:
    def test_twice_is_once(self, database: PostgreSQL, target: PostgreSQLTarget) -> None:
        asked = operation("create", after={"Name": "Ann", "age": "7"}, external_id=("external_id", "e1"))
        first, second = one(target, asked), one(target, asked)
        assert (first.record_id, first.code, second.code) == (second.record_id, "", "FOUND")
        assert database.rows("select name, age, external_id, version from crm.contact") == [
            ("Ann", 7, "e1", 1)
        ]
        assert target.find("contact", "external_id", ["e1", "e2"]) == {"e1": first.record_id}

    def test_two_applies_at_once_make_one_record(self, database: PostgreSQL) -> None:
        asked = [
            operation("create", key=f"op{n}", after={"Name": str(n)}, external_id=("external_id", f"e{n}"))
            for n in range(50)
        ]
        targets = [opened(database, lock_seconds="5") for _ in range(2)]
        threads = [threading.Thread(target=t.send, args=(asked,)) for t in targets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for target in targets:
            target.close()
        assert database.rows("select count(*) from crm.contact") == [(50,)]

    def test_a_key_without_a_default_is_the_external_id(
        self, database: PostgreSQL, target: PostgreSQLTarget
    ) -> None:
        asked = Operation("op", "create", "note", None, {}, {"body": "b"}, ("id", "n1"))
        assert one(target, asked).record_id == "n1"

    def test_a_column_without_a_unique_index_is_refused(
        self, database: PostgreSQL, target: PostgreSQLTarget
    ) -> None:
        asked = operation("create", after={}, external_id=("Name", "e1"))
        assert one(target, asked).code == "42P10"
        assert names(database) == []

    def test_it_is_taken_back_unless_it_was_changed(
        self, database: PostgreSQL, target: PostgreSQLTarget
    ) -> None:
        made = one(target, operation("create", after={"Name": "Ann"}, external_id=("external_id", "e1")))
        back = operation("delete", made.record_id, "back", before={"Name": "Ann"})
        database.run("update crm.contact set name = 'Anna'")
        assert one(target, back).outcome is Outcome.CONFLICT
        database.run("update crm.contact set name = 'Ann'")
        assert [one(target, back).code for _ in range(2)] == ["", "FOUND"]
        again = one(target, operation("create", after={"Name": "Ann"}, external_id=("external_id", "e1")))
        assert again.code == ""


class TestMerging:
    def stand(self, database: PostgreSQL) -> tuple[str, str, str]:
        ids = [add(database, name=n, email=f"{n}@x.de") for n in "abc"]
        for n, contact in enumerate([*ids, ids[1]]):
            database.run(f"insert into crm.note (id, body, contact_id) values ('n{n}', 'b', {contact})")
        return ids[0], ids[1], ids[2]

    def state(self, database: PostgreSQL) -> list[list[tuple[object, ...]]]:
        return [
            database.rows("select id, name, email, merged_into from crm.contact order by id"),
            database.rows("select id, contact_id from crm.note order by id"),
        ]

    @pytest.mark.parametrize("told", [{}, {**DELETING, "contact.merged_column": ""}])
    def test_merged_and_taken_back(self, database: PostgreSQL, told: dict[str, str]) -> None:
        policy = policy_of(database)
        connection = {k: v for k, v in {**policy.connection, **told}.items() if v}
        target = open_target(policy.model_copy(update={"connection": connection}), SECRETS, Path())
        target.connect()
        a, b, c = self.stand(database)
        before = self.state(database)
        merge = operation("merge", a, before={"Name": "a"}, after={"Name": "A"}, losers=(b, c))
        assert [one(target, merge).code for _ in range(2)] == ["", "FOUND"]
        assert {row[1] for row in self.state(database)[1]} == {int(a)}
        held = target.read("contact", [a, b, c], ["Name"])
        assert held[a].values == {"Name": "A"}
        assert all(i not in held or held[i].is_deleted for i in (b, c))
        back = operation("unmerge", a, "back", before={"Name": "A"}, after={"Name": "a"}, losers=(b, c))
        assert one(target, back).outcome is Outcome.DONE
        assert self.state(database) == before
        assert one(target, back).code == "NO_MERGE"
        assert one(target, merge).code == ""
        target.close()

    def test_children_named_by_the_plan_only(self, database: PostgreSQL) -> None:
        objects = {"contact": {}, "note": {}}
        target = open_target(policy_of(database, objects), SECRETS, Path())
        target.connect()
        a, b, _ = self.stand(database)
        merge = operation("merge", a, losers=(b,), children=(Child("note", "n1", "contact_id"),))
        assert one(target, merge).outcome is Outcome.DONE
        assert {row[1] for row in self.state(database)[1][:2]} == {int(a)}
        target.close()

    def test_a_child_that_a_user_moved_since_stays(
        self, database: PostgreSQL, target: PostgreSQLTarget
    ) -> None:
        a, b, c = self.stand(database)
        one(target, operation("merge", a, losers=(b,)))
        database.run(f"update crm.note set contact_id = {c} where id = 'n1'")
        answer = one(target, operation("unmerge", a, "back", losers=(b,)))
        assert (answer.outcome, answer.message) == (Outcome.DONE, "1 children were moved since and stay")
        assert dict(self.state(database)[1])["n1"] == int(c)

    def test_a_survivor_that_a_user_changed_is_a_conflict(
        self, database: PostgreSQL, target: PostgreSQLTarget
    ) -> None:
        a, b, _ = self.stand(database)
        before = self.state(database)
        merge = operation("merge", a, before={"Name": "x"}, losers=(b,))
        assert one(target, merge).outcome is Outcome.CONFLICT
        assert self.state(database) == before

    def test_a_loser_that_went_elsewhere_is_a_conflict(
        self, database: PostgreSQL, target: PostgreSQLTarget
    ) -> None:
        a, b, c = self.stand(database)
        database.run(f"update crm.contact set merged_into = {c} where id = {b}")
        assert one(target, operation("merge", a, losers=(b,))).outcome is Outcome.CONFLICT

    def test_nothing_is_deleted_without_being_told(
        self, database: PostgreSQL, target: PostgreSQLTarget
    ) -> None:
        asked = Operation("op", "merge", "account", "1", losers=("2",))
        assert one(target, asked).outcome is Outcome.REFUSED


class TestFaults:
    def test_a_session_ended_before_the_commit_took_nothing(
        self, database: PostgreSQL, target: PostgreSQLTarget
    ) -> None:
        ids = [add(database, name="a") for _ in range(2)]
        asked = [write("op1", ids[0], "Name", "a", "b"), write("op2", ids[1], "Name", "a", "cut")]
        with pytest.raises(TargetUnavailable):
            target.send(asked)
        assert names(database) == ["a", "a"]
        target.connect()
        assert one(target, asked[0]).outcome is Outcome.DONE

    @pytest.mark.parametrize(("cut", "code"), [("before", ""), ("after", "UNCHANGED")])
    def test_a_line_cut_during_the_commit(self, database: PostgreSQL, cut: str, code: str) -> None:
        record = add(database, name="a")
        made = operation("create", key="c", after={"Name": "n"}, external_id=("external_id", "e1"))
        with line_to(database.port) as line:
            target = opened(database, port=str(line.port))
            asked = write("op", record, "Name", "a", "b")
            line.cut = cut
            with pytest.raises(AnswerLost):
                target.send([asked, made])
            assert line.cuts == [cut]
            target.connect()
            again = target.send([asked, made])
            assert [a.code for a in again] == [code, "FOUND" if code else ""]
            target.close()
        assert database.rows("select name, version from crm.contact order by id") == [("b", 2), ("n", 1)]

    def test_nobody_listens(self, database: PostgreSQL) -> None:
        target = open_target(policy_of(database, port="9"), SECRETS, Path())
        with pytest.raises(TargetUnavailable):
            target.connect()

    def test_a_wrong_password_is_not_told(self, database: PostgreSQL) -> None:
        target = open_target(policy_of(database), {"password": "hush-hush"}, Path())
        with pytest.raises(SignInRefused) as raised:
            target.connect()
        assert "hush" not in str(raised.value)
        assert PASSWORD not in repr(raised.value)

    def test_a_missing_privilege(self, database: PostgreSQL) -> None:
        record = add(database, name="a")
        database.run("revoke update on crm.contact from hygiene")
        try:
            target = opened(database)
            answer = one(target, write("op", record, "Name", "a", "b"))
            assert (answer.outcome, answer.code) == (Outcome.REFUSED, "42501")
            target.close()
        finally:
            database.run("grant update on crm.contact to hygiene")


class TestSettingUp:
    @pytest.mark.parametrize(
        ("connection", "words"),
        [
            ({"contact.version_column": "name"}, "a version column is a whole number"),
            ({"contact.key_column": "idd"}, "no column 'idd'"),
            ({"contact.table": 'x"; drop table crm.note; --'}, "no table"),
            ({"ledger_schema": "public"}, 'create table "public"."crm_hygiene_operations"'),
        ],
    )
    def test_a_wrong_setting_names_itself(
        self, database: PostgreSQL, connection: dict[str, str], words: str
    ) -> None:
        target = open_target(policy_of(database, **connection), SECRETS, Path())
        with pytest.raises(ConfigurationError, match=words.replace("(", r"\(")):
            target.connect()
        assert database.rows("select count(*) from crm.note") == [(0,)]

    def test_elsewhere_the_line_is_verified(self, database: PostgreSQL) -> None:
        with pytest.raises(ConfigurationError, match="verify-full"):
            open_target(policy_of(database, host="db.example.org", sslmode="require"), SECRETS, Path())
        target = open_target(policy_of(database, host="db.example.org"), SECRETS, Path())
        assert target._parameters["sslmode"] == "verify-full"
        assert target._parameters["sslrootcert"] == "system"

    def test_a_strange_table_name_is_quoted(self, database: PostgreSQL) -> None:
        name = 'od"d; drop table crm.note'
        quoted = psycopg.sql.Identifier("crm", name).as_string(database.admin)
        database.run(
            f'create table {quoted} (id text primary key, "a b" text, version int not null default 1)'
        )
        database.run(f"grant all on {quoted} to hygiene")
        try:
            target = open_target(policy_of(database, {name: {}}), SECRETS, Path())
            target.connect()
            made = one(target, Operation("op", "create", name, None, {}, {"a b": "x'; --"}, ("id", "1")))
            assert made.outcome is Outcome.DONE
            assert target.read(name, ["1"], ["a b"])["1"].values == {"a b": "x'; --"}
            target.close()
        finally:
            database.run(f"drop table {quoted}")


def test_importing_the_target_does_not_import_the_client() -> None:
    code = "import sys, crm_hygiene.writeback.targets.postgresql; sys.exit('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_documentation_opens_and_tells_the_ledger_as_it_is(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs/targets/postgresql.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "policy.yaml").write_text(block, encoding="utf-8")
    policy = read_target_policy(tmp_path / "policy.yaml")
    assert open_target(policy, {"password": "x"}, tmp_path).batch_size == 500
    even = " ".join(text.split())
    assert f"create table crm.{LEDGER} ( {LEDGER_COLUMNS} );" in even
    assert LEDGER_COLUMNS in " ".join(SCHEMA.split())
