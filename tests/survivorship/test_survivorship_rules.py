from __future__ import annotations

from pathlib import Path

import pytest

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.survivorship import load_rules
from crm_hygiene.survivorship.rules import survivorship_columns
from crm_hygiene.survivorship.trust import weights


def written(folder: Path, text: str) -> Path:
    path = folder / "survivorship.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("table", ["contacts", "accounts"])
def test_every_survivorship_column_has_one_rule(table: str) -> None:
    rules = getattr(load_rules(), table)
    ruled = sorted(c for rule in rules.all_rules.values() for c in rule.columns)
    assert ruled == sorted(survivorship_columns(table))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("contacts: {fields: {emial: {strategies: [trust]}}}", "unknown 'emial'; did you mean 'email'"),
        ("contacts: {fields: {email: {strategies: [newest, trst]}}}", "unknown 'newest'"),
        ("contacts: {fields: {email: {strategies: [trst]}}}", "unknown 'trst'; did you mean 'trust'"),
        ("contcts: {}", "unknown 'contcts'; did you mean 'contacts'"),
        ("contacts: {fields: {email: {strategy: [trust]}}}", "unknown 'strategy'; did you mean 'strategies'"),
        (
            "trust: {salesfroce_leads: 1}",
            "no source or system fits 'salesfroce_leads'; did you mean 'salesforce_leads'",
        ),
        ("trust: {salesforce_leads: 2}", "less than or equal to 1"),
        (
            "contacts: {groups: {name: {columns: [full_name], strategies: [trust]}}}",
            "'name_prefix' has no rule",
        ),
        ("[1, 2]", "expected a mapping"),
        ("trust: {", "not readable as YAML"),
        ("contacts: {important: [hair_colour]}", "unknown 'hair_colour'"),
        (
            "pins: [{table: contacts, entity_id: P1, field: emai, source: s, record_id: r}]",
            "did you mean 'email'",
        ),
    ],
)
def test_a_wrong_word_is_an_error_that_names_the_file_and_the_nearest_word(
    tmp_path: Path, text: str, message: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load_rules(path, sources=["salesforce_leads", "hubspot_contacts"])
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_of_the_users_overrides_field_by_field(tmp_path: Path) -> None:
    text = """
    trust: {hubspot_contacts: 0.99, "*": 0.1}
    contacts:
      fields:
        email: {strategies: [recency]}
        city: {strategies: [longest]}
    """
    default, own = load_rules(), load_rules(written(tmp_path, text), sources=["hubspot_contacts"])
    assert own.contacts.fields["email"].strategies == ("recency",)
    assert own.contacts.fields["phone"] == default.contacts.fields["phone"]
    assert "city" not in own.contacts.groups["address"].columns
    assert own.accounts == default.accounts
    assert own.fingerprint != default.fingerprint
    found = weights(own.trust, ["hubspot_contacts", "hubspot_x", "unheard"], {"hubspot_x": "hubspot"})
    assert found == {"hubspot_contacts": 0.99, "hubspot_x": 0.7, "unheard": 0.1}


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load_rules(written(tmp_path, "# nothing\n")).fingerprint == load_rules().fingerprint
