"""The sample night: exports of every source in the vendors' layouts, with the truth about them.

What does not belong here: how any one export comes to be; this module only knows the order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.sample.accounts import book
from crm_hygiene.sample.bank_ledger_export import write_ledger
from crm_hygiene.sample.camt_export import write_camt
from crm_hygiene.sample.cash import MIXED, build_ledger
from crm_hygiene.sample.events import write_events
from crm_hygiene.sample.invoice_exports import write_invoice_lines, write_invoices
from crm_hygiene.sample.mt940_export import write_mt940
from crm_hygiene.sample.observation import assign_records
from crm_hygiene.sample.opportunity_exports import write_hubspot_deals, write_salesforce_opportunities
from crm_hygiene.sample.order_exports import write_orders
from crm_hygiene.sample.order_lines import draw_order_lines
from crm_hygiene.sample.organisation_exports import (
    ACCOUNT_SOURCES,
    Accounts,
    assign_accounts,
    write_dynamics_accounts,
    write_hubspot_companies,
    write_salesforce_accounts,
)
from crm_hygiene.sample.payer_exports import write_payer_relations, write_remittance_advices
from crm_hygiene.sample.people_exports import (
    write_dynamics_contacts,
    write_dynamics_leads,
    write_form_submissions,
    write_hubspot_contacts,
    write_salesforce_contacts,
    write_salesforce_leads,
)
from crm_hygiene.sample.truth import clusters, write_allocations, write_cases, write_clusters
from crm_hygiene.sample.user_exports import (
    Users,
    draw_users,
    write_dynamics_users,
    write_hubspot_owners,
    write_salesforce_users,
)
from crm_hygiene.sample.world import World, build_world

_BILLED_DAYS = 600
"""Days over which the sample's invoices are issued, up to the last banking day."""
_FOLDERS = ("salesforce", "hubspot", "dynamics", "marketing", "forms", "erp", "bank")


