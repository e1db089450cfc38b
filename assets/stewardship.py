"""Stewardship: the questions of the night, ranked by what their answer is worth."""

from __future__ import annotations

import dagster as dg

from assets.publication import Step, Tables, step_asset
from crm_hygiene.contract import contract_of
from crm_hygiene.linkage.night_settings import settings_of
from crm_hygiene.linkage.review import review_queue
from crm_hygiene.linkage.stakes import REFERRING, count_references, stakes
from crm_hygiene.night import Night

READS = (
    "linked.questions",
    "linked.person_members",
    "linked.organisation_members",
    "conformed.interactions",
    "conformed.opportunities",
    "conformed.invoices",
)


def _compute(night: Night) -> Tables:
    asked = night.lake.read(contract_of("linked.questions"))
    stake = {
        kind: stakes(
            night.lake.read(contract_of(f"linked.{kind}_members")),
            {
                (table, column): count_references(night.lake.scan(contract_of(table)), column)
                for table, column in referring
            },
            night.systems,
        )
        for kind, referring in REFERRING.items()
    }
    queue, notes = review_queue(asked, stake, settings_of(night).review_limit)
    night.say(notes)
    return {"stewardship.review_queue": queue}


def stewardship_step() -> Step:
    """The one step of the review queue."""
    return Step(
        name="rank",
        tables=("stewardship.review_queue",),
        reads=READS,
        compute=_compute,
        column_sources={"stewardship.review_queue": ("linked.questions",)},
    )


def stewardship_assets() -> list[dg.AssetsDefinition]:
    """The review queue."""
    return [step_asset(stewardship_step())]
