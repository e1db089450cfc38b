"""OpenLineage events: what a step of the night read and wrote, for catalogs that understand the standard.

The form is the specification 2-0-2 (https://openlineage.io/spec/2-0-2/OpenLineage.json) with facets of
https://openlineage.io/spec/facets. Events hold names, counts and texts about checks, never a cell's value.
Where events go belongs to `transport`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from crm_hygiene.contract import Contract
from crm_hygiene.lineage.kinds import kind_of

State = Literal["START", "COMPLETE", "FAIL"]
Event = dict[str, Any]

PRODUCER = "urn:crm-hygiene"
JOB = "nightly"

_SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
_FACETS = "https://openlineage.io/spec/facets"
# Facet -> version and name of its schema.
_SCHEMAS = {
    "parent": ("1-2-0", "ParentRunFacet"),
    "errorMessage": ("1-0-1", "ErrorMessageRunFacet"),
    "jobType": ("2-0-4", "JobTypeJobFacet"),
    "documentation": ("1-1-0", "DocumentationDatasetFacet"),
    "schema": ("1-2-0", "SchemaDatasetFacet"),
    "columnLineage": ("1-2-0", "ColumnLineageDatasetFacet"),
    "version": ("1-0-1", "DatasetVersionDatasetFacet"),
    "dataQualityMetrics": ("1-0-3", "DataQualityMetricsInputDatasetFacet"),
    "dataQualityAssertions": ("1-1-0", "DataQualityAssertionsDatasetFacet"),
    "outputStatistics": ("1-0-2", "OutputStatisticsOutputDatasetFacet"),
}
_TRANSFORMATIONS = {
    "identity": ("DIRECT", "IDENTITY"),
    "transformation": ("DIRECT", "TRANSFORMATION"),
    "aggregation": ("DIRECT", "AGGREGATION"),
    "join": ("INDIRECT", "JOIN"),
    "conditional": ("INDIRECT", "CONDITIONAL"),
}


@dataclass(frozen=True)
class Assertion:
    """One check of a gate: its name, whether it held, the column it is about if it is about one."""

    name: str
    is_passed: bool
    column: str | None = None


@dataclass(frozen=True)
class Dataset:
    """A table that a step reads or writes.

    Attributes
    ----------
    version
        Delta version; None if it was never published.
    row_count, byte_count, file_count
        of that version, where known.
    null_counts
        nulls by column, where known.
    lineage
        column -> the (table, column) pairs it is made of.
    """

    contract: Contract
    version: int | None = None
    row_count: int | None = None
    byte_count: int | None = None
    file_count: int | None = None
    null_counts: Mapping[str, int] = field(default_factory=dict)
    lineage: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    assertions: Sequence[Assertion] = ()


@dataclass(frozen=True)
class StepRun:
    """One step of one night."""

    run_id: str
    step: str
    started_at: datetime
    ended_at: datetime | None = None
    error: str | None = None
    inputs: Sequence[Dataset] = ()
    outputs: Sequence[Dataset] = ()


def step_run_id(run_id: str, step: str) -> str:
    """The id of a step's own run, always the same for the same night and step."""
    return str(uuid.uuid5(uuid.UUID(run_id), step))


def events_of(run: StepRun, namespace: str) -> list[Event]:
    """START, and COMPLETE or FAIL once the step has ended.

    The first only names its tables; schemas, lineage and figures come with the last.
    """
    events = [_event(run, namespace, "START", run.started_at)]
    if run.ended_at is not None:
        events.append(_event(run, namespace, "COMPLETE" if run.error is None else "FAIL", run.ended_at))
    return events


def _facet(name: str, /, **content: Any) -> dict[str, Any]:
    version, schema = _SCHEMAS[name]
    url = f"{_FACETS}/{version}/{schema}.json#/$defs/{schema}"
    return {"_producer": PRODUCER, "_schemaURL": url, **content}


