"""The live Salesforce target: the real simple-salesforce against a local server that keeps state."""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.delivery.precondition import judge_create, judge_write
from crm_hygiene.writeback.delivery.secrets import Secret
from crm_hygiene.writeback.operations import Answer, Operation, OperationKind, Outcome
from crm_hygiene.writeback.policy import TargetPolicy
from crm_hygiene.writeback.target import (
    AnswerLost,
    HoldsSecrets,
    RateLimited,
    SessionExpired,
    SignInRefused,
    TargetError,
    TargetUnavailable,
)
from crm_hygiene.writeback.targets.salesforce import SalesforceTarget, open_target
from crm_hygiene.writeback.targets.salesforce_types import FieldType, as_json, as_text, long_id, normalised

from .salesforce_server import (
    CLIENT_SECRET,
    PASSWORD,
    SECURITY_TOKEN,
    Fault,
    SalesforceServer,
    salesforce_id,
)

PATCH = r"^PATCH /services/data/v[\d.]+/sobjects/"
COLLECTION = r"^(PATCH|DELETE) /services/data/v[\d.]+/composite/sobjects"
JOBS = r"/jobs/ingest"
TOKEN = {"access_token": Secret("first-token-0001")}


@pytest.fixture
def server() -> Iterator[SalesforceServer]:
    with SalesforceServer() as server:
        yield server


def target_of(
    server: SalesforceServer, secrets: dict[str, Secret] | None = None, **connection: str
) -> SalesforceTarget:
    given = {"instance_url": server.url, "bulk_poll_seconds": "0.001", "timeout_seconds": "5"} | connection
    objects = {"Contact": {"external_id": "Hygiene_Id__c", "names": {"job_title": "Title"}}}
    policy = TargetPolicy.model_validate(
        {"target": "salesforce", "connector": "salesforce", "connection": given, "objects": objects}
    )
    target = open_target(policy, secrets or TOKEN, Path())
    assert isinstance(target, SalesforceTarget)
    return target


@pytest.fixture
def target(server: SalesforceServer) -> Iterator[SalesforceTarget]:
    target = target_of(server)
    target.connect()
    yield target
    target.close()


def operation(
    record_id: str | None = None, kind: OperationKind = "write", object_name: str = "Contact", **options: Any
) -> Operation:
    options.setdefault("operation_id", f"op-{record_id or options.get('external_id')}")
    return Operation(kind=kind, object=object_name, record_id=record_id, **options)


def create(key: str, **values: str | None) -> Operation:
    return operation(kind="create", external_id=("Hygiene_Id__c", key), after={"LastName": key, **values})


def outcomes(answers: list[Answer]) -> list[str]:
    return [answer.outcome.value for answer in answers]


# -- signing in --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secrets", "connection"),
    [
        (
            {"password": Secret(PASSWORD), "security_token": Secret(SECURITY_TOKEN)},
            {"username": "hygiene@example.com"},
        ),
        ({"client_secret": Secret(CLIENT_SECRET)}, {"client_id": "3MVG9"}),
    ],
)
def test_signs_in_by_password_or_client_credentials_and_sends_the_secret_itself(
    server: SalesforceServer, secrets: dict[str, Secret], connection: dict[str, str]
) -> None:
    record_id = server.add("Contact", 1, Title="CFO")
    target = target_of(server, secrets, login_url=server.url, **connection)
    target.connect()
    assert target.read("Contact", [record_id], ["Title"])[record_id].values == {"Title": "CFO"}


def test_signs_in_by_jwt(server: SalesforceServer) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    way = {"login_url": server.url, "client_id": "3MVG9", "username": "hygiene@example.com"}
    target = target_of(server, {"private_key": Secret(pem)}, **way)
    target.connect()
    assert target.read("Contact", [], []) == {}
    with pytest.raises(SignInRefused) as caught:
        target_of(server, {"private_key": Secret("no key at all")}, **way).connect()
    assert "no key at all" not in str(caught.value)


@pytest.mark.parametrize("key", ["password", "client_secret"])
def test_refused_credentials_are_said_without_them(server: SalesforceServer, key: str) -> None:
    way = {"username": "u@example.com", "client_id": "3MVG9", "login_url": server.url}
    target = target_of(server, {key: Secret("wrong-one")}, **way)
    with pytest.raises(SignInRefused) as caught:
        target.connect()
    assert "wrong-one" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_busy_sign_in_is_no_refusal(server: SalesforceServer) -> None:
    target = target_of(
        server, {"client_secret": Secret(CLIENT_SECRET)}, client_id="3MVG9", login_url=server.url
    )
    server.faults = [
        Fault("oauth2", status=503, body="busy"),
        Fault("oauth2", status=429, headers={"Retry-After": "9"}),
    ]
    with pytest.raises(TargetUnavailable):
        target.connect()
    with pytest.raises(RateLimited) as caught:
        target.connect()
    assert caught.value.retry_after == 9


