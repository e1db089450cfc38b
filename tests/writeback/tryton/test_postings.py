"""Postings on a draft statement of a real Tryton: made once, bounded by the entry, taken back; its export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.tryton.dirty import seed
from crm_hygiene.writeback.operations import Operation, Outcome
from crm_hygiene.writeback.targets.tryton import TrytonTarget
from crm_hygiene.writeback.targets.tryton_export import export_tables
from crm_hygiene.writeback.targets.tryton_rpc import TrytonSession

LINE = "account.statement.line"


@pytest.fixture(scope="module")
def seeded(admin: TrytonSession) -> dict[str, list[int]]:
    return seed(admin)


def posting(key: str, entry: int, invoice: int, amount: str, **also: str) -> Operation:
    after = {
        "origin": str(entry), "related_to": str(invoice), "amount": amount, "currency": "EUR",
        "date": "2025-04-29", "description": key, **also,
    }  # fmt: skip
    return Operation(f"o{key}", "create", LINE, None, {}, after, external_id=("description", key))


def test_a_posting_is_made_once_and_reads_back_as_planned(
    target: TrytonTarget, seeded: dict[str, list[int]], admin: TrytonSession
) -> None:
    operation = posting("A-1", seeded["entries"][1], seeded["invoices"][0], "1190.00")
    (answer,) = target.send([operation])
    assert (answer.outcome, answer.message) == (Outcome.DONE, "")
    assert target.send([operation])[0].record_id == answer.record_id
    line = str(answer.record_id)
    held = target.read(LINE, [line], list(operation.after))[line].values
    assert held == target.normalise(LINE, operation.after)
    (row,) = admin.call(f"model.{LINE}.read", [int(line)], ["party", "number", "origin.pending_amount"])
    assert (row["party"], row["number"], row["origin."]["pending_amount"]) == (
        seeded["organisations"][0],
        "B-2",
        0,
    )

    back = Operation("back", "delete", LINE, line, before=operation.after)
    assert target.send([back])[0].outcome is Outcome.DONE
    assert target.read(LINE, [line], ["amount"]) == {}


def test_an_entry_gives_no_more_than_it_has(target: TrytonTarget, seeded: dict[str, list[int]]) -> None:
    entry, invoices = seeded["entries"][2], seeded["invoices"]
    answers = target.send(
        [
            posting("B-1", entry, invoices[2], "2000", date="2025-04-30"),
            posting("B-2", entry, invoices[0], "400", date="2025-04-30"),
            posting("B-3", entry, invoices[0], "380", date="2025-04-30"),
        ]
    )
    assert [a.outcome for a in answers] == [Outcome.DONE, Outcome.REFUSED, Outcome.DONE]
    assert answers[1].message == "more than the statement's entry has left"
    backs = [
        Operation(f"x{a.record_id}", "delete", LINE, a.record_id, before={}) for a in answers if a.record_id
    ]
    assert {a.outcome for a in target.send(backs)} == {Outcome.DONE}


@pytest.mark.parametrize(
    ("also", "words"),
    [
        ({"currency": "USD"}, "currencies"),
        ({"amount": "-5"}, "has left"),
        ({"amount": "much"}, "no number"),
        ({"origin": "999"}, "no such entry"),
        ({"related_to": "999"}, "no such invoice"),
    ],
)
def test_what_does_not_fit_is_refused(
    target: TrytonTarget, seeded: dict[str, list[int]], also: dict[str, str], words: str
) -> None:
    operation = posting("C-1", seeded["entries"][1], seeded["invoices"][0], "10")
    (answer,) = target.send([replace(operation, after={**operation.after, **also})])
    assert answer.outcome is Outcome.REFUSED
    assert words in answer.message


def test_a_statement_that_is_no_draft_takes_no_posting(
    target: TrytonTarget, seeded: dict[str, list[int]], admin: TrytonSession
) -> None:
    (statement,) = {
        row["statement"]
        for row in admin.call("model.account.statement.origin.read", seeded["entries"], ["statement"])
    }
    admin.call("model.account.statement.cancel", [statement], changes=True)
    (answer,) = target.send([posting("D-1", seeded["entries"][1], seeded["invoices"][0], "10")])
    admin.call("model.account.statement.draft", [statement], changes=True)
    assert (answer.outcome, answer.message) == (
        Outcome.REFUSED, "the statement is cancelled; only a draft takes postings"
    )  # fmt: skip


def test_the_export_is_the_same_to_the_byte_until_something_changes_and_after_it_is_undone(
    target: TrytonTarget, seeded: dict[str, list[int]], tmp_path: Path
) -> None:
    def exported() -> dict[str, bytes]:
        export_tables(target, tmp_path, "Person")
        return {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    first = exported()
    assert exported() == first
    assert set(first) == {
        "people.csv", "organisations.csv", "opportunities.csv", "invoices.csv", "statement_entries.csv",
        "statement_lines.csv",
    }  # fmt: skip
    party = str(seeded["people"][0])
    before: dict[str, str | None] = {"phone": None, "email": "ada.krueger@solaris-energie.example"}
    after: dict[str, str | None] = {"phone": "+493012345678", "email": "ada@krueger.example"}
    write = Operation("w", "write", "party.party", party, before, after)
    assert target.send([write])[0].outcome is Outcome.DONE
    changed = exported()
    assert [name for name in first if changed[name] != first[name]] == ["people.csv"]
    assert b"ada@krueger.example,+493012345678" in changed["people.csv"]
    assert target.send([replace(write, before=after, after=before)])[0].outcome is Outcome.DONE
    assert exported() == first


def test_pages_are_joined_without_a_gap(
    target: TrytonTarget, seeded: dict[str, list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = export_tables(target, tmp_path / "whole", "Person")
    monkeypatch.setattr("crm_hygiene.writeback.targets.tryton_export._PAGE", 2)
    assert export_tables(target, tmp_path / "paged", "Person") == whole
    for path in (tmp_path / "whole").iterdir():
        assert (tmp_path / "paged" / path.name).read_bytes() == path.read_bytes()
