"""The session with Salesforce: signing in through simple-salesforce, and what its HTTP answers mean.

What does not belong here: which resources are called and what is done with records (`salesforce`), errors of
single records (`salesforce_answers`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from crm_hygiene.writeback.target import (
    AnswerLost,
    RateLimited,
    SessionExpired,
    SignInRefused,
    TargetError,
    TargetUnavailable,
)
from crm_hygiene.writeback.targets.salesforce_connection import (
    DEFAULT_VERSION,
    LOOPBACK,
    check_connection,
    is_safe,
)

if TYPE_CHECKING:
    import requests
    from simple_salesforce.api import Salesforce

_LIMIT_CODES = frozenset({"REQUEST_LIMIT_EXCEEDED", "LOGIN_RATE_EXCEEDED"})
_BUSY_CODES = frozenset({"SERVER_UNAVAILABLE", "API_CURRENTLY_DISABLED"})


class RefusedRequest(TargetError):  # noqa: N818 - named as the state it is in
    """Salesforce refused a request as it stands (4xx): `errors` as it gave them, `status` of HTTP."""

    def __init__(self, status: int, errors: list[dict[str, Any]]) -> None:
        code = str(errors[0].get("errorCode", "")) if errors else ""
        super().__init__(f"Salesforce refused the request: HTTP {status} {code}".rstrip())
        self.status = status
        self.errors = errors


def _new_transport(timeout: float, ca_bundle: str | None) -> requests.Session:
    """A requests session: a time-out on every request, TLS verified, no plain HTTP but to this machine."""
    import requests

    class Transport(requests.Session):
        #: Of the last answer; simple-salesforce's errors leave the headers out.
        last_status: int | None = None
        last_retry_after: str | None = None

        def request(self, *arguments: Any, **options: Any) -> requests.Response:
            options.setdefault("timeout", timeout)
            options.setdefault("verify", ca_bundle or True)
            self.last_status = self.last_retry_after = None
            return super().request(*arguments, **options)

        def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
            # Here and not in `request`, so that redirects are looked at as well.
            if not is_safe(request.url or ""):
                raise requests.exceptions.InvalidURL("plain http:// to another machine")
            answer = super().send(request, **options)
            self.last_status = answer.status_code
            self.last_retry_after = answer.headers.get("Retry-After")
            return answer

    return Transport()


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds from now, from seconds or an HTTP date (RFC 9110, 10.2.3)."""
    if not retry_after:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