def test_an_expired_session_is_renewed_by_connect_and_a_fixed_token_is_not(server: SalesforceServer) -> None:
    record_id = server.add("Contact", 1)
    way = {"client_id": "3MVG9", "login_url": server.url}
    target = target_of(server, {"client_secret": Secret(CLIENT_SECRET)}, **way)
    target.connect()
    server.tokens.clear()
    with pytest.raises(SessionExpired):
        target.read("Contact", [record_id], [])
    target.connect()
    assert list(target.read("Contact", [record_id], [])) == [record_id]
    fixed = target_of(server)
    fixed.connect()
    with pytest.raises(SessionExpired):
        fixed.read("Contact", [record_id], [])
    with pytest.raises(SignInRefused):
        fixed.connect()


def test_the_library_never_signs_in_behind_our_back(server: SalesforceServer) -> None:
    record_id = server.add("Contact", 1)
    way = {"username": "u@example.com", "login_url": server.url}
    secrets = {"password": Secret(PASSWORD), "security_token": Secret(SECURITY_TOKEN)}
    target = target_of(server, secrets, **way)
    target.connect()
    server.tokens.clear()
    with pytest.raises(SessionExpired):
        target.send([operation(record_id, after={"Title": "CFO"}, version="2026-11-20T12:00:00.000+0000")])
    assert len(server.calls("Soap")) == 1


@pytest.mark.parametrize(
    ("connection", "secrets", "words"),
    [
        ({"instance_url": "http://crm.example.com"}, TOKEN, "must begin with https://"),
        ({"instance_ulr": "x"}, TOKEN, "did you mean 'instance_url'"),
        ({"bulk_from": "many"}, TOKEN, "connection.bulk_from must be a number"),
        ({}, {}, "secrets name none of"),
        ({}, {"client_secret": Secret("x")}, "needs connection.client_id"),
        ({}, {"pasword": Secret("x")}, "did you mean 'password'"),
        ({"ca_bundle": "nowhere.pem"}, TOKEN, "no such file"),
        ({"version": "v62"}, TOKEN, 'like "62.0"'),
        ({"version": "65.0", "username": "u"}, {"password": Secret("x")}, "has no SOAP login"),
    ],
)
def test_a_wrong_connection_is_refused_before_anything_is_sent(
    connection: dict[str, str], secrets: dict[str, Secret], words: str
) -> None:
    base = {"instance_url": "https://x.my.salesforce.com"}
    policy = TargetPolicy(target="salesforce", connection=base | connection)
    with pytest.raises(ConfigurationError, match=words):
        open_target(policy, secrets, Path())


def test_tls_is_verified_and_a_companys_own_authority_can_be_named(tmp_path: Path) -> None:
    context, authority = _own_authority(tmp_path)
    with SalesforceServer(tls=context) as server:
        record_id = server.add("Contact", 1)
        stranger = target_of(server)
        stranger.connect()
        with pytest.raises(TargetUnavailable, match="not trusted"):
            stranger.read("Contact", [record_id], [])
        given = {"instance_url": server.url, "ca_bundle": authority.name}
        known = open_target(TargetPolicy(target="salesforce", connection=given), TOKEN, tmp_path)
        known.connect()
        assert list(known.read("Contact", [record_id], [])) == [record_id]


def _own_authority(folder: Path) -> tuple[Any, Path]:
    import ipaddress
    import ssl

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context, folder / "ca.pem"


