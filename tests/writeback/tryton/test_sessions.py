"""What each way of failing becomes: refused sign-in, ended session, server down, no answer, no encryption."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.tryton.server import ADMIN_PASSWORD, NOT_BUILT, PASSWORD, TrytonServer, is_built
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.operations import Operation, Outcome
from crm_hygiene.writeback.policy import TargetPolicy, read_target_policy
from crm_hygiene.writeback.target import (
    AnswerLost,
    RateLimited,
    SessionExpired,
    SignInRefused,
    TargetError,
    TargetUnavailable,
)
from crm_hygiene.writeback.targets.tryton import TrytonTarget, open_target
from crm_hygiene.writeback.targets.tryton_parties import FLAT
from crm_hygiene.writeback.targets.tryton_rpc import CallRefused, TrytonSession

from .conftest import Make, policy_for

PARTY = "party.party"


@contextmanager
def answering(reply: bytes | None) -> Iterator[str]:
    """A server that reads one request and answers `reply`; None closes without an answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            way, _ = listening.accept()
            with way:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += way.recv(65536)
                length = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                )
                body = head.partition(b"\r\n\r\n")[2]
                while len(body) < length:
                    body += way.recv(65536)
                if reply is not None:
                    way.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(timeout=5)


def signed_in(address: str, timeout: float = 5.0) -> TrytonSession:
    session = TrytonSession(address, "crm", "hygiene", "secret-word", timeout)
    session._authorization = "Session x"
    return session


def status(code: int, body: bytes = b"", *headers: bytes) -> bytes:
    head = [b"HTTP/1.1 %d x" % code, b"Content-Length: %d" % len(body), b"Connection: close", *headers]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("reply", "changes", "error"),
    [
        (None, True, AnswerLost),
        (None, False, TargetUnavailable),
        (status(200, b"<html>"), True, AnswerLost),
        (status(200, b"[]"), True, AnswerLost),
        (status(401), True, SessionExpired),
        (status(404), True, SignInRefused),
        (status(500), True, AnswerLost),
        (status(502), True, AnswerLost),
        (status(503), True, TargetUnavailable),
        (status(503), False, TargetUnavailable),
    ],
)
def test_what_an_answer_means(reply: bytes | None, changes: bool, error: type[TargetError]) -> None:
    with answering(reply) as address, pytest.raises(error) as raised:
        signed_in(address).call("model.party.party.write", [1], {}, changes=changes)
    assert "secret-word" not in str(raised.value)


def test_too_many_requests_say_how_long() -> None:
    with answering(status(429, b"", b"Retry-After: 7")) as address, pytest.raises(RateLimited) as raised:
        signed_in(address).call("model.party.party.read", [1])
    assert raised.value.retry_after == 7


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (b'["ConcurrencyException", "Records were modified"]', Outcome.CONFLICT, "concurrency"),
        (b'["UserError", ["Not so.", "", null]]', Outcome.REFUSED, "user_error"),
        (b'["UserWarning", ["key", "Really?", ""]]', Outcome.REFUSED, "user_warning"),
        (b'["database is locked", "Traceback"]', Outcome.RETRY, "locked"),
        (b'["KeyError: Ada", "Traceback"]', Outcome.REFUSED, "server_error"),
    ],
)
def test_what_a_refusal_means(error: bytes, outcome: Outcome, code: str) -> None:
    body = b'{"id": 1, "error": ' + error + b"}"
    with answering(status(200, body)) as address, pytest.raises(CallRefused) as raised:
        signed_in(address).call("model.party.party.write", [1], {}, changes=True)
    assert (raised.value.outcome, raised.value.code) == (outcome, code)
    assert "Ada" not in raised.value.text


def test_no_answer_in_time_after_the_write_was_sent_is_an_answer_lost() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        session = signed_in(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.05)
        with pytest.raises(AnswerLost):
            session.call("model.party.party.write", [1], {}, changes=True)


@pytest.mark.parametrize(
    "address", ["http://tryton.example", "ftp://127.0.0.1", "tryton.example", "https://"]
)
def test_only_loopback_is_spoken_to_unencrypted(address: str) -> None:
    with pytest.raises(ConfigurationError):
        TrytonSession(address, "crm", "hygiene", "x")


def test_a_policy_that_says_too_little_or_something_unknown_is_refused() -> None:
    policy = TargetPolicy(target="tryton", connector="tryton", connection={"url": "http://127.0.0.1:1"})
    with pytest.raises(ConfigurationError, match="lacks 'database'"):
        open_target(policy, {"password": "x"}, Path())
    odd = policy.model_copy(update={"connection": {**policy.connection, "databse": "crm"}})
    with pytest.raises(ConfigurationError, match="databse"):
        open_target(odd, {"password": "x"}, Path())
    full = policy.model_copy(update={"connection": {**policy.connection, "database": "crm", "user": "u"}})
    with pytest.raises(ConfigurationError, match="password"):
        open_target(full, {}, Path())


def test_a_wrong_password_and_a_wrong_database_are_no_use_to_retry(server: TrytonServer) -> None:
    for policy, password in (
        (policy_for(server), "wrong-word"),
        (policy_for(server, database="none"), PASSWORD),
    ):
        with pytest.raises(SignInRefused) as raised:
            open_target(policy, {"password": password}, server.folder).connect()
        assert password not in str(raised.value)


def test_a_session_that_ended_is_told_and_connecting_anew_goes_on(
    target: TrytonTarget, make: Make, admin: TrytonSession
) -> None:
    party = make()
    operation = Operation("o", "write", PARTY, party, {"name": "Ada Krüger"}, {"name": "A. Krüger"})
    target.session._exchange("common.db.logout", [], changes=False)
    with pytest.raises(SessionExpired):
        target.send([operation])
    target.connect()
    assert target.send([operation])[0].outcome is Outcome.DONE


def test_before_signing_in_nothing_is_asked(server: TrytonServer) -> None:
    with pytest.raises(SessionExpired):
        open_target(policy_for(server), {"password": PASSWORD}, server.folder).read(PARTY, ["1"], ["name"])


def test_a_server_that_is_down_is_unavailable_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    if not is_built():
        pytest.skip(NOT_BUILT)
    with TrytonServer(tmp_path) as server:
        target = open_target(policy_for(server), {"password": PASSWORD}, tmp_path)
        target.connect()
        server.stop()
        with pytest.raises(TargetUnavailable):
            target.read(PARTY, ["1"], ["name"])
        with pytest.raises(TargetUnavailable):
            target.connect()
        server.start()
        target.connect()
        assert target.read(PARTY, ["1"], ["name"])["1"].values == {"name": "Nordwerk GmbH"}
        target.close()


def test_the_prepared_user_is_not_the_admin(server: TrytonServer, target: TrytonTarget) -> None:
    assert ADMIN_PASSWORD != PASSWORD
    with pytest.raises(CallRefused):
        target.session.call("model.res.user.create", [{"name": "x", "login": "x"}], changes=True)
    with pytest.raises(ConfigurationError, match=r"no object 'party\.prty'"):
        target.read("party.prty", ["1"], ["name"])
    with pytest.raises(ConfigurationError, match=r"account\.move cannot be read.*not allowed"):
        target.read("account.move", ["1"], ["number"])


def test_the_documented_policy_opens(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs/targets/tryton.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "tryton.yaml").write_text(block, encoding="utf-8")
    policy = read_target_policy(tmp_path / "tryton.yaml")
    assert set(policy.objects["party.party"].fields) <= FLAT
    assert open_target(policy, {"password": "x"}, tmp_path).kinds == (
        "write",
        "create",
        "merge",
        "delete",
        "unmerge",
    )
