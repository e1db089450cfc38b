"""Target policies: read, checked, and refused with the nearest right word; secrets never stand in one."""

from __future__ import annotations

from datetime import time
from decimal import Decimal
from importlib import import_module
from pathlib import Path

import pytest

from crm_hygiene.config import Config, load_config
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.night import Night, mappings_of
from crm_hygiene.writeback import TargetPolicy, target_policies
from crm_hygiene.writeback.connector_kinds import CONNECTOR_KINDS
from crm_hygiene.writeback.planning.allowance import is_allowed
from crm_hygiene.writeback.policy_check import check_policies

FULL = """
target: salesforce
connector: salesforce
connection: {url: https://example.my.salesforce.com, version: 62.0, sandbox: true}
secrets: {password: SALESFORCE_PASSWORD}
objects:
  Contact:
    fields: {Title: golden, Phone: fill_empty, Email: never}
    external_id: Hygiene_Id__c
    creates: true
    links: AccountId
    owner: OwnerId
    merges: true
    children: [{object: Opportunity, field: ContactId}]
pace: {batch: 50, per_second: 2, per_day: 100}
halt: {share: "0.02", floor: 5}
hours: {from: 20:00, to: 06:00, timezone: Europe/Berlin}
"""


def config(folder: Path, *policies: str, targets: str = "[salesforce]") -> Config:
    files = []
    for number, text in enumerate(policies):
        (folder / f"{number}.yaml").write_text(text)
        files.append(f"{number}.yaml")
    (folder / "hygiene.yaml").write_text(f"targets: {targets}\ntarget_files: [{', '.join(files)}]\n")
    return load_config(folder / "hygiene.yaml")


def test_built_in_policies_fit_the_built_in_mappings(tmp_path: Path) -> None:
    defaults = Config(base=tmp_path)
    policies = target_policies(defaults)
    assert list(policies) == ["salesforce", "hubspot", "dynamics"]
    check_policies(defaults, mappings_of(defaults))
    assert all(not p.secrets for p in policies.values())


def test_everything_a_policy_may_say(tmp_path: Path) -> None:
    policy = target_policies(config(tmp_path, FULL))["salesforce"]
    assert policy.connection["version"] == "62.0"
    assert policy.connection["sandbox"] == "true"
    assert policy.hours is not None
    assert (policy.hours.start, policy.hours.end) == (time(20), time(6))
    assert policy.halt.share == Decimal("0.02")
    contact = policy.objects["Contact"]
    assert [contact.winner(f) for f in ("Title", "Phone", "Email", "MobilePhone")] == [
        "golden", "fill_empty", "never", "never",
    ]  # fmt: skip


def test_a_file_overrides_the_built_in_one_key_by_key(tmp_path: Path) -> None:
    policy = target_policies(config(tmp_path, "target: salesforce\nhalt: {floor: 1}\n"))["salesforce"]
    assert policy.halt.floor == 1
    assert "Contact" in policy.objects
    replaced = target_policies(config(tmp_path, "target: salesforce\nobjects: {Lead: {}}\n"))["salesforce"]
    assert list(replaced.objects) == ["Lead"]


