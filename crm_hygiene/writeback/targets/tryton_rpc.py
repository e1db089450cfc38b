"""Tryton's JSON-RPC over HTTP: signing in, calls, and what each kind of answer means.

Tryton 8 takes `POST <address>/<database>/rpc/` with `{"id", "method", "params"}` and the session in an
`Authorization: Session` header; a refusal comes as status 200 with an `error` in the body. What does not
belong here: what is called (`tryton`).
"""

from __future__ import annotations

import base64
import gzip
import http.client
import ipaddress
import json
import socket
import ssl
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlsplit

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.operations import Outcome
from crm_hygiene.writeback.target import (
    AnswerLost,
    RateLimited,
    SessionExpired,
    SignInRefused,
    TargetUnavailable,
)

#: What the databases below Tryton say when two transactions met; Tryton rolled ours back.
_MET_ANOTHER = ("database is locked", "could not serialize", "deadlock", "could not obtain lock")


class CallRefused(Exception):  # noqa: N818 - named as what happened
    """Tryton refused one call; its transaction was rolled back and nothing was changed.

    `text` is Tryton's own sentence and may repeat values: mask it before it goes anywhere.
    """

    def __init__(self, outcome: Outcome, code: str, text: str) -> None:
        super().__init__(code)
        self.outcome = outcome
        self.code = code
        self.text = text


class TrytonSession:
    """A signed-in user of one database. One connection per call: what was sent is never in doubt for long.

    Parameters
    ----------
    address
        `https://host[:port]`; plain http is taken for a loopback address only.
    database, user, password
        as in Tryton's own sign-in.
    timeout
        seconds to wait for the connection and for each answer.
    ca_file
        certificates to trust instead of the system's.

    Raises
    ------
    ConfigurationError
        if the address is none of that.
    """

    def __init__(
        self,
        address: str,
        database: str,
        user: str,
        password: str,
        timeout: float = 60.0,
        ca_file: str | None = None,
    ) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ConfigurationError(
                f"tryton: '{address}' is not an address like https://tryton.example:8000"
            )
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise ConfigurationError(
                f"tryton: '{address}' would send the password in the clear; use https (http: loopback only)"
            )
        self._host, self._port = parts.hostname, parts.port
        self._path = f"{parts.path.rstrip('/')}/{quote(database, safe='')}/rpc/"
        self._tls = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        self._timeout = timeout
        self._user, self._password = user, password
        self._authorization: str | None = None
        #: Sent with every call: the user's company and the language of Tryton's messages.
        self.context: dict[str, Any] = {}

    def sign_in(self) -> None:
        """Begin a session, forgetting any that was.

        Raises
        ------
        SignInRefused
            wrong name, password or database, or a second factor is asked for.
        """
        self._authorization = None
        parameters = [self._user, {"password": self._password}, "en"]
        try:
            answer = self._exchange("common.db.login", parameters, changes=False)
        except SessionExpired:
            raise SignInRefused(f"Tryton refuses user '{self._user}' or the password") from None
        except CallRefused as refused:
            raise SignInRefused(f"Tryton refuses the sign-in of '{self._user}' ({refused.code})") from None
        user_id, key = answer[0], answer[1]
        token = base64.b64encode(f"{self._user}:{user_id}:{key}".encode()).decode()
        self._authorization = f"Session {token}"
        self.context = {}
        preferences = self.call("model.res.user.get_preferences", True)
        self.context = {**{k: preferences[k] for k in ("company", "employee") if preferences.get(k)}}
        self.context["language"] = "en"

    def sign_out(self) -> None:
        """End the session at the server too, where one can be ended; silent if the server is gone."""
        if self._authorization is None:
            return
        try:
            self._exchange("common.db.logout", [], changes=False)
        except (TargetUnavailable, AnswerLost, SessionExpired, RateLimited, CallRefused):
            pass
        finally:
            self._authorization = None

    def call(
        self, method: str, *params: Any, changes: bool = False, context: dict[str, Any] | None = None
    ) -> Any:
        """The result of one method, in one transaction of Tryton's.

        Parameters
        ----------
        method
            as Tryton names it, e.g. `model.party.party.write`.
        params
            its arguments, without the context.
        changes
            whether the call writes: an answer that does not come is then `AnswerLost`.
        context
            added to the session's own.

        Raises
        ------
        CallRefused
            Tryton refused; nothing was changed.
        TargetError
            the session, the server or the way to it failed.
        """
        if self._authorization is None:
            raise SessionExpired("not signed in to Tryton")
        return self._exchange(method, [*params, {**self.context, **(context or {})}], changes)

    def _exchange(self, method: str, params: list[Any], changes: bool) -> Any:
        body = json.dumps({"id": 1, "method": method, "params": params}, default=_encoded).encode()
        headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
        if self._authorization is not None:
            headers["Authorization"] = self._authorization
        if self._tls is None:
            way = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        else:
            way = http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout, context=self._tls
            )
        try:
            try:
                way.connect()
            except (OSError, socket.gaierror) as error:
                raise TargetUnavailable(f"no connection to Tryton: {type(error).__name__}") from None
            try:
                way.request("POST", self._path, body, headers)
                answer = way.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise _unanswered(changes, f"no answer from Tryton: {type(error).__name__}") from None
        finally:
            way.close()
        _raise_for_status(answer, method, changes)
        # Tryton 8.0 labels long answers as gzip even where it did not compress them.
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        try:
            document = json.loads(content, object_hook=_decoded)
        except ValueError:
            raise _unanswered(changes, "Tryton's answer is not JSON") from None
        if not isinstance(document, dict):
            raise _unanswered(changes, "Tryton's answer is not an RPC answer")
        if "error" in document:
            raise _refusal(document["error"])
        return document.get("result")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _unanswered(changes: bool, message: str) -> AnswerLost | TargetUnavailable:
    return AnswerLost(message) if changes else TargetUnavailable(message)


