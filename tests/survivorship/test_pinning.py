"""Pins as a steward sets them, in a small lake: what the next night makes of them, merges included."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from golden import records as r

from crm_hygiene.config import load_config
from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.golden.contacts import build_contacts, choose_fields, gather_people
from crm_hygiene.golden.provenance import trace_column
from crm_hygiene.night import Night
from crm_hygiene.night_lock import night_lock
from crm_hygiene.survivorship.pinning import list_pins, revoke_pin, set_pin
from crm_hygiene.survivorship.pins import pins_of_entities

PEOPLE: list[dict[str, Any]] = [
    {
        "source": "salesforce_contacts",
        "record_id": "1",
        "given_name": "Ann",
        "family_name": "Lee",
        "full_name": "Ann Lee",
        "email": "ann@old.de",
        "phone": "+4930123456",
        "street": "Weg 1",
        "city": "Berlin",
        "country_code": "DE",
    },
    {"source": "hubspot_contacts", "record_id": "2", "email": "ann@new.de", "city": "Bonn"},
    {"source": "form_submissions", "record_id": "3", "full_name": "Bob Ray", "email": "bob@ray.de"},
]
ENTITIES = {"1": "P-ann", "2": "P-ann", "3": "P-bob"}


class Place:
    """A lake with three records, whose golden contacts `next_night` makes anew."""

    def __init__(self, folder: Path) -> None:
        (folder / "hygiene.yaml").write_text("{}\n")
        self.folder = folder
        self.night = Night.open(load_config(folder / "hygiene.yaml"))
        self._publish("conformed.people", r.people(PEOPLE))
        self.next_night(ENTITIES)

    def _publish(self, table: str, frame: pl.DataFrame) -> None:
        self.night.lake.publish(contract_of(table), frame, {"run_id": "test"})

    def next_night(self, entities: dict[str, str] | None = None) -> dict[str, dict[str, Any]]:
        """Golden contacts by entity id, after records moved to `entities` (by record id)."""
        lake, rules = self.night.lake, self.night.survivorship
        if entities is not None:
            rows = [{**person, "entity": entities[person["record_id"]]} for person in PEOPLE]
            founders = {row["entity"]: row for row in reversed(rows)}
            register = [
                {
                    "entity_id": entity,
                    "status": "live" if entity in founders else "alias",
                    "resolves_to": None if entity in founders else "P-ann",
                    "founding_source": founders.get(entity, rows[0])["source"],
                    "founding_record_id": founders.get(entity, rows[0])["record_id"],
                    "founded_at": r.AS_OF,
                }
                for entity in ("P-ann", "P-bob")
            ]
            self._publish("linked.person_members", r.members(rows))
            self._publish("linked.person_entities", pl.DataFrame(register))
        people = lake.read(contract_of("conformed.people"))
        members = lake.read(contract_of("linked.person_members"))
        affiliations = pl.DataFrame(
            schema=dict.fromkeys(["source", "record_id", "account_entity_id"], pl.String)
        )
        bounced = pl.Series([], dtype=pl.String)
        pool = gather_people(people.lazy(), members, affiliations, rules, r.SYSTEMS, bounced)
        pins = pins_of_entities(lake.read(contract_of("stewardship.pins")), members, "contacts")
        self.choices = choose_fields(pool, "contacts", rules, r.AS_OF, pins)
        consent = pl.DataFrame(
            schema={
                "entity_id": pl.String,
                "email_consent": pl.String,
                "phone_consent": pl.String,
                "is_suppressed": pl.Boolean,
            }
        )
        contacts = build_contacts(pool, self.choices, consent, rules, r.AS_OF)
        self._publish("golden.contacts", contacts)
        return {row["entity_id"]: row for row in contacts.iter_rows(named=True)}

    def pin(self, entity: str, field: str, text: str | None, by: str = "ann") -> str:
        """Id of the pin set."""
        return str(set_pin(self.night, entity, field, text, "because", by).rows["pin_id"][0])

    def provenance(self, column: str) -> pl.DataFrame:
        """golden.provenance of one column of the last night."""
        choice = next(c for c in self.choices if column in c.rule.columns)
        return trace_column("contacts", column, choice, self.night.survivorship, r.AS_OF)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_pin_wins_from_the_next_night_on_and_says_who_and_why(place: Place) -> None:
    before = place.next_night()
    pin_id = place.pin("P-ann", "email", "Ann@Pinned.de ", by="steve")
    golden = place.next_night()
    assert golden["P-ann"]["email"] == "ann@pinned.de"
    assert golden["P-ann"]["emails"] == ["ann@pinned.de", "ann@old.de", "ann@new.de"]
    assert golden["P-bob"] == before["P-bob"]
    cell = place.provenance("email").row(0, named=True)
    assert (cell["source"], cell["record_id"]) == ("stewardship.pins", pin_id)
    assert cell["rule"].startswith("pin by steve on ")
    assert cell["rule"].endswith(": because")
    assert cell["runner_up"] == "ann@old.de"
    revoke_pin(place.night, pin_id[:8], None, "ann")
    assert place.next_night() == before


def test_a_column_of_a_group_pins_the_group_as_it_is(place: Place) -> None:
    place.pin("P-ann", "family_name", "o'neill")
    place.pin("P-ann", "given_name", "Anna")
    row = place.next_night()["P-ann"]
    assert [row[c] for c in ("given_name", "family_name", "full_name")] == ["Anna", "O'Neill", "Anna O'Neill"]
    place.pin("P-ann", "city", "Hamburg")
    row = place.next_night()["P-ann"]
    assert (row["street"], row["city"]) == ("Weg 1", "Hamburg")


def test_a_pin_survives_a_merge_and_goes_with_its_record_when_it_is_undone(place: Place) -> None:
    place.pin("form_submissions:3", "job_title", "Chief")
    merged = place.next_night(dict.fromkeys(ENTITIES, "P-ann"))
    assert merged["P-ann"]["job_title"] == "Chief"
    assert set(merged) == {"P-ann"}
    place.pin("P-bob", "job_title", "Head")
    assert place.next_night()["P-ann"]["job_title"] == "Head"
    apart = place.next_night(ENTITIES)
    assert {apart["P-ann"]["job_title"], apart["P-bob"]["job_title"]} == {"Head", "Chief"}


def test_a_pin_can_say_that_there_is_nothing(place: Place) -> None:
    place.pin("P-ann", "phone", None)
    row = place.next_night()["P-ann"]
    assert row["phone"] is None
    assert row["phones"] == ["+4930123456"]
    assert "P-ann" not in place.provenance("phone")["entity_id"].to_list()


def test_of_two_pins_the_newest_holds_and_revoking_it_brings_the_older_back(place: Place) -> None:
    place.pin("P-ann", "job_title", "One")
    newer = place.pin("P-ann", "job_title", "Two")
    assert list_pins(place.night)["state"].to_list() == ["binds", "overridden"]
    assert place.next_night()["P-ann"]["job_title"] == "Two"
    again = set_pin(place.night, "P-ann", "job_title", "Two", "because", "ann")
    assert again.rows.is_empty()
    revoke_pin(place.night, newer, "no", "ann")
    assert place.next_night()["P-ann"]["job_title"] == "One"
    assert list_pins(place.night)["state"].to_list() == ["revocation", "revoked", "binds"]
    assert not revoke_pin(place.night, newer, "no", "ann")[1]


@pytest.mark.parametrize(
    ("entity", "field", "text", "message"),
    [
        ("P-ann", "emial", "a@b.de", "did you mean 'email'"),
        ("P-ann", "email", "no mail", "'no mail' is no value of email"),
        ("P-ann", "phone", "12", "is no value of phone"),
        ("P-ann", "birth_date", "soon", "is no value of birth_date"),
        ("P-ann", "name", "Ann", "is a group; name the column"),
        ("P-ann", "account_entity_id", "O-1", "cannot be pinned"),
        ("P-ann", "quality_score", "1", "has no field 'quality_score'"),
        ("P-an", "email", "a@b.de", "did you mean 'P-ann'"),
        ("web:404", "email", "a@b.de", "no living person or organisation 'web:404'"),
    ],
)
def test_what_cannot_be_pinned_is_refused_and_nothing_is_written(
    place: Place, entity: str, field: str, text: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        place.pin(entity, field, text)
    assert list_pins(place.night).is_empty()


Door = Callable[..., tuple[int, str, str]]


@pytest.fixture
def door(place: Place, front_door: Door) -> Door:
    """Calls `crm-hygiene` in the lake's folder."""
    return partial(front_door, folder=place.folder)


