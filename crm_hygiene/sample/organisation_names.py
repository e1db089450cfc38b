"""How an organisation's name is typed: with or without legal form, in capitals, misspelt.

What does not belong here: the true names (`organisations`).
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.sample.draws import Ints, Pools, Rng, hit, where
from crm_hygiene.sample.faults import with_capitals, with_mojibake, with_typos
from crm_hygiene.sample.world import World


def as_typed(world: World, rng: Rng, organisation: Ints, typos: float, bare: float = 0.4) -> pl.Series:
    """The name as someone types it; one per row of organisation numbers.

    Parameters
    ----------
    typos
        rate of slips of the keyboard
    bare
        share of names without legal form
    """
    n = len(organisation)
    legal = world.organisations["legal"].gather(organisation)
    variants: dict[str, list[str]] = world.vocabulary.company["legal_as_typed"]
    forms = sorted({form for country in world.vocabulary.countries for form in country.legal})
    number = legal.replace_strict(forms, list(range(len(forms))), return_dtype=pl.Int64).to_numpy()
    typed = Pools.of([variants.get(form, [form]) for form in forms]).pick(rng, number, 1.8)
    name = world.organisations["name"].gather(organisation)
    plain = hit(rng, n, 0.1)
    name = where(plain, name.str.replace(" & ", "+", literal=True), name)
    full = name + " " + typed
    full = where(hit(rng, n, bare), name, full)
    full = with_mojibake(rng, with_typos(rng, full, typos), 0.002)
    return with_capitals(rng, full, 0.04)
