"""Write-back: what golden would change in the systems it came from; a plan, nothing is sent by it."""

from __future__ import annotations

from typing import Any

import dagster as dg
import polars as pl

from assets.gating import held_if_small
from assets.publication import Step, Tables, step_asset
from crm_hygiene.contract import contract_of
from crm_hygiene.fingerprint import fingerprint
from crm_hygiene.landing import landing_column, landing_contract
from crm_hygiene.night import Night
from crm_hygiene.writeback import TargetPolicy, mapped_objects, plan_parts, target_policies
from crm_hygiene.writeback.delivery.session import confirm_deliveries
from crm_hygiene.writeback.planning.awaiting import withheld_fields
from crm_hygiene.writeback.planning.confidence import link_doubts
from crm_hygiene.writeback.planning.inputs import PlanInputs
from crm_hygiene.writeback.planning.merges import ChildColumn, child_columns
from crm_hygiene.writeback.planning.overview import overview_of, samples, whole_rows, with_masks

READS = (
    "conformed.people",
    "conformed.organisations",
    "conformed.opportunities",
    "conformed.interactions",
    "conformed.users",
    "conformed.consents",
    "linked.person_members",
    "linked.organisation_members",
    "linked.person_pairs",
    "linked.organisation_pairs",
    "golden.contacts",
    "golden.accounts",
    "golden.leads",
    "golden.provenance",
    "reconciled.allocations",
)

# Read of every table that has them; the fields that may be written back are read one at a time.
_ALWAYS = {
    "source",
    "record_id",
    "person_record_id",
    "entity_id",
    "file",
    "row_number",
    "landed_at",
    "created_at",
    "is_deleted",
    "is_converted",
    "is_suppressed",
    "email_consent",
    "phone_consent",
    "consent_id",
    "channel",
    "consent_state",
}

# Tables whose columns are read as the plan asks for them.
_STORED = {
    "people": "conformed.people",
    "organisations": "conformed.organisations",
    "contacts": "golden.contacts",
    "accounts": "golden.accounts",
}

# Tables of so few rows are read whole, not column by column.
_FEW_ROWS = 50_000

# Written by `crm-hygiene writeback apply` between nights; no asset makes them.
_DELIVERED = ("writeback.outbox", "writeback.deliveries")

# Rows per target and kind that the asset's page shows.
_SAMPLES = 3
_SAMPLE_COLUMNS = (
    "target",
    "change_kind",
    "object",
    "record_id",
    "column_name",
    "before",
    "after",
    "confidence",
    "reason",
)

# What single kinds of change look at besides.
_OF_LINKS = {"organisation_record_id", "account_entity_id"}
_OF_OWNERS = {"owner_id"}
_OF_CREATES = {"external_id", "uniqueness_score", "account_entity_id"}


def _columns(policies: dict[str, TargetPolicy], children: list[ChildColumn]) -> set[str]:
    """Columns that the policies ask for beside the fields that may be written back."""
    allowed = [o for policy in policies.values() for o in policy.objects.values()]
    asked = {child.column for child in children}
    asked |= _OF_LINKS if any(o.links for o in allowed) else set()
    asked |= _OF_OWNERS if any(o.owner for o in allowed) else set()
    return asked | (_OF_CREATES if any(o.creates for o in allowed) else set())


def _landed(night: Night, source: str) -> pl.LazyFrame:
    """A source's records as they landed, the vendor's columns under the mapping's names."""
    mapping = night.mappings[source]
    names = {landing_column(c): c for c in mapping.vendor_columns}
    return night.lake.scan_often(landing_contract(mapping), _FEW_ROWS).rename(
        {landed: name for landed, name in names.items() if landed != name}
    )


def _opt_outs(night: Night, sources: set[str]) -> pl.DataFrame:
    """Opt-outs that the sources themselves state, of which alone a plan asks."""
    contract = contract_of("conformed.consents")
    told = night.lake.scan(contract).select(c for c in contract.column_names if c in _ALWAYS)
    is_asked = (pl.col("consent_state") == "opt_out") & pl.col("source").is_in(sorted(sources))
    return told.filter(is_asked).collect()