class SalesforceSession:
    """One signed-in session. Not thread-safe; it neither retries nor signs in again by itself.

    Its errors are `TargetError`s without their causes: a cause's text holds what was sent.
    """

    def __init__(self, connection: Mapping[str, str], secrets: Mapping[str, str]) -> None:
        check_connection(connection, secrets)
        self._connection = connection
        # Secrets hide themselves from str() and format(); joined they are plain text.
        self._secrets = {key: "".join(value) for key, value in secrets.items()}
        self.version = connection.get("version", DEFAULT_VERSION)
        self._client: Salesforce | None = None
        self._transport: Any = None
        self._has_expired = False

    def sign_in(self) -> None:
        """Sign in, anew if it was signed in before.

        Raises
        ------
        SignInRefused, RateLimited, TargetUnavailable
            see `writeback.target`.
        """
        import requests
        from simple_salesforce.api import Salesforce
        from simple_salesforce.exceptions import SalesforceAuthenticationFailed

        self.close()
        if "access_token" in self._secrets and self._has_expired:
            raise SignInRefused("the access token has expired; provide a new one")
        timeout = float(self._connection.get("timeout_seconds", "60"))
        self._transport = _new_transport(timeout, self._connection.get("ca_bundle"))
        try:
            token, address = self._token()
        except SalesforceAuthenticationFailed as error:
            raise self._sign_in_error(error) from None
        except requests.RequestException as error:
            raise self._transport_error(error, is_write=False) from None
        except (ValueError, TypeError, AttributeError) as error:
            if (self._transport.last_status or 0) >= 500:
                raise TargetUnavailable(f"sign-in: HTTP {self._transport.last_status}") from None
            # A private key that is none, or an answer without the fields of OAuth.
            raise SignInRefused(f"the sign-in could not be made or read: {type(error).__name__}") from None
        # Given a token, the library never signs in again by itself, behind the back of the outbox.
        client = Salesforce(
            session_id=token,
            instance_url=address,
            version=self.version,
            session=self._transport,
            parse_float=Decimal,
            object_pairs_hook=dict,
        )
        # The library writes https:// before every host; is_safe has seen to it that http is loopback.
        client.base_url = f"{address}/services/data/v{self.version}/"
        client.bulk2_url = f"{client.base_url}jobs/"
        self._address = address
        self._client = client
        self._has_expired = False

    def _token(self) -> tuple[str, str]:
        """Session token and instance address, by whichever way the secrets allow."""
        from simple_salesforce.login import SalesforceLogin, token_login

        login_url = self._connection.get("login_url", "https://login.salesforce.com").rstrip("/")
        if "access_token" in self._secrets:
            return self._secrets["access_token"], self._connection["instance_url"].rstrip("/")
        client_id = self._connection.get("client_id", "")
        token_url = f"{login_url}/services/oauth2/token"
        if "client_secret" in self._secrets:
            grant = {
                "grant_type": "client_credentials",
                "client_id": client_id,
                "client_secret": self._secrets["client_secret"],
            }
            token, host = token_login(token_url, grant, "", client_id, None, None, self._transport)
        elif "private_key" in self._secrets:
            grant = {
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "assertion": self._assertion(self._connection.get("audience", login_url)),
            }
            token, host = token_login(token_url, grant, "", client_id, None, None, self._transport)
        else:
            token, host = SalesforceLogin(
                username=self._connection["username"],
                password=self._secrets["password"],
                security_token=self._secrets.get("security_token", ""),
                sf_version=self.version,
                session=self._transport,
                scratch_url=login_url,
            )
        if not token or not host:
            raise ValueError("no token")
        is_local = urlsplit(login_url).scheme == "http" and urlsplit(f"//{host}").hostname in LOOPBACK
        return token, f"{'http' if is_local else 'https'}://{host}"

    def _assertion(self, audience: str) -> str:
        """JSON Web Token of the OAuth 2.0 JWT bearer flow, good for three minutes."""
        import jwt

        claims = {
            "iss": self._connection["client_id"],
            "sub": self._connection["username"],
            "aud": audience,
            "exp": datetime.now(UTC) + timedelta(minutes=3),
        }
        try:
            return jwt.encode(claims, self._secrets["private_key"], algorithm="RS256")
        except jwt.PyJWTError:
            raise ValueError("no private key in PEM") from None

    def _sign_in_error(self, error: Any) -> TargetError:
        code = str(error.code or "")
        status = self._transport.last_status
        if status == 429 or code in _LIMIT_CODES:
            return RateLimited(f"sign-in: {code or status}", _seconds(self._transport.last_retry_after))
        # A SOAP fault is always HTTP 500: with a code of its own it is an answer, without one it is none.
        if code in _BUSY_CODES or (status is not None and status >= 500 and (not code or code.isdigit())):
            return TargetUnavailable(f"sign-in: HTTP {status} {code}".rstrip())
        return SignInRefused(self._masked(f"Salesforce refuses the sign-in: {code}: {error.auth_message}"))

    def _masked(self, text: str) -> str:
        for secret in sorted(self._secrets.values(), key=len, reverse=True):
            if secret:
                text = text.replace(secret, "***")
        return text

    @property
    def client(self) -> Salesforce:
        """simple-salesforce's client.

        Raises
        ------
        SessionExpired
            if nobody has signed in.
        """
        if self._client is None:
            raise SessionExpired("not signed in")
        return self._client

    def call(
        self, method: str, path: str, *, is_write: bool, params: dict[str, str] | None = None, **options: Any
    ) -> Any:
        """One REST call below /services/data/vXX.X/; its JSON, or None where the answer is empty.

        Raises
        ------
        RefusedRequest
            4xx that concerns what was sent.
        TargetError
            as `writeback.target` tells; `AnswerLost` only where `is_write`.
        """
        import requests
        from simple_salesforce.exceptions import SalesforceError

        try:
            return self.client.restful(path, params=params, method=method, **options)
        except SalesforceError as error:
            raise self._answer_error(error.status, error.content, is_write=is_write) from None
        except requests.JSONDecodeError:
            raise self._lost("the answer is not JSON", is_write=is_write) from None
        except requests.RequestException as error:
            raise self._transport_error(error, is_write=is_write) from None

    def upload(self, path: str, body: bytes) -> None:
        """PUT a CSV. Raises as `call`."""
        import requests

        headers = {**self.client.headers, "Content-Type": "text/csv; charset=UTF-8"}
        try:
            answer = self._transport.put(self.client.base_url + path, data=body, headers=headers)
        except requests.RequestException as error:
            raise self._transport_error(error, is_write=True) from None
        if answer.status_code >= 300:
            raise self._answer_error(answer.status_code, _json_of(answer), is_write=True)

    def soap(self, body: bytes, action: str) -> bytes:
        """POST a SOAP envelope to the partner endpoint; the answer's, a fault's as well. Raises as `call`."""
        import requests

        url = f"{self._address}/services/Soap/u/{self.version}"
        headers = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": action}
        try:
            answer = self._transport.post(url, data=body, headers=headers)
        except requests.RequestException as error:
            raise self._transport_error(error, is_write=True) from None
        if answer.status_code != 200 and b"faultcode" not in answer.content:
            raise self._answer_error(answer.status_code, _json_of(answer), is_write=True)
        content: bytes = answer.content
        return content

    @property
    def token(self) -> str:
        """The session's token, for SOAP headers."""
        return str(self.client.session_id)

    def bulk_results(self, object_name: str, job_id: str, which: str) -> str:
        """A Bulk API 2.0 job's result CSV; `which`: successful, failed or unprocessed. Raises as `call`."""
        import requests
        from simple_salesforce.exceptions import SalesforceError

        job = getattr(self.client.bulk2, object_name)
        try:
            return str(getattr(job, f"get_{which}_records")(job_id))
        except SalesforceError as error:
            raise self._answer_error(error.status, error.content, is_write=True) from None
        except requests.RequestException as error:
            raise self._transport_error(error, is_write=True) from None

    def fault(self, code: str) -> TargetError | None:
        """The error that a SOAP fault's code means for the whole target; None if it concerns the request."""
        if code == "INVALID_SESSION_ID":
            self._has_expired = True
            return SessionExpired("the session has ended")
        if code in _LIMIT_CODES:
            return RateLimited(code, _seconds(self._transport.last_retry_after))
        return TargetUnavailable(code) if code in _BUSY_CODES else None

    def _answer_error(self, status: int, content: Any, *, is_write: bool) -> TargetError:
        errors = [e for e in content if isinstance(e, dict)] if isinstance(content, list) else []
        code = str(errors[0].get("errorCode", "")) if errors else ""
        if status == 401 or code == "INVALID_SESSION_ID":
            self._has_expired = True
            return SessionExpired("the session has ended")
        wait = _seconds(self._transport.last_retry_after)
        if status == 429 or code in _LIMIT_CODES or (status == 503 and wait is not None):
            return RateLimited(f"HTTP {status} {code}".rstrip(), wait)
        if status == 503 or code in _BUSY_CODES:
            return TargetUnavailable(f"HTTP {status} {code}".rstrip())
        if status >= 500:
            return self._lost(f"HTTP {status} {code}".rstrip(), is_write=is_write)
        return RefusedRequest(status, errors)

    @staticmethod
    def _lost(reason: str, *, is_write: bool) -> TargetError:
        return AnswerLost(reason) if is_write else TargetUnavailable(reason)

    def _transport_error(self, error: Exception, *, is_write: bool) -> TargetError:
        import requests
        from urllib3.exceptions import NewConnectionError

        if isinstance(error, requests.exceptions.SSLError):
            return TargetUnavailable(
                "the server's TLS certificate is not trusted; connection.ca_bundle names a company's own"
            )
        if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.ProxyError):
            return TargetUnavailable(f"no connection: {type(error).__name__}")
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
            return TargetUnavailable("Salesforce points to an address without TLS")
        cause = getattr(error.args[0], "reason", None) if error.args else None
        if isinstance(cause, NewConnectionError):
            return TargetUnavailable("no connection: refused or no such host")
        return self._lost(f"no answer: {type(error).__name__}", is_write=is_write)

    def close(self) -> None:
        """Forget the session. It is not revoked: another process may use the same token."""
        if self._transport is not None:
            self._transport.close()
        self._client = self._transport = None


def _json_of(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
