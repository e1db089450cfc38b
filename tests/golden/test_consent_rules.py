"""A rules file adds words; what is wrong in it is refused with its line before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.golden.consent_rules import load_consent_rules


def written(folder: Path, text: str) -> Path:
    path = folder / "consent.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_default_rules_restore_only_by_double_opt_in() -> None:
    rules = load_consent_rules()
    assert rules.restoring == ("double_opt_in",)
    assert rules.channel_words["email"] == "email"
    assert {rules.channel_words[word] for word in ("any", "all", "*")} == {"any"}


def test_words_are_added_and_restoring_is_replaced(tmp_path: Path) -> None:
    text = "channels:\n  fax: [Tele-Fax]\n  email: [courriel]\nrestoring: []\n"
    rules = load_consent_rules(written(tmp_path, text))
    assert rules.channel_words["telefax"] == "fax"
    assert rules.channel_words["courriel"] == rules.channel_words["newsletter"] == "email"
    assert rules.restoring == ()
    assert rules.fingerprint != load_consent_rules().fingerprint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\nchanels: {}\n", ":2: chanels: unknown key 'chanels'; did you mean 'channels'?"),
        (
            "restoring: [double_optin]\n",
            ":1: restoring: no evidence is called 'double_optin'; did you mean",
        ),
        (
            "channels:\n  fax: []\n  letters: [letter]\n",
            ":3: channels.letters: 'letter' already means 'post'",
        ),
        ("purposes:\n  sale: [all]\n", ":2: purposes.sale: 'all' already means 'any'"),
        ("channels: [fax]\n", ":1: channels: expected names"),
        ("channels:\n  fax: telefax\n", ":2: channels.fax: expected a list of words"),
        ("restoring: double_opt_in\n", ":1: restoring: expected a list of words"),
        ("channels:\n  Fax!: []\n", "channels"),
        ("- a\n", "expected a mapping"),
        ("a: [\n", "not readable as YAML"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError) as refused:
        load_consent_rules(path)
    assert str(path) in str(refused.value)
    assert said in str(refused.value)
