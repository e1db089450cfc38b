"""Organisations as Salesforce, HubSpot and Dynamics export them.

What does not belong here: customers of the invoicing system (`invoices`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from crm_hygiene.sample.draws import Ints, Rng, blank, hit, pick, stream, where
from crm_hygiene.sample.faults import with_gaps, with_typos
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
from crm_hygiene.sample.observation import Habits
from crm_hygiene.sample.organisation_names import as_typed
from crm_hygiene.sample.people import EPOCH, microseconds, moments
from crm_hygiene.sample.telephone import written
from crm_hygiene.sample.world import World

ACCOUNT_SOURCES = {
    "salesforce": "salesforce_accounts",
    "hubspot": "hubspot_companies",
    "dynamics": "dynamics_accounts",
}
"""The organisations' source mapping of each CRM."""


@dataclass(frozen=True)
class Accounts:
    """The organisation records of one CRM.

    `ids` are as exported in full, `short_ids` the 15-character form where the vendor has one;
    `exported` lacks the ids of broken rows. `first` gives for each organisation its first record or -1.
    """

    organisation: Ints
    ids: pl.Series
    short_ids: pl.Series
    exported: pl.Series
    first: Ints

    def reference(self, organisation: Ints, short: bool = False) -> pl.Series:
        """Keys of the records of organisations (-1 for none); null where the CRM has none."""
        at = np.where(organisation >= 0, self.first[np.maximum(organisation, 0)], -1)
        if not len(self.ids):
            return constant(None, len(at))
        return blank(at < 0, (self.short_ids if short else self.ids).gather(np.maximum(at, 0)))


def assign_accounts(world: World, system: str, employers: Ints) -> Accounts:
    """Which organisations one CRM holds: nearly all employers of its contacts, some others, some twice."""
    rng = stream(world.seed, f"{system} accounts")
    n = len(world.organisations)
    used = np.zeros(n, dtype=np.bool_)
    used[employers[employers >= 0]] = True
    held = np.flatnonzero((used & hit(rng, n, 0.96)) | hit(rng, n, 0.15))
    twice = held[hit(rng, len(held), 0.05)]
    organisation = np.concatenate([held, twice]).astype(np.int64)
    organisation = organisation[np.argsort(rng.random(len(organisation)), kind="stable")]
    count = len(organisation)
    if system == "salesforce":
        short, ids = salesforce_ids(rng, "001", count)
    else:
        ids = short = guids(rng, count) if system == "dynamics" else hubspot_ids(rng, 8_100_200_000, count)
    exported = without_id(rng, ids)
    first = np.full(n, -1, dtype=np.int64)
    whole = exported.is_not_null().to_numpy()
    # Written backwards, so that of two records of an organisation the first one stays.
    first[organisation[whole][::-1]] = np.flatnonzero(whole)[::-1]
    return Accounts(organisation, ids, short, exported, first)


def _observe(world: World, accounts: Accounts, rng: Rng) -> pl.DataFrame:
    """What the records say, in words of no vendor."""
    vocabulary = world.vocabulary
    at = accounts.organisation
    n = len(at)
    truth = world.organisations[at]
    country, city = truth["country"].to_numpy(), truth["city"].to_numpy()
    cities = [c for x in vocabulary.countries for c in x.cities]
    shape = rng.random(n)
    domain = truth["domain"]
    site = where(shape < 0.4, "https://www." + domain + "/", where(shape < 0.7, "www." + domain, domain))
    created = np.sort(moments(rng, n, datetime(2018, 1, 8)))
    modified = created + ((microseconds(EPOCH) - 1_000_000 - created) * rng.random(n)).astype(np.int64)
    unknown = hit(rng, n, 0.12)
    parent = truth["parent"].fill_null(-1).to_numpy()
    return pl.DataFrame(
        {
            "name": as_typed(world, rng, at, typos=Habits().typos, bare=0.3),
            "domain": with_gaps(rng, domain, 0.1),
            "website": with_gaps(rng, site, 0.15),
            "phone": with_gaps(rng, written(vocabulary, rng, truth["phone"], country), 0.2),
            "email": with_gaps(rng, pick(rng, vocabulary.words["shared_mailboxes"], n) + "@" + domain, 0.4),
            "street": blank(unknown, with_typos(rng, truth["street"], 0.015)),
            "city": blank(unknown, pl.Series([c[0] for c in cities]).gather(city)),
            "region": blank(unknown | hit(rng, n, 0.5), pl.Series([c[1] for c in cities]).gather(city)),
            "postal_code": blank(unknown, truth["postal_code"]),
            "country": pl.Series([w for c in vocabulary.countries for w in c.written]).gather(
                country * 4 + rng.integers(0, 4, n)
            ),
            "currency": pl.Series([c.currency for c in vocabulary.countries]).gather(country),
            "industry": with_gaps(rng, truth["industry"], 0.2),
            "employees": with_gaps(rng, truth["employees"], 0.35),
            "revenue": with_gaps(rng, where(hit(rng, n, 0.004), -truth["revenue"], truth["revenue"]), 0.4),
            "tax_id": with_gaps(rng, truth["tax_id"], 0.35),
            "parent": accounts.reference(np.where(hit(rng, n, 0.8), parent, -1)),
            "created": pl.Series(created).cast(pl.Datetime("us")),
            "modified": pl.Series(modified).cast(pl.Datetime("us")),
        }
    )


