"""The canary: what a model would do to the live data, found without touching it.

The candidate links the live records under the live register, decisions and rules, exactly as the next
night would; the golden tables are built from its entities; both are compared with what is live. Given the
same lake and the same files, the outcome is the same to the byte. What does not belong here: whether that
is acceptable (`limits`) and putting the model to use (`promotion`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from crm_hygiene.asof import latest_known
from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError, LakeError
from crm_hygiene.evaluation.truth import Truth
from crm_hygiene.fingerprint import content_of
from crm_hygiene.golden.difference import TableDifference, table_difference
from crm_hygiene.golden.of_lake import golden_of
from crm_hygiene.lake import Lake
from crm_hygiene.linkage import EntityKind, FrozenModel, LinkageSettings, link
from crm_hygiene.linkage.decisions import PAIR, standing
from crm_hygiene.linkage.engine import engine_of
from crm_hygiene.linkage.night_settings import settings_of
from crm_hygiene.linkage.records import TABLES, live_records
from crm_hygiene.linkage.store import load_register, promoted_version
from crm_hygiene.models.live_labels import Accuracies, accuracies, caveats, judged_pairs
from crm_hygiene.models.regrouping import Regrouping, regrouping
from crm_hygiene.night import Night

GOLDEN = ("contacts", "accounts", "leads", "lead_states", "relationships", "activities")
_READ = (
    *TABLES.values(),
    "conformed.consents",
    "conformed.interactions",
    "linked.person_members",
    "linked.person_entities",
    "linked.person_pairs",
    "linked.organisation_members",
    "linked.organisation_entities",
    "linked.organisation_pairs",
    "stewardship.decisions",
    *(f"golden.{name}" for name in GOLDEN),
)


@dataclass(frozen=True)
class Canary:
    """What a candidate would change.

    Attributes
    ----------
    in_use
        version of the model in use, or None before the first promotion.
    regrouping
        live entities against the candidate's.
    golden
        one difference per golden table.
    accuracy
        per set of labels, the live entities' and the candidate's accuracy on it.
    judgement_count
        standing judgements, same and different, about live records.
    contradicted
        judgements that the candidate's entities contradict and the live ones do not.
    questions_before, questions_after
        doubtful pairs that linkage asks about, judged ones included.
    names
        names of the entities in the examples, by id; personal data, not to be stored.
    outcome
        fingerprint of the candidate's members: the next night publishes the same, if nothing else changes.
    read
        Delta version of every table read.
    """

    entity_kind: EntityKind
    model_version: str
    in_use: str | None
    regrouping: Regrouping
    golden: list[TableDifference]
    accuracy: Accuracies
    judgement_count: int
    contradicted: list[dict[str, Any]]
    questions_before: int
    questions_after: int
    notes: list[str]
    outcome: str
    read: dict[str, int | None]
    names: dict[str, str] = field(default_factory=dict)

    @property
    def golden_cells(self) -> int:
        """Filled cells of the live golden tables, keys left out."""
        return sum(table.cell_count for table in self.golden)

    @property
    def golden_changed(self) -> int:
        """Live golden cells that would change or go."""
        return sum(table.changed_cells for table in self.golden)

    def as_document(self, with_values: bool = True) -> dict[str, Any]:
        """Everything as plain data; without values where it is kept, since they may be personal data."""
        document = asdict(self)
        document |= {"golden_cells": self.golden_cells, "golden_changed_cells": self.golden_changed}
        if not with_values:
            document["names"] = {}
            for table in document["golden"]:
                table["examples"] = [{k: e[k] for k in ("column", "key")} for e in table["examples"]]
        return document


def versions_read(lake: Lake) -> dict[str, int | None]:
    """Delta version of every table a canary reads."""
    return {table: lake.version(table) for table in _READ}


def records_to_link(night: Night, kind: EntityKind) -> pl.DataFrame:
    """What linkage would see tonight.

    Raises
    ------
    ConfigurationError
        if there is nothing yet.
    """
    records = live_records(night.lake, kind).collect()
    if records.is_empty():
        raise ConfigurationError(f"{TABLES[kind]} has no records yet; run a night first (`crm-hygiene run`)")
    return records


def compare(night: Night, model: FrozenModel, truth: Truth | None = None) -> Canary:
    """Try `model` on the live data; nothing is written.

    Parameters
    ----------
    truth
        labels; beside them the stewards' judgements always count.

    Raises
    ------
    ConfigurationError
        if there are no records yet.
    LakeError
        if a night changed the tables meanwhile.
    """
    lake, kind = night.lake, model.entity_kind
    read = versions_read(lake)
    settings = settings_of(night)
    records = records_to_link(night, kind)
    register, _ = load_register(lake, kind)
    decisions = lake.read(contract_of("stewardship.decisions")).filter(pl.col("entity_kind") == kind)
    as_of = latest_known(records, decisions)
    with engine_of(night.config) as engine:
        linked = link(kind, records, register, decisions, model, as_of, settings, engine=engine)
    before, after = register.members, linked.members
    groups = regrouping(before, after)
    golden, built = _golden(night, kind, after)
    judged = judged_pairs(standing(decisions), before, after)
    promotions = lake.read(contract_of("stewardship.promotions"))
    in_use = promoted_version(promotions, kind)
    live_pairs = lake.read(contract_of(f"linked.{kind}_pairs"))
    queue = lake.scan(contract_of("linked.questions")).filter(pl.col("entity_kind") == kind)
    contradicted = judged.filter(pl.col("breaks_after") & ~pl.col("breaks_before"))
    accuracy = accuracies(judged, live_pairs, linked.pairs, before, after, truth, settings)
    canary = Canary(
        entity_kind=kind,
        model_version=model.model_version,
        in_use=in_use,
        regrouping=groups,
        golden=golden,
        accuracy=accuracy,
        judgement_count=judged.height,
        contradicted=contradicted.select(*PAIR, "judgement", "decided_by").to_dicts(),
        questions_before=int(queue.select(pl.len()).collect().item()),
        questions_after=linked.questions.height,
        notes=[
            *_caveats(night, model, in_use, settings, groups),
            *caveats(kind, judged, truth, accuracy),
            *linked.notes,
        ],
        outcome=content_of(contract_of(f"linked.{kind}_members").shape(after).sort("source", "record_id")),
        read=read,
        names=_names(lake, kind, groups, built),
    )
    if versions_read(lake) != read:
        raise LakeError("a night changed the tables while the models were compared; compare again")
    return canary


def _caveats(
    night: Night, model: FrozenModel, in_use: str | None, settings: LinkageSettings, groups: Regrouping
) -> list[str]:
    """What else than the model makes the live tables differ from the candidate's."""
    kind = model.entity_kind
    found = []
    live = night.lake.metadata(f"linked.{kind}_members")
    made_with = json.loads(live.get("models") or "{}").get(kind)
    if made_with is not None and made_with != in_use:
        found.append(
            f"what is live was made with {kind} model {made_with}; no night has run since {in_use} was "
            "promoted"
        )
    if live and live.get("rules") != night.rules:
        found.append(
            "the program or a rules file has changed since the last night: the figures hold that change too"
        )
    if model.rule_fingerprint != settings.fingerprint(kind):
        found.append(
            f"{kind} model {model.model_version} was trained under other linkage rules than those in force"
        )
    if live and (groups.new_records or groups.gone_records):
        found.append(
            f"{groups.new_records} records came and {groups.gone_records} went since the last night; "
            "they count in no share"
        )
    return found


