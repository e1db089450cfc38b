"""Inquiries: what people asked, followed from their records to golden.leads.

What does not belong here: golden.activities, which need golden contacts besides (`activities`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from crm_hygiene.golden.activities import Tied
from crm_hygiene.golden.affiliation import matchable_accounts
from crm_hygiene.golden.lead_rules import LeadRules
from crm_hygiene.golden.lead_states import build_lead_states
from crm_hygiene.golden.leads import build_leads


@dataclass(frozen=True)
class Inquiries:
    """golden.lead_states and golden.leads."""

    states: pl.DataFrame
    leads: pl.DataFrame


def follow_inquiries(
    live: pl.DataFrame,
    people: pl.DataFrame,
    members: pl.DataFrame,
    organisations: pl.DataFrame,
    organisation_members: pl.DataFrame,
    affiliations: pl.DataFrame,
    tied: Tied,
    opportunities: pl.DataFrame,
    users: pl.DataFrame,
    versions: pl.DataFrame,
    systems: Mapping[str, str],
    rules: LeadRules,
) -> Inquiries:
    """Read the life of every lead and build golden.leads.

    Parameters
    ----------
    live
        of `live_leads`.
    members, organisation_members
        linked members of entities that have a golden row.
    affiliations
        of `affiliate_people`.
    tied
        of `tie_people`.

    The other frames are conformed tables.
    """
    matchable = matchable_accounts(
        people, members, affiliations, organisations, organisation_members, tied, opportunities, systems
    )
    states = build_lead_states(live, versions, systems, rules)
    leads = build_leads(
        live, states, matchable, people, members, organisations, opportunities, users, systems, rules
    )
    return Inquiries(states, leads)