def test_importing_the_target_imports_no_vendor_client() -> None:
    code = (
        "import sys; import crm_hygiene.writeback.targets.salesforce, "
        "crm_hygiene.writeback.targets.salesforce_files; "
        "sys.exit(bool({'simple_salesforce', 'requests', 'jwt'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- reading -----------------------------------------------------------------------------------------------


def test_reads_values_versions_and_deletions_by_short_and_long_ids(
    server: SalesforceServer, target: SalesforceTarget
) -> None:
    alive = server.add("Contact", 1, Title="CFO", DoNotCall=True, Score__c=12.50)
    gone = server.add("Contact", 2, Title="CEO")
    server.records[gone] |= {"IsDeleted": True, "MasterRecordId": alive}
    asked = [alive[:15], gone, salesforce_id("Contact", 9), "not an id'"]
    held = target.read("Contact", asked, ["job_title", "DoNotCall", "Score__c", "MasterRecordId"])
    assert list(held) == [alive[:15], gone]
    assert held[alive[:15]].values == {
        "job_title": "CFO", "DoNotCall": "true", "Score__c": "12.5", "MasterRecordId": None
    }  # fmt: skip
    assert held[alive[:15]].version == "2026-11-20T12:00:00.000+0000"
    assert held[gone].is_deleted
    assert held[gone].values["MasterRecordId"] == alive


def test_reads_more_than_a_page_and_more_than_a_call_takes(
    server: SalesforceServer, target: SalesforceTarget
) -> None:
    server.page_size = 7
    ids = [server.add("Contact", n) for n in range(2050)]
    for record_id in ids[:30]:
        server.records[record_id]["IsDeleted"] = True
    held = target.read("Contact", ids, ["Title"])
    assert len(held) == 2050
    assert sum(h.is_deleted for h in held.values()) == 30
    assert len(server.calls("^POST .*/composite/sobjects/Contact")) == 2


def test_an_object_or_field_that_this_user_has_not_is_named(target: SalesforceTarget) -> None:
    with pytest.raises(ConfigurationError, match=r"no field 'Titel'.*did you mean 'Title'"):
        target.read("Contact", [salesforce_id("Contact", 1)], ["Titel"])
    with pytest.raises(ConfigurationError, match="no field 'Nope__c'"):
        target.find("Contact", "Nope__c", ["x"])
    with pytest.raises(ConfigurationError, match="no object 'Kontact'"):
        target.read("Kontact", [salesforce_id("Contact", 1)], ["Title"])


def test_finds_creates_by_external_id_whatever_its_characters(
    server: SalesforceServer, target: SalesforceTarget
) -> None:
    keys = ["plain", "o'brien \\ co", "ünïcode", "' OR Name != '"]
    ids = [server.add("Contact", n, Hygiene_Id__c=key) for n, key in enumerate(keys)]
    found = target.find("Contact", "Hygiene_Id__c", [*keys, "absent"])
    assert found == dict(zip(keys, ids, strict=True))


# -- writing with a precondition ---------------------------------------------------------------------------


def test_a_write_carries_its_precondition_and_types_its_values(
    server: SalesforceServer, target: SalesforceTarget
) -> None:
    record_id = server.add("Contact", 1, Title="CFO", Phone="1")
    version = target.read("Contact", [record_id], []).get(record_id)
    assert version is not None
    after = {"job_title": "CEO", "DoNotCall": "TRUE", "Score__c": "7.256", "Phone": None, "Email": " A@B.De "}
    (answer,) = target.send([operation(record_id, after=after, version=version.version)])
    assert answer == Answer(f"op-{record_id}", Outcome.DONE, record_id=record_id)
    ((_, headers, _),) = server.calls(PATCH)
    assert headers["If-Unmodified-Since"] == "Fri, 20 Nov 2026 12:00:00 GMT"
    assert headers["Sforce-Duplicate-Rule-Header"] == "allowSave=false"
    held = target.read("Contact", [record_id], list(after))[record_id].values
    assert held == target.normalise("Contact", after)
    assert held["Email"] == "a@b.de"
    assert server.records[record_id]["Score__c"] == 7.26


def test_a_record_changed_since_it_was_read_is_a_conflict_and_stays(
    server: SalesforceServer, target: SalesforceTarget
) -> None:
    ids = [server.add("Contact", n, Title="old") for n in range(3)]
    version = target.read("Contact", ids, [])[ids[0]].version
    server.touch(ids[1], Title="by hand")
    answers = target.send([operation(i, after={"Title": "new"}, version=version) for i in ids])
    assert outcomes(answers) == ["done", "conflict", "done"]
    assert answers[1].code == "HTTP_412"
    assert [server.records[i]["Title"] for i in ids] == ["new", "by hand", "new"]


def test_a_change_of_another_field_is_no_conflict_and_one_of_this_field_is(
    server: SalesforceServer, target: SalesforceTarget
) -> None:
    ids = [server.add("Contact", n, Title="old", Phone="1") for n in range(2)]
    version = target.read("Contact", ids, [])[ids[0]].version
    server.touch(ids[0], Phone="2")
    server.touch(ids[1], Title="by hand")
    operations = [operation(i, before={"Title": "old"}, after={"Title": "new"}, version=version) for i in ids]
    answers = target.send(operations)
    assert outcomes(answers) == ["done", "conflict"]
    assert answers[1].message.endswith("Title")
    assert [(server.records[i]["Title"], server.records[i]["Phone"]) for i in ids] == [
        ("new", "2"), ("by hand", "1")
    ]  # fmt: skip
    assert server.calls(PATCH)[1][1]["If-Unmodified-Since"] == "Fri, 20 Nov 2026 12:01:00 GMT"


def test_without_a_version_the_record_is_compared_first(
    server: SalesforceServer, target: SalesforceTarget
) -> None:
    same, other, gone = (server.add("Contact", n, Title="old") for n in range(3))
    server.records[other]["Title"] = "by hand"
    server.records[gone]["IsDeleted"] = True
    never = salesforce_id("Contact", 99)
    operations = [
        operation(i, before={"Title": "old"}, after={"Title": "new"}) for i in (same, other, gone, never)
    ]
    answers = target.send(operations)
    assert outcomes(answers) == ["done", "conflict", "conflict", "conflict"]
    assert "Title" in answers[1].message
    assert "by hand" not in answers[1].message
    assert "If-Unmodified-Since" in server.calls(PATCH)[0][1]


def test_field_errors_locks_duplicates_and_deleted_records_are_told_apart(
    server: SalesforceServer, target: SalesforceTarget
) -> None:
    ids = [server.add("Contact", n) for n in range(6)]
    version = target.read("Contact", ids[:1], [])[ids[0]].version
    server.locked = {ids[1]}
    server.duplicate_emails = {"twin@example.com"}
    server.records[ids[3]]["IsDeleted"] = True
    values: list[dict[str, str | None]] = [
        {"Email": "not an address"},
        {"Title": "CFO"},
        {"Email": "twin@example.com"},
        {"Title": "CFO"},
        {"Nope__c": "x"},
        {"Title": "CFO"},
    ]
    answers = target.send([operation(i, after=v, version=version) for i, v in zip(ids, values, strict=True)])
    assert outcomes(answers) == ["refused", "retry", "refused", "conflict", "refused", "done"]
    assert [a.code for a in answers[:5]] == [
        "INVALID_EMAIL_ADDRESS", "UNABLE_TO_LOCK_ROW", "DUPLICATES_DETECTED", "ENTITY_IS_DELETED",
        "INVALID_FIELD",
    ]  # fmt: skip
    assert answers[2].message == "Use one of these records?"
    assert answers[0].message == "Email: invalid email address: *** (Email)"


def test_a_number_that_would_be_rounded_is_refused_unsent(
    server: SalesforceServer, target: SalesforceTarget
) -> None:
    record_id = server.add("Contact", 1)
    version = target.read("Contact", [record_id], [])[record_id].version
    (answer,) = target.send(
        [operation(record_id, after={"Score__c": "12345678901234567.89"}, version=version)]
    )
    assert (answer.outcome, answer.code) == (Outcome.REFUSED, "INVALID_VALUE")
    assert not server.calls(PATCH)


# -- the target as a whole ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error", "wait"),
    [
        (Fault(PATCH, status=429, headers={"Retry-After": "7"}), RateLimited, 7.0),
        (Fault(PATCH, status=503, headers={"Retry-After": "30"}), RateLimited, 30.0),
        (Fault(PATCH, status=503), TargetUnavailable, None),
        (
            Fault(PATCH, status=403, body=[{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "x"}]),
            RateLimited,
            None,
        ),
        (Fault(PATCH, status=500, body=[{"errorCode": "UNKNOWN_EXCEPTION"}]), AnswerLost, None),
        (Fault(PATCH, "drop_before"), AnswerLost, None),
        (Fault(PATCH, "drop_after"), AnswerLost, None),
    ],
)
def test_failures_of_the_whole_target_before_anything_was_answered(
    server: SalesforceServer,
    target: SalesforceTarget,
    fault: Fault,
    error: type[TargetError],
    wait: float | None,
) -> None:
    record_id = server.add("Contact", 1, Title="old")
    version = target.read("Contact", [record_id], [])[record_id].version
    target.normalise("Contact", {"Title": "x"})
    server.faults = [fault]
    with pytest.raises(error) as caught:
        target.send([operation(record_id, after={"Title": "new"}, version=version)])
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after == wait
    assert server.records[record_id]["Title"] == ("new" if fault.how == "drop_after" else "old")


