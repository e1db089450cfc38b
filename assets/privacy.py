"""Privacy: the suppression list, which outlives the records that stated the opt-outs."""

from __future__ import annotations

import dagster as dg

from assets.publication import Step, Tables, step_asset
from crm_hygiene.contract import contract_of
from crm_hygiene.golden.consent_anchors import PERSON_ANCHORS
from crm_hygiene.night import Night
from crm_hygiene.privacy import new_salt, suppress_opt_outs

READS = ("conformed.consents", "conformed.interactions", "conformed.people")


def _compute(night: Night) -> Tables:
    consents, interactions, people = (night.lake.scan(contract_of(table)) for table in READS)
    salts, listed = (
        night.lake.read(contract_of(table)) for table in ("privacy.salts", "privacy.suppressions")
    )
    # A list without its salt is not given a new one: it would recognise nobody.
    if salts.is_empty() and listed.is_empty():
        salts = new_salt(night.started_at)
    listed = suppress_opt_outs(
        listed,
        people.select(PERSON_ANCHORS).collect(),
        consents.collect(),
        interactions,
        night.consent_rules,
        night.systems,
        salts,
    )
    return {"privacy.salts": salts, "privacy.suppressions": listed}


def privacy_step() -> Step:
    """The one step of the suppression list and its salt."""
    return Step(
        name="suppress",
        tables=("privacy.salts", "privacy.suppressions"),
        reads=READS,
        compute=_compute,
        made_from={"privacy.salts": ()},
        column_sources={"privacy.suppressions": ("conformed.consents",)},
        column_lineage={
            "privacy.suppressions": {
                "address_hash": tuple(
                    (table, column)
                    for table in ("conformed.consents", "conformed.people")
                    for column in ("email_normalised", "phone")
                ),
                "suppressed_at": (("conformed.consents", "landed_at"),),
            }
        },
    )


def privacy_assets() -> list[dg.AssetsDefinition]:
    """The suppression list and its salt."""
    return [step_asset(privacy_step())]
