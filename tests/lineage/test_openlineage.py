"""OpenLineage events: valid by the specification, one START and one end per step, and no cell's value."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.contract import contract_of, load_contracts
from crm_hygiene.lineage.openlineage import Assertion, Dataset, StepRun, events_of, step_run_id

from .published_model import NotAsPublishedError, check_event

NIGHT = str(uuid.UUID(int=7))
AT = datetime(2026, 1, 1, 2, tzinfo=UTC)
PEOPLE = Dataset(
    contract_of("conformed.people"),
    version=4,
    row_count=10,
    byte_count=100,
    file_count=1,
    null_counts={"email": 2},
    assertions=[Assertion("unique(source,record_id)", True), Assertion("not_null(email)", False, "email")],
)
CONTACTS = Dataset(
    contract_of("golden.contacts"),
    version=3,
    row_count=7,
    byte_count=70,
    file_count=2,
    null_counts={"email": 1},
    lineage={
        "email": (("conformed.people", "email"),),
        "phones": (("conformed.people", "phone"), ("conformed.people", "mobile_phone")),
        "account_entity_id": (("conformed.people", "organisation_record_id"),),
    },
    assertions=[Assertion("unique(entity_id)", True, "entity_id")],
)


def run(**changes: Any) -> StepRun:
    known = {"run_id": NIGHT, "step": "golden", "started_at": AT, "ended_at": AT, "inputs": [PEOPLE]}
    return StepRun(**{**known, "outputs": [CONTACTS], **changes})


def test_a_step_starts_and_completes_with_what_it_read_and_wrote() -> None:
    start, end = events_of(run(), "crm")
    for event in (start, end):
        check_event(event)
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    assert start["run"] == end["run"]
    assert start["run"]["facets"]["parent"]["run"]["runId"] == NIGHT
    assert [d["name"] for d in start["inputs"] + start["outputs"]] == ["conformed.people", "golden.contacts"]
    written = end["outputs"][0]
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == 7
    assert written["facets"]["version"]["datasetVersion"] == "3"
    assert [f["name"] for f in written["facets"]["schema"]["fields"]] == CONTACTS.contract.column_names
    fields = written["facets"]["columnLineage"]["fields"]
    kinds = {
        column: [t["subtype"] for made in found["inputFields"] for t in made["transformations"]]
        for column, found in fields.items()
    }
    assert kinds == {
        "email": ["IDENTITY"],
        "phones": ["AGGREGATION", "AGGREGATION"],
        "account_entity_id": ["JOIN"],
    }
    read = end["inputs"][0]["inputFacets"]
    assert read["dataQualityMetrics"]["columnMetrics"] == {"email": {"nullCount": 2}}
    assert {"assertion": "not_null(email)", "success": False, "column": "email"} in read[
        "dataQualityAssertions"
    ]["assertions"]


def test_a_failed_step_tells_why_and_no_figures_of_the_version_that_stays() -> None:
    end = events_of(run(error="golden.contacts: unique(entity_id): 2 of 7"), "crm")[-1]
    check_event(end)
    assert end["eventType"] == "FAIL"
    assert "unique(entity_id)" in end["run"]["facets"]["errorMessage"]["message"]
    written = end["outputs"][0]
    assert written["outputFacets"] == {}
    assert "version" not in written["facets"]
    assert written["facets"]["dataQualityAssertions"]["assertions"]


def test_a_running_step_has_only_started() -> None:
    assert [e["eventType"] for e in events_of(run(ended_at=None), "crm")] == ["START"]


def test_a_step_has_the_same_run_id_whenever_it_is_told() -> None:
    assert step_run_id(NIGHT, "golden") == step_run_id(NIGHT.replace("-", ""), "golden")
    assert step_run_id(NIGHT, "golden") != step_run_id(NIGHT, "link")


@pytest.mark.parametrize("broken", ["eventTime", "producer", "run", "job", "schemaURL"])
def test_the_schema_refuses_an_event_that_lacks_something(broken: str) -> None:
    event = events_of(run(), "crm")[-1]
    del event[broken]
    with pytest.raises(NotAsPublishedError):
        check_event(event)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("eventType",), "FINISHED"),
        (("inputs", 0, "name"), 3),
        (("outputs", 0, "facets", "version", "datasetVersion"), 3),
        (("outputs", 0, "outputFacets", "outputStatistics", "rowCount"), "7"),
        (("outputs", 0, "facets", "schema", "_schemaURL"), "https://example.org/schema.json"),
        (("job", "facets", "jobType", "wrong"), "BATCH"),
    ],
)
def test_the_published_model_refuses_what_is_not_of_it(path: tuple[str | int, ...], value: object) -> None:
    event = events_of(run(), "crm")[-1]
    place: Any = event
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises((NotAsPublishedError, ValueError)):
        check_event(event)


_datasets = st.builds(
    Dataset,
    contract=st.sampled_from(sorted(load_contracts().values(), key=lambda c: c.table)),
    version=st.none() | st.integers(0, 10**6),
    row_count=st.none() | st.integers(0, 10**9),
    byte_count=st.none() | st.integers(0, 10**12),
    null_counts=st.dictionaries(st.text(max_size=8), st.integers(0, 10**9), max_size=2),
    assertions=st.lists(
        st.builds(Assertion, st.text(max_size=8), st.booleans(), st.none() | st.text(max_size=8)), max_size=2
    ),
)


@given(
    inputs=st.lists(_datasets, max_size=2),
    outputs=st.lists(_datasets, max_size=2),
    error=st.none() | st.text(max_size=20),
    at=st.datetimes(timezones=st.just(UTC)),
)
def test_every_event_is_valid(
    inputs: list[Dataset], outputs: list[Dataset], error: str | None, at: datetime
) -> None:
    found = events_of(
        run(inputs=inputs, outputs=outputs, error=error, started_at=at, ended_at=at), "name space"
    )
    for event in found:
        check_event(json.loads(json.dumps(event)))