def test_a_time_out_after_the_target_committed_is_a_lost_answer(server: SalesforceServer) -> None:
    record_id = server.add("Contact", 1, Title="old")
    # Long enough for a busy machine to answer what goes before the write, and to commit the write.
    target = target_of(server, timeout_seconds="2")
    target.connect()
    version = target.read("Contact", [record_id], [])[record_id].version
    target.normalise("Contact", {})
    server.faults = [Fault(PATCH, "hang")]
    with pytest.raises(AnswerLost, match="ReadTimeout"):
        target.send([operation(record_id, after={"Title": "new"}, version=version)])
    assert server.records[record_id]["Title"] == "new"


def test_a_lost_answer_to_a_read_takes_nothing(server: SalesforceServer, target: SalesforceTarget) -> None:
    server.faults = [Fault("composite", "drop_before")]
    with pytest.raises(TargetUnavailable):
        target.read("Contact", [server.add("Contact", 1)], [])


def test_retry_after_may_be_a_date(server: SalesforceServer, target: SalesforceTarget) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    server.faults = [
        Fault("composite", status=503, headers={"Retry-After": soon}),
        Fault("composite", status=429, headers={"Retry-After": "soon"}),
    ]
    waits = []
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            target.read("Contact", [salesforce_id("Contact", 1)], [])
        waits.append(caught.value.retry_after)
    assert waits[0] is not None
    assert 590 < waits[0] <= 600
    assert waits[1] is None


