"""`crm-hygiene review` as a steward types it: what it prints, exit codes, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from crm_hygiene.night_lock import night_lock

Door = Callable[..., tuple[int, str, str]]


@pytest.fixture
def review(folder: Path, front_door: Door, monkeypatch: pytest.MonkeyPatch) -> Door:
    """Calls `crm-hygiene review` in the project."""
    monkeypatch.setenv("COLUMNS", "200")
    return partial(front_door, "review", folder=folder)


def test_the_list_has_both_names_and_the_most_valuable_first(review: Door) -> None:
    code, out, _ = review("list")
    assert code == 0
    assert out.index("aaaa000000000001") < out.index("aaab000000000002")
    assert "Ann Lee" in out
    assert "Bob Ray" in out
    assert "60%" in out
    code, out, _ = review("list", "--limit", "1", "--json")
    (question,) = json.loads(out)
    assert (question["name_l"], question["name_r"]) == ("Ann Lee", "Bob Ray")
    assert review("list", "--kind", "organisation")[1].startswith("No open questions")
    assert "cccc" in review("list", "--question-kind", "suspect")[1]


def test_a_cluster_is_shown_with_its_records(review: Door) -> None:
    code, out, _ = review("show", "cccc")
    assert code == 0
    assert "2 records hang together" in out
    assert "web:d" in out
    assert "review decide same --cluster" in out


def test_from_decision_to_revocation(review: Door) -> None:
    code, out, _ = review("decide", "same", "aaaa", "--why", "called them", "--by", "ann")
    assert code == 0
    assert "P-ann and P-bob become one person" in out
    group = out.split("review revoke ")[1].split()[0]
    assert "1 answered" in review("list")[1]
    code, out, _ = review("decide", "same", "crm:3", "crm:1", "--kind", "person")
    assert "Decided already, nothing added" in out
    code, out, _ = review("decisions")
    assert "called them" in out
    assert "binds" in out
    code, out, _ = review("revoke", group, "--why", "wrong Ann", "--by", "bob")
    assert code == 0
    assert "1 pair is left to keys and model again" in out
    assert "Revoked before, nothing added: by bob" in review("revoke", group)[1]
    assert "wrong Ann" in review("decisions", "--all")[1]
    states = [row["state"] for row in json.loads(review("decisions", "--all", "--json")[1])]
    assert states == ["revocation", "revoked"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["decide", "same", "crm:11", "crm:3"], "no record crm:11"),
        (["decide", "different", "--cluster", "cccc"], "name them"),
        (["decide", "same", "zzzz"], "no question 'zzzz'"),
        (["show", "zzzz"], "no question 'zzzz'"),
        (["revoke", "D-zzzz"], "no decision 'D-zzzz'"),
        (["import", "no.csv"], "cannot be read"),
        (["decide", "perhaps", "aaaa"], "perhaps"),
    ],
)
def test_bad_usage_is_exit_code_two_and_writes_nothing(
    review: Door, folder: Path, words: list[str], message: str
) -> None:
    code, out, err = review(*words)
    assert code == 2
    assert message in out + err
    assert not (folder / "lake/stewardship/decisions").exists()


def test_an_import_with_a_refused_line_is_exit_code_one(review: Door, folder: Path) -> None:
    (folder / "pairs.csv").write_text("record_l,record_r,judgement\ncrm:1,web:d,same\ncrm:1,web:x,same\n")
    code, out, _ = review("import", "pairs.csv", "--strict")
    assert code == 1
    assert "Nothing was taken" in out
    code, out, _ = review("import", "pairs.csv", "--json")
    assert code == 1
    document = json.loads(out)
    assert [line["line"] for line in document["refused"]] == [3]
    assert len(document["added"]) == 1
    (folder / "pairs.csv").write_text("record_l,record_r,judgement\ncrm:1,web:d,\n")
    code, out, _ = review("import", "pairs.csv")
    assert code == 0
    assert "no judgement in it" in out


def test_an_export_says_what_to_do_with_it(review: Door, folder: Path) -> None:
    code, out, _ = review("export", "queue.csv")
    assert code == 0
    assert "2 questions" in out
    assert "1 questions about whole clusters" in out
    assert (folder / "queue.csv").exists()


def test_nobody_decides_while_a_night_runs(review: Door, folder: Path) -> None:
    with night_lock(str(folder / "lake")):
        code, _, err = review("decide", "same", "aaaa")
    assert code == 1
    assert "another night is running" in err


@pytest.mark.parametrize("words", [["list"], ["decisions"], ["export", "queue.csv"]])
def test_before_the_first_night_there_is_nothing_to_review(
    review: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert review(*words)[0] == 0
    assert not (tmp_path / "empty" / "lake").exists()
