"""Secrets come from the environment or a file outside the project, and get into nothing we write."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import urllib.parse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.lake import Lake
from crm_hygiene.writeback.delivery.secrets import Redactor, Secret, load_secrets, redacted_logs
from crm_hygiene.writeback.operations import Answer, Operation, Outcome
from crm_hygiene.writeback.target import TargetUnavailable

from .delivering import change, delivery, ledger, plan
from .ledger_target import LedgerTarget

PASSWORD = 'Tr0ub4dor&3/"ü'


def test_a_secret_shows_itself_only_to_who_asks() -> None:
    secret = Secret(PASSWORD)
    for shown in (repr(secret), str(secret), f"{secret}", "%s" % secret, f"{[secret]}", f"{secret:>20}"):  # noqa: UP031
        assert PASSWORD not in shown
    assert secret == PASSWORD
    assert secret.reveal() == PASSWORD
    assert type(secret.reveal()) is str
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def secrets_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "secrets"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    path = secrets_file(tmp_path, f"# ours\nCRM_PASSWORD = {PASSWORD}\nCRM_TOKEN='in file'\n")
    named = {"password": "CRM_PASSWORD", "token": "CRM_TOKEN"}
    project = tmp_path / "project"
    found = load_secrets(named, project, path, {"CRM_TOKEN": "in environment"})
    assert found == {"password": PASSWORD, "token": "in environment"}
    assert load_secrets(named, project, None, {"CRM_HYGIENE_SECRETS": str(path)})["token"] == "in file"


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (f"OTHER={PASSWORD}", 0o600, "CRM_PASSWORD"),
        (f"CRM_PASSWORD={PASSWORD}", 0o640, "chmod 600"),
        (PASSWORD, 0o600, "line 1 is not NAME=value"),
    ],
)
def test_what_is_wrong_is_told_without_a_value(tmp_path: Path, text: str, mode: int, words: str) -> None:
    path = secrets_file(tmp_path, text, mode)
    with pytest.raises(ConfigurationError) as told:
        load_secrets({"password": "CRM_PASSWORD"}, tmp_path / "project", path, {})
    assert words in str(told.value)
    assert PASSWORD not in str(told.value)


def test_a_secrets_file_in_the_project_is_refused(tmp_path: Path) -> None:
    path = secrets_file(tmp_path, "A=b")
    with pytest.raises(ConfigurationError, match="move it elsewhere"):
        load_secrets({"password": "A"}, tmp_path, path, {})


@given(st.text(min_size=4, max_size=30), st.text(max_size=20), st.text(max_size=20))
def test_no_spelling_of_a_secret_gets_through(secret: str, before: str, after: str) -> None:
    try:
        forms = [secret, urllib.parse.quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]]
        forms += [base64.b64encode(secret.encode()).decode(), urllib.parse.quote_plus(secret)]
    except UnicodeEncodeError:
        return
    redact = Redactor([secret])
    for form in forms:
        text = redact(f"{before}{form}{after}")
        assert form not in text.replace("***", "") or form in before + after or set(form) <= {"*"}


class Chatty(LedgerTarget):
    """Repeats the password in every answer, log line and error, as careless clients do."""

    def connect(self) -> None:
        logging.getLogger("vendor").warning("signing in with %s", PASSWORD)
        super().connect()

    def session_secrets(self) -> list[str]:
        return ["session-4711-key"]

    def send(self, operations: list[Operation]) -> list[Answer]:  # type: ignore[override]
        if self.calls("send") == 1:
            self._check("send", 1)
            raise TargetUnavailable(f"https://user:{PASSWORD}@crm.example says no to session-4711-key")
        return [
            Answer(
                o.operation_id,
                Outcome.REFUSED,
                f"{PASSWORD} {urllib.parse.quote(PASSWORD)} session-4711-key Dr. No",
            )
            for o in operations
        ]


def test_no_byte_of_the_lake_and_no_line_of_a_log_holds_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    crm = Chatty(ledger(tmp_path))
    crm.seed("Contact", "c0", {"Title": "Mr"})
    lake = Lake(str(tmp_path / "lake"))
    redact = Redactor([PASSWORD])
    with redacted_logs(redact):
        told = delivery(lake, crm, redact=redact)
        report = told.apply(plan(change("c0", "Title", "Mr", "Dr. No")), 10)
    assert report.done == {"refused": 1}
    stored = [path.read_bytes() for path in (tmp_path / "lake").rglob("*") if path.is_file()]
    assert stored
    answers = lake.scan(contract_of("writeback.deliveries")).collect()["answer"].drop_nulls().to_list()
    assert answers == ["*** *** *** …"]
    for form in (PASSWORD, urllib.parse.quote(PASSWORD), "session-4711-key"):
        assert all(form.encode() not in block for block in stored)
        assert form not in caplog.text
        assert form not in str(report)