def test_a_redirect_to_an_address_without_tls_is_not_followed(
    server: SalesforceServer, target: SalesforceTarget
) -> None:
    server.faults = [Fault("composite", status=307, headers={"Location": "http://elsewhere.example/x"})]
    with pytest.raises(TargetUnavailable, match="without TLS"):
        target.read("Contact", [salesforce_id("Contact", 1)], [])


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    policy = TargetPolicy(target="salesforce", connection={"instance_url": address})
    target = open_target(policy, TOKEN, Path())
    target.connect()
    with pytest.raises(TargetUnavailable, match="no connection"):
        target.read("Contact", [salesforce_id("Contact", 1)], [])


@pytest.mark.parametrize(
    ("fault", "second", "title"),
    [
        (Fault(PATCH, status=429, headers={"Retry-After": "7"}, skip=1), "retry", "old"),
        (Fault(PATCH, "drop_after", skip=1), "uncertain", "new"),
        (Fault(PATCH, status=401, body=[{"errorCode": "INVALID_SESSION_ID"}], skip=1), "retry", "old"),
    ],
)
def test_what_was_answered_before_the_target_failed_is_not_lost(
    server: SalesforceServer, target: SalesforceTarget, fault: Fault, second: str, title: str
) -> None:
    ids = [server.add("Contact", n, Title="old") for n in range(3)]
    version = target.read("Contact", ids, [])[ids[0]].version
    server.faults = [fault]
    answers = target.send([operation(i, after={"Title": "new"}, version=version) for i in ids])
    assert outcomes(answers) == ["done", second, "retry"]
    assert [server.records[i]["Title"] for i in ids] == ["new", title, "old"]


# -- creates and deletes -----------------------------------------------------------------------------------


def test_creates_go_by_200_and_a_repeat_makes_no_second_record(
    server: SalesforceServer, target: SalesforceTarget
) -> None:
    operations = [create(f"e{n}") for n in range(450)]
    answers = target.send(operations)
    assert set(outcomes(answers)) == {"done"}
    again = target.send(operations)
    assert [a.record_id for a in again] == [a.record_id for a in answers]
    assert {a.message for a in again} == {"already there"}
    assert len(server.live("Contact")) == 450
    assert len(server.calls(COLLECTION)) == 6


def test_part_of_a_collection_is_refused_and_the_rest_goes_through(
    server: SalesforceServer, target: SalesforceTarget
) -> None:
    server.duplicate_emails = {"twin@example.com"}
    operations = [
        create("a"),
        create("b", LastName=None),
        create("c", Email="twin@example.com"),
        operation(kind="create", operation_id="no key", after={"LastName": "x"}),
        create("d"),
    ]
    answers = target.send(operations)
    assert outcomes(answers) == ["done", "refused", "refused", "refused", "done"]
    assert [a.code for a in answers[1:4]] == [
        "REQUIRED_FIELD_MISSING", "DUPLICATES_DETECTED", "NO_EXTERNAL_ID"
    ]  # fmt: skip
    assert [a.operation_id for a in answers] == [o.operation_id for o in operations]


def test_an_external_id_field_that_is_none_refuses_every_create(target: SalesforceTarget) -> None:
    wrong = operation(kind="create", external_id=("Title", "x"), after={"LastName": "x"})
    (answer,) = target.send([wrong])
    assert (answer.outcome, answer.code) == (Outcome.REFUSED, "NOT_FOUND")


def test_a_lost_answer_to_a_later_collection_leaves_the_earlier_answers(
    server: SalesforceServer, target: SalesforceTarget
) -> None:
    operations = [create(f"e{n}") for n in range(500)]
    server.faults = [Fault(COLLECTION, "drop_after", skip=1)]
    answers = target.send(operations)
    assert outcomes(answers) == ["done"] * 200 + ["uncertain"] * 200 + ["retry"] * 100
    assert len(server.live("Contact")) == 400
    found = target.find("Contact", "Hygiene_Id__c", [f"e{n}" for n in range(200, 400)])
    assert len(found) == 200


def test_a_create_is_taken_back_only_where_it_is_still_as_we_made_it(
    server: SalesforceServer, target: SalesforceTarget
) -> None:
    ours, edited, locked = (server.add("Contact", n, LastName="Doe") for n in range(3))
    server.touch(edited, LastName="Dow")
    server.locked = {locked}
    answers = target.send(
        [operation(i, "delete", before={"LastName": "Doe"}) for i in (ours, edited, locked)]
    )
    assert outcomes(answers) == ["done", "conflict", "retry"]
    assert {r["Id"] for r in server.live("Contact")} == {edited, locked}