def _event(run: StepRun, namespace: str, state: State, at: datetime) -> Event:
    facets: dict[str, Any] = {
        "parent": _facet(
            "parent",
            run={"runId": str(uuid.UUID(run.run_id))},
            job={"namespace": namespace, "name": JOB},
        )
    }
    if state == "FAIL":
        facets["errorMessage"] = _facet(
            "errorMessage", message=run.error or "failed", programmingLanguage="Python"
        )
    return {
        "eventType": state,
        "eventTime": at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "producer": PRODUCER,
        "schemaURL": f"{_SPEC}#/$defs/RunEvent",
        "run": {"runId": step_run_id(run.run_id, run.step), "facets": facets},
        "job": {
            "namespace": namespace,
            "name": f"{JOB}.{run.step}",
            "facets": {
                "jobType": _facet("jobType", processingType="BATCH", integration="DAGSTER", jobType="STEP")
            },
        },
        "inputs": [_input(found, namespace, state) for found in run.inputs],
        "outputs": [_output(found, namespace, state) for found in run.outputs],
    }


def _named(found: Dataset, namespace: str) -> dict[str, Any]:
    return {"namespace": namespace, "name": found.contract.table}


def _described(found: Dataset, namespace: str) -> dict[str, Any]:
    contract = found.contract
    facets = {
        "documentation": _facet("documentation", description=contract.meaning),
        "schema": _facet(
            "schema",
            fields=[{"name": c.name, "type": c.type, "description": c.meaning} for c in contract.columns],
        ),
    }
    if found.version is not None:
        facets["version"] = _facet("version", datasetVersion=str(found.version))
    return {**_named(found, namespace), "facets": facets}


def _metrics(found: Dataset) -> dict[str, Any]:
    counts = {"rowCount": found.row_count, "bytes": found.byte_count, "fileCount": found.file_count}
    return _facet(
        "dataQualityMetrics",
        **{name: count for name, count in counts.items() if count is not None},
        columnMetrics={name: {"nullCount": count} for name, count in sorted(found.null_counts.items())},
    )


def _assertions(found: Dataset) -> dict[str, Any]:
    return _facet(
        "dataQualityAssertions",
        assertions=[
            {"assertion": a.name, "success": a.is_passed, **({"column": a.column} if a.column else {})}
            for a in found.assertions
        ],
    )


def _input(found: Dataset, namespace: str, state: State) -> dict[str, Any]:
    if state == "START":
        return _named(found, namespace)
    facets = {"dataQualityMetrics": _metrics(found)} if found.row_count is not None else {}
    if found.assertions:
        facets["dataQualityAssertions"] = _assertions(found)
    return {**_described(found, namespace), "inputFacets": facets}


def _output(found: Dataset, namespace: str, state: State) -> dict[str, Any]:
    if state == "START":
        return _named(found, namespace)
    described = _described(found, namespace)
    facets = described["facets"]
    if found.lineage:
        facets["columnLineage"] = _column_lineage(found, namespace)
    # Checks run on what a step writes, before it is published. The specification knows them as facets of
    # an input, so the step that reads the table next carries them too.
    if found.assertions:
        facets["dataQualityAssertions"] = _assertions(found)
    if state != "COMPLETE" or found.row_count is None:
        # What is live is still the version of a night before.
        facets.pop("version", None)
        return {**described, "outputFacets": {}}
    facets["dataQualityMetrics"] = _metrics(found)
    sizes = {"rowCount": found.row_count, "size": found.byte_count, "fileCount": found.file_count}
    statistics = _facet("outputStatistics", **{k: v for k, v in sizes.items() if v is not None})
    return {**described, "outputFacets": {"outputStatistics": statistics}}


def _column_lineage(found: Dataset, namespace: str) -> dict[str, Any]:
    table = found.contract.table
    fields = {}
    for column, origins in found.lineage.items():
        made_of = []
        for from_table, from_column in origins:
            kind, subtype = _TRANSFORMATIONS[kind_of(table, column, from_table, from_column)]
            made_of.append(
                {
                    "namespace": namespace,
                    "name": from_table,
                    "field": from_column,
                    "transformations": [{"type": kind, "subtype": subtype, "masking": False}],
                }
            )
        fields[column] = {"inputFields": made_of}
    return _facet("columnLineage", fields=fields)