def test_the_command_line_sets_lists_and_revokes(door: Door, place: Place) -> None:
    code, out, _ = door("pin", "set", "P-ann", "job_title", "Chief", "--why", "card", "--by", "steve")
    assert (code, "nothing becomes 'Chief' with the next night" in out) == (0, True)
    code, out, _ = door("pin", "list", "P-ann", "--json")
    (row,) = json.loads(out)
    assert (row["value"], row["decided_by"], row["reason"], row["state"]) == (
        "Chief",
        "steve",
        "card",
        "binds",
    )
    assert "by steve: card" in door("pin", "list")[1]
    code, out, _ = door("pin", "revoke", row["pin_id"])
    assert (code, "is taken back" in out) == (0, True)
    assert door("pin", "list")[1].startswith("no pin holds")
    assert "revokes" in door("pin", "list", "--all")[1]


def test_wrong_use_is_exit_code_2_and_a_running_night_is_not_disturbed(door: Door, place: Place) -> None:
    assert door("pin", "set", "P-ann", "email", "--why", "x")[0] == 2
    assert door("pin", "set", "P-ann", "email", "a@b.de")[0] == 2
    assert door("pin", "revoke", "N-none")[0] == 2
    with night_lock(place.night.config.lake_uri):
        code, _, err = door("pin", "set", "P-ann", "email", "a@b.de", "--why", "x")
    assert (code, "another night is running" in err) == (1, True)


def test_a_wrong_rules_file_is_told_before_anything_runs(door: Door, place: Place) -> None:
    (place.folder / "hygiene.yaml").write_text("rules: {survivorship: mine.yaml}\n")
    (place.folder / "mine.yaml").write_text("half_life_days: 9\ntrust:\n  hubspt*: 1\n")
    for command in (["doctor"], ["run", "--quiet"], ["pin", "list"]):
        code, out, err = door(*command)
        assert code == 2
        assert "mine.yaml:3: trust.hubspt*: no source or system fits 'hubspt*'; did you mean" in out + err
