"""Golden tables of a night, made from what the night changed and kept for the rest.

Contacts, accounts, relationships and provenance are built for the entities a change reaches (`reach`), by
the functions that build them whole, on the records of those entities. Leads, activities and consent hang on
names, mailboxes and last activities of everybody: they are cheap, are computed whole and compared with the
live rows. Either way the tables equal those of `build_golden`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from crm_hygiene.golden.activities import Activities, tie_people
from crm_hygiene.golden.build import night_notes
from crm_hygiene.golden.consent import ConsentMemory, effective_consent
from crm_hygiene.golden.firms import build_firms
from crm_hygiene.golden.inputs import Inputs, differing
from crm_hygiene.golden.inquiries import follow_inquiries
from crm_hygiene.golden.lead_rules import LeadRules
from crm_hygiene.golden.leads import live_leads
from crm_hygiene.golden.persons import build_persons
from crm_hygiene.golden.provenance import Provenance
from crm_hygiene.golden.quality_score import uniqueness
from crm_hygiene.golden.reach import Resolved, touched_organisations, touched_people
from crm_hygiene.revision import Revision, Stays, StreamedRevision, revised, revised_in_parts, slices
from crm_hygiene.spill import PutBy, gathered
from crm_hygiene.survivorship.pins import pins_of_entities
from crm_hygiene.survivorship.rules import Rules

PROVENANCE = "golden.provenance"

# Rows kept at a time.
_KEPT_ROWS = 250_000

# Beyond this share of its entities, building a table whole costs no more.
_MOST_TOUCHED = 0.3


class Compared:
    """Rows of golden.activities that the live version has as well, and those it has not, in parts, once."""

    def __init__(self, live: pl.LazyFrame, activities: Activities) -> None:
        self._live = live
        self._activities = activities
        self._fresh: list[pl.DataFrame] = []

    def kept(self) -> Iterator[pl.DataFrame]:
        """Rows that stay; those that are new are put by."""
        hashes = (part.collect().hash_rows(seed=0) for part in slices(self._live, _KEPT_ROWS))
        live = pl.concat([pl.Series(dtype=pl.UInt64), *hashes]).implode()
        for part in self._activities:
            is_kept = part.hash_rows(seed=0).is_in(live)
            self._fresh.append(part.filter(~is_kept))
            yield part.filter(is_kept)

    def fresh(self) -> Iterator[pl.DataFrame]:
        """Rows that are new; asked for when all that stay have been taken."""
        yield from self._fresh


@dataclass(frozen=True)
class RevisedGolden:
    """Golden tables told as rows of the live version that stay, and rows made in this night.

    Attributes
    ----------
    tables
        all golden tables but provenance and activities; contacts and accounts in parts where they are many.
    activities
        golden.activities.
    provenance
        golden.provenance, its frames made as they are iterated, once.
    touched
        how many person and organisation entities were built.
    notes
        lines a steward should read after the night.
    """

    tables: dict[str, Revision | StreamedRevision]
    activities: Compared
    provenance: StreamedRevision
    touched: tuple[int, int]
    notes: tuple[str, ...]


def revise_golden(
    then: Inputs,
    now: Inputs,
    live: Mapping[str, pl.LazyFrame],
    consents: pl.DataFrame,
    interactions: pl.LazyFrame,
    users: pl.DataFrame,
    opportunities: pl.DataFrame,
    memory: Callable[[pl.DataFrame, pl.DataFrame], ConsentMemory],
    rules: Rules,
    lead_rules: LeadRules,
    as_of: datetime,
    systems: Mapping[str, str],
    size: int,
) -> RevisedGolden | None:
    """Golden tables of `now`, from the live ones that were built of `then` by the same rules and `as_of`.

    Parameters
    ----------
    live
        every golden table as it stands.
    consents, interactions, users, opportunities
        conformed tables of this night, the interactions lazy.
    memory
        what is known of consent besides, given addresses and keys of conformed.people and its members.
    size
        how many entities are held at a time.

    Returns
    -------
    None where so much changed that building whole costs no more.
    """
    here = Resolved(now, rules, systems)
    before = Resolved(then, rules, systems, here)
    before.settle()
    consent = effective_consent(
        here.people,
        here.living_people,
        consents,
        interactions,
        systems,
        here.bounced[0],
        memory(here.people, here.person_members),
    )
    traced = pl.concat(consent.provenance)
    traced_before = live[PROVENANCE].filter(
        (pl.col("table_name") == "golden.contacts")
        & pl.col("column_name").is_in(["email_consent", "phone_consent"])
    )
    persons_touched = touched_people(before, here, differing(traced_before.collect(), traced))
    firms_touched = touched_organisations(
        before, here, live["golden.accounts"].select("entity_id", "parent_entity_id").collect()
    )
    if _are_most(persons_touched, before.person_members, here.person_members) or _are_most(
        firms_touched, before.organisation_members, here.organisation_members
    ):
        return None
    del before, traced_before  # what only the night before held is not kept while everything is built
    tied = tie_people(interactions, here.people, here.living_people, systems)
    inquiries = follow_inquiries(
        live_leads(now.people, here.living_people),
        here.people,
        here.living_people,
        here.organisations,
        here.living_organisations,
        here.affiliations,
        tied,
        opportunities,
        users,
        here.versions,
        systems,
        lead_rules,
    )
    here.settle()
    doubts, pins = uniqueness(now.questions.collect()), now.pins.collect()
    is_person = pl.col("entity_id").is_in(persons_touched.implode())
    is_firm = pl.col("entity_id").is_in(firms_touched.implode())

    mine = here.organisation_members.filter(is_firm)
    firms = build_firms(
        now.organisations,
        mine,
        here.parents,
        here.lone_domains,
        here.bounced[1],
        pins_of_entities(pins, here.organisation_members, "accounts"),
        doubts,
        rules,
        as_of,
        systems,
        size,
    )
    mine = here.person_members.filter(is_person)
    persons = build_persons(
        now.people,
        mine,
        here.affiliations,
        here.bounced[0],
        consent.contacts,
        here.versions,
        here.living_organisations,
        pins_of_entities(pins, here.person_members, "contacts"),
        doubts,
        rules,
        as_of,
        systems,
        size,
    )
    relationships = revised(
        live["golden.relationships"],
        _unless(pl.col("person_entity_id").is_in(persons_touched.implode())),
        gathered(persons.relationships),
    )
    activities = Activities(
        tied,
        _now(live["golden.contacts"], is_person, persons.rows, "account_entity_id"),
        pl.concat([relationships.kept, relationships.fresh]),
        inquiries.leads,
        inquiries.states,
        here.living_organisations,
        systems,
    )
    compared = {
        "golden.leads": inquiries.leads,
        "golden.lead_states": inquiries.states,
        "golden.consents": consent.consents,
        "golden.consent_events": consent.events,
    }
    problems = _now(live["golden.accounts"], is_firm, firms.rows, "hierarchy_problem").drop_nulls()
    return RevisedGolden(
        tables={
            "golden.contacts": _held_or_in_parts(live["golden.contacts"], is_person, persons.rows),
            "golden.accounts": _held_or_in_parts(live["golden.accounts"], is_firm, firms.rows),
            "golden.relationships": relationships,
            **{t: _against(live[t].collect(), frame) for t, frame in compared.items()},
        },
        activities=Compared(live["golden.activities"], activities),
        provenance=revised_in_parts(
            live[PROVENANCE],
            _unless(
                ((pl.col("table_name") == "golden.contacts") & is_person)
                | ((pl.col("table_name") == "golden.accounts") & is_firm)
            ),
            Provenance(
                chosen=(
                    *(("contacts", choices) for choices in persons.choices),
                    *(("accounts", choices) for choices in firms.choices),
                ),
                stated=tuple(frame.filter(is_person) for frame in consent.provenance),
                rules=rules,
                as_of=as_of,
            ),
            _KEPT_ROWS,
        ),
        touched=(persons_touched.len(), firms_touched.len()),
        notes=night_notes(
            inquiries.states, inquiries.leads, tied, consent, problems.sort("entity_id")["hierarchy_problem"]
        ),
    )


def _are_most(touched: pl.Series, then: pl.DataFrame, now: pl.DataFrame) -> bool:
    known = max(members["entity_id"].n_unique() for members in (then, now))
    return touched.len() > _MOST_TOUCHED * known


def _unless(is_touched: pl.Expr) -> Stays:
    return lambda rows: rows.select(stays=~is_touched)["stays"]


def _now(live: pl.LazyFrame, is_touched: pl.Expr, built: Sequence[PutBy], column: str) -> pl.DataFrame:
    """entity_id and one more column of tonight's table: of live rows not touched, and of what was built."""
    wanted = ["entity_id", column]
    return pl.concat(
        [live.filter(~is_touched).select(wanted).collect(), *(rows().select(wanted) for rows in built)]
    )


def _held_or_in_parts(
    live: pl.LazyFrame, is_touched: pl.Expr, built: Sequence[PutBy]
) -> Revision | StreamedRevision:
    """The live rows that are not touched, and what was built; of many rows not even the former are held."""
    if live.select(pl.len()).collect().item() <= _KEPT_ROWS:
        return revised(live, _unless(is_touched), gathered(built))
    return revised_in_parts(live, _unless(is_touched), (rows() for rows in built), _KEPT_ROWS)


def _against(live: pl.DataFrame, table: pl.DataFrame) -> Revision:
    """A table that was made whole: rows that the live version has as well, and those it has not."""
    was, found = live.hash_rows(seed=0), table.hash_rows(seed=0)
    is_kept = found.is_in(was.implode())
    return Revision(table.filter(is_kept), table.filter(~is_kept), live.filter(~was.is_in(found.implode())))
