"""Events checked against OpenLineage's own classes, which its project generates from the published schema.

Every property must be known to the class, have the type that the schema gives it, and be there where the
schema requires it; a facet must carry the address of the schema it follows.
"""

from __future__ import annotations

import types
from datetime import datetime
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import attr
from openlineage.client import event_v2, facet_v2
from openlineage.client.generated.base import RunEvent

_FACETS: dict[str, type] = {
    "parent": facet_v2.parent_run.ParentRunFacet,
    "errorMessage": facet_v2.error_message_run.ErrorMessageRunFacet,
    "jobType": facet_v2.job_type_job.JobTypeJobFacet,
    "documentation": facet_v2.documentation_dataset.DocumentationDatasetFacet,
    "schema": facet_v2.schema_dataset.SchemaDatasetFacet,
    "columnLineage": facet_v2.column_lineage_dataset.ColumnLineageDatasetFacet,
    "version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet,
    "dataQualityMetrics": facet_v2.data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet,
    "dataQualityAssertions": facet_v2.data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet,
    "outputStatistics": facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
}


class NotAsPublishedError(AssertionError):
    """An event that the published model does not know."""


def check_event(event: dict[str, Any]) -> None:
    """Refuse an event that is not a `RunEvent` of the specification.

    Raises
    ------
    NotAsPublishedError
        with the path to what is wrong.
    """
    _check_class(event, RunEvent, "event")
    UUID(event["run"]["runId"])
    if datetime.fromisoformat(event["eventTime"]).tzinfo is None:
        raise NotAsPublishedError("event.eventTime: without a time zone")
    event_v2.RunEvent(
        eventTime=event["eventTime"],
        run=event_v2.Run(event["run"]["runId"]),
        job=event_v2.Job(event["job"]["namespace"], event["job"]["name"]),
        eventType=event_v2.RunState(event["eventType"]),
        producer=event["producer"],
    )


def _check_class(value: Any, cls: type, path: str) -> None:
    if not isinstance(value, dict):
        raise NotAsPublishedError(f"{path}: {value!r} is no {cls.__name__}")
    hints = get_type_hints(cls)
    fields = {a.name: a for a in attr.fields(cls)}
    unknown = sorted(value.keys() - fields.keys())
    if unknown:
        raise NotAsPublishedError(f"{path}: {cls.__name__} knows no {unknown}")
    for name, field in fields.items():
        # What the specification requires has no default in the class, save for these three.
        if name not in value:
            if field.default is attr.NOTHING or name in ("_producer", "_schemaURL", "producer", "schemaURL"):
                raise NotAsPublishedError(f"{path}: {cls.__name__} needs {name}")
            continue
        _check(value[name], hints[name], f"{path}.{name}")
    address = value.get("_schemaURL") or value.get("schemaURL")
    if address is not None and address != cls._get_schema():  # type: ignore[attr-defined]
        raise NotAsPublishedError(f"{path}: follows {address}, published is {cls._get_schema()}")  # type: ignore[attr-defined]


def _check(value: Any, hint: Any, path: str) -> None:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return
        for argument in arguments:
            if argument is not type(None):
                _check(value, argument, path)
                return
    if origin is list:
        if not isinstance(value, list):
            raise NotAsPublishedError(f"{path}: {value!r} is no list")
        for k, item in enumerate(value):
            _check(item, arguments[0], f"{path}[{k}]")
        return
    if origin is dict:
        if not isinstance(value, dict):
            raise NotAsPublishedError(f"{path}: {value!r} is no object")
        for key, item in value.items():
            is_facets = path.endswith("acets")
            _check(item, _FACETS[key] if is_facets else arguments[1], f"{path}.{key}")
        return
    if attr.has(hint):
        _check_class(value, hint, path)
    elif issubclass(hint, Enum):
        hint(value)
    elif not isinstance(value, (int, float) if hint is float else hint) or (
        hint in (int, float) and isinstance(value, bool)
    ):
        raise NotAsPublishedError(f"{path}: {value!r} is no {hint.__name__}")
