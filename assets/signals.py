"""Signals: figures beside the golden records; they never overwrite a golden cell."""

from __future__ import annotations

import dagster as dg

from assets.publication import Step, Tables, step_asset
from assets.turns import Turn
from crm_hygiene.asof import latest_seen
from crm_hygiene.contract import contract_of
from crm_hygiene.night import Night
from crm_hygiene.signals import load_signal_rules, measure_strength, score_leads

READS = ("golden.contacts", "golden.leads", "golden.activities")


def _compute(night: Night) -> Tables:
    contacts, leads = (night.lake.read(contract_of(table)) for table in READS[:2])
    activities = night.lake.scan(contract_of("golden.activities"))
    own = night.config.rules.lead_score
    rules = load_signal_rules(night.config.resolve(own) if own else None)
    as_of = latest_seen(contacts)
    return {
        "signals.lead_scores": score_leads(contacts, leads, activities, as_of, rules),
        "signals.relationship_strength": measure_strength(contacts, activities, as_of, rules),
    }


def signals_steps() -> list[Step]:
    """The one step of lead scores and the strength of relationships."""
    return [
        Step(
            name="signal",
            tables=("signals.lead_scores", "signals.relationship_strength"),
            reads=READS,
            compute=_compute,
            turn=Turn.BESIDE_ANOTHER,
            beside="plan_writeback",
            made_from={"signals.relationship_strength": ("golden.contacts", "golden.activities")},
            column_sources={
                "signals.lead_scores": ("golden.contacts",),
                "signals.relationship_strength": ("golden.contacts",),
            },
        )
    ]


def signals_assets() -> list[dg.AssetsDefinition]:
    """Lead scores and the strength of relationships."""
    return [step_asset(step) for step in signals_steps()]
