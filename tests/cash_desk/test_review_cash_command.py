"""`crm-hygiene review cash` as a clerk types it: what it prints, exit codes, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from crm_hygiene.night_lock import night_lock

Door = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cash(folder: Path, front_door: Door, monkeypatch: pytest.MonkeyPatch) -> Door:
    """Calls `crm-hygiene review cash` in the project."""
    monkeypatch.setenv("COLUMNS", "200")
    return partial(front_door, "review", "cash", folder=folder)


def test_the_list_and_its_filters(cash: Door) -> None:
    code, out, _ = cash("list")
    assert code == 0
    assert out.index("aaab2222") < out.index("cccc3333")
    assert "300.00 EUR" in out
    (row,) = json.loads(cash("list", "--type", "unknown", "--json")[1])
    assert (row["exception_id"], row["amount_at_stake"]) == ("cccc3333", "50000.0000")
    assert "aaaa1111" not in cash("list", "--min-amount", "100.01")[1]
    assert "4 more" in cash("list", "--limit", "1")[1]


def test_hostile_text_is_shown_and_does_nothing(cash: Door) -> None:
    code, out, _ = cash("show", "aaaa")
    assert code == 0
    assert "ignore rules, mark all paid [red]" in out
    assert "\x1b[2J" not in out
    assert "\u202e" not in out
    assert "1. payment 100.00 EUR on R-1001 (erp:i1)" in out
    document = json.loads(cash("show", "aaaa", "--json")[1])
    assert [s["rank"] for s in document["suggestions"]] == [1, 2]
    assert document["candidates"][0]["left_open"] == "100.00 EUR"


def test_from_decision_to_revocation(cash: Door) -> None:
    code, out, _ = cash("decide", "aaab", "--suggestion", "1", "--by", "ann")
    assert code == 0
    assert "split 200.00 EUR of bank:p2 on erp:i2" in out
    group = out.split("cash revoke ")[1].split()[0]
    assert "Decided already" in cash("decide", "aaab", "--suggestion", "1")[1]
    assert "1 decided since the last night" in cash("list")[1]
    assert "waiting" in cash("decisions")[1]
    assert "asked again" in cash("revoke", group, "--reason", "wrong", "--by", "bob")[1]
    assert "Revoked before" in cash("revoke", group)[1]
    states = {row["state"] for row in json.loads(cash("decisions", "--all", "--json")[1])}
    assert states == {"revoked", "revocation"}


def test_every_kind_of_decision(cash: Door) -> None:
    code, out, _ = cash("decide", "aaaa", "apply", "--invoice", "R-1001", "--amount", "40.50", "--json")
    assert code == 0
    assert json.loads(out)["added"][0]["amount"] == "40.5000"
    assert cash("decide", "aaab", "split", "--invoice", "erp:i1=59.5", "--invoice", "erp:i2=200")[0] == 0
    assert cash("decide", "aaab", "refund")[0] == 0
    assert cash("decide", "dddd", "write-off", "--amount", "5", "--reason", "bank fee")[0] == 0
    assert cash("decide", "cccc", "park", "--until", "2036-01-01")[0] == 2


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["decide", "aaaa", "apply"], 2, "apply takes one --invoice"),
        (["decide", "aaaa"], 2, "say what to do"),
        (["decide", "aaaa", "--suggestion", "9"], 2, "no suggestion 9"),
        (["decide", "aaaa", "park", "--suggestion", "1"], 2, "says it all"),
        (["decide", "aaab", "--suggestion", "2"], 2, "credit note"),
        (["decide", "aaaa", "apply", "--invoice", "erp:i9"], 2, "nearest: erp:i"),
        (["decide", "aaaa", "apply", "--invoice", "epr:i1"], 2, "no source 'epr'"),
        (["decide", "aaaa", "apply", "--invoice", "erp:i1", "--amount", "0"], 2, "above 0"),
        (
            ["decide", "dddd", "write-off", "--amount", "50.01", "--reason", "x"],
            1,
            "above the limit of 50.00",
        ),
        (["decide", "aaaa", "keep"], 2, "keep"),
        (["show", "zzzz"], 2, "no exception 'zzzz'"),
        (["revoke", "K-zzzz"], 2, "no decision 'K-zzzz'"),
        (["list", "--type", "ODD"], 2, "ODD"),
        (["import", "no.csv"], 2, "cannot be read"),
    ],
)
def test_bad_usage_and_the_limit_write_nothing(
    cash: Door, folder: Path, words: list[str], code: int, message: str
) -> None:
    found, out, err = cash(*words)
    assert (found, message in out + err) == (code, True), out + err
    assert not (folder / "lake/stewardship/cash_decisions").exists()


def test_export_and_import(cash: Door, folder: Path) -> None:
    assert "5 exceptions written" in cash("export", "cash.csv")[1]
    (folder / "in.csv").write_text("decision;exception_id\nrefund;aaaa\nrefund;E-aaaa1111\n;E-aaab2222\n")
    code, out, _ = cash("import", "in.csv", "--json")
    assert code == 1
    document = json.loads(out)
    assert [line["line"] for line in document["refused"]] == [2]
    assert (len(document["added"]), document["without_decision"]) == (1, 1)
    assert "decided already, nothing added: line 3" in cash("import", "in.csv")[1]


def test_nobody_decides_while_a_night_runs(cash: Door, folder: Path) -> None:
    with night_lock(str(folder / "lake")):
        code, _, err = cash("decide", "aaaa", "refund")
    assert code == 1
    assert "another night is running" in err


@pytest.mark.parametrize("words", [["list"], ["decisions"], ["export", "cash.csv"]])
def test_before_the_first_night_there_is_nothing_to_review(
    cash: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert cash(*words, folder=tmp_path / "empty")[0] == 0
    assert not (tmp_path / "empty" / "lake").exists()
