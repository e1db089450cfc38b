"""The official client against a local HubSpot: read-compare-write, partial answers, faults."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.operations import Answer, Operation, OperationKind, Outcome
from crm_hygiene.writeback.policy import TargetPolicy
from crm_hygiene.writeback.target import (
    AnswerLost,
    RateLimited,
    SessionExpired,
    SignInRefused,
    TargetUnavailable,
)
from crm_hygiene.writeback.targets.hubspot import HubSpotTarget, open_target
from crm_hygiene.writeback.targets.hubspot_answers import refusal_of
from crm_hygiene.writeback.targets.hubspot_properties import Property

from .hubspot_server import TOKEN, Fault, HubSpotServer, running

LINK = "associatedcompanyid"


@pytest.fixture
def server() -> Iterator[HubSpotServer]:
    with running() as state:
        yield state


def policy_of(url: str, **connection: str) -> TargetPolicy:
    return TargetPolicy.model_validate(
        {
            "target": "hubspot",
            "connector": "hubspot",
            "connection": {"host": url, "connect_seconds": "2", "answer_seconds": "5", **connection},
            "secrets": {"access_token": "HUBSPOT_TOKEN"},
            "objects": {
                "contact": {"external_id": "hygiene_id", "links": LINK, "names": {"Note": "notes_b"}},
                "company": {"external_id": "hygiene_id"},
            },
        }
    )


def opened(server: HubSpotServer, **connection: str) -> HubSpotTarget:
    target = open_target(policy_of(server.url, **connection), {"access_token": TOKEN}, Path())
    target.connect()
    server.requests.clear()
    return target


def write(key: str, record_id: str, field: str, before: str | None, after: str | None) -> Operation:
    return Operation(key, "write", "contact", record_id, {field: before}, {field: after})


def operation(kind: OperationKind, record_id: str | None = None, **told: Any) -> Operation:
    return Operation("op", kind, "contact", record_id, **told)


def one(target: HubSpotTarget, asked: Operation) -> Answer:
    (answer,) = target.send([asked])
    return answer


class TestReading:
    def test_labels_and_names_are_read_by_the_field_asked_for(self, server: HubSpotServer) -> None:
        record = server.add("contact", {"firstname": "Ann", "notes_b": "n"})
        held = opened(server).read("contact", [record, "7"], ["First Name", "firstname", "Note", "Email"])
        assert held[record].values == {"First Name": "Ann", "firstname": "Ann", "Note": "n", "Email": None}
        assert held[record].version is not None
        assert list(held) == [record]

    def test_an_ambiguous_label_is_never_guessed(self, server: HubSpotServer) -> None:
        record = server.add("contact", {"notes_a": "a"})
        answer = one(opened(server), write("op", record, "Notes", "a", "b"))
        assert answer.outcome is Outcome.REFUSED
        assert "notes_a, notes_b" in answer.message

    def test_an_archived_record_is_deleted(self, server: HubSpotServer) -> None:
        record = server.add("contact", {"firstname": "Ann"})
        server.records["contact"][record]["archived"] = True
        assert opened(server).read("contact", [record], ["firstname"])[record].is_deleted

    def test_more_than_a_batch_is_read_in_hundreds(self, server: HubSpotServer) -> None:
        ids = [server.add("contact", {"firstname": str(n)}) for n in range(250)]
        held = opened(server).read("contact", ids, ["firstname"])
        assert [held[i].values["firstname"] for i in ids] == [str(n) for n in range(250)]
        assert server.count("batch/read") == 3


class TestWriting:
    def test_a_write_lands_and_reads_back_equal(self, server: HubSpotServer) -> None:
        target = opened(server)
        after: dict[str, str | None] = {
            "Email": " Ann@X.de ", "Birthday": "2000-02-01", "Seen at": "2024-01-01T12:00:00+02:00",
            "Score": "12.50", "VIP": "yes", "Topics": "Milk;Tea", "First Name": "Ann",
        }  # fmt: skip
        record = server.add("contact", {"firstname": "x"})
        before: dict[str, str | None] = {**dict.fromkeys(after), "First Name": "x"}
        assert one(target, operation("write", record, before=before, after=after)).outcome is Outcome.DONE
        held = target.read("contact", [record], list(after))[record]
        assert target.normalise("contact", held.values) == target.normalise("contact", after)
        assert server.live("contact")[record]["topics"] == "milk;tea"

    def test_a_field_that_a_user_changed_is_not_overwritten(self, server: HubSpotServer) -> None:
        record = server.add("contact", {"firstname": "Ann", "phone": "1"})
        target = opened(server)
        server.set("contact", record, phone="2")
        answer = one(
            target,
            operation(
                "write", record,
                before={"First Name": "Ann", "Phone Number": "1"},
                after={"First Name": "A", "Phone Number": "3"},
            ),
        )  # fmt: skip
        assert answer.outcome is Outcome.CONFLICT
        assert answer.message == "changed since it was read: Phone Number"
        assert server.live("contact")[record] == {"firstname": "Ann", "phone": "2"}

    def test_another_field_that_a_user_changed_is_no_conflict(self, server: HubSpotServer) -> None:
        record = server.add("contact", {"firstname": "Ann"})
        target = opened(server)
        server.set("contact", record, phone="2")
        assert one(target, write("op", record, "First Name", "Ann", "Anna")).outcome is Outcome.DONE

    def test_sent_again_it_is_found_written(self, server: HubSpotServer) -> None:
        record = server.add("contact", {"firstname": "Ann"})
        target = opened(server)
        asked = write("op", record, "First Name", "Ann", "Anna")
        assert [one(target, asked).code for _ in range(2)] == ["", "UNCHANGED"]
        assert server.count("batch/update") == 1

    def test_two_operations_on_one_record(self, server: HubSpotServer) -> None:
        record = server.add("contact", {"firstname": "Ann"})
        asked = [
            write("a", record, "First Name", "Ann", "Anna"),
            write("b", record, "Job Title", None, "CEO"),
        ]
        assert {a.outcome for a in opened(server).send(asked)} == {Outcome.DONE}
        assert server.live("contact")[record] == {"firstname": "Anna", "jobtitle": "CEO"}
        assert server.count("batch/update") == 2

    def test_a_clear_empties_the_property(self, server: HubSpotServer) -> None:
        record = server.add("contact", {"firstname": "Ann", "phone": "1"})
        assert one(opened(server), write("op", record, "Phone Number", "1", None)).outcome is Outcome.DONE
        assert server.live("contact")[record] == {"firstname": "Ann"}

    def test_a_read_only_property_is_refused_before_anything_is_sent(self, server: HubSpotServer) -> None:
        record = server.add("contact", {"firstname": "Ann"})
        answer = one(opened(server), write("op", record, "Create Date", None, "2024-01-01"))
        assert (answer.outcome, answer.code) == (Outcome.REFUSED, "FIELD")
        assert server.requests == []

    def test_a_record_that_is_gone_is_a_conflict(self, server: HubSpotServer) -> None:
        answer = one(opened(server), write("op", "77", "First Name", "Ann", "Anna"))
        assert (answer.outcome, answer.code) == (Outcome.CONFLICT, "GONE")


class TestPartialAnswers:
    def test_one_record_of_a_207_is_refused_and_the_rest_lands(self, server: HubSpotServer) -> None:
        ids = [server.add("contact", {"firstname": "a"}) for _ in range(4)]
        server.faults.append(Fault("refuse_records", record_ids=(ids[1], ids[3])))
        answers = opened(server).send([write(f"op{i}", i, "First Name", "a", "b") for i in ids])
        assert [a.outcome.value for a in answers] == ["done", "refused", "done", "refused"]
        assert [server.live("contact")[i]["firstname"] for i in ids] == ["b", "a", "b", "a"]

    def test_a_batch_refused_as_a_whole_is_halved(self, server: HubSpotServer) -> None:
        ids = [server.add("contact", {"firstname": "a"}) for _ in range(9)]
        server.add("contact", {"email": "taken@x.de"}, "5")
        asked = [write(f"op{i}", i, "First Name", "a", "b") for i in ids]
        asked[2] = write("dup", ids[2], "Email", None, "taken@x.de")
        asked[7] = write("bad", ids[7], "Email", None, "no address")
        answers = opened(server).send(asked)
        assert [a.outcome.value for a in answers].count("done") == 7
        assert (answers[2].code, answers[2].message) == (
            "CONTACT_EXISTS", "record 5 already holds a unique value"
        )  # fmt: skip
        assert (answers[7].outcome, answers[7].code) == (Outcome.REFUSED, "INVALID_VALUE")
        assert "no address" not in answers[7].message
        assert "(email)" in answers[7].message

    def test_a_limit_reached_half_way_keeps_what_was_answered(self, server: HubSpotServer) -> None:
        ids = [server.add("contact", {"firstname": "a"}) for _ in range(4)]
        server.add("contact", {"email": "taken@x.de"}, "5")
        asked = [write(f"op{i}", i, "First Name", "a", "b") for i in ids]
        asked[3] = write("dup", ids[3], "Email", None, "taken@x.de")
        server.faults.append(Fault("status", "batch/update", status=429, skip=2))
        answers = opened(server).send(asked)
        assert [a.outcome.value for a in answers] == ["done", "done", "retry", "retry"]


class TestCreating:
    def create(self, **after: str) -> Operation:
        return operation("create", after=after, external_id=("hygiene_id", "h-1"))

    def test_a_repeat_makes_no_second_record(self, server: HubSpotServer) -> None:
        target = opened(server)
        first, second = (one(target, self.create(firstname="Ann")) for _ in range(2))
        assert first.record_id == second.record_id
        assert second.code == "FOUND"
        assert server.live("contact") == {str(first.record_id): {"firstname": "Ann", "hygiene_id": "h-1"}}
        assert target.find("contact", "hygiene_id", ["h-1", "h-2"]) == {"h-1": first.record_id}

    def test_a_repeat_leaves_what_a_user_changed_since(self, server: HubSpotServer) -> None:
        target = opened(server)
        record = str(one(target, self.create(firstname="Ann")).record_id)
        server.set("contact", record, firstname="Anna")
        one(target, self.create(firstname="Ann"))
        assert server.live("contact")[record]["firstname"] == "Anna"

    def test_an_address_that_another_contact_has_is_refused(self, server: HubSpotServer) -> None:
        other = server.add("contact", {"email": "a@x.de"})
        answer = one(opened(server), self.create(email="a@x.de"))
        assert (answer.outcome, answer.code) == (Outcome.REFUSED, "CONTACT_EXISTS")
        assert other in answer.message
        assert len(server.live("contact")) == 1

    def test_a_record_comes_with_its_company_or_not_at_all(self, server: HubSpotServer) -> None:
        company = server.add("company", {"name": "X"})
        target = opened(server)
        wrong = one(target, self.create(firstname="Ann", **{LINK: "99"}))
        assert (wrong.outcome, wrong.code) == (Outcome.REFUSED, "INVALID_ASSOCIATION")
        server.faults.append(Fault("drop_after", "batch/create"))
        with pytest.raises(AnswerLost):
            target.send([self.create(firstname="Ann", **{LINK: company})])
        answer = one(target, self.create(firstname="Ann", **{LINK: company}))
        assert answer.code == "FOUND"
        record = str(answer.record_id)
        assert target.read("contact", [record], [LINK])[record].values == {LINK: company}
        assert len(server.live("contact")) == 1

    def test_an_answer_lost_after_the_commit_makes_no_second_record(self, server: HubSpotServer) -> None:
        target = opened(server)
        server.faults.append(Fault("drop_after", "batch/upsert"))
        with pytest.raises(AnswerLost):
            target.send([self.create(firstname="Ann")])
        assert one(target, self.create(firstname="Ann")).code == "FOUND"
        assert len(server.live("contact")) == 1

    def test_a_create_is_taken_back_unless_it_was_changed(self, server: HubSpotServer) -> None:
        target = opened(server)
        record = str(one(target, self.create(firstname="Ann")).record_id)
        back = operation("delete", record, before={"firstname": "Ann"})
        server.set("contact", record, firstname="Anna")
        assert one(target, back).outcome is Outcome.CONFLICT
        server.set("contact", record, firstname="Ann")
        assert [one(target, back).code for _ in range(2)] == ["", "FOUND"]
        assert server.live("contact") == {}


class TestLinks:
    def test_the_primary_company_is_moved_and_put_back(self, server: HubSpotServer) -> None:
        first, second = (server.add("company", {"name": n}) for n in "AB")
        record = server.add("contact", {"firstname": "Ann"})
        target = opened(server)
        for n, (before, after) in enumerate([(None, first), (first, second), (second, None)]):
            assert one(target, write(f"op{n}", record, LINK, before, after)).outcome is Outcome.DONE
            assert target.read("contact", [record], [LINK])[record].values[LINK] == after
        assert set(server.links["contact", record]) == {first}

    def test_a_company_that_is_gone_refuses_the_link_and_sends_no_more(self, server: HubSpotServer) -> None:
        record = server.add("contact", {"firstname": "Ann"})
        answer = one(
            opened(server),
            operation(
                "write", record,
                before={LINK: None, "First Name": "Ann"}, after={LINK: "99", "First Name": "Anna"},
            ),
        )  # fmt: skip
        assert answer.outcome is Outcome.CONFLICT
        assert server.live("contact")[record]["firstname"] == "Ann"


class TestSuppressing:
    def test_an_opt_out_goes_through_the_subscriptions(self, server: HubSpotServer) -> None:
        record = server.add("contact", {"email": "a@x.de"})
        target = opened(server)
        flag = "Unsubscribed from all email"
        assert one(target, write("op", record, flag, None, "true")).outcome is Outcome.DONE
        assert server.opted_out == {"a@x.de"}
        assert target.read("contact", [record], [flag])[record].values == {flag: "true"}

    def test_an_opt_out_is_never_taken_back(self, server: HubSpotServer) -> None:
        record = server.add("contact", {"email": "a@x.de", "hs_email_optout": "true"})
        answer = one(opened(server), write("op", record, "Unsubscribed from all email", "true", None))
        assert answer.outcome is Outcome.REFUSED

    def test_without_an_address_there_is_nobody_to_unsubscribe(self, server: HubSpotServer) -> None:
        record = server.add("contact", {"firstname": "Ann"})
        answer = one(opened(server), write("op", record, "Unsubscribed from all email", None, "true"))
        assert answer.code == "NO_ADDRESS"


class TestMerging:
    def merge(self, survivor: str, *losers: str) -> Operation:
        return operation("merge", survivor, losers=losers)

    def test_losers_go_and_a_repeat_changes_nothing(self, server: HubSpotServer) -> None:
        ids = [server.add("contact", {"firstname": n, "phone": n}) for n in "abc"]
        target = opened(server)
        answers = [one(target, self.merge(*ids)) for _ in range(2)]
        assert [a.code for a in answers] == ["", "FOUND"]
        assert answers[0].record_id == answers[1].record_id
        assert server.live("contact") == {answers[0].record_id: {"firstname": "a", "phone": "a"}}
        assert server.count("/merge") == 2
        held = opened(server).read("contact", ids, ["firstname"])
        assert all(held[i].is_deleted for i in ids)

    def test_stopped_between_two_losers_it_goes_on(self, server: HubSpotServer) -> None:
        ids = [server.add("contact", {"firstname": n}) for n in "abc"]
        target = opened(server)
        server.faults.append(Fault("drop_after", "/merge", skip=1))
        assert one(target, self.merge(*ids)).outcome is Outcome.UNCERTAIN
        assert one(target, self.merge(*ids)).code == "FOUND"
        assert len(server.live("contact")) == 1

    def test_one_survivor_of_several_merges(self, server: HubSpotServer) -> None:
        ids = [server.add("contact", {"firstname": n}) for n in "abc"]
        target = opened(server)
        first, second = one(target, self.merge(ids[0], ids[1])), one(target, self.merge(ids[0], ids[2]))
        assert (first.outcome, second.outcome) == (Outcome.DONE, Outcome.DONE)
        held = target.read("contact", ids, ["firstname"])
        assert [held[i].is_deleted for i in ids] == [False, True, True]
        asked = write("after", ids[0], "First Name", "a", "A")
        assert one(target, asked).outcome is Outcome.DONE
        assert server.live("contact") == {str(second.record_id): {"firstname": "A"}}

    def test_it_cannot_be_taken_back(self, server: HubSpotServer) -> None:
        target = opened(server)
        assert "unmerge" not in target.kinds
        assert one(target, operation("unmerge", "1", losers=("2",))).outcome is Outcome.REFUSED


class TestFaults:
    def asked(self, server: HubSpotServer) -> Operation:
        return write("op", server.add("contact", {"firstname": "Ann"}), "First Name", "Ann", "Anna")

    @pytest.mark.parametrize(
        ("headers", "policy", "seconds"),
        [({"Retry-After": "7"}, "SECONDLY", 7.0), ({}, "TEN_SECONDLY_ROLLING", 10.0), ({}, "DAILY", None)],
    )
    def test_a_limit_is_told_once_and_not_waited_out(
        self, server: HubSpotServer, headers: dict[str, str], policy: str, seconds: float | None
    ) -> None:
        target = opened(server)
        body = {"status": "error", "policyName": policy, "errorType": "RATE_LIMIT"}
        server.faults.append(Fault("status", times=99, status=429, headers=headers, body=body))
        with pytest.raises(RateLimited, match=policy) as raised:
            target.send([self.asked(server)])
        assert raised.value.retry_after == seconds
        assert len(server.requests) == 1

    def test_a_target_that_is_down_took_nothing(self, server: HubSpotServer) -> None:
        target = opened(server)
        server.faults.append(Fault("status", "batch/update", status=503, headers={"Retry-After": "1"}))
        with pytest.raises(TargetUnavailable):
            target.send([self.asked(server)])
        assert server.count("batch/update") == 1

    @pytest.mark.parametrize("kind", ["drop_before", "drop_after", "hang"])
    def test_no_answer_to_a_write_is_not_known(self, server: HubSpotServer, kind: str) -> None:
        # Long enough for a busy machine to answer the reads that go before the write.
        target = opened(server, answer_seconds="2" if kind == "hang" else "5")
        asked = self.asked(server)
        server.faults.append(Fault(kind, "batch/update"))
        with pytest.raises(AnswerLost):
            target.send([asked])
        assert server.count("batch/update") == 1
        if kind != "hang":
            assert one(target, asked).outcome is Outcome.DONE
            assert next(iter(server.live("contact").values()))["firstname"] == "Anna"

    def test_a_gateway_that_gave_up_leaves_a_write_unknown(self, server: HubSpotServer) -> None:
        target = opened(server)
        asked = self.asked(server)
        server.faults.append(Fault("status", "batch/update", status=504))
        with pytest.raises(AnswerLost):
            target.send([asked])

    def test_no_answer_to_a_read_took_nothing(self, server: HubSpotServer) -> None:
        target = opened(server)
        server.faults.append(Fault("drop_before", "batch/read"))
        with pytest.raises(TargetUnavailable):
            target.read("contact", ["1"], ["firstname"])

    def test_nobody_listens(self, server: HubSpotServer) -> None:
        target = open_target(policy_of("http://127.0.0.1:9"), {"access_token": TOKEN}, Path())
        with pytest.raises(TargetUnavailable):
            target.connect()

    def test_plain_http_behind_an_https_address(self, server: HubSpotServer) -> None:
        address = server.url.replace("http://", "https://")
        target = open_target(policy_of(address), {"access_token": TOKEN}, Path())
        with pytest.raises(TargetUnavailable):
            target.connect()


class TestSignIn:
    def test_the_token_expires_midway_and_is_refreshed(self, server: HubSpotServer) -> None:
        secrets = {"client_id": "c", "client_secret": "s", "refresh_token": "refresh-1"}
        target = open_target(policy_of(server.url), secrets, Path())
        target.connect()
        asked = write("op", server.add("contact", {"firstname": "Ann"}), "First Name", "Ann", "Anna")
        server.tokens = {"another"}
        with pytest.raises(SessionExpired):
            target.send([asked])
        target.connect()
        assert one(target, asked).outcome is Outcome.DONE
        assert set(target.session_secrets()) == server.tokens

    @pytest.mark.parametrize("secret", ["wrong", "pat-old"])
    def test_a_token_that_is_refused_is_not_tried_again(self, server: HubSpotServer, secret: str) -> None:
        target = open_target(policy_of(server.url), {"access_token": secret}, Path())
        with pytest.raises(SignInRefused) as raised:
            target.connect()
        assert secret not in str(raised.value)
        assert len(server.requests) == 1

    def test_a_wrong_refresh_token(self, server: HubSpotServer) -> None:
        secrets = {"client_id": "c", "client_secret": "s", "refresh_token": "old"}
        with pytest.raises(SignInRefused):
            open_target(policy_of(server.url), secrets, Path()).connect()

    def test_the_token_is_not_logged(self, server: HubSpotServer, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            opened(server).read("contact", ["1"], ["firstname"])
        assert TOKEN not in caplog.text

    @pytest.mark.parametrize("host", ["http://api.hubapi.com", "ftp://127.0.0.1"])
    def test_only_tls_leaves_this_machine(self, host: str) -> None:
        with pytest.raises(ConfigurationError, match="https"):
            open_target(policy_of(host), {"access_token": TOKEN}, Path())

    def test_a_secret_is_needed(self) -> None:
        with pytest.raises(ConfigurationError, match="access_token"):
            open_target(policy_of("https://api.hubapi.com"), {}, Path())


def test_importing_the_target_does_not_import_the_client() -> None:
    code = "import sys, crm_hygiene.writeback.targets.hubspot; sys.exit('hubspot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(
    st.builds(
        Property,
        st.sampled_from(["email", "x"]),
        kind=st.sampled_from(["string", "bool", "number", "date", "datetime", "enumeration"]),
        field_type=st.sampled_from(["text", "checkbox", "booleancheckbox", "select"]),
        options=st.just({"Tea": "tea", "Milk": "milk"}),
    ),
    st.one_of(
        st.none(),
        st.text(max_size=20),
        st.decimals().map(str),
        st.datetimes().map(str),
        st.integers().map(str),
    ),
)
def test_normalising_twice_is_normalising_once(told: Property, value: str | None) -> None:
    once = told.normalise(value)
    assert told.normalise(once) == once


@given(st.text(max_size=40))
def test_a_message_never_repeats_a_sentence_of_hubspots(value: str) -> None:
    told = {
        "category": "VALIDATION_ERROR",
        "message": f"the value {value!r} is wrong",
        "errors": [{"code": value}],
    }
    refusal = refusal_of(told, 400)
    assert refusal.message.startswith("refused as VALIDATION_ERROR")