@dataclass(frozen=True)
class SampleCounts:
    """Rows written, by path below the output folder in a stable order."""

    rows: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Rows of all files, truth included."""
        return sum(self.rows.values())


def _write_organisations(
    world: World, landing: Path, users: Users, accounts: dict[str, Accounts]
) -> dict[str, int]:
    salesforce, hubspot, dynamics = (accounts[s] for s in ACCOUNT_SOURCES)
    deals = len(world.people) // 10
    return {
        "landing/salesforce/Account.csv": write_salesforce_accounts(
            world, salesforce, users.salesforce, landing / "salesforce/Account.csv"
        ),
        "landing/hubspot/companies.csv": write_hubspot_companies(
            world, hubspot, users.hubspot, landing / "hubspot/companies.csv"
        ),
        "landing/dynamics/accounts.csv": write_dynamics_accounts(
            world, dynamics, users.dynamics, landing / "dynamics/accounts.csv"
        ),
        "landing/salesforce/Opportunity.json": write_salesforce_opportunities(
            world, salesforce, users.salesforce, deals, landing / "salesforce/Opportunity.json"
        ),
        "landing/hubspot/deals.json": write_hubspot_deals(
            world, hubspot, deals, landing / "hubspot/deals.json"
        ),
    }


def _write_people(
    world: World,
    landing: Path,
    users: Users,
    records: dict[str, pl.DataFrame],
    accounts: dict[str, Accounts],
) -> tuple[dict[str, int], list[pl.DataFrame]]:
    ids: dict[str, pl.Series] = {}
    ids["salesforce_contacts"], contacts = write_salesforce_contacts(
        world,
        records["salesforce_contacts"],
        accounts["salesforce"],
        users.salesforce,
        landing / "salesforce/Contact.csv",
    )
    ids["salesforce_leads"] = write_salesforce_leads(
        world, records["salesforce_leads"], contacts, users.salesforce, landing / "salesforce/Lead.csv"
    )
    ids["hubspot_contacts"] = write_hubspot_contacts(
        world,
        records["hubspot_contacts"],
        accounts["hubspot"],
        users.hubspot,
        landing / "hubspot/contacts.csv",
    )
    ids["dynamics_contacts"] = write_dynamics_contacts(
        world,
        records["dynamics_contacts"],
        accounts["dynamics"],
        users.dynamics,
        landing / "dynamics/contacts.csv",
    )
    ids["dynamics_leads"] = write_dynamics_leads(
        world, records["dynamics_leads"], users.dynamics, landing / "dynamics/leads.csv"
    )
    ids["form_submissions"] = write_form_submissions(
        world, records["form_submissions"], landing / "forms/submissions.jsonl"
    )
    files = {
        "salesforce_contacts": "landing/salesforce/Contact.csv",
        "salesforce_leads": "landing/salesforce/Lead.csv",
        "hubspot_contacts": "landing/hubspot/contacts.csv",
        "dynamics_contacts": "landing/dynamics/contacts.csv",
        "dynamics_leads": "landing/dynamics/leads.csv",
        "form_submissions": "landing/forms/submissions.jsonl",
    }
    truth = [clusters(s, i, records[s]["person"].to_numpy(), "P") for s, i in ids.items()]
    return {files[source]: len(values) for source, values in ids.items()}, truth


def _write_cash(world: World, landing: Path, truth: Path) -> tuple[dict[str, int], pl.DataFrame]:
    ledger = build_ledger(world, max(1, len(world.people) // 2), MIXED, span=_BILLED_DAYS)
    bookings = book(world.seed, ledger)
    erp, bank = landing / "erp", landing / "bank"
    orders, lines = draw_order_lines(world.seed, ledger)
    paid, legs = write_allocations(ledger, bookings, truth / "payments.csv", truth / "allocations.csv")
    rows = {
        "landing/erp/invoices.csv": write_invoices(world.seed, ledger, erp / "invoices.csv"),
        "landing/erp/invoice_lines.csv": write_invoice_lines(
            ledger, orders, lines, erp / "invoice_lines.csv"
        ),
        **{f"landing/erp/{k}": n for k, n in write_orders(world.seed, ledger, orders, lines, erp).items()},
        "landing/erp/payer_relations.csv": write_payer_relations(ledger, erp / "payer_relations.csv"),
        "landing/erp/remittance_advices.csv": write_remittance_advices(
            world.seed, ledger, MIXED, erp / "remittance_advices.csv"
        ),
        "landing/bank/ledger.csv": write_ledger(bookings, bank / "ledger.csv"),
        "landing/bank/statement.xml": write_camt(bookings, bank / "statement.xml"),
        "landing/bank/statement.sta": write_mt940(bookings, bank / "statement.sta"),
        "truth/payments.csv": paid,
        "truth/allocations.csv": legs,
        "truth/payment_cases.csv": write_cases(bookings, truth / "payment_cases.csv"),
    }
    billed = ledger.customers[ledger.documents["customer"].unique().sort().to_numpy()]
    return rows, clusters("erp_invoices", billed["customer_id"], billed["organisation"].to_numpy(), "O")


def generate(out: Path, people: int = 2000, seed: int = 7, events_per_person: float = 2) -> SampleCounts:
    """Write `out/landing/**` and `out/truth/*.csv`: the exports of one night and the truth about them.

    The same arguments give the same bytes, on any number of threads.

    Parameters
    ----------
    out
        folder to write to; files of an earlier sample there are replaced
    people
        true persons; about 1.6 records each, a quarter as many organisations, half as many invoices
    seed
        not negative
    events_per_person
        marketing events per person, on average

    Raises
    ------
    ConfigurationError
        if `people` is below 1, or `seed` or `events_per_person` is negative
    """
    if people < 1 or seed < 0 or events_per_person < 0:
        raise ConfigurationError(
            "a sample needs 1 person or more, and a seed and events per person of 0 or more"
        )
    landing, truth = out / "landing", out / "truth"
    for folder in (truth, *(landing / name for name in _FOLDERS)):
        folder.mkdir(parents=True, exist_ok=True)
    world = build_world(people, seed)
    users = draw_users(world)
    records = assign_records(world)
    accounts = {
        system: assign_accounts(world, system, records[f"{system}_contacts"]["employer"].to_numpy())
        for system in ACCOUNT_SOURCES
    }
    rows = _write_organisations(world, landing, users, accounts)
    rows |= {
        "landing/salesforce/User.csv": write_salesforce_users(world, users, landing / "salesforce/User.csv"),
        "landing/hubspot/owners.json": write_hubspot_owners(world, users, landing / "hubspot/owners.json"),
        "landing/dynamics/systemusers.csv": write_dynamics_users(
            world, users, landing / "dynamics/systemusers.csv"
        ),
    }
    written, person_truth = _write_people(world, landing, users, records, accounts)
    rows |= written
    rows["truth/people.csv"] = write_clusters(person_truth, truth / "people.csv")
    newer, older = write_events(
        world, events_per_person, landing / "marketing/events.jsonl", landing / "marketing/events.csv"
    )
    rows |= {"landing/marketing/events.jsonl": newer, "landing/marketing/events.csv": older}
    written, customer_truth = _write_cash(world, landing, truth)
    rows |= written
    organisation_truth = [
        clusters(source, accounts[system].exported, accounts[system].organisation, "O")
        for system, source in ACCOUNT_SOURCES.items()
    ]
    rows["truth/organisations.csv"] = write_clusters(
        [*organisation_truth, customer_truth], truth / "organisations.csv"
    )
    return SampleCounts(dict(sorted(rows.items())))