_FAULTS = st.lists(
    st.builds(
        Fault,
        match=st.sampled_from(["PATCH", "POST .*composite", "GET .*query", "ingest", "describe", "oauth2"]),
        how=st.sampled_from(["answer", "drop_before", "drop_after"]),
        status=st.sampled_from([429, 500, 502, 503, 401]),
        times=st.integers(1, 2),
        skip=st.integers(0, 3),
    ),
    max_size=5,
)


@settings(max_examples=examples(25), deadline=None)
@given(faults=_FAULTS, is_bulk=st.booleans())
def test_whatever_fails_the_target_ends_as_planned_and_once(faults: list[Fault], is_bulk: bool) -> None:
    with SalesforceServer() as server:
        ids = [server.add("Contact", n, Title="old", Phone=str(n)) for n in range(5)]
        server.records[ids[4]]["Title"] = "by hand"
        target = target_of(
            server,
            {"client_secret": Secret(CLIENT_SECRET)},
            client_id="3MVG9",
            login_url=server.url,
            bulk_from="2" if is_bulk else "1000",
        )
        server.faults = faults
        _deliver(target, [operation(i, before={"Title": "old"}, after={"Title": "new"}) for i in ids])
        _deliver(target, [create(f"e{n}") for n in range(3)])
        assert [server.records[i]["Title"] for i in ids] == ["new"] * 4 + ["by hand"]
        assert [server.records[i]["Phone"] for i in ids] == [str(n) for n in range(5)]
        made = sorted(r["Hygiene_Id__c"] for r in server.live("Contact") if r["Hygiene_Id__c"])
        assert made == ["e0", "e1", "e2"]


def _deliver(target: SalesforceTarget, operations: list[Operation]) -> None:
    """As the courier does: look, send what is left, and look again after whatever happened."""
    for _ in range(60):
        try:
            if operations[0].kind == "create":
                keys = [o.external_id[1] for o in operations if o.external_id]
                found = target.find("Contact", "Hygiene_Id__c", keys)
                verdicts = [judge_create(o, found.get(o.after["LastName"] or "")) for o in operations]
            else:
                held = target.read("Contact", [o.record_id or "" for o in operations], ["Title"])
                verdicts = [judge_write(o, held.get(o.record_id or ""), target.normalise) for o in operations]
            due = [v.operation for v in verdicts if v.decision == "send"]
            if not due:
                return
            target.send(due)
        except SessionExpired:
            with contextlib.suppress(TargetError):
                target.connect()
        except TargetError:
            continue
    raise AssertionError("never done")


# -- Bulk API 2.0 ------------------------------------------------------------------------------------------


@pytest.fixture
def bulk(server: SalesforceServer) -> Iterator[SalesforceTarget]:
    target = target_of(server, bulk_from="3")
    target.connect()
    yield target
    target.close()


def test_a_large_write_goes_as_one_bulk_job_after_comparing(
    server: SalesforceServer, bulk: SalesforceTarget
) -> None:
    ids = [server.add("Contact", n, Title="old", Phone="1", Email="x@example.com") for n in range(6)]
    server.records[ids[1]]["Title"] = "by hand"
    server.locked = {ids[2]}
    server.bulk_polls = 2
    operations = [operation(i, before={"Title": "old"}, after={"Title": 'new, "quoted"'}) for i in ids]
    operations[3] = operation(ids[3], before={"Phone": "1"}, after={"Phone": None, "DoNotCall": "TRUE"})
    operations[4] = operation(ids[4], before={"Email": "X@example.com"}, after={"Email": "not an address"})
    answers = bulk.send(operations)
    assert outcomes(answers) == ["done", "conflict", "retry", "done", "refused", "done"]
    assert answers[4].code == "INVALID_EMAIL_ADDRESS"
    assert "not an address" not in answers[4].message
    assert server.records[ids[0]]["Title"] == 'new, "quoted"'
    assert (server.records[ids[3]]["Phone"], server.records[ids[3]]["Title"]) == (None, "old")
    assert server.records[ids[3]]["DoNotCall"] is True
    assert len(server.jobs) == 1
    assert not server.calls(PATCH)


def test_half_a_bulk_job_unprocessed_is_told_per_record(
    server: SalesforceServer, bulk: SalesforceTarget
) -> None:
    operations = [create(f"e{n}") for n in range(6)]
    server.bulk_reach = 3
    answers = bulk.send(operations)
    assert outcomes(answers) == ["done"] * 3 + ["retry"] * 3
    server.bulk_reach = None
    assert set(outcomes(bulk.send(operations))) == {"done"}
    assert len(server.live("Contact")) == 6