def _raise_for_status(answer: http.client.HTTPResponse, method: str, changes: bool) -> None:
    status = answer.status
    if status == 200:
        return
    if status == 401:
        raise SessionExpired(f"Tryton answers 401 to {method}")
    if status == 403:
        # The session is good; the method is none of those that Tryton offers.
        raise CallRefused(Outcome.REFUSED, "forbidden", f"Tryton does not offer {method}")
    if status == 404:
        raise SignInRefused("Tryton has no such database (404)")
    if status == 429:
        after = answer.headers.get("Retry-After", "")
        raise RateLimited("Tryton answers 429", float(after) if after.isdigit() else None)
    if status == 503:
        raise TargetUnavailable("Tryton answers 503")
    raise _unanswered(changes, f"Tryton answers {status}")


def _refusal(error: object) -> CallRefused:
    """What `error` of an RPC answer means: `[kind, details]` of Tryton's own, else `[text, traceback]`."""
    parts: list[Any] = list(error) if isinstance(error, list | tuple) and error else [str(error)]
    kind = str(parts[0])
    details = parts[1] if len(parts) > 1 else ""
    if kind == "ConcurrencyException":
        return CallRefused(Outcome.CONFLICT, "concurrency", "the record was changed meanwhile")
    if kind == "UserError":
        return CallRefused(Outcome.REFUSED, "user_error", " ".join(str(d) for d in details[:2] if d))
    if kind == "UserWarning":
        return CallRefused(Outcome.REFUSED, "user_warning", " ".join(str(d) for d in details[1:3] if d))
    if kind == "LoginException":
        return CallRefused(Outcome.REFUSED, "login", "Tryton asks for a further sign-in")
    if any(words in kind.casefold() for words in _MET_ANOTHER):
        return CallRefused(Outcome.RETRY, "locked", "another transaction held the record")
    return CallRefused(Outcome.REFUSED, "server_error", "Tryton failed at it; its log says why")


def _encoded(value: object) -> dict[str, Any]:
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    if isinstance(value, datetime):
        names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
        return {"__class__": "datetime", **{n: getattr(value, n) for n in names}}
    if isinstance(value, date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    raise TypeError(f"{type(value).__name__} cannot be sent to Tryton")


def _decoded(document: dict[str, Any]) -> Any:
    kind = document.get("__class__")
    if kind == "Decimal":
        return Decimal(document["decimal"])
    if kind == "date":
        return date(document["year"], document["month"], document["day"])
    if kind == "datetime":
        names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
        return datetime(*(document[n] for n in names))
    return document
