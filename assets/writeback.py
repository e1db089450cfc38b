"""Write-back: what golden would change in the systems it came from; a plan, nothing is sent."""

from __future__ import annotations

import dagster as dg
import polars as pl

from assets.publication import Step, Tables, step_asset
from crm_hygiene.asof import latest_landing
from crm_hygiene.contract import contract_of
from crm_hygiene.night import Night
from crm_hygiene.writeback import plan_changes
from crm_hygiene.writeback.policy import policies_of

READS = (
    "conformed.people",
    "conformed.organisations",
    "linked.person_members",
    "linked.organisation_members",
    "golden.contacts",
    "golden.accounts",
    "conformed.consents",
    "golden.provenance",
)

# Read of every table that has them, besides the fields that may be written back.
_ALWAYS = {
    "source",
    "record_id",
    "person_record_id",
    "entity_id",
    "landed_at",
    "is_deleted",
    "is_suppressed",
    "email_consent",
    "phone_consent",
    "consent_id",
    "channel",
    "consent_state",
}


def _compute(night: Night) -> Tables:
    policies = policies_of(night.mappings, night.config.targets)
    writable = {column for policy in policies for column in policy.columns}
    keep = writable | _ALWAYS

    def compared(table: str) -> pl.DataFrame:
        contract = contract_of(table)
        names = [c for c in contract.column_names if c in keep or c in contract.key]
        return night.lake.scan(contract).select(names).collect().sort(contract.key)

    people, organisations, person_members, organisation_members, contacts, accounts, consents = (
        compared(table) for table in READS[:-1]
    )
    # Of seventeen million cells only those of writable fields can give a reason.
    provenance = (
        night.lake.scan(contract_of("golden.provenance"))
        .filter(pl.col("column_name").is_in(sorted(writable)))
        .select("table_name", "column_name", "entity_id", "source", "record_id", "rule")
        .collect()
    )
    return {
        "writeback.changes": plan_changes(
            people,
            organisations,
            person_members,
            organisation_members,
            contacts,
            accounts,
            policies,
            latest_landing(people, organisations).date(),
            provenance,
            consents,
        )
    }


def writeback_assets() -> list[dg.AssetsDefinition]:
    """The plan of changes per source record and field."""
    return [
        step_asset(
            Step(
                name="plan_writeback",
                tables=("writeback.changes",),
                reads=READS,
                compute=_compute,
                column_lineage={
                    "writeback.changes": {
                        "source": (("conformed.people", "source"), ("conformed.organisations", "source")),
                        "record_id": (
                            ("conformed.people", "record_id"),
                            ("conformed.organisations", "record_id"),
                        ),
                        "entity_id": (("golden.contacts", "entity_id"), ("golden.accounts", "entity_id")),
                        "reason": (("golden.provenance", "rule"),),
                    }
                },
            )
        )
    ]