def test_another_connector_does_not_inherit_the_pace_of_files(tmp_path: Path) -> None:
    live = target_policies(config(tmp_path, "target: salesforce\nconnector: salesforce\n"))["salesforce"]
    assert (live.pace.batch, live.pace.per_day, live.connection) == (200, 10_000, {})
    files = target_policies(config(tmp_path, "target: salesforce\nhalt: {floor: 1}\n"))["salesforce"]
    assert files.pace.batch == 10_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conector: tryton", "unknown key 'conector'; did you mean 'connector'"),
        ("connector: tritom", "did you mean 'tryton'"),
        (
            "objects: {Contact: {feilds: {}}}",
            r"objects\.Contact\.feilds.; did you mean .fields.",
        ),
        ("objects: {Contact: {fields: {A: goldn}}}", "did you mean 'golden'"),
        ("objects: {Contact: {children: [{objekt: A, field: B}]}}", "did you mean 'object'"),
        ("objects: {Contact: {creates: true}}", "creates needs external_id"),
        ("postings: {object: P, fields: {paiment: A}, external_id: E}", "did you mean 'payment'"),
        ("hours: {from: 20:00, too: '06:00'}", "did you mean 'to'"),
        ("hours: {from: 20:00, to: '06:00', timezone: Europe/Berlim}", "Europe/Berlin"),
        ("pace: {batch: 0}", "pace.batch"),
        ("halt: {share: 2}", "less than or equal to 1"),
        ("[]", "expected a mapping"),
    ],
)
def test_mistakes_name_file_key_and_the_nearest_right_word(tmp_path: Path, text: str, message: str) -> None:
    whole = text if text == "[]" else f"target: salesforce\n{text}\n"
    with pytest.raises(ConfigurationError, match=message) as caught:
        target_policies(config(tmp_path, whole))
    assert "0.yaml" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "connection: {password: hunter2}",
        "connection: {api_token: hunter2}",
        "connection: {url: 'postgresql://me:hunter2@db.example/x'}",
        "secrets: {password: 'hunter2 !'}",
    ],
)
def test_a_secret_in_a_policy_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match="secret") as caught:
        target_policies(config(tmp_path, f"target: salesforce\n{text}\n"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("policies", "targets", "message"),
    [
        ((), "[salesforc]", "did you mean 'salesforce'"),
        ((FULL, FULL), "[salesforce]", "already told by"),
        (("target: tryton\n",), "[tryto]", "did you mean 'tryton'"),
        (("connector: tryton\n",), "[salesforce]", "target: Field required"),
    ],
)
def test_targets_and_files_must_fit(
    tmp_path: Path, policies: tuple[str, ...], targets: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        target_policies(config(tmp_path, *policies, targets=targets))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "hygiene.yaml").write_text("target_files: [mine.yaml]\n")
    with pytest.raises(ConfigurationError, match=r"mine\.yaml: no such file"):
        target_policies(load_config(tmp_path / "hygiene.yaml"))


def test_a_night_does_not_start_with_a_policy_that_names_no_field(tmp_path: Path) -> None:
    wrong = "target: salesforce\nobjects: {Contact: {fields: {Titel: golden}}}\n"
    with pytest.raises(ConfigurationError, match="no source mapping writes 'Titel'; did you mean 'Title'"):
        Night.open(config(tmp_path, wrong))


def test_what_is_not_said_is_not_allowed(tmp_path: Path) -> None:
    full = target_policies(config(tmp_path, FULL))["salesforce"]
    said = [
        ("Contact", "update", "Title"), ("Contact", "create", "X"), ("Contact", "link", "AccountId"),
        ("Contact", "owner", "OwnerId"), ("Contact", "merge", "merged_into"),
        ("Opportunity", "reparent", "ContactId"), ("Contact", "suppress", "DoNotCall"),
    ]  # fmt: skip
    assert all(is_allowed(full, *what) for what in said)
    assert not is_allowed(full, "Contact", "update", "Email")
    assert not is_allowed(full, "Payment__c", "posting", "X")
    nothing = TargetPolicy(target="salesforce")
    assert not any(is_allowed(nothing, *what) for what in said)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "target: salesforce\nobjects: {Contact: {merges: true}}",
            "objects.Contact.merges: the connector salesforce_files cannot merge records; .*: salesforce,",
        ),
        (
            "target: hubspot\nobjects: {contact: {merges: true}}",
            "objects.contact.merges: .*hubspot_files cannot",
        ),
    ],
)
def test_what_the_connector_cannot_do_is_refused_before_anything_runs(
    tmp_path: Path, text: str, message: str
) -> None:
    told = config(tmp_path, text, targets="[salesforce, hubspot]")
    with pytest.raises(ConfigurationError, match=message):
        check_policies(told, mappings_of(told))
    only_planned = config(tmp_path, f"{text}\nconnector: none", targets="[salesforce, hubspot]")
    check_policies(only_planned, mappings_of(only_planned))


@pytest.mark.parametrize(
    ("connector", "name"),
    [
        ("salesforce_files", "SalesforceFiles"),
        ("hubspot_files", "HubSpotFiles"),
        ("salesforce", "SalesforceTarget"),
        ("hubspot", "HubSpotTarget"),
        ("postgresql", "PostgreSQLTarget"),
        ("tryton", "TrytonTarget"),
    ],
)
def test_the_connectors_can_what_is_said_of_them(connector: str, name: str) -> None:
    module = import_module(f"crm_hygiene.writeback.targets.{connector}")
    assert frozenset(getattr(module, name).kinds) == CONNECTOR_KINDS[connector]
