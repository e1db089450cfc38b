"""Reach: the entities whose golden rows may differ from the night before, from what changed in the inputs.

A golden row is a function of its entity's candidate records (with what is resolved to other entities for
them), of the pins and questions about it, of its consent and, for an account, of the hierarchy around it.
What of that differs between two nights is compared as it is, not guessed: foreign keys, names, domains and
bounced mailboxes are resolved for both nights, and a difference reaches the entities of the records that
have it. What does not belong here: building their rows (`revise`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from crm_hygiene.golden.accounts import lone_domains, stated_parents
from crm_hygiene.golden.affiliation import affiliate_people
from crm_hygiene.golden.inputs import KEYS, ROW_HASH, Inputs, differing, with_row_hash
from crm_hygiene.golden.quality_score import uniqueness
from crm_hygiene.survivorship.deliverability import undeliverable
from crm_hygiene.survivorship.pins import pins_of_entities
from crm_hygiene.survivorship.rules import Rules

# Columns that resolving looks at.
PEOPLE = [
    *KEYS,
    "observed_at",
    "is_deleted",
    "email",
    "email_normalised",
    "email_domain",
    "email_kind",
    "phone",
    "mobile_phone",
    "merged_record_ids",
    "person_kind",
    "organisation_record_id",
    "converted_organisation_record_id",
    "organisation_name_normalised",
    "owner_id",
]
ORGANISATIONS = [
    *KEYS,
    "observed_at",
    "is_deleted",
    "email",
    "email_domain",
    "website_domain",
    "organisation_name_normalised",
    "parent_record_id",
    "country_code",
    "employee_count",
    "industry",
    "created_at",
    "owner_id",
]
# Columns of conformed.person_versions that relationships and the lives of leads look at.
VERSIONS = [
    "source",
    "person_record_id",
    "organisation_record_id",
    "job_title",
    "lead_status",
    "observed_at",
]
_BOUNCES = [
    "source",
    "person_record_id",
    "email",
    "email_normalised",
    "interaction_kind",
    "channel",
    "occurred_at",
    "landed_at",
]


@dataclass(frozen=True)
class Resolved:
    """One night's inputs and what they resolve to, each computed when it is asked for.

    `other` is another night: what is made of tables that are the same on both is taken from there. Of a night
    that is only compared, `settle` keeps what comparing asks for.
    """

    inputs: Inputs
    rules: Rules
    systems: Mapping[str, str]
    other: Resolved | None = None

    def _shared(self, *tables: str) -> Resolved:
        """The night to take from what is made of `tables` alone."""
        same = self.other is not None and all(
            getattr(self.inputs, table) is getattr(self.other.inputs, table) for table in tables
        )
        return self.other if same and self.other is not None else self

    @cached_property
    def people(self) -> pl.DataFrame:
        """conformed.people: the columns of `PEOPLE`, and row_hash."""
        night = self._shared("people")
        return with_row_hash(self.inputs.people, PEOPLE) if night is self else night.people

    @cached_property
    def organisations(self) -> pl.DataFrame:
        """conformed.organisations, as `people`."""
        night = self._shared("organisations")
        return (
            with_row_hash(self.inputs.organisations, ORGANISATIONS) if night is self else night.organisations
        )

    @cached_property
    def hashed_people(self) -> pl.DataFrame:
        """source, record_id, row_hash of conformed.people."""
        night = self._shared("people")
        return self.people.select(*KEYS, ROW_HASH) if night is self else night.hashed_people

    @cached_property
    def hashed_organisations(self) -> pl.DataFrame:
        """source, record_id, row_hash of conformed.organisations."""
        night = self._shared("organisations")
        return self.organisations.select(*KEYS, ROW_HASH) if night is self else night.hashed_organisations

    @cached_property
    def person_members(self) -> pl.DataFrame:
        """source, record_id, entity_id."""
        night = self._shared("person_members")
        if night is self:
            return self.inputs.person_members.select(*KEYS, "entity_id").collect()
        return night.person_members

    @cached_property
    def organisation_members(self) -> pl.DataFrame:
        """source, record_id, entity_id."""
        night = self._shared("organisation_members")
        if night is self:
            return self.inputs.organisation_members.select(*KEYS, "entity_id").collect()
        return night.organisation_members

    @cached_property
    def versions(self) -> pl.DataFrame:
        """What relationships and the lives of leads look at in conformed.person_versions."""
        night = self._shared("versions")
        return self.inputs.versions.select(VERSIONS).collect() if night is self else night.versions

    @cached_property
    def affiliations(self) -> pl.DataFrame:
        """Of `affiliate_people`."""
        night = self._shared("people", "organisations", "organisation_members")
        if night is self:
            return affiliate_people(self.people, self.organisations, self.organisation_members, self.systems)
        return night.affiliations

    @cached_property
    def parents(self) -> pl.DataFrame:
        """Of `stated_parents`."""
        night = self._shared("organisations", "organisation_members")
        if night is self:
            return stated_parents(self.organisations, self.organisation_members, self.systems)
        return night.parents

    @cached_property
    def lone_domains(self) -> pl.Series:
        """Of `accounts.lone_domains`."""
        return lone_domains(self.organisations, self.organisation_members)

    @cached_property
    def living_people(self) -> pl.DataFrame:
        """Members of person entities that have a golden row."""
        return living(self.people, self.person_members)

    @cached_property
    def living_organisations(self) -> pl.DataFrame:
        """Members of organisation entities that have a golden row."""
        night = self._shared("organisations", "organisation_members")
        if night is self:
            return living(self.organisations, self.organisation_members)
        return night.living_organisations

    @cached_property
    def bounced(self) -> tuple[pl.Series, pl.Series]:
        """Mailboxes that mail does not reach: of people as normalised, of organisations as written."""
        night = self._shared("interactions", "people", "organisations")
        if night is not self:
            return night.bounced
        rule = self.rules.bounces
        heard = (
            self.inputs.interactions.filter(pl.col("interaction_kind").is_in([*rule.kinds, *rule.cleared_by]))
            .select(_BOUNCES)
            .collect()
            .lazy()
        )
        return (
            undeliverable(heard, self.people, "email_normalised", rule, self.systems),
            undeliverable(heard, self.organisations, "email", rule, self.systems),
        )

    def settle(self) -> None:
        """Work out what two nights are compared by, and let go of the records it is made of.

        Two nights' records beside each other would be most of what golden holds of a large base.
        """
        for name in _COMPARED_BY:
            getattr(self, name)
        for name in ("people", "organisations"):
            self.__dict__.pop(name, None)


# What `touched_people` and `touched_organisations` look at of the night before.
_COMPARED_BY = (
    "hashed_people",
    "hashed_organisations",
    "affiliations",
    "parents",
    "lone_domains",
    "living_organisations",
    "bounced",
)


def living(records: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """Those of `members` whose entity has a record that is not deleted, and so a golden row."""
    live = records.filter(~pl.col("is_deleted").fill_null(False)).select(KEYS)
    alive = members.join(live, on=KEYS, how="semi").select("entity_id").unique()
    return members.join(alive, on="entity_id", how="semi")


def _ids(*parts: pl.DataFrame) -> pl.Series:
    return pl.concat([part.select("entity_id") for part in parts])["entity_id"].unique()


def _entities_of(keys: list[pl.DataFrame], then: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """Entities that the records of `keys` belonged to on either night."""
    wanted = pl.concat([part.select(KEYS) for part in keys]).unique()
    return pl.concat([members.join(wanted, on=KEYS, how="semi") for members in (then, now)])


def _flips(then: pl.Series, now: pl.Series) -> pl.Series:
    """Values that are in one of the two only, as a list to ask with."""
    return pl.concat(
        [then.filter(~then.is_in(now.implode())), now.filter(~now.is_in(then.implode()))]
    ).implode()


def _said(then: Resolved, now: Resolved, table: str) -> list[pl.DataFrame]:
    """Entities about which stewards or open questions say something else than before."""
    members = ("person_members", "organisation_members")[table == "accounts"]
    pins = [
        pins_of_entities(night.inputs.pins.collect(), getattr(night, members), table) for night in (then, now)
    ]
    doubts = [uniqueness(night.inputs.questions.collect()) for night in (then, now)]
    return [differing(*pins), differing(*doubts)]


def touched_people(then: Resolved, now: Resolved, consent: pl.DataFrame) -> pl.Series:
    """Ids of person entities, past and present, whose contacts or relationships may differ.

    `consent` are rows of golden.provenance for consent that are no longer or not yet there.
    """
    moved = differing(then.living_organisations, now.living_organisations)["record_id"].unique().implode()
    keys = [
        differing(then.hashed_people, now.hashed_people),
        differing(then.affiliations, now.affiliations),
        now.people.filter(pl.col("email_normalised").is_in(_flips(then.bounced[0], now.bounced[0]))),
        differing(then.versions, now.versions).rename({"person_record_id": "record_id"}),
        now.versions.filter(pl.col("organisation_record_id").is_in(moved)).rename(
            {"person_record_id": "record_id"}
        ),
    ]
    return _ids(
        _entities_of(keys, then.person_members, now.person_members),
        differing(then.person_members, now.person_members),
        *_said(then, now, "contacts"),
        consent,
    )


def touched_organisations(then: Resolved, now: Resolved, live: pl.DataFrame) -> pl.Series:
    """Ids of organisation entities, past and present, whose accounts may differ.

    `live` are entity_id and parent_entity_id of the live golden.accounts. Who is above or below a touched
    account is touched too: tops, depths and circles are properties of a whole hierarchy.
    """
    keys = [
        differing(then.hashed_organisations, now.hashed_organisations),
        differing(then.parents, now.parents),
        now.organisations.filter(pl.col("email").is_in(_flips(then.bounced[1], now.bounced[1]))),
        now.organisations.filter(pl.col("email_domain").is_in(_flips(then.lone_domains, now.lone_domains))),
    ]
    found = _ids(
        _entities_of(keys, then.organisation_members, now.organisation_members),
        differing(then.organisation_members, now.organisation_members),
        *_said(then, now, "accounts"),
    )
    pinned = pins_of_entities(now.inputs.pins.collect(), now.organisation_members, "accounts").filter(
        pl.col("column_name") == "parent_entity_id"
    )
    ends = ["entity_id", "parent_entity_id"]
    links = pl.concat(
        [live.select(ends), now.parents.select(ends), pinned.select("entity_id", parent_entity_id="value")]
    ).drop_nulls()
    return _with_relatives(found, links.unique())


def _with_relatives(touched: pl.Series, links: pl.DataFrame) -> pl.Series:
    """`touched` and everyone whom links (entity_id, parent_entity_id) join to them, however far."""
    both = pl.concat(
        [
            links.rename({"entity_id": "of", "parent_entity_id": "entity_id"}),
            links.rename({"parent_entity_id": "of"}),
        ],
        how="diagonal",
    ).select("of", "entity_id")
    found, new = touched, touched
    while new.len():
        near = both.filter(pl.col("of").is_in(new.implode()))["entity_id"].unique()
        new = near.filter(~near.is_in(found.implode()))
        found = pl.concat([found, new])
    return found
