"""The session with HubSpot: the official client, signed in, with time-outs and without its own repeats.

What does not belong here: what an answer means (`hubspot_answers`), which requests there are
(`hubspot_records`, `hubspot`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.target import AnswerLost, SessionExpired, SignInRefused, TargetUnavailable
from crm_hygiene.writeback.targets.hubspot_answers import ContentRefused, failure_of

if TYPE_CHECKING:
    from crm_hygiene.writeback.policy import TargetPolicy

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Session:
    """One sign-in; `crm` and `call` are all that the requests need."""

    def __init__(self, policy: TargetPolicy, secrets: Mapping[str, str]) -> None:
        told = policy.connection
        self._host = told.get("host", "https://api.hubapi.com").rstrip("/")
        address = urlsplit(self._host)
        if address.scheme != "https" and not (address.scheme == "http" and address.hostname in _LOOPBACK):
            raise ConfigurationError(
                f"target {policy.target}: connection.host must begin with https:// "
                "(http only on this machine)"
            )
        try:
            self._timeout = (
                float(told.get("connect_seconds", "10")),
                float(told.get("answer_seconds", "60")),
            )
        except ValueError as error:
            raise ConfigurationError(
                f"target {policy.target}: connect_seconds and answer_seconds are numbers"
            ) from error
        refresh = ("client_id", "client_secret", "refresh_token")
        if not secrets.get("access_token") and not all(secrets.get(k) for k in refresh):
            raise ConfigurationError(
                f"target {policy.target}: name access_token, or {', '.join(refresh)}, under secrets:"
            )
        self._ca_file = told.get("ca_file")
        self._secrets = dict(secrets)
        self._client: Any = None
        self._token: str | None = None

    def open(self) -> None:
        """A client with a token: the one given, or a fresh one for the refresh token.

        Raises
        ------
        SignInRefused
            if HubSpot refuses the refresh token.
        """
        self.close()
        is_renewed = bool(self._secrets.get("refresh_token"))
        self._token = self._refreshed() if is_renewed else self._secrets["access_token"]
        self._client = self._open(self._token)

    def secrets(self) -> set[str]:
        """Tokens held now."""
        return {self._token} if self._token else set()

    def close(self) -> None:
        """Forget the client; HubSpot keeps no session."""
        self._client = None

    @property
    def crm(self) -> Any:
        """The client's CRM part.

        Raises
        ------
        SessionExpired
            before `open` and after `close`.
        """
        if self._client is None:
            raise SessionExpired("HubSpot: not signed in")
        return self._client.crm

    def _open(self, token: str | None) -> Any:
        # Here and not above: importing the package must not import a vendor's client.
        from hubspot import HubSpot

        # `retry=False`: urllib3 would otherwise repeat a POST on a 429 by itself, and wait meanwhile.
        told = {"host": self._host, "retry": False, "verify_ssl": True, "ssl_ca_cert": self._ca_file}
        return HubSpot(access_token=token, **told)

    def _refreshed(self) -> str:
        named = ("client_id", "client_secret", "refresh_token")
        secrets: dict[str, Any] = {k: self._secrets[k] for k in named}
        tokens = self._open(None).oauth.tokens_api
        try:
            answer = self.call(tokens.create, grant_type="refresh_token", **secrets)
        except ContentRefused as error:
            raise SignInRefused("HubSpot refuses the refresh token") from error
        return str(answer.access_token)

    def call(
        self, request: Callable[..., Any], *arguments: Any, is_writing: bool = False, **told: Any
    ) -> Any:
        """One request of the client's; every failure becomes a `TargetError` or `ContentRefused`."""
        from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError

        try:
            return request(*arguments, _request_timeout=self._timeout, **told)
        except (ConnectTimeoutError, NewConnectionError) as error:
            raise TargetUnavailable(f"HubSpot cannot be reached ({type(error).__name__})") from error
        except SSLError as error:
            raise TargetUnavailable("HubSpot: the TLS certificate is not trusted") from error
        except HTTPError as error:
            if is_writing:
                raise AnswerLost(f"HubSpot gave no answer ({type(error).__name__})") from error
            raise TargetUnavailable(f"HubSpot gave no answer ({type(error).__name__})") from error
        except Exception as error:
            # Each part of the client has exceptions of its own; they share these attributes. With no body
            # (a TLS failure, status 0) the client stumbles over its own error while it decodes it.
            failure = error if hasattr(error, "status") else error.__context__
            status = getattr(failure, "status", None)
            if status is None:
                raise
            if not status:
                raise TargetUnavailable("HubSpot: no TLS connection that can be trusted") from error
            told_by = getattr(failure, "headers", None), getattr(failure, "body", None)
            # The error repeats the answer, and that the values: no traceback shall show it.
            raise failure_of(int(status), *told_by, is_writing) from None
