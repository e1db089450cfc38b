"""HubSpot through the whole delivery: applied, faults on the way, taken back; import files collected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crm_hygiene.writeback.delivery.delivery_log import DeliveryLog
from crm_hygiene.writeback.policy import TargetPolicy
from crm_hygiene.writeback.targets import hubspot, hubspot_files
from crm_hygiene.writeback.targets.hubspot_sending import Sending

from ..delivery.delivering import Killed, MemoryLake, apply, delivery, plan, policy, states
from ..delivery.delivering import change as change_of
from .hubspot_server import TOKEN, Fault, running

LINK = "Associated Company IDs"


def change(record_id: str, column: str, before: str | None, after: str | None, kind: str = "update") -> Any:
    return change_of(record_id, column, before, after, kind, "contact")


def policy_of(connector: str, **connection: str) -> TargetPolicy:
    contact = {
        "default_winner": "golden",
        "external_id": "hygiene_id",
        "creates": True,
        "merges": True,
        "links": LINK,
    }
    return policy(connector=connector, connection=connection, objects={"contact": contact})


def test_a_plan_arrives_once_though_much_fails_on_the_way_and_is_taken_back() -> None:
    with running() as server:
        ids = [server.add("contact", {"firstname": "old", "email": f"p{n}@x.de"}) for n in range(7)]
        company = server.add("company", {"name": "X"})
        server.set("contact", ids[1], firstname="by hand")
        changes = plan(
            *(change(i, "First Name", "old", "new") for i in ids[:4]),
            change(ids[2], "Email", "p2@x.de", "p0@x.de"),
            change(ids[3], LINK, None, company, kind="link"),
            change("P-new", "Last Name", None, "Doe", kind="create"),
            change("P-new", LINK, None, company, kind="create"),
            change(ids[5], "merged_into", ids[5], ids[4], kind="merge"),
            change(ids[6], "merged_into", ids[6], ids[4], kind="merge"),
        )
        before = {i: dict(server.records["contact"][i]["properties"]) for i in ids[:4]}
        server.faults = [
            Fault("status", "batch/read", status=503),
            Fault("status", "batch/update", status=429, headers={"Retry-After": "5"}),
            Fault("drop_after", "batch/update"),
            Fault("drop_before", "batch/create", skip=1),
            Fault("drop_after", "contact/batch/create"),
            Fault("drop_after", "/merge"),
        ]
        told = policy_of("hubspot", host=server.url)
        lake = MemoryLake()
        apply(lake, hubspot.open_target(told, {"access_token": TOKEN}, Path()), changes, told)
        live = server.live("contact")
        assert [live[i]["firstname"] for i in ids[:4]] == ["new", "by hand", "old", "new"]
        assert sum(p.get("lastname") == "Doe" for p in live.values()) == 1
        assert len(live) == 4 + 1 + 1
        assert company in server.links["contact", ids[3]]
        state = states(lake, told)
        assert (state[ids[1]], state[ids[2]]) == ("conflict", "refused")
        assert all(f.times == 0 for f in server.faults)

        writes = ("batch/update", "batch/upsert", "batch/create", "/merge")
        sent = [server.count(w) for w in writes]
        apply(lake, hubspot.open_target(told, {"access_token": TOKEN}, Path()), changes, told, apply_id="A-2")
        assert [server.count(w) for w in writes] == sent

        taken_back = delivery(
            lake, hubspot.open_target(told, {"access_token": TOKEN}, Path()), told, apply_id="U"
        )
        taken_back.undo("A-1")
        live = server.live("contact")
        assert {i: live[i] for i in ids[:4]} == {**before, ids[1]: {**before[ids[1]], "firstname": "by hand"}}
        assert not any(p.get("lastname") == "Doe" for p in live.values())
        assert company not in server.links["contact", ids[3]]


@pytest.mark.parametrize("killed_at", ["first", "second"])
def test_a_merge_whose_answer_a_kill_lost_is_done_once(
    killed_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as server:
        ids = [server.add("contact", {"firstname": "Ann"}) for _ in range(3)]
        changes = plan(
            change(ids[1], "merged_into", ids[1], ids[0], kind="merge"),
            change(ids[2], "merged_into", ids[2], ids[0], kind="merge"),
        )
        told = policy_of("hubspot", host=server.url)
        lake = MemoryLake()
        sent = Sending.sent
        calls = 0

        def killed(self: Sending, *words: Any) -> Any:
            nonlocal calls
            answer = sent(self, *words)
            calls += 1
            if calls == (1 if killed_at == "first" else 2):
                lake.is_dead = True
                raise Killed
            return answer

        target = hubspot.open_target(told, {"access_token": TOKEN}, Path())
        with monkeypatch.context() as patched:
            patched.setattr(Sending, "sent", killed)
            with pytest.raises(Killed):
                apply(lake, target, changes, told)
        lake.is_dead = False
        assert set(states(lake, told).values()) == {"sending"}
        # Another process: nothing is remembered of the id under which the survivor lives on.
        apply(lake, hubspot.open_target(told, {"access_token": TOKEN}, Path()), changes, told, apply_id="A-2")
        assert len(server.live("contact")) == 1
        assert server.count("/merge") == 2
        log = DeliveryLog(lake, told, {})
        assert {log.state(key) for key in log.entries} <= {"found", "delivered"}
        # A later apply writes to the survivor by the id that the plan knows.
        later = plan(change(ids[0], "First Name", "Ann", "Anna"))
        apply(lake, hubspot.open_target(told, {"access_token": TOKEN}, Path()), later, told, apply_id="A-3")
        assert [p["firstname"] for p in server.live("contact").values()] == ["Anna"]


def test_files_are_written_once_and_the_error_file_decides(tmp_path: Path) -> None:
    told = policy_of("hubspot_files", folder="out")
    changes = plan(change("1", "First Name", "old", "new"), change("2", "First Name", "old", "newer"))
    lake = MemoryLake()

    def once(apply_id: str) -> None:
        apply(lake, hubspot_files.open_target(told, {}, tmp_path), changes, told, apply_id=apply_id)

    once("A-0")
    once("A-1")
    (first,) = (tmp_path / "out").iterdir()
    assert states(lake, told) == {"1": "written", "2": "written"}
    (first / "errors.csv").write_text("Record ID,Error type\n2,FAILED_VALIDATION\n")
    once("A-2")
    assert states(lake, told) == {"1": "delivered", "2": "refused"}
