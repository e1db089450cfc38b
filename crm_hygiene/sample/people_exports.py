"""People as Salesforce, HubSpot, Dynamics and web forms export them.

Each function writes one file and returns the record ids as the conformed table will carry them, null
where the exported row has lost its id. What does not belong here: what the records say (`observation`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from crm_hygiene.sample.draws import Ints, Rng, blank, hit, pick, stream, where
from crm_hygiene.sample.faults import in_mixed_encoding, with_gaps
from crm_hygiene.sample.identifiers import guids, hubspot_ids, salesforce_ids
from crm_hygiene.sample.layouts import (
    constant,
    in_far_future,
    iso_time,
    minute_time,
    salesforce_time,
    stale_owners,
    without_id,
    write_salesforce,
    yes_no,
)
from crm_hygiene.sample.observation import Habits, observe
from crm_hygiene.sample.organisation_exports import Accounts
from crm_hygiene.sample.world import World


@dataclass(frozen=True)
class SalesforceContacts:
    """Keys of the contacts, which converted leads point to."""

    ids: pl.Series
    account: pl.Series
    of_person: Ints


def _salutation(world: World, rng: Rng, seen: pl.DataFrame) -> pl.Series:
    n = len(seen)
    usual = where(seen["is_female"].to_numpy(), constant("Ms.", n), constant("Mr.", n))
    titled = where(hit(rng, n, 0.04), pick(rng, ["Dr.", "Prof."], n), usual)
    return with_gaps(rng, titled, 0.25)


def _two_forms(rng: Rng, exported: pl.Series, short: pl.Series, rate: float = 0.3) -> pl.Series:
    """The exported keys, about `rate` of them in their 15-character form."""
    gone = exported.is_null().to_numpy()
    return blank(gone, where(hit(rng, len(exported), rate), short, exported))


def write_salesforce_contacts(
    world: World, records: pl.DataFrame, accounts: Accounts, users: pl.Series, path: Path
) -> tuple[pl.Series, SalesforceContacts]:
    """`Contact.csv`."""
    rng = stream(world.seed, "salesforce_contacts")
    seen = observe(world, records, rng, Habits(no_phone=0.3, no_mobile=0.45, no_address=0.4))
    n = len(seen)
    short, ids = salesforce_ids(rng, "003", n)
    exported = without_id(rng, ids)
    employer = records["employer"].to_numpy()
    linked = np.where(hit(rng, n, 0.97), employer, -1)
    shown = where(hit(rng, n, 0.3), accounts.reference(linked, short=True), accounts.reference(linked))
    frame = pl.DataFrame(
        {
            "Id": _two_forms(rng, exported, short),
            "AccountId": shown,
            "Salutation": _salutation(world, rng, seen),
            "FirstName": seen["given"],
            "LastName": seen["family"],
            "Title": seen["title"],
            "Department": with_gaps(rng, pick(rng, world.vocabulary.words["departments"], n), 0.6),
            "Email": seen["email"],
            "Phone": seen["phone"],
            "MobilePhone": seen["mobile"],
            "MailingStreet": seen["street"],
            "MailingCity": seen["city"],
            "MailingState": seen["region"],
            "MailingPostalCode": seen["postal_code"],
            "MailingCountry": seen["country"],
            "Birthdate": seen["birth_date"],
            "LeadSource": with_gaps(rng, pick(rng, world.vocabulary.words["lead_sources"], n), 0.3),
            "OwnerId": stale_owners(rng, users, n),
            "HasOptedOutOfEmail": yes_no(seen["opted_out"]),
            "DoNotCall": yes_no(seen["do_not_call"]),
            "IsDeleted": yes_no(pl.Series(hit(rng, n, 0.004))),
            "CreatedDate": salesforce_time(seen["created"]),
            "LastModifiedDate": in_far_future(rng, salesforce_time(seen["modified"])),
        }
    )
    write_salesforce(frame, path)
    of_person = np.full(len(world.people), -1, dtype=np.int64)
    whole = np.flatnonzero(exported.is_not_null().to_numpy())
    of_person[records["person"].to_numpy()[whole]] = whole
    return exported, SalesforceContacts(ids, accounts.reference(linked), of_person)


def write_salesforce_leads(
    world: World, records: pl.DataFrame, contacts: SalesforceContacts, users: pl.Series, path: Path
) -> pl.Series:
    """`Lead.csv`; two thirds of the leads that are also contacts are marked as converted."""
    rng = stream(world.seed, "salesforce_leads")
    seen = observe(world, records, rng, Habits(typos=0.03, private_mail=0.1, no_phone=0.4, no_address=0.55))
    n = len(seen)
    short, ids = salesforce_ids(rng, "00Q", n)
    exported = without_id(rng, ids)
    contact = contacts.of_person[records["person"].to_numpy()]
    converted = (contact >= 0) & hit(rng, n, 0.65)
    nothing = constant(None, n)
    became, account = nothing, nothing
    if len(contacts.ids):
        at = np.maximum(contact, 0)
        became = blank(~converted, contacts.ids.gather(at))
        account = blank(~converted, contacts.account.gather(at))
    status = pick(rng, [s for s in world.vocabulary.words["lead_status"] if s != "Closed - Converted"], n)
    frame = pl.DataFrame(
        {
            "Id": _two_forms(rng, exported, short),
            "Salutation": _salutation(world, rng, seen),
            "FirstName": seen["given"],
            "LastName": seen["family"],
            "Company": seen["company"],
            "Title": seen["title"],
            "Email": seen["email"],
            "Phone": seen["phone"],
            "MobilePhone": seen["mobile"],
            "Street": seen["street"],
            "City": seen["city"],
            "State": seen["region"],
            "PostalCode": seen["postal_code"],
            "Country": seen["country"],
            "Website": seen["website"],
            "Industry": with_gaps(rng, pick(rng, sorted(world.vocabulary.company["industries"]), n), 0.7),
            "LeadSource": with_gaps(rng, pick(rng, world.vocabulary.words["lead_sources"], n), 0.15),
            "Status": where(converted, constant("Closed - Converted", n), status),
            "OwnerId": stale_owners(rng, users, n),
            "IsConverted": yes_no(pl.Series(converted)),
            "ConvertedContactId": became,
            "ConvertedAccountId": account,
            "HasOptedOutOfEmail": yes_no(seen["opted_out"]),
            "DoNotCall": yes_no(seen["do_not_call"]),
            "IsDeleted": yes_no(pl.Series(hit(rng, n, 0.006))),
            "CreatedDate": salesforce_time(seen["created"]),
            "LastModifiedDate": in_far_future(rng, salesforce_time(seen["modified"])),
        }
    )
    write_salesforce(frame, path)
    return exported


def write_hubspot_contacts(
    world: World, records: pl.DataFrame, accounts: Accounts, users: pl.Series, path: Path
) -> pl.Series:
    """`contacts.csv` of HubSpot; some contacts are associated with two companies."""
    rng = stream(world.seed, "hubspot_contacts")
    seen = observe(world, records, rng, Habits(private_mail=0.12, no_mail=0.01, no_phone=0.5, no_address=0.6))
    n = len(seen)
    words = world.vocabulary.words
    exported = without_id(rng, hubspot_ids(rng, 51_000, n))
    person, employer = records["person"].to_numpy(), records["employer"].to_numpy()
    company = accounts.reference(np.where(hit(rng, n, 0.9), employer, -1))
    former = world.people["previous_employer"].to_numpy()[person]
    other = accounts.reference(np.where((former != employer) & hit(rng, n, 0.5), former, -1))
    both = company.is_not_null() & other.is_not_null()
    frame = pl.DataFrame(
        {
            "Record ID": exported,
            "First Name": seen["given"],
            "Last Name": seen["family"],
            "Email": seen["email"],
            "Phone Number": seen["phone"],
            "Mobile Phone Number": seen["mobile"],
            "Job Title": seen["title"],
            "Company Name": seen["company"],
            "Associated Company IDs": where(both.to_numpy(), company + ";" + other, company),
            "Street Address": seen["street"],
            "City": seen["city"],
            "State/Region": seen["region"],
            "Postal Code": seen["postal_code"],
            "Country/Region": seen["country"],
            "Lifecycle Stage": pick(rng, words["hubspot_stage"], n),
            "Lead Status": with_gaps(rng, pick(rng, words["hubspot_status"], n), 0.4),
            "Original Source": pick(rng, words["hubspot_origin"], n),
            "Contact owner": with_gaps(rng, stale_owners(rng, users, n), 0.15),
            "Unsubscribed from all email": blank(
                ~seen["opted_out"].to_numpy() & hit(rng, n, 0.5), yes_no(seen["opted_out"])
            ),
            "Create Date": minute_time(seen["created"]),
            "Last Modified Date": in_far_future(rng, minute_time(seen["modified"])),
        }
    )
    frame.write_csv(path)
    return exported


def write_dynamics_contacts(
    world: World, records: pl.DataFrame, accounts: Accounts, users: pl.Series, path: Path
) -> pl.Series:
    """`contacts.csv` of Dynamics, patched together from a UTF-8 and a cp1252 export."""
    rng = stream(world.seed, "dynamics_contacts")
    seen = observe(world, records, rng, Habits(no_address=0.2))
    n = len(seen)
    exported = without_id(rng, guids(rng, n))
    linked = np.where(hit(rng, n, 0.94), records["employer"].to_numpy(), -1)
    frame = pl.DataFrame(
        {
            "contactid": exported,
            "salutation": _salutation(world, rng, seen),
            "firstname": seen["given"],
            "middlename": seen["middle"],
            "lastname": seen["family"],
            "jobtitle": seen["title"],
            "emailaddress1": seen["email"],
            "telephone1": seen["phone"],
            "mobilephone": seen["mobile"],
            "parentcustomerid": accounts.reference(linked),
            "address1_line1": seen["street"],
            "address1_city": seen["city"],
            "address1_stateorprovince": seen["region"],
            "address1_postalcode": seen["postal_code"],
            "address1_country": seen["country"],
            "birthdate": seen["birth_date"],
            "donotemail": yes_no(seen["opted_out"]),
            "donotphone": yes_no(seen["do_not_call"]),
            "ownerid": stale_owners(rng, users, n),
            "statecode": where(hit(rng, n, 0.06), constant("Inactive", n), constant("Active", n)),
            "createdon": iso_time(seen["created"]),
            "modifiedon": in_far_future(rng, iso_time(seen["modified"])),
        }
    )
    path.write_bytes(in_mixed_encoding(rng, frame.write_csv().encode(), 0.06))
    return exported


def write_dynamics_leads(world: World, records: pl.DataFrame, users: pl.Series, path: Path) -> pl.Series:
    """`leads.csv`; a third of the rows has only the full name, some of them family name first."""
    rng = stream(world.seed, "dynamics_leads")
    seen = observe(world, records, rng, Habits(typos=0.03, private_mail=0.1))
    n = len(seen)
    words = world.vocabulary.words
    exported = without_id(rng, guids(rng, n))
    given, family = seen["given"].fill_null(""), seen["family"].fill_null("")
    full = where(hit(rng, n, 0.12), family + ", " + given, given + " " + family).str.strip_chars(" ,")
    only_full = hit(rng, n, 0.33)
    frame = pl.DataFrame(
        {
            "leadid": exported,
            "fullname": full,
            "firstname": blank(only_full, seen["given"]),
            "lastname": blank(only_full, seen["family"]),
            "companyname": seen["company"],
            "jobtitle": seen["title"],
            "emailaddress1": seen["email"],
            "telephone1": seen["phone"],
            "mobilephone": seen["mobile"],
            "websiteurl": seen["website"],
            "address1_country": seen["country"],
            "leadsourcecode": with_gaps(rng, pick(rng, words["lead_sources"], n), 0.2),
            "statuscode": pick(rng, words["dynamics_status"], n),
            "donotemail": yes_no(seen["opted_out"]),
            "ownerid": stale_owners(rng, users, n),
            "createdon": iso_time(seen["created"]),
            "modifiedon": in_far_future(rng, iso_time(seen["modified"])),
        }
    )
    frame.write_csv(path)
    return exported


def write_form_submissions(world: World, records: pl.DataFrame, path: Path) -> pl.Series:
    """`submissions.jsonl`; people type their names in a hurry and like their private mailboxes."""
    rng = stream(world.seed, "form_submissions")
    seen = observe(world, records, rng, Habits(typos=0.03, private_mail=0.4, no_mail=0.01, no_phone=0.6))
    n = len(seen)
    words = world.vocabulary.words
    exported = without_id(rng, guids(rng, n))
    lower = hit(rng, n, 0.1)
    form = rng.integers(0, len(words["forms"]), n)
    frame = pl.DataFrame(
        {
            "submission_id": exported,
            "submitted_at": in_far_future(rng, iso_time(seen["modified"])),
            "form": pl.Series(words["forms"]).gather(form),
            "page": pl.Series(words["pages"]).gather(form),
            "first_name": where(lower, seen["given"].str.to_lowercase(), seen["given"]),
            "last_name": where(lower, seen["family"].str.to_lowercase(), seen["family"]),
            "email": seen["email"],
            "phone": seen["phone"],
            "company": seen["company"],
            "country": seen["country"],
            "message": with_gaps(rng, pick(rng, words["messages"], n), 0.6),
            "consent_marketing": ~seen["opted_out"].to_numpy() & hit(rng, n, 0.7),
        }
    )
    frame.write_ndjson(path)
    return exported
