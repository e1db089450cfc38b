"""Customers of a ledger, who pays for them, and what the books know of it.

What does not belong here: what they are billed (`documents`).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from crm_hygiene.sample.cash.profile import CURRENCIES, Profile
from crm_hygiene.sample.draws import Ints, Rng, blank, hit, where
from crm_hygiene.sample.faults import with_gaps
from crm_hygiene.sample.identifiers import serials
from crm_hygiene.sample.organisation_names import as_typed
from crm_hygiene.sample.registers import ibans
from crm_hygiene.sample.world import World

FACTORS = (
    "Rheinische Factoring AG",
    "Nordkredit Forderungen GmbH",
    "Facture Directe SA",
    "Albion Receivables Ltd",
)
PAYER_KINDS = ("own_account", "parent", "factoring", "virtual_account")


def build_customers(
    world: World, rng: Rng, profile: Profile, organisation: Ints, first: int
) -> tuple[pl.DataFrame, Ints]:
    """The customers behind invoices to organisations; one organisation in thirty is kept twice.

    Parameters
    ----------
    organisation
        number of the organisation of each invoice
    first
        number of the first customer

    Returns
    -------
    tuple
        customers (organisation, customer_id, name, tax_id, iban as on file, currency as number, is_recurring,
        payer, payer_kind, payer_name, payer_iban, virtual_account, is_told, habit: days after the due
        date) and the number of the customer of each invoice
    """
    twice = hit(rng, len(world.organisations), 0.035)
    second = twice[organisation] & hit(rng, len(organisation), 0.45)
    keys, number = np.unique(organisation * 2 + second, return_inverse=True)
    owner = (keys // 2).astype(np.int64)
    truth = world.organisations[owner]
    n = len(keys)
    own_currency = np.array([CURRENCIES.index(c.currency) for c in world.vocabulary.countries])
    parent = truth["parent"].fill_null(-1).to_numpy()
    kind = np.where((parent >= 0) & hit(rng, n, profile.parents), 1, 0)
    kind = np.where((kind == 0) & hit(rng, n, profile.factored), 2, kind)
    kind = np.where((kind == 0) & hit(rng, n, profile.virtual), 3, kind)
    payer = world.organisations[np.where(kind == 1, parent, owner)]
    factor = rng.integers(0, len(FACTORS), n)
    # The factors' accounts are drawn apart from everything else, so that they are the same in each part.
    accounts = ibans(np.random.Generator(np.random.PCG64(11)), world.vocabulary, np.zeros(len(FACTORS), int))
    is_factor = kind == 2
    customer_number = first + rng.permutation(n)
    return pl.DataFrame(
        {
            "organisation": owner,
            "customer_id": serials("C", customer_number, 7),
            "name": as_typed(world, rng, owner, typos=0.01, bare=0.1),
            "tax_id": with_gaps(rng, truth["tax_id"], 0.2),
            "iban": with_gaps(rng, truth["iban"], 1 - profile.known_accounts),
            "currency": own_currency[truth["country"].to_numpy()],
            "country": truth["country"],
            "is_recurring": hit(rng, n, profile.recurring),
            "payer_kind": kind,
            "payer_name": where(
                is_factor, pl.Series(FACTORS).gather(factor), payer["name"] + " " + payer["legal"]
            ),
            "payer_iban": where(is_factor, accounts.gather(factor), payer["iban"]),
            "payer_tax_id": blank(is_factor, payer["tax_id"]),
            "virtual_account": blank(kind != 3, serials("DE0050070000", customer_number, 10)),
            "is_told": np.where(kind == 3, True, (kind > 0) & hit(rng, n, profile.told_relations)),
            "habit": np.round(rng.normal(-1, 6, n)).astype(np.int64),
        }
    ), number.reshape(-1).astype(np.int64)
