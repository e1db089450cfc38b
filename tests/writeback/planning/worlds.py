"""Small worlds: what one CRM holds and what golden says of it, a plan of them, and the plan applied."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.writeback import MappedObject, TargetPolicy, plan_changes
from crm_hygiene.writeback.plan import NOTHING_WITHHELD
from crm_hygiene.writeback.planning.changes import FIELD_KEY
from crm_hygiene.writeback.planning.inputs import PlanInputs
from crm_hygiene.writeback.planning.merges import ChildColumn

Row = dict[str, Any]

CONTACTS = MappedObject(
    source="salesforce_contacts",
    target="salesforce",
    object="Contact",
    columns={"given_name": "FirstName", "phone": "Phone", "birth_date": "Birthdate"},
    consent={"email": "HasOptedOutOfEmail", "phone": "DoNotCall"},
    subject="people",
)
LEADS = MappedObject(
    source="salesforce_leads",
    target="salesforce",
    object="Lead",
    columns={"given_name": "FirstName"},
    consent={"email": "HasOptedOutOfEmail"},
    subject="people",
)
ACCOUNTS = MappedObject(
    source="salesforce_accounts",
    target="salesforce",
    object="Account",
    columns={"organisation_name": "Name", "phone": "Phone"},
    subject="organisations",
)
OBJECTS = [CONTACTS, LEADS, ACCOUNTS]
CHILDREN = [
    ChildColumn(
        "salesforce",
        "Opportunity",
        "ContactId",
        "salesforce_opportunities",
        "opportunities",
        "person_record_id",
    ),
    ChildColumn(
        "salesforce",
        "Opportunity",
        "AccountId",
        "salesforce_opportunities",
        "opportunities",
        "organisation_record_id",
    ),
    ChildColumn(
        "salesforce", "Contact", "AccountId", "salesforce_contacts", "people", "organisation_record_id"
    ),
]
SYSTEMS = dict.fromkeys(
    ("salesforce_contacts", "salesforce_leads", "salesforce_accounts", "salesforce_users"), "salesforce"
)
SYSTEMS |= {"hubspot_owners": "hubspot", "hubspot_contacts": "hubspot"}
USERS = [
    {"source": "salesforce_users", "record_id": "005A", "user_name": "Ann", "email": "ann@us.example"},
    {"source": "salesforce_users", "record_id": "005B", "user_name": "Bob", "email": "bob@us.example"},
    {
        "source": "salesforce_users",
        "record_id": "005X",
        "user_name": "Xen",
        "email": "xen@us.example",
        "is_active": False,
    },
    {"source": "hubspot_owners", "record_id": "77", "user_name": "Bob", "email": "Bob@us.example"},
]


def everything(**contact: Any) -> TargetPolicy:
    """A policy that allows every kind; `contact` overrides keys of the Contact's."""
    both = {"default_winner": "golden", "owner": "OwnerId", "merges": True, "external_id": "Hygiene_Id__c"}
    of_contact = {
        **both,
        "creates": True,
        "links": "AccountId",
        "children": [{"object": "Opportunity", "field": "ContactId"}],
        **contact,
    }
    of_account = {
        **both,
        "children": [
            {"object": "Opportunity", "field": "AccountId"},
            {"object": "Contact", "field": "AccountId"},
        ],
    }
    postings = {
        "object": "Payment__c",
        "external_id": "Hygiene_Id__c",
        "invoice_sources": ["erp_invoices"],
        "fields": {"payment": "Bank__c", "invoice": "Invoice__c", "amount": "Amount__c"},
    }
    return TargetPolicy.model_validate(
        {
            "target": "salesforce",
            "objects": {
                "Contact": of_contact,
                "Lead": {"default_winner": "golden", "merges": True, "owner": "OwnerId"},
                "Account": of_account,
            },
            "postings": postings,
        }
    )


def only(**contact: Any) -> TargetPolicy:
    """A policy that allows what is said for contacts, and nothing else."""
    return TargetPolicy.model_validate({"target": "salesforce", "objects": {"Contact": contact}})


def table(name: str, rows: list[Row]) -> pl.DataFrame:
    contract = contract_of(name)
    return pl.DataFrame([{**dict.fromkeys(contract.column_names), **r} for r in rows], schema=contract.schema)


def person(record_id: str, entity_id: str | None, source: str = CONTACTS.source, **more: Any) -> Row:
    return {"source": source, "record_id": record_id, "is_deleted": False, "entity_id": entity_id, **more}


def organisation(record_id: str, entity_id: str, source: str = ACCOUNTS.source, **more: Any) -> Row:
    return person(record_id, entity_id, source, **more)


def contact(entity_id: str, **more: Any) -> Row:
    consent = {"email_consent": "unknown", "phone_consent": "unknown", "is_suppressed": False}
    return {"entity_id": entity_id, "record_count": 1, "source_count": 1, **consent, **more}


