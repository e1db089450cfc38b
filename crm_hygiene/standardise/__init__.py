"""Standardising: from the texts of sources to the values of the conformed tables.

Every function takes a frame of distinct raw combinations and gives the same rows in the same order with
its outputs added; a `problem` column says why a value became null, showing no more of it than three
characters. All are pure: no network, no clock, no dependence on the order of rows. Gathering the
distinct combinations and joining the results back is the caller's work (`crm_hygiene.conform`).
"""

from crm_hygiene.standardise.addresses import standardise_addresses
from crm_hygiene.standardise.bank_accounts import standardise_ibans
from crm_hygiene.standardise.booleans import standardise_booleans
from crm_hygiene.standardise.countries import standardise_countries
from crm_hygiene.standardise.dates import standardise_dates, standardise_timestamps
from crm_hygiene.standardise.domains import standardise_domains
from crm_hygiene.standardise.emails import standardise_emails
from crm_hygiene.standardise.money import standardise_money
from crm_hygiene.standardise.names import standardise_names
from crm_hygiene.standardise.numbers import standardise_decimals, standardise_integers
from crm_hygiene.standardise.organisations import standardise_organisation_names
from crm_hygiene.standardise.phones import standardise_phones
from crm_hygiene.standardise.placeholders import is_placeholder
from crm_hygiene.standardise.references import standardise_creditor_references
from crm_hygiene.standardise.tax_ids import standardise_tax_ids

__all__ = [
    "is_placeholder",
    "standardise_addresses",
    "standardise_booleans",
    "standardise_countries",
    "standardise_creditor_references",
    "standardise_dates",
    "standardise_decimals",
    "standardise_domains",
    "standardise_emails",
    "standardise_ibans",
    "standardise_integers",
    "standardise_money",
    "standardise_names",
    "standardise_organisation_names",
    "standardise_phones",
    "standardise_tax_ids",
    "standardise_timestamps",
]