@pytest.mark.parametrize(
    ("fault", "error", "is_taken"),
    [
        (Fault("^POST .*ingest$", status=503, headers={"Retry-After": "4"}), RateLimited, False),
        (Fault("^POST .*ingest$", "drop_after"), TargetUnavailable, False),
        (Fault("^PUT .*batches$", "drop_after"), TargetUnavailable, False),
        (Fault("^PATCH .*ingest/", "drop_before"), AnswerLost, False),
        (Fault("^PATCH .*ingest/", "drop_after"), AnswerLost, True),
        (Fault("^GET .*ingest/[^/]*$", status=503), AnswerLost, True),
        (Fault("^GET .*successfulResults", "drop_after"), AnswerLost, True),
    ],
)
def test_a_bulk_job_that_breaks_off(
    server: SalesforceServer, bulk: SalesforceTarget, fault: Fault, error: type[TargetError], is_taken: bool
) -> None:
    server.faults = [fault]
    with pytest.raises(error):
        bulk.send([create(f"e{n}") for n in range(3)])
    assert len(server.live("Contact")) == (3 if is_taken else 0)
    assert all(job["state"] != "Open" for job in server.jobs.values()) or fault.match.startswith("^POST")


def test_a_bulk_job_that_never_ends_is_given_up(server: SalesforceServer) -> None:
    target = target_of(server, bulk_from="3", bulk_wait_seconds="0.01")
    target.connect()
    server.bulk_polls = 10**6
    with pytest.raises(AnswerLost, match="not done after"):
        target.send([create(f"e{n}") for n in range(3)])
    assert [job["state"] for job in server.jobs.values()] == ["Aborted"]


def test_what_bulk_cannot_carry_is_refused_or_waits(server: SalesforceServer, bulk: SalesforceTarget) -> None:
    ids = [server.add("Contact", n) for n in range(3)]
    twice = operation(ids[0], operation_id="again", after={"Phone": "2"})
    answers = bulk.send(
        [operation(ids[0], after={"Title": "x"}), twice, operation(ids[1], after={"Title": "#N/A"})]
    )
    assert outcomes(answers) == ["done", "retry", "refused"]


# -- merges ------------------------------------------------------------------------------------------------


def merge(survivor: str, losers: list[str], **options: Any) -> Operation:
    return operation(survivor, "merge", losers=tuple(losers), **options)


def test_a_merge_takes_two_losers_a_request_and_moves_what_points_at_them(
    server: SalesforceServer, target: SalesforceTarget
) -> None:
    survivor, *losers = (server.add("Contact", n, Title="old", Phone="1") for n in range(6))
    child = server.add("Opportunity", 1, ContactId=losers[4])
    values = {"job_title": "C<F>O & co", "Phone": None, "DoNotCall": "true"}
    (answer,) = target.send([merge(survivor, losers, before={"job_title": "old"}, after=values)])
    assert (answer.outcome, answer.record_id) == (Outcome.DONE, survivor)
    assert answer.message == "5 merged, 1 related records moved"
    assert [r["Id"] for r in server.live("Contact")] == [survivor]
    assert server.records[child]["ContactId"] == survivor
    held = server.records[survivor]
    assert (held["Title"], held["Phone"], held["DoNotCall"]) == ("C<F>O & co", None, True)
    (again,) = target.send([merge(survivor, losers, before={"job_title": "old"}, after=values)])
    assert (again.outcome, again.message) == (Outcome.DONE, "merged before")


def test_a_merge_begun_before_a_crash_is_finished(server: SalesforceServer, target: SalesforceTarget) -> None:
    survivor, first, second = (server.add("Contact", n, Title="old") for n in range(3))
    third = server.add("Contact", 3)
    server.records[survivor]["Title"] = "new"
    server.records[first] |= {"IsDeleted": True, "MasterRecordId": survivor}
    (answer,) = target.send(
        [merge(survivor, [first, second], before={"Title": "old"}, after={"Title": "new"})]
    )
    assert answer.message.startswith("1 merged")
    # What is left of it, as it is planned again.
    (answer,) = target.send([merge(survivor, [third], before={"Title": "old"}, after={"Title": "new"})])
    assert answer.message.startswith("1 merged")


def test_merges_that_must_not_happen(server: SalesforceServer, target: SalesforceTarget) -> None:
    survivor, loser, deleted, locked = (server.add("Contact", n, Title="old") for n in range(4))
    server.records[deleted]["IsDeleted"] = True
    server.locked = {locked}
    server.touch(survivor, Title="by hand")
    answers = target.send(
        [
            merge(survivor, [loser], operation_id="changed", before={"Title": "old"}),
            merge(survivor, [deleted], operation_id="gone"),
            merge(survivor, [locked], operation_id="locked"),
        ]
    )
    assert outcomes(answers) == ["conflict", "conflict", "retry"]
    other = target.send([operation(loser, "merge", "Opportunity", losers=("x",))])
    assert (other[0].outcome, other[0].code) == (Outcome.REFUSED, "UNSUPPORTED")
    assert "unmerge" not in target.kinds


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("Soap", "drop_after"), AnswerLost),
        (Fault("Soap", status=200, body={"no": "xml"}), AnswerLost),
        (Fault("Soap", status=503, headers={"Retry-After": "3"}), RateLimited),
    ],
)
def test_a_merge_whose_answer_does_not_come(
    server: SalesforceServer, target: SalesforceTarget, fault: Fault, error: type[TargetError]
) -> None:
    survivor, loser = (server.add("Contact", n) for n in range(2))
    server.faults = [fault]
    with pytest.raises(error):
        target.send([merge(survivor, [loser])])
    (answer,) = target.send([merge(survivor, [loser])])
    assert answer.outcome is Outcome.DONE


