"""Writes to a real Tryton: preconditions, parts of a party, refusals, and that one row stops no other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.operations import Answer, Operation, Outcome
from crm_hygiene.writeback.targets.tryton import TrytonTarget
from crm_hygiene.writeback.targets.tryton_rpc import TrytonSession

from .conftest import Make

PARTY = "party.party"
ALL = [
    "name",
    "email",
    "phone",
    "mobile",
    "website",
    "tax_identifier",
    "street",
    "postal_code",
    "city",
    "country",
]


def write(
    record_id: str, before: dict[str, str | None], after: dict[str, str | None], key: str = "o"
) -> Operation:
    return Operation(f"{key}{record_id}", "write", PARTY, record_id, before, after)


def sent(target: TrytonTarget, operation: Operation) -> Answer:
    (answer,) = target.send([operation])
    return answer


def test_every_field_is_written_and_reads_back_as_normalised(target: TrytonTarget, make: Make) -> None:
    party = make("ada krüger")
    after: dict[str, str | None] = {
        "name": "Ada Krüger", "email": "ada@krueger.example", "phone": "+493012345678",
        "mobile": "+491712345678", "website": "krueger.example", "tax_identifier": "DE136695976",
        "street": "Hafenweg 3", "postal_code": "48155", "city": "Münster", "country": "DE",
    }  # fmt: skip
    before = target.read(PARTY, [party], ALL)[party]
    assert before.values == {**dict.fromkeys(ALL), "name": "ada krüger"}
    answer = sent(target, write(party, dict(before.values), after))
    assert (answer.outcome, answer.message) == (Outcome.DONE, "")
    held = target.read(PARTY, [party], ALL)[party]
    assert held.version == answer.version != before.version
    assert target.normalise(PARTY, held.values) == target.normalise(PARTY, after)
    # This server formats telephone numbers by itself; the comparison sees through it.
    assert held.values["phone"] == "+49 30 12345678"


def test_undoing_a_write_leaves_every_field_as_it_was(target: TrytonTarget, make: Make) -> None:
    party = make("Mira", ways={"email": "MIRA@Haas.example"})
    before = dict(target.read(PARTY, [party], ALL)[party].values)
    after = {
        **before,
        "name": "Mira Haas",
        "email": "mira@haas.example",
        "phone": "+493012345678",
        "city": "Bonn",
    }
    assert sent(target, write(party, before, after)).outcome is Outcome.DONE
    assert sent(target, write(party, after, before)).outcome is Outcome.DONE
    assert target.read(PARTY, [party], ALL)[party].values == before
    # And once more there and back: what was retired is used again, not made twice.
    assert sent(target, write(party, before, after)).outcome is Outcome.DONE
    rows = target.session.call(
        "model.party.contact_mechanism.search_read", [["party", "=", int(party)]], 0, None, None, ["type"],
        context={"active_test": False},
    )  # fmt: skip
    assert sorted(row["type"] for row in rows) == ["email", "phone"]


def test_a_field_changed_since_it_was_read_is_never_overwritten(
    target: TrytonTarget, make: Make, admin: TrytonSession
) -> None:
    party = make(ways={"email": "old@x.example"})
    operation = write(party, {"email": "old@x.example"}, {"email": "new@x.example"})
    (row,) = admin.call(
        "model.party.party.search_read", [["id", "=", int(party)]], 0, None, None, ["contact_mechanisms"]
    )
    admin.call(
        "model.party.contact_mechanism.write",
        row["contact_mechanisms"],
        {"value": "theirs@x.example"},
        changes=True,
    )
    answer = sent(target, operation)
    assert (answer.outcome, answer.code) == (Outcome.CONFLICT, "changed")
    assert "example" not in answer.message
    assert target.read(PARTY, [party], ["email"])[party].values == {"email": "theirs@x.example"}


def test_a_stale_version_is_a_conflict_even_where_the_field_is_the_same(
    target: TrytonTarget, make: Make, admin: TrytonSession
) -> None:
    party = make()
    version = target.read(PARTY, [party], ["name"])[party].version
    admin.call("model.party.party.write", [int(party)], {"fax": "+493012345679"}, changes=True)
    operation = write(party, {"name": "Ada Krüger"}, {"name": "A. Krüger"})
    assert sent(target, replace(operation, version=version)).outcome is Outcome.CONFLICT
    fresh = target.read(PARTY, [party], ["name"])[party].version
    assert sent(target, replace(operation, version=fresh)).outcome is Outcome.DONE


def test_tryton_itself_refuses_what_changed_between_reading_and_writing(
    target: TrytonTarget, make: Make, admin: TrytonSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    party, other = make(), make("Lena Vogt")
    read = target.reader.records

    def read_then_changed(*asked: object) -> object:
        records = read(*asked)  # type: ignore[arg-type]
        admin.call("model.party.party.write", [int(party)], {"name": "Theirs"}, changes=True)
        return records

    monkeypatch.setattr(target.reader, "records", read_then_changed)
    answers = target.send(
        [
            write(party, {"name": "Ada Krüger"}, {"name": "Ours"}),
            write(other, {"name": "Lena Vogt"}, {"name": "Lena Voigt"}),
        ]
    )
    monkeypatch.undo()
    assert [(a.outcome, a.code) for a in answers] == [(Outcome.CONFLICT, "concurrency"), (Outcome.DONE, "")]
    held = target.read(PARTY, [party, other], ["name"])
    assert [held[p].values["name"] for p in (party, other)] == ["Theirs", "Lena Voigt"]


def test_one_refused_row_stops_no_other_and_its_message_holds_no_value(
    target: TrytonTarget, make: Make
) -> None:
    parties = [make(f"Party {n}") for n in range(9)]
    operations = [write(p, {"name": f"Party {n}"}, {"name": f"Named {n}"}) for n, p in enumerate(parties)]
    operations[4] = write(parties[4], {"tax_identifier": None}, {"tax_identifier": "DE123"})
    answers = target.send(operations)
    assert [a.outcome for a in answers] == [Outcome.DONE] * 4 + [Outcome.REFUSED] + [Outcome.DONE] * 4
    assert answers[4].code == "user_error"
    assert "not valid" in answers[4].message
    assert "DE123" not in answers[4].message
    assert "Party 4" not in answers[4].message
    names = [target.read(PARTY, [p], ["name"])[p].values["name"] for p in parties]
    assert names == [f"Named {n}" if n != 4 else "Party 4" for n in range(9)]


def test_what_is_so_already_is_done_without_a_write(target: TrytonTarget, make: Make) -> None:
    party = make()
    version = target.read(PARTY, [party], [])[party].version
    answer = sent(target, write(party, {"name": "somebody else"}, {"name": "Ada Krüger"}))
    assert (answer.outcome, answer.code) == (Outcome.DONE, "already")
    assert target.read(PARTY, [party], [])[party].version == version


def test_emptying_the_first_of_two_is_refused(target: TrytonTarget, make: Make, admin: TrytonSession) -> None:
    party = make(ways={"email": "one@x.example"})
    second = {"party": int(party), "type": "email", "value": "two@x.example"}
    admin.call("model.party.contact_mechanism.create", [second], changes=True)
    answer = sent(target, write(party, {"email": "one@x.example"}, {"email": None}))
    assert (answer.outcome, answer.code) == (Outcome.REFUSED, "unfit")
    assert target.read(PARTY, [party], ["email"])[party].values == {"email": "one@x.example"}


def test_an_opt_out_is_a_category(target: TrytonTarget, make: Make) -> None:
    party = make()
    answer = sent(target, write(party, {"email_opt_out": None}, {"email_opt_out": "true"}))
    assert answer.outcome is Outcome.DONE
    fields = ["email_opt_out", "phone_opt_out"]
    held = target.read(PARTY, [party], fields)[party].values
    assert held == {"email_opt_out": "true", "phone_opt_out": "false"}


def test_a_country_that_tryton_lacks_is_refused_with_the_way_out(target: TrytonTarget, make: Make) -> None:
    answer = sent(target, write(make(), {"country": None}, {"country": "FR"}))
    assert answer.outcome is Outcome.REFUSED
    assert "load its countries" in answer.message


def test_gone_and_inactive_records(target: TrytonTarget, make: Make) -> None:
    party = make(active=False)
    assert target.read(PARTY, [party, "99999", "x"], ["name"])[party].is_deleted
    assert set(target.read(PARTY, [party, "99999", "x"], ["name"])) == {party}
    answer = sent(target, write("99999", {"name": "A"}, {"name": "B"}))
    assert (answer.outcome, answer.code) == (Outcome.CONFLICT, "gone")


def test_a_misspelt_field_names_the_nearest(target: TrytonTarget, make: Make) -> None:
    with pytest.raises(ConfigurationError, match=r"no field 'emial'.*email"):
        target.read(PARTY, [make()], ["emial"])


def test_opportunities_are_read_and_written_by_their_own_fields(target: TrytonTarget, make: Make) -> None:
    party = make()
    (made,) = target.session.call(
        "model.sale.opportunity.create", [{"description": "Spa", "party": int(party)}], changes=True
    )
    fields = ["party", "description", "amount", "state", "end_date"]
    before = target.read("sale.opportunity", [str(made)], fields)[str(made)].values
    assert before == {"party": party, "description": "Spa", "amount": None, "state": "lead", "end_date": None}
    after = {"amount": "12.50", "end_date": "2025-04-01"}
    operation = Operation("o", "write", "sale.opportunity", str(made), {"amount": None}, after)
    assert sent(target, operation).outcome is Outcome.DONE
    held = target.read("sale.opportunity", [str(made)], ["amount", "end_date"])[str(made)].values
    assert held == target.normalise("sale.opportunity", after) == {"amount": "12.5", "end_date": "2025-04-01"}
