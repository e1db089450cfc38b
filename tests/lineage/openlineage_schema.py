"""What the OpenLineage specification 2-0-2 and its facets demand of an event, as JSON Schema.

Written by hand after https://openlineage.io/spec/2-0-2/OpenLineage.json and the facets' own schemas
(OpenLineage project, Apache-2.0): the same structure, types, required keys and formats, without the
descriptions. It is stricter in two ways: facets not named here are refused, and so are two spellings of
one state. With the variable OPENLINEAGE_SPEC naming the folder `spec` of a checkout of that project, the
tests also validate against the published files themselves.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlparse
from uuid import UUID

import jsonschema

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_WHOLE: Json = {"type": "integer"}
_URI: Json = {"type": "string", "format": "uri"}
_UUID: Json = {"type": "string", "format": "uuid"}
_BASE = {"_producer": _URI, "_schemaURL": _URI}


def _object(required: list[str], **properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": required}


def _facet(required: list[str], **properties: Json) -> Json:
    return _object(["_producer", "_schemaURL", *required], **_BASE, **properties)


def _facets(**known: Json) -> Json:
    return {"type": "object", "properties": known, "additionalProperties": False}


_JOB_NAME = _object(["namespace", "name"], namespace=_TEXT, name=_TEXT)
_METRICS = _facet(
    ["columnMetrics"],
    rowCount=_WHOLE,
    bytes=_WHOLE,
    fileCount=_WHOLE,
    columnMetrics={
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": {"nullCount": _WHOLE, "distinctCount": _WHOLE, "count": {"type": "number"}},
        },
    },
)
_ASSERTIONS = _facet(
    ["assertions"],
    assertions={
        "type": "array",
        "items": _object(
            ["assertion", "success"], assertion=_TEXT, success={"type": "boolean"}, column=_TEXT
        ),
    },
)
_TRANSFORMATION = _object(
    ["type"],
    type={"enum": ["DIRECT", "INDIRECT"]},
    subtype=_TEXT,
    description=_TEXT,
    masking={"type": "boolean"},
)
_DATASET_FACETS = _facets(
    documentation=_facet(["description"], description=_TEXT),
    schema=_facet(
        [],
        fields={"type": "array", "items": _object(["name"], name=_TEXT, type=_TEXT, description=_TEXT)},
    ),
    version=_facet(["datasetVersion"], datasetVersion=_TEXT),
    columnLineage=_facet(
        ["fields"],
        fields={
            "type": "object",
            "additionalProperties": _object(
                ["inputFields"],
                inputFields={
                    "type": "array",
                    "items": _object(
                        ["namespace", "name", "field"],
                        namespace=_TEXT,
                        name=_TEXT,
                        field=_TEXT,
                        transformations={"type": "array", "items": _TRANSFORMATION},
                    ),
                },
            ),
        },
    ),
    dataQualityMetrics=_METRICS,
    dataQualityAssertions=_ASSERTIONS,
)


def _dataset(**own: Json) -> Json:
    return _object(["namespace", "name"], namespace=_TEXT, name=_TEXT, facets=_DATASET_FACETS, **own)


RUN_EVENT: Json = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    **_object(
        ["eventTime", "producer", "schemaURL", "run", "job"],
        eventType={"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        eventTime={"type": "string", "format": "date-time"},
        producer=_URI,
        schemaURL={
            **_URI,
            "pattern": r"^https://openlineage\.io/spec/2-0-2/OpenLineage\.json#/\$defs/RunEvent$",
        },
        run=_object(
            ["runId"],
            runId=_UUID,
            facets=_facets(
                parent=_facet(["run", "job"], run=_object(["runId"], runId=_UUID), job=_JOB_NAME),
                errorMessage=_facet(
                    ["message", "programmingLanguage"],
                    message=_TEXT,
                    programmingLanguage=_TEXT,
                    stackTrace=_TEXT,
                ),
            ),
        ),
        job=_object(
            ["namespace", "name"],
            namespace=_TEXT,
            name=_TEXT,
            facets=_facets(
                jobType=_facet(
                    ["processingType", "integration"], processingType=_TEXT, integration=_TEXT, jobType=_TEXT
                )
            ),
        ),
        inputs={
            "type": "array",
            "items": _dataset(
                inputFacets=_facets(dataQualityMetrics=_METRICS, dataQualityAssertions=_ASSERTIONS)
            ),
        },
        outputs={
            "type": "array",
            "items": _dataset(
                outputFacets=_facets(
                    outputStatistics=_facet([], rowCount=_WHOLE, size=_WHOLE, fileCount=_WHOLE)
                )
            ),
        },
    ),
}


def _formats() -> jsonschema.FormatChecker:
    """The three formats the specification uses; the library checks them only with packages of its own."""
    checker = jsonschema.FormatChecker(formats=())

    @checker.checks("uri", raises=ValueError)
    def is_uri(value: object) -> bool:
        return not isinstance(value, str) or bool(urlparse(value).scheme)

    @checker.checks("uuid", raises=ValueError)
    def is_uuid(value: object) -> bool:
        return not isinstance(value, str) or str(UUID(value)) == value.lower()

    @checker.checks("date-time", raises=ValueError)
    def is_time(value: object) -> bool:
        return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None

    return checker


VALIDATOR = jsonschema.Draft202012Validator(RUN_EVENT, format_checker=_formats())


def check_event(event: Json) -> None:
    """Raise jsonschema.ValidationError if the specification would not know the event."""
    VALIDATOR.validate(event)