def day(number: int) -> datetime:
    return datetime(2020, 1, number, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """What the sources hold (people and organisations with their entity_id) and what golden says."""

    people: list[Row] = field(default_factory=list)
    organisations: list[Row] = field(default_factory=list)
    contacts: list[Row] = field(default_factory=list)
    accounts: list[Row] = field(default_factory=list)
    leads: list[Row] = field(default_factory=list)
    consents: list[Row] = field(default_factory=list)
    opportunities: list[Row] = field(default_factory=list)
    allocations: list[Row] = field(default_factory=list)
    provenance: list[Row] = field(default_factory=list)
    doubts: dict[tuple[str, str], float] = field(default_factory=dict)
    posted: pl.DataFrame = field(default_factory=lambda: NOTHING_WITHHELD)
    seed: int | None = None

    def inputs(self) -> PlanInputs:
        def made(name: str, rows: list[Row]) -> pl.DataFrame:
            bare = [{k: v for k, v in r.items() if k in contract_of(name).column_names} for r in rows]
            frame = table(name, bare)
            return frame if self.seed is None else frame.sample(fraction=1, shuffle=True, seed=self.seed)

        def members(kind: str, rows: list[Row]) -> pl.DataFrame:
            return made(f"linked.{kind}_members", [r for r in rows if r["entity_id"] is not None])

        users = [{**u, "email_normalised": u["email"].lower()} for u in USERS]
        doubtful = [
            {"source": s, "record_id": r, "match_probability": p} for (s, r), p in self.doubts.items()
        ]
        return PlanInputs(
            people=made("conformed.people", self.people),
            organisations=made("conformed.organisations", self.organisations),
            person_members=members("person", self.people),
            organisation_members=members("organisation", self.organisations),
            contacts=made("golden.contacts", self.contacts),
            accounts=made("golden.accounts", self.accounts),
            leads=made("golden.leads", self.leads),
            provenance=made("golden.provenance", self.provenance).lazy(),
            consents=made("conformed.consents", self.consents),
            users=made("conformed.users", users),
            opportunities=made("conformed.opportunities", self.opportunities),
            allocations=made("reconciled.allocations", self.allocations),
            doubts=pl.DataFrame(
                doubtful,
                schema={"source": pl.String, "record_id": pl.String, "match_probability": pl.Float64},
            ),
        )

    def plan(
        self,
        policy: TargetPolicy | None = None,
        withheld: pl.DataFrame = NOTHING_WITHHELD,
        objects: list[MappedObject] | None = None,
    ) -> pl.DataFrame:
        used = policy or everything()
        return plan_changes(
            self.inputs(),
            OBJECTS if objects is None else objects,
            {used.target: used},
            pl.concat([self.posted, withheld], how="diagonal"),
            CHILDREN,
            SYSTEMS,
        )


def changes(plan: pl.DataFrame) -> set[tuple[str | None, ...]]:
    """(record_id, column_name, change_kind, before, after) of every row."""
    return set(plan.select("record_id", "column_name", "change_kind", "before", "after").iter_rows())


def kinds(plan: pl.DataFrame, *wanted: str) -> set[tuple[str | None, ...]]:
    """`changes` of some kinds."""
    return changes(plan.filter(pl.col("change_kind").is_in(wanted)))


_FIELDS = {(m.source, vendor): column for m in OBJECTS for column, vendor in m.columns.items()}
_FIELDS |= {(m.source, "OwnerId"): "owner_id" for m in OBJECTS}
_FIELDS |= {(m.source, "Hygiene_Id__c"): "external_id" for m in OBJECTS}
_FIELDS |= {("salesforce_contacts", "AccountId"): "organisation_record_id"}
_FIELDS |= {("salesforce_opportunities", "AccountId"): "organisation_record_id"}
_FIELDS |= {("salesforce_opportunities", "ContactId"): "person_record_id"}


def applied(here: World, plan: pl.DataFrame) -> World:
    """The world after every change of the plan was made in its target and read again."""
    tables = {"people": here.people, "organisations": here.organisations, "opportunities": here.opportunities}
    rows = {(r["source"], r["record_id"]): (t, dict(r)) for t, held in tables.items() for r in held}
    consents, posted = list(here.consents), []
    for change in plan.to_dicts():
        source, kind, after = change["source"], change["change_kind"], change["after"]
        key = (source, change["record_id"])
        if kind == "posting":
            posted.append({c: change[c] for c in FIELD_KEY})
        elif kind == "suppress":
            channel = "email" if change["column_name"] == "HasOptedOutOfEmail" else "phone"
            consents.append(
                {
                    "source": source,
                    "record_id": change["record_id"],
                    "channel": channel,
                    "purpose": "any",
                    "consent_state": "opt_out",
                }
            )
        elif kind == "merge":
            rows[key][1]["is_deleted"] = True
        else:
            if kind == "create":
                made = person(f"new-{change['record_id']}", change["entity_id"], source)
                where = "organisations" if source == ACCOUNTS.source else "people"
                _, row = rows.setdefault(key, (where, made))
            else:
                row = rows[key][1]
            column = _FIELDS[source, change["column_name"]]
            row[column] = date.fromisoformat(after) if column == "birth_date" else after
    found: dict[str, list[Row]] = {t: [] for t in tables}
    for where, row in rows.values():
        found[where].append(row)
    known = pl.concat([here.posted, pl.DataFrame(posted, schema=here.posted.schema)])
    return replace(here, **found, consents=consents, posted=known)
