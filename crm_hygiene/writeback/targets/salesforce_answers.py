"""What Salesforce's error codes mean for one record, in REST, SOAP and Bulk API 2.0 alike.

Source of the codes: SOAP API Developer Guide, "StatusCode". What does not belong here: errors of a whole
request (`salesforce_session`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from crm_hygiene.writeback.operations import Answer, Operation, Outcome

#: Nothing was saved and another time it may be.
_RETRY = frozenset(
    {
        "UNABLE_TO_LOCK_ROW",
        "REQUEST_LIMIT_EXCEEDED",
        "SERVER_UNAVAILABLE",
        "REQUEST_RUNNING_TOO_LONG",
        "QUERY_TIMEOUT",
        "TXN_SECURITY_METERING_ERROR",
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    }
)
#: The record is gone: it changed since it was read.
_GONE = frozenset({"ENTITY_IS_DELETED", "NOT_FOUND"})

#: Shorter values are left in a message: they would blacken ordinary words.
_LEAST_LENGTH = 3
_LONGEST_MESSAGE = 500
_BULK_ERROR = re.compile(r"^(?P<code>[A-Z][A-Z0-9_]+):(?P<message>.*)$", re.DOTALL)


def without_values(message: str, operation: Operation) -> str:
    """A message without the values that were sent or read: Salesforce repeats them ("invalid email: ...")."""
    values = {v for held in (operation.before, operation.after) for v in held.values() if v}
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _LEAST_LENGTH:
            message = re.sub(re.escape(value), "***", message, flags=re.IGNORECASE)
    return message[:_LONGEST_MESSAGE]


def outcome_of(code: str) -> Outcome:
    """How an operation with this error code ended."""
    if code in _RETRY:
        return Outcome.RETRY
    return Outcome.CONFLICT if code in _GONE else Outcome.REFUSED


def refusal(operation: Operation, errors: Sequence[Mapping[str, Any]], status: int | None = None) -> Answer:
    """The answer for an operation that was not taken.

    Parameters
    ----------
    errors
        Salesforce's: `errorCode` or `statusCode`, `message`, `fields`; may be empty.
    status
        HTTP status, where the request was for this operation alone.
    """
    first = errors[0] if errors else {}
    unnamed = f"HTTP_{status}" if status else "UNKNOWN"
    code = str(first.get("errorCode") or first.get("statusCode") or unnamed)
    if status == 412:
        message = "changed in Salesforce since it was read"
        return Answer(operation.operation_id, Outcome.CONFLICT, message, operation.record_id, code=code)
    outcome = Outcome.CONFLICT if status == 404 else outcome_of(code)
    if outcome is Outcome.CONFLICT and operation.kind == "create":
        # Not the record is missing but the object, or the field that should hold its external id.
        outcome = Outcome.REFUSED
    parts = []
    for error in errors:
        fields = ", ".join(str(f) for f in error.get("fields") or ())
        parts.append(str(error.get("message", "")) + (f" ({fields})" if fields else ""))
    message = without_values("; ".join(parts), operation)
    return Answer(operation.operation_id, outcome, message, operation.record_id, code=code)


def bulk_refusal(operation: Operation, error: str) -> Answer:
    """The answer for a row of failedResults: `sf__Error` is `CODE:message:fields --`."""
    text = error.strip().removesuffix("--").rstrip()
    found = _BULK_ERROR.match(text)
    code, message = (found["code"], found["message"].rstrip(":")) if found else ("UNKNOWN", text)
    return refusal(operation, [{"statusCode": code, "message": message}])
