from __future__ import annotations

from pathlib import Path
from textwrap import dedent

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
        ("contacts: {fields: {emial: {strategies: [trust]}}}", "unknown field 'emial'; did you mean 'email'"),
        ("contacts: {fields: {email: {strategies: [newest, trst]}}}", "unknown strategy 'newest'"),
        (
            "contacts: {fields: {email: {strategies: [trst]}}}",
            "unknown strategy 'trst'; did you mean 'trust'",
        ),
        ("contcts: {}", "unknown key 'contcts'; did you mean 'contacts'"),
        (
            "contacts: {fields: {email: {strategy: [trust]}}}",
            "unknown key 'strategy'; did you mean 'strategies'",
        ),
        (
            "contacts: {fields: {email: {valid: [delivrable]}}}",
            "unknown test 'delivrable'; did you mean 'deliverable'",
        ),
        (
            "contacts: {fields: {phone: {like: emial}}}",
            "contacts.fields.phone: like: unknown 'emial'; did you mean 'email'",
        ),
        (
            "trust: {salesfroce_leads: 1}",
            "no source or system fits 'salesfroce_leads'; did you mean 'salesforce_leads'",
        ),
        (
            "contacts: {fields: {email: {trust: {'hubspt*': 1}}}}",
            "no source or system fits 'hubspt*'; did you mean 'hubspot_contacts'",
        ),
        ("trust: {salesforce_leads: 2}", "less than or equal to 1"),
        (
            "contacts: {groups: {name: {columns: [full_name], strategies: [trust]}}}",
            "'name_prefix' has no rule",
        ),
        ("[1, 2]", "expected a mapping"),
        ("trust: {", "not readable as YAML"),
        ("contacts: {important: [hair_colour]}", "unknown field 'hair_colour'"),
        ("pins: []", "`crm-hygiene pin set` sets them"),
        ("trust: {erp: 1}\ntrust: {web: 1}", ":2: 'trust' is written twice, first on line 1"),
        ("tests: {t: {matches: '('}}", "not a regular expression"),
        ("tests: {t: {no_bounce: true, matches: x}}", "a test says exactly one of"),
        ("times: {futur: landing}", "unknown key 'futur'; did you mean 'future'"),
        (
            "contacts: {fields: {email: {clears_from: [hubspot_contacts]}}}",
            "no effect without `clears: wins`",
        ),
        (
            "accounts: {fields: {email: {valid: [not_disposable]}}}",
            "looks at email_kind, which conformed.organisations lacks",
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
    assert f"{path}:" in str(caught.value)


def test_every_mistake_of_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    text = """\
    trust:
      hubspot_contacts: 0.9
    contacts:
      fields:
        emial: {strategies: [trust]}
        phone:
          strategies:
            - validity
            - newst
    acounts: {}
    """
    path = written(tmp_path, dedent(text))
    with pytest.raises(ConfigurationError) as caught:
        load_rules(path)
    lines = str(caught.value).splitlines()
    assert [line.removeprefix(f"{path}:").split(":")[0] for line in lines] == ["10", "5", "9"]


def test_rules_that_are_like_each_other_in_a_circle_are_refused_with_the_line(tmp_path: Path) -> None:
    text = """\
    contacts:
      fields:
        phone: {like: email}
        email: {like: job_title}
        job_title: {like: phone}
    """
    path = written(tmp_path, dedent(text))
    with pytest.raises(ConfigurationError, match=r"yaml:[345]: like goes in a circle: contacts\.") as caught:
        load_rules(path)
    assert str(caught.value).count(" -> ") == 3


def test_files_that_extend_each_other_in_a_circle_are_refused_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("half_life_days: 5\nextends: survivorship.yaml\n")
    path = written(tmp_path, "extends: base.yaml\n")
    with pytest.raises(ConfigurationError, match=r"base\.yaml:2: extends goes in a circle: survivorship"):
        load_rules(path)
    with pytest.raises(ConfigurationError, match=r"no such file; did you mean 'base\.yaml'"):
        load_rules(written(tmp_path, "extends: bse.yaml\n"))


def test_a_file_overrides_the_one_it_extends_and_that_the_built_in_one(tmp_path: Path) -> None:
    fields = "{email: {strategies: [recency]}, phone: {half_life_days: 9}}"
    base = f"half_life_days: 100\ncontacts: {{fields: {fields}}}"
    (tmp_path / "base.yaml").write_text(base)
    own = load_rules(
        written(
            tmp_path, "extends: base.yaml\nhalf_life_days: 50\ncontacts: {fields: {phone: {like: email}}}"
        )
    )
    assert own.half_life_days == 50
    assert own.contacts.fields["email"].strategies == ("recency",)
    assert own.contacts.fields["phone"] == own.contacts.fields["email"]
    assert own.contacts.fields["email"].valid == load_rules().contacts.fields["email"].valid
    wrong = "contacts: {fields: {email: {strategies: [recncy]}}}"
    (tmp_path / "base.yaml").write_text(wrong)
    with pytest.raises(ConfigurationError, match=r"base\.yaml:1: .*did you mean 'recency'"):
        load_rules(tmp_path / "survivorship.yaml")


def test_trust_per_field_keeps_the_fields_strategies(tmp_path: Path) -> None:
    text = "contacts: {fields: {email: {trust: {'hubspot*': 0.95}, half_life_days: 90}}}"
    rule = load_rules(written(tmp_path, text), sources=["hubspot_contacts"]).contacts.fields["email"]
    assert (rule.trust, rule.half_life_days) == ({"hubspot*": 0.95}, 90)
    assert rule.strategies == load_rules().contacts.fields["email"].strategies


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