def _compute(night: Night) -> Tables:
    policies = target_policies(night.config)
    objects = mapped_objects(night.mappings, night.config.targets)
    children = child_columns(night.mappings, policies, objects)
    asked = _columns(policies, children)

    def compared(table: str) -> pl.DataFrame:
        contract = contract_of(table)
        names = [c for c in contract.column_names if c in asked | _ALWAYS or c in contract.key]
        return night.lake.scan(contract).select(names).collect()

    def unless(table: str, is_asked: bool) -> pl.DataFrame:
        contract = contract_of(table)
        return night.lake.read(contract) if is_asked else contract.empty()

    people, organisations = compared("conformed.people"), compared("conformed.organisations")
    sources = {m.source for m in objects}
    pairs = ("linked.person_pairs", "linked.organisation_pairs")
    allowed = [o for policy in policies.values() for o in policy.objects.values()]
    inputs = PlanInputs(
        people=people,
        organisations=organisations,
        opportunities=compared("conformed.opportunities"),
        interactions=compared("conformed.interactions")
        if any(c.table == "interactions" for c in children)
        else contract_of("conformed.interactions").empty(),
        users=unless("conformed.users", any(o.owner for o in allowed)),
        consents=_opt_outs(night, sources),
        person_members=compared("linked.person_members"),
        organisation_members=compared("linked.organisation_members"),
        contacts=compared("golden.contacts"),
        accounts=compared("golden.accounts"),
        leads=unless("golden.leads", any(o.links or o.owner for o in allowed)),
        provenance=night.lake.scan_often(contract_of("golden.provenance"), _FEW_ROWS),
        allocations=unless("reconciled.allocations", any(p.postings for p in policies.values())),
        doubts=pl.concat(link_doubts(night.lake.scan(contract_of(table)), sources) for table in pairs),
        as_read={source: _landed(night, source) for source in sorted(sources)},
        stored={
            name: night.lake.scan_often(contract_of(table), _FEW_ROWS) for name, table in _STORED.items()
        },
    )
    # What landed since tells which deliveries arrived; a field that is on its way is not planned again.
    confirm_deliveries(night)
    withheld = withheld_fields(night.lake)
    changes = contract_of("writeback.changes")
    parts = plan_parts(inputs, objects, policies, withheld, children, night.systems)
    return {changes.table: held_if_small(changes, parts)}


def _policies(night: Night, computed: Tables | None) -> str:
    """What decides a plan beside its tables: the targets' policies, and what was delivered."""
    policies = [policy.model_dump(mode="json") for policy in target_policies(night.config).values()]
    return fingerprint([policies, {table: night.lake.state(table) for table in _DELIVERED}])


def _figures(night: Night) -> dict[str, Any]:
    """The plan at a glance: counts per kind and field, and samples with personal values masked."""
    changes = night.lake.scan(contract_of("writeback.changes"))
    overview = overview_of(changes, _SAMPLES)
    rows = whole_rows(changes, samples(overview.least_sure, _SAMPLES))
    seen = with_masks(rows, mapped_objects(night.mappings, night.config.targets))
    kinds = overview.counts.group_by("change_kind").agg(pl.col("changes").sum())
    return {
        "changes by kind and field": dg.MetadataValue.md(_markdown(overview.counts)),
        "samples": dg.MetadataValue.md(_markdown(seen.select(_SAMPLE_COLUMNS))),
        **{f"{kind} changes": height for kind, height in kinds.sort("change_kind").iter_rows()},
    }


def _markdown(frame: pl.DataFrame) -> str:
    """A frame as a Markdown table."""
    lines = [f"| {' | '.join(frame.columns)} |", f"|{'---|' * frame.width}"]
    for row in frame.iter_rows():
        cells = ("" if v is None else str(v).replace("|", "¦").replace("\n", " ") for v in row)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def writeback_step() -> Step:
    """The one step of the plan."""
    return Step(
        name="plan_writeback",
        tables=("writeback.changes",),
        reads=READS,
        compute=_compute,
        extra=_policies,
        figures={"writeback.changes": _figures},
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


def writeback_assets() -> list[dg.AssetsDefinition]:
    """The plan of changes per target record and field."""
    return [step_asset(writeback_step())]