def test_a_session_that_expires_before_a_merge(server: SalesforceServer, target: SalesforceTarget) -> None:
    survivor, loser = (server.add("Contact", n) for n in range(2))
    target.read("Contact", [survivor], [])
    session = target._session
    server.tokens.clear()
    from crm_hygiene.writeback.targets.salesforce_merge import SoapFault, merge_envelope, merge_results

    answer = session.soap(merge_envelope(session.token, "Contact", survivor, [loser], {}), "merge")
    with pytest.raises(SoapFault) as caught:
        merge_results(answer)
    assert isinstance(session.fault(caught.value.code), SessionExpired)


# -- secrets and values ------------------------------------------------------------------------------------


def test_no_secret_and_no_value_reaches_logs_answers_or_errors(
    server: SalesforceServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = {"password": Secret(PASSWORD), "security_token": Secret(SECURITY_TOKEN)}
    target = target_of(server, secrets, login_url=server.url, username="u@example.com")
    target.connect()
    record_id = server.add("Contact", 1)
    version = target.read("Contact", [record_id], [])[record_id].version
    answers = target.send([operation(record_id, after={"Email": "jane.doe"}, version=version)])
    server.faults = [Fault("describe", status=500), Fault(PATCH, status=418, body="jane.doe")]
    answers += target.send([operation(record_id, after={"Email": "jane.doe"}, version=version)])
    assert isinstance(target, HoldsSecrets)
    assert set(target.session_secrets()) <= server.tokens
    text = caplog.text + repr(answers) + repr(target) + repr(vars(target))
    for secret in (PASSWORD, SECURITY_TOKEN, "jane.doe", *server.tokens):
        assert secret not in text


def test_messages_of_whole_failures_hold_no_values(
    server: SalesforceServer, target: SalesforceTarget
) -> None:
    record_id = server.add("Contact", 1)
    server.faults = [Fault("composite", status=400, body=[{"errorCode": "X", "message": "secret value"}])]
    with pytest.raises(TargetError) as caught:
        target.read("Contact", [record_id], [])
    assert "secret value" not in str(caught.value)
    assert caught.value.__cause__ is None


# -- types -------------------------------------------------------------------------------------------------

_TYPES = st.sampled_from(
    ["string", "boolean", "email", "double", "int", "date", "datetime", "reference", "phone", "textarea"]
)


@given(value=st.none() | st.text(max_size=30), kind=_TYPES, scale=st.integers(0, 4))
def test_normalising_twice_changes_nothing(value: str | None, kind: str, scale: int) -> None:
    field = FieldType("F", kind, scale)
    once = normalised(value, field)
    assert normalised(once, field) == once


@given(number=st.decimals(-(10**9), 10**9, places=4), scale=st.integers(0, 4))
def test_a_number_survives_the_way_there_and_back(number: Any, scale: int) -> None:
    import json
    from decimal import Decimal

    field = FieldType("F", "double", scale)
    wire = json.dumps(as_json(str(number), field))
    back = as_text(json.loads(wire, parse_float=Decimal))
    assert normalised(back, field) == normalised(str(number), field)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("  two\r\nlines ", "textarea", "two\nlines"),
        ("", "string", None),
        (None, "boolean", "false"),
        ("Yes", "boolean", "true"),
        (" Jane@Example.COM ", "email", "jane@example.com"),
        ("+49 (0)30 / 12", "phone", "+49 (0)30 / 12"),
        ("1E+3", "double", "1000"),
        ("-0.0", "double", "0"),
        ("not a number", "double", "not a number"),
        ("2026-01-02T03:04:05+02:00", "datetime", "2026-01-02T01:04:05.000+0000"),
        ("2026-01-02 00:00:00", "date", "2026-01-02"),
        ("003D000000QOMqb", "reference", "003D000000QOMqbIAH"),
    ],
)
def test_values_as_salesforce_gives_them_back(value: str | None, kind: str, expected: str | None) -> None:
    assert normalised(value, FieldType("F", kind)) == expected


def test_a_long_id_stays() -> None:
    assert long_id("001D000000IqhSLIAZ") == "001D000000IqhSLIAZ"
    assert long_id("001D000000IqhSL") == "001D000000IqhSLIAZ"