def write_salesforce_accounts(world: World, accounts: Accounts, users: pl.Series, path: Path) -> int:
    """`Account.csv`, separated by semicolons; returns the number of rows."""
    rng = stream(world.seed, "salesforce accounts file")
    seen = _observe(world, accounts, rng)
    n = len(seen)
    short, lost = hit(rng, n, 0.25), accounts.exported.is_null().to_numpy()
    frame = pl.DataFrame(
        {
            "Id": blank(lost, where(short, accounts.short_ids, accounts.ids)),
            "Name": seen["name"],
            "ParentId": seen["parent"],
            "Website": seen["website"],
            "Phone": seen["phone"],
            "BillingStreet": seen["street"],
            "BillingCity": seen["city"],
            "BillingState": seen["region"],
            "BillingPostalCode": seen["postal_code"],
            "BillingCountry": seen["country"],
            "Industry": seen["industry"],
            "NumberOfEmployees": seen["employees"],
            "AnnualRevenue": seen["revenue"].cast(pl.String) + ".0",
            "OwnerId": stale_owners(rng, users, n),
            "IsDeleted": yes_no(pl.Series(hit(rng, n, 0.004))),
            "CreatedDate": salesforce_time(seen["created"]),
            "LastModifiedDate": in_far_future(rng, salesforce_time(seen["modified"])),
            "VAT_Number__c": seen["tax_id"],
        }
    )
    return write_salesforce(frame, path, separator=";")


def write_hubspot_companies(world: World, accounts: Accounts, users: pl.Series, path: Path) -> int:
    """`companies.csv`; returns the number of rows."""
    rng = stream(world.seed, "hubspot companies file")
    seen = _observe(world, accounts, rng)
    frame = pl.DataFrame(
        {
            "Record ID": accounts.exported,
            "Company name": seen["name"],
            "Company Domain Name": seen["domain"],
            "Phone Number": seen["phone"],
            "Street Address": seen["street"],
            "City": seen["city"],
            "State/Region": seen["region"],
            "Postal Code": seen["postal_code"],
            "Country/Region": seen["country"],
            "Industry": seen["industry"].str.to_uppercase().str.replace_all("[^A-Z]+", "_"),
            "Number of Employees": seen["employees"],
            "Annual Revenue": seen["revenue"],
            "Company owner": stale_owners(rng, users, len(seen)),
            "Create Date": minute_time(seen["created"]),
            "Last Modified Date": in_far_future(rng, minute_time(seen["modified"])),
        }
    )
    frame.write_csv(path)
    return len(frame)


def write_dynamics_accounts(world: World, accounts: Accounts, users: pl.Series, path: Path) -> int:
    """`accounts.csv`; returns the number of rows."""
    rng = stream(world.seed, "dynamics accounts file")
    seen = _observe(world, accounts, rng)
    n = len(seen)
    frame = pl.DataFrame(
        {
            "accountid": accounts.exported,
            "name": seen["name"],
            "websiteurl": seen["website"],
            "telephone1": seen["phone"],
            "emailaddress1": seen["email"],
            "address1_line1": seen["street"],
            "address1_city": seen["city"],
            "address1_stateorprovince": seen["region"],
            "address1_postalcode": seen["postal_code"],
            "address1_country": seen["country"],
            "industrycode": seen["industry"],
            "numberofemployees": seen["employees"],
            "revenue": seen["revenue"].cast(pl.String) + ".0000",
            "transactioncurrencyid": seen["currency"],
            "parentaccountid": seen["parent"],
            "ownerid": stale_owners(rng, users, n),
            "statecode": where(hit(rng, n, 0.05), constant("Inactive", n), constant("Active", n)),
            "createdon": iso_time(seen["created"]),
            "modifiedon": in_far_future(rng, iso_time(seen["modified"])),
        }
    )
    frame.write_csv(path)
    return len(frame)