def _golden(
    night: Night, kind: EntityKind, members: pl.DataFrame
) -> tuple[list[TableDifference], dict[str, pl.DataFrame]]:
    """The golden tables built with other members of one kind, against the live ones."""
    if kind == "person":
        golden = golden_of(night, person_members=members)
    else:
        golden = golden_of(night, organisation_members=members)
    built = {f"golden.{name}": golden.table(name) for name in GOLDEN}
    differences = [
        table_difference(contract_of(table), night.lake.read(contract_of(table)), frame)
        for table, frame in built.items()
    ]
    return differences, built


def _names(
    lake: Lake, kind: EntityKind, groups: Regrouping, built: dict[str, pl.DataFrame]
) -> dict[str, str]:
    """Names of the entities in the examples, the live one where there is one."""
    ids = sorted(
        {e["entity"] for e in (*groups.merges, *groups.splits)}
        | {part for e in (*groups.merges, *groups.splits) for part in e["parts"]}
    )
    table, column = ("contacts", "full_name") if kind == "person" else ("accounts", "organisation_name")
    live = lake.scan(contract_of(f"golden.{table}"))
    found: dict[str, str] = {}
    for frame in (built[f"golden.{table}"].lazy(), live):
        rows = frame.filter(pl.col("entity_id").is_in(ids)).select("entity_id", column).collect()
        found |= {entity: name for entity, name in rows.iter_rows() if name is not None}
    return dict(sorted(found.items()))
