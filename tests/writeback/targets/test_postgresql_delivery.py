"""PostgreSQL through the whole delivery: applied, killed, applied again, taken back to the row."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from crm_hygiene.writeback.delivery.delivery_log import DeliveryLog
from crm_hygiene.writeback.delivery.repair import unpark
from crm_hygiene.writeback.policy import TargetPolicy
from crm_hygiene.writeback.targets import postgresql
from crm_hygiene.writeback.targets.postgresql import PostgreSQLTarget

from ..delivery.delivering import START, Killed, MemoryLake, apply, delivery, plan, policy, states
from ..delivery.delivering import change as change_of
from .postgresql_server import PASSWORD, PostgreSQL, line_to

CONTACTS = "select id, name, email, account_id, merged_into, external_id from crm.contact order by id"
NOTES = "select id, contact_id from crm.note order by id"


@pytest.fixture
def database(cluster: PostgreSQL) -> PostgreSQL:
    cluster.empty()
    cluster.run("insert into crm.account (name) values ('X')")
    cluster.run(
        "insert into crm.contact (name, email) select 'old', n || '@x.de' from generate_series(1, 7) n"
    )
    cluster.run("insert into crm.note (id, contact_id) values ('n1', 6), ('n2', 7)")
    return cluster


def change(
    record_id: str,
    column: str,
    before: str | None,
    after: str | None,
    kind: str = "update",
    of: str = "contact",
) -> Any:
    return change_of(record_id, column, before, after, kind, of)


CHANGES = plan(
    *(change(str(n), "name", "old", "new") for n in (1, 2, 3, 4)),
    change("3", "email", "3@x.de", "1@x.de"),
    change("4", "account_id", None, "1", kind="link"),
    change("P-new", "name", None, "Doe", kind="create"),
    change("6", "merged_into", "6", "5", kind="merge"),
    change("7", "merged_into", "7", "5", kind="merge"),
    change("n1", "contact_id", "6", "5", kind="reparent", of="note"),
)


def policy_of(database: PostgreSQL, port: int | None = None) -> TargetPolicy:
    return policy(
        connector="postgresql",
        connection=database.connection(port),
        objects={
            "contact": {
                "default_winner": "golden", "external_id": "external_id", "creates": True, "merges": True,
                "links": "account_id", "children": [{"object": "note", "field": "contact_id"}],
            },
            "note": {"default_winner": "golden"},
        },
    )  # fmt: skip


def opened(told: TargetPolicy) -> PostgreSQLTarget:
    return postgresql.open_target(told, {"password": PASSWORD}, Path())


def check(database: PostgreSQL) -> None:
    rows = database.rows(CONTACTS)
    assert [row[1] for row in rows] == ["new", "by hand", "old", "new", "old", "old", "old", "Doe"]
    assert [row[4] for row in rows] == [None] * 5 + [5, 5, None]
    assert rows[3][3] == 1
    assert database.rows(NOTES) == [("n1", 5), ("n2", 5)]


def test_applied_once_and_taken_back(database: PostgreSQL) -> None:
    before = database.rows(CONTACTS)
    database.run("update crm.contact set name = 'by hand' where id = 2")
    told, lake = policy_of(database), MemoryLake()
    apply(lake, opened(told), CHANGES, told)
    check(database)
    state = states(lake, told)
    assert (state["2"], state["3"]) == ("conflict", "refused")
    versions = database.rows("select id, version from crm.contact order by id")
    apply(lake, opened(told), CHANGES, told, apply_id="A-2")
    assert database.rows("select id, version from crm.contact order by id") == versions
    delivery(lake, opened(told), told, apply_id="U").undo("A-1")
    after = database.rows(CONTACTS)
    assert [row for row in after if row[0] != 2] == [row for row in before if row[0] != 2]
    assert database.rows(NOTES) == [("n1", 6), ("n2", 7)]
    apply(lake, opened(told), CHANGES, told, apply_id="A-3")
    assert database.rows(CONTACTS) == after
    unpark(DeliveryLog(lake, told, {}), "R", START)
    apply(lake, opened(told), CHANGES, told, apply_id="A-4")
    assert [row[1] for row in database.rows(CONTACTS)].count("Doe") == 1


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_line_cut_during_the_commit(database: PostgreSQL, cut: str) -> None:
    database.run("update crm.contact set name = 'by hand' where id = 2")
    with line_to(database.port) as line:
        told, lake = policy_of(database, line.port), MemoryLake()
        target = opened(told)
        line.cut = cut
        apply(lake, target, CHANGES, told)
        assert line.cuts == [cut]
    check(database)


@pytest.mark.parametrize("commits", range(1, 12))
def test_killed_at_any_commit_of_the_lake(database: PostgreSQL, commits: int) -> None:
    database.run("update crm.contact set name = 'by hand' where id = 2")
    told, lake = policy_of(database), MemoryLake()
    keep = lake.append

    def dying(*given: Any, **named: Any) -> bool:
        lake.is_dead = lake.commits >= commits
        return keep(*given, **named)

    lake.append = dying  # type: ignore[method-assign]
    with suppress(Killed):
        apply(lake, opened(told), CHANGES, told)
    lake.append, lake.is_dead = keep, False  # type: ignore[method-assign]
    apply(lake, opened(told), CHANGES, told, apply_id="A-2")
    check(database)
    assert set(database.rows("select version from crm.contact where name = 'new'")) == {(2,)}
