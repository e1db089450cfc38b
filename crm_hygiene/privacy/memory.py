"""What the lake remembers of consent besides tonight's conformed tables."""

from __future__ import annotations

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.golden.consent import ConsentMemory
from crm_hygiene.golden.consent_anchors import former_members, stated_by_all
from crm_hygiene.night import Night
from crm_hygiene.privacy.suppression import recall_opt_outs


def memory_of(
    night: Night,
    people: pl.DataFrame,
    consents: pl.DataFrame,
    interactions: pl.LazyFrame,
    members: pl.DataFrame,
) -> ConsentMemory:
    """Records that left their entity, and opt-outs that only the suppression list still knows.

    Frames are conformed tables, the interactions lazy, and the person members golden is built from.
    """
    lake = night.lake
    left = lake.scan(contract_of("linked.person_history")).filter(pl.col("event") == "left").collect()
    register = lake.read(contract_of("linked.person_entities"))
    former = former_members(members, left, register)
    listed, salts = (lake.read(contract_of(f"privacy.{name}")) for name in ("suppressions", "salts"))
    stated = stated_by_all(people, consents, interactions, night.consent_rules, night.systems)
    remembered = recall_opt_outs(listed, people, stated, salts)
    return ConsentMemory(night.consent_rules, former, remembered, stated)
