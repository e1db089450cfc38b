"""One Bulk API 2.0 ingest job, from its making to the answer for each row.

What does not belong here: the CSV itself (`salesforce_bulk_csv`), comparing before (`salesforce`).
"""

from __future__ import annotations

import contextlib
import time

from crm_hygiene.writeback.operations import Answer, Operation, Outcome
from crm_hygiene.writeback.target import AnswerLost, TargetError, TargetUnavailable
from crm_hygiene.writeback.targets.salesforce_answers import bulk_refusal, without_values
from crm_hygiene.writeback.targets.salesforce_bulk_csv import (
    ERROR_COLUMN,
    ID_COLUMN,
    JobRows,
    ResultCut,
    result_rows,
    row_key,
)
from crm_hygiene.writeback.targets.salesforce_session import RefusedRequest, SalesforceSession


def run_job(
    session: SalesforceSession, object_name: str, rows: JobRows, poll_seconds: float, wait_seconds: float
) -> list[Answer]:
    """Answers in row order. The one place that waits: a job's end can only be asked for.

    Raises
    ------
    AnswerLost
        if the job was handed over and its end is not known; it is aborted where that still can be.
    TargetError
        otherwise nothing was taken.
    """
    job = _open_job(session, object_name, rows)
    try:
        session.upload(f"jobs/ingest/{job}/batches", rows.body)
    except TargetError as error:
        _abort(session, job)
        if isinstance(error, AnswerLost):
            # Rows of a job that was never closed are not processed.
            raise TargetUnavailable(f"the upload of job {job} broke off") from None
        raise
    try:
        session.call("PATCH", f"jobs/ingest/{job}", json={"state": "UploadComplete"}, is_write=True)
    except AnswerLost:
        _abort(session, job)
        raise
    try:
        state, reason = _end_of(session, job, poll_seconds, wait_seconds)
        return _answers(session, object_name, rows, job, state, reason)
    except AnswerLost:
        raise
    except TargetError as error:
        _abort(session, job)
        raise AnswerLost(f"the end of job {job} is not known: {error}") from None


def _open_job(session: SalesforceSession, object_name: str, rows: JobRows) -> str:
    parameters = {
        "object": object_name,
        "operation": rows.operation,
        "contentType": "CSV",
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    }
    if rows.operation == "upsert":
        parameters["externalIdFieldName"] = rows.key
    try:
        return str(session.call("POST", "jobs/ingest", json=parameters, is_write=True)["id"])
    except AnswerLost:
        raise TargetUnavailable("no answer when the bulk job was opened; it holds no rows") from None


def _abort(session: SalesforceSession, job: str) -> None:
    with contextlib.suppress(TargetError):
        session.call("PATCH", f"jobs/ingest/{job}", json={"state": "Aborted"}, is_write=True)


def _end_of(
    session: SalesforceSession, job: str, poll_seconds: float, wait_seconds: float
) -> tuple[str, str]:
    """The job's last state and its error message."""
    until = time.monotonic() + wait_seconds
    while True:
        told = session.call("GET", f"jobs/ingest/{job}", is_write=False)
        state = str(told.get("state"))
        if state in ("JobComplete", "Failed", "Aborted"):
            return state, str(told.get("errorMessage") or "")
        if time.monotonic() >= until:
            _abort(session, job)
            raise AnswerLost(f"job {job} was not done after {wait_seconds:g} s")
        time.sleep(poll_seconds)


def _answers(
    session: SalesforceSession, object_name: str, rows: JobRows, job: str, state: str, reason: str
) -> list[Answer]:
    try:
        done = {r[rows.key]: r for r in _results(session, object_name, job, "successful")}
        failed = {r[rows.key]: r for r in _results(session, object_name, job, "failed")}
        left = {r[rows.key] for r in _results(session, object_name, job, "unprocessed")}
    except (ResultCut, KeyError) as error:
        raise AnswerLost(f"the results of job {job} cannot be read: {error}") from None
    answers = []
    for operation in rows.operations:
        key = row_key(operation)
        if key in done:
            answers.append(
                Answer(operation.operation_id, Outcome.DONE, f"job {job}", done[key].get(ID_COLUMN) or None)
            )
        elif key in failed:
            answers.append(bulk_refusal(operation, failed[key].get(ERROR_COLUMN, "")))
        elif key in left:
            answers.append(_unprocessed(operation, state, reason, job))
        else:
            message = f"job {job} ended as {state} and tells nothing of this record"
            answers.append(
                Answer(operation.operation_id, Outcome.UNCERTAIN, message, operation.record_id, code="UNTOLD")
            )
    return answers


def _results(session: SalesforceSession, object_name: str, job: str, which: str) -> list[dict[str, str]]:
    try:
        return result_rows(session.bulk_results(object_name, job, which))
    except RefusedRequest as error:
        raise AnswerLost(f"the {which} results of job {job}: {error}") from None


def _unprocessed(operation: Operation, state: str, reason: str, job: str) -> Answer:
    """A row that the job did not reach; a job that Salesforce could not read will not be read next time."""
    is_malformed = state == "Failed" and reason.startswith(("Invalid", "ClientInput", "FeatureNotEnabled"))
    outcome = Outcome.REFUSED if is_malformed else Outcome.RETRY
    message = without_values(f"job {job} ended as {state} before this record. {reason}".rstrip(), operation)
    return Answer(operation.operation_id, outcome, message, operation.record_id, code="UNPROCESSED")
