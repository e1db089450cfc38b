"""Contacts and relationships of person entities, built a bucket of them at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import polars as pl

from crm_hygiene.ahead import ahead
from crm_hygiene.golden.buckets import Buckets
from crm_hygiene.golden.built import Built, put_choices
from crm_hygiene.golden.contacts import build_contacts, choose_fields, columns_chosen_from, gather_people
from crm_hygiene.golden.inputs import KEYS
from crm_hygiene.golden.relationships import build_relationships
from crm_hygiene.spill import PutBy, Spill
from crm_hygiene.survivorship.candidates import Candidates
from crm_hygiene.survivorship.rules import Rules


def build_persons(
    people: pl.LazyFrame,
    members: pl.DataFrame,
    affiliations: pl.DataFrame,
    bounced: pl.Series,
    consent: pl.DataFrame,
    versions: pl.DataFrame,
    organisation_members: pl.DataFrame,
    pins: pl.DataFrame,
    doubts: pl.DataFrame | None,
    rules: Rules,
    as_of: datetime,
    systems: Mapping[str, str],
    size: int,
) -> Built:
    """golden.contacts and golden.relationships of the entities of `members`, `size` of them at a time.

    Parameters
    ----------
    people
        conformed.people, lazy and as stored: it is read in slices.
    affiliations, consent
        of `affiliate_people` and the contacts of `effective_consent`.
    bounced
        normalised addresses that mail does not reach.
    versions
        conformed.person_versions.
    organisation_members
        members of organisations that have a golden row.
    pins, doubts
        of `pins_of_entities` and `uniqueness`.
    """
    buckets = Buckets(members["entity_id"], size)
    homes = buckets.split(members.select(*KEYS, "entity_id").join(affiliations, on=KEYS, how="left"))
    person = members.select("source", "entity_id", person_record_id="record_id")
    told = buckets.split(versions.join(person, on=["source", "person_record_id"], how="inner"))
    stated = buckets.split(consent)
    spill = Spill(is_held=len(buckets) == 1)

    def candidates() -> Iterator[Candidates]:
        records = buckets.records(people.select(columns_chosen_from(people, rules)), members)
        for mine, rows in zip(homes, records, strict=True):
            at = mine.select(*KEYS, "account_entity_id").drop_nulls()
            yield gather_people(rows, mine.drop("account_entity_id"), at, rules, systems, bounced)

    contacts: list[PutBy] = []
    relationships: list[PutBy] = []
    chosen = []
    for number, persons in enumerate(ahead(candidates())):
        choices = choose_fields(persons, "contacts", rules, as_of, pins)
        rows = build_contacts(persons, choices, stated[number], rules, as_of, doubts)
        contacts.append(spill.put(rows))
        stays = build_relationships(persons, told[number], organisation_members, systems)
        relationships.append(spill.put(stays))
        chosen.append(put_choices(choices, spill))
    return Built(tuple(contacts), tuple(chosen), tuple(relationships))
