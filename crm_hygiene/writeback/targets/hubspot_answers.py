"""HubSpot answers: what a status and a body mean for the whole target, or for single records.

Pure. Messages are made of categories, codes and property names only: HubSpot's own sentences repeat the
value that was refused. What does not belong here: requests (`hubspot`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crm_hygiene.writeback.operations import Outcome
from crm_hygiene.writeback.target import (
    AnswerLost,
    RateLimited,
    SessionExpired,
    SignInRefused,
    TargetError,
    TargetUnavailable,
)

#: HubSpot could not be reached by its own gateway: the request never arrived.
_DOWN = frozenset({503, 521, 522, 523})

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,80}")
_EXISTING = re.compile(r"Existing ID:?\s*([0-9]+)|\b([0-9]{1,20}) already has that value", re.IGNORECASE)
_PROPERTY = re.compile(r'[Pp]roperty \\?"([a-z0-9_]{1,100})\\?"')
_POLICY_SECONDS = {"SECONDLY": 1.0, "TEN_SECONDLY_ROLLING": 10.0}


class ContentRefused(Exception):  # noqa: N818 - named as what happened
    """The request as a whole was refused for what it holds; nothing of it was taken."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass(frozen=True)
class Refusal:
    """Why HubSpot refused: `code` for machines, `message` for people; never a field's value.

    `record_ids` and `trace_ids` name the records meant, where HubSpot names them.
    """

    outcome: Outcome
    code: str
    message: str
    record_ids: tuple[str, ...] = ()
    trace_ids: tuple[str, ...] = ()


def body_of(text: str | bytes | None) -> dict[str, Any]:
    """The JSON object of an answer; anything else is an empty one."""
    try:
        document = json.loads(text or b"")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def refusal_of(body: Mapping[str, Any], status: int | None = None) -> Refusal:
    """One error object of HubSpot's, of a whole answer or of a 207's `errors`."""
    context = {k: v for k, v in (body.get("context") or {}).items() if isinstance(v, list)}
    category = _word(body.get("category")) or _word(body.get("status")) or "ERROR"
    told = str(body.get("message") or "")
    code = _word(body.get("subCategory")) or category
    outcome = Outcome.REFUSED
    existing = _EXISTING.search(told)
    properties = {str(p) for p in context.get("propertyName", [])} | set(_PROPERTY.findall(told))
    for detail in body.get("errors") or []:
        if not isinstance(detail, Mapping):
            continue
        code = _word(detail.get("code")) or code
        inner = detail.get("context")
        if isinstance(inner, Mapping):
            properties |= {str(p) for p in inner.get("propertyName", []) or []}
    if category == "OBJECT_NOT_FOUND" or status == 404:
        outcome, code = Outcome.CONFLICT, "GONE"
        words = "the record is gone"
    elif category in ("RATE_LIMITS", "RATE_LIMIT") or status == 423:
        outcome = Outcome.RETRY
        words = "locked or over a limit at the moment"
    elif existing or category == "CONFLICT" or status == 409:
        code = "CONTACT_EXISTS" if "contact already exists" in told.lower() else code
        code = "DUPLICATE_VALUE" if code == "CONFLICT" else code
        other = next((g for g in existing.groups() if g), "") if existing else ""
        words = f"record {other} already holds a unique value" if other else "a unique value is taken"
    else:
        words = f"refused as {category}"
    named = sorted(p for p in properties if _WORD.fullmatch(p))
    return Refusal(
        outcome,
        code,
        words + (f" ({', '.join(named)})" if named else ""),
        tuple(str(i) for i in [*context.get("ids", []), *context.get("id", [])]),
        tuple(str(i) for i in context.get("objectWriteTraceId", [])),
    )


def _word(value: object) -> str:
    """A code as HubSpot writes it; a sentence or a value is none."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def failure_of(
    status: int, headers: Mapping[str, str] | None, text: str | bytes | None, is_writing: bool
) -> TargetError | ContentRefused:
    """What an answer other than success means.

    While writing, a 5xx other than "not reached" may come from a gateway that gave up waiting after the
    request was taken, so it counts as no answer; while reading the target is just unavailable.
    """
    body = body_of(text)
    category = _word(body.get("category")) or "no category"
    if status == 429:
        return _rate_limited(headers or {}, body)
    if status == 401:
        if category == "EXPIRED_AUTHENTICATION":
            return SessionExpired("HubSpot: the access token expired")
        return SignInRefused(f"HubSpot refuses the access token ({category})")
    if status == 403:
        return SignInRefused(f"HubSpot: the app lacks a scope that this needs ({category})")
    if status == 477:
        return RateLimited("HubSpot: the account is being moved", _seconds(headers or {}))
    if status in _DOWN:
        return TargetUnavailable(f"HubSpot is not available (status {status})")
    if status >= 500:
        kind = AnswerLost if is_writing else TargetUnavailable
        return kind(f"HubSpot answered with status {status}")
    if 300 <= status < 400:
        return TargetUnavailable(f"HubSpot sent us elsewhere (status {status}); the address is wrong")
    return ContentRefused(refusal_of(body, status))


def _seconds(headers: Mapping[str, str]) -> float | None:
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return None


def _rate_limited(headers: Mapping[str, str], body: Mapping[str, Any]) -> RateLimited:
    policy = _word(body.get("policyName")) or "unnamed"
    after = _seconds(headers)
    if after is None:
        after = _POLICY_SECONDS.get(policy)
    words = "; it begins anew at midnight of the account's time zone" if policy == "DAILY" else ""
    return RateLimited(f"HubSpot: the {policy} limit is reached{words}", after)
