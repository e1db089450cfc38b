"""Salesforce through the whole delivery: a plan applied, faults on the way, results collected."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from crm_hygiene.writeback.delivery.secrets import Secret
from crm_hygiene.writeback.policy import TargetPolicy
from crm_hygiene.writeback.targets import salesforce, salesforce_files

from ..delivery.delivering import MemoryLake, apply, change, plan, policy, states
from .salesforce_server import CLIENT_SECRET, Fault, SalesforceServer
from .test_salesforce_files import jobs, result

OBJECTS = {
    "Contact": {
        "default_winner": "golden",
        "external_id": "Hygiene_Id__c",
        "creates": True,
        "merges": True,
        "children": [{"object": "Opportunity", "field": "ContactId"}],
    }
}


def policy_of(connector: str, **connection: str) -> TargetPolicy:
    return policy(connector=connector, connection=connection, objects=OBJECTS)


def live(server: SalesforceServer, **connection: str) -> tuple[TargetPolicy, Any]:
    told = policy_of(
        "salesforce",
        client_id="3MVG9",
        login_url=server.url,
        bulk_poll_seconds="0.001",
        **connection,
    )
    return told, salesforce.open_target(told, {"client_secret": Secret(CLIENT_SECRET)}, Path())


def test_updates_creates_and_a_merge_arrive_once_though_much_fails_on_the_way() -> None:
    with SalesforceServer() as server:
        ids = [server.add("Contact", n, Title="old", Email=f"p{n}@example.com") for n in range(6)]
        deal = server.add("Opportunity", 1, ContactId=ids[5])
        server.touch(ids[1], Title="by hand")
        server.duplicate_emails = {"twin@example.com"}
        server.faults = [
            Fault("oauth2", status=503, headers={"Retry-After": "1"}),
            Fault("PATCH .*/sobjects/Contact/003", status=429, headers={"Retry-After": "5"}, skip=1),
            Fault("PATCH .*/sobjects/Contact/003", status=401, body=[{"errorCode": "INVALID_SESSION_ID"}]),
            Fault("PATCH .*/composite", "drop_after"),
            Fault("Soap", "drop_after"),
        ]
        changes = plan(
            *(change(i, "Title", "old", "new") for i in ids[:4]),
            change(ids[2], "Email", "p2@example.com", "twin@example.com"),
            change("P-new", "LastName", None, "Doe", kind="create"),
            change(ids[5], "merged_into", ids[5], ids[4], kind="merge"),
            change(deal, "ContactId", ids[5], ids[4], kind="reparent", object_name="Opportunity"),
        )
        told, target = live(server)
        lake = MemoryLake()
        apply(lake, target, changes, told)
        assert [fault.times for fault in server.faults] == [0] * 5
        assert [server.records[i]["Title"] for i in ids[:4]] == ["new", "by hand", "old", "new"]
        assert [r["LastName"] for r in server.live("Contact") if r["Hygiene_Id__c"] == "P-new"] == ["Doe"]
        assert server.records[ids[5]]["MasterRecordId"] == ids[4]
        assert server.records[deal]["ContactId"] == ids[4]
        state = states(lake, told)
        assert (state[ids[0]], state[ids[1]], state[ids[2]]) == ("delivered", "conflict", "refused")
        before = len(server.calls("^(PATCH|POST .*Soap|DELETE)"))
        apply(lake, target, changes, told, apply_id="A-2")
        assert len(server.calls("^(PATCH|POST .*Soap|DELETE)")) == before


class _TickingServer(SalesforceServer):
    """Every change of a record is a second later than the one before."""

    def _touch(self, record_id: str) -> None:
        self.now += timedelta(seconds=1)
        super()._touch(record_id)


def test_two_operations_on_one_record_both_arrive_though_the_first_makes_a_new_version() -> None:
    with _TickingServer() as server:
        contact = server.add("Contact", 1, Title="old", AccountId="001000000000001AAA")
        changes = plan(
            change(contact, "Title", "old", "new"),
            change(contact, "AccountId", "001000000000001AAA", "001000000000002AAA", kind="reparent"),
        )
        told, target = live(server)
        lake = MemoryLake()
        assert apply(lake, target, changes, told).done == {"delivered": 2}
        held = server.records[contact]
        assert (held["Title"], held["AccountId"]) == ("new", "001000000000002AAA")
        # The second was refused with 412, compared again, and sent with the newer version.
        patches = server.calls("^PATCH .*/sobjects/Contact/003")
        assert len(patches) == 3


def test_a_large_plan_goes_as_bulk_jobs() -> None:
    with SalesforceServer() as server:
        ids = [server.add("Contact", n, Title="old") for n in range(8)]
        told, target = live(server, bulk_from="4")
        server.bulk_reach = 2
        server.faults = [Fault("^PATCH .*/jobs/ingest/", "drop_after")]
        lake = MemoryLake()
        apply(lake, target, plan(*(change(i, "Title", "old", "new") for i in ids)), told)
        assert {server.records[i]["Title"] for i in ids} == {"new"}
        assert set(states(lake, told).values()) <= {"delivered", "found"}
        assert server.jobs


def test_files_are_written_once_and_their_results_decide(tmp_path: Path) -> None:
    told = policy_of("salesforce_files", folder="out")
    with SalesforceServer() as server:
        a, b = (server.add("Contact", n, Title="old") for n in range(2))
    changes = plan(change(a, "Title", "old", "new"), change(b, "Title", "old", "newer"))
    lake = MemoryLake()
    for number in range(2):
        target = salesforce_files.open_target(told, {}, tmp_path)
        apply(lake, target, changes, told, apply_id=f"A-{number}")
    (job,) = jobs(tmp_path)
    assert states(lake, told) == {a: "written", b: "written"}
    result(job, "successfulResults", {a: (a, "false")})
    result(job, "failedResults", {b: (b, "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access --")})
    apply(lake, salesforce_files.open_target(told, {}, tmp_path), changes, told, apply_id="A-2")
    assert states(lake, told)[a] == "delivered"
    (second,) = [j for j in jobs(tmp_path) if j != job]
    assert (second / "data.csv").read_text() == f"Id,Title\n{b},newer\n"
    result(second, "successfulResults", {b: (b, "false")})
    apply(lake, salesforce_files.open_target(told, {}, tmp_path), changes, told, apply_id="A-3")
    assert states(lake, told) == {a: "delivered", b: "delivered"}
    assert len(jobs(tmp_path)) == 2
