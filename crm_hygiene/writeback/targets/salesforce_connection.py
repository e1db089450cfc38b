"""What a policy's `connection` and `secrets` may say of Salesforce, and what is wrong with them.

What does not belong here: signing in with them (`salesforce_session`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from crm_hygiene.contract import nearest
from crm_hygiene.errors import ConfigurationError

#: From 52.0 on the API knows the duplicate rule header.
DEFAULT_VERSION = "62.0"

#: SOAP login() is gone from this version on, and from all with Summer '27.
FIRST_WITHOUT_LOGIN = 65.0

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_NUMBERS = ("timeout_seconds", "bulk_from", "bulk_poll_seconds", "bulk_wait_seconds")
_TEXTS = ("instance_url", "login_url", "audience", "username", "client_id", "version", "ca_bundle")
_SECRETS = ("access_token", "password", "security_token", "client_secret", "private_key")


def is_safe(url: str) -> bool:
    """Whether an address is https, or http on this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def check_connection(connection: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    """Refuse a policy's `connection` and `secrets` that cannot sign in.

    Raises
    ------
    ConfigurationError
        naming the key: unknown, missing, not a number, or an address without TLS.
    """
    for given, known, where in (
        (connection, [*_TEXTS, *_NUMBERS], "connection"),
        (secrets, [*_SECRETS], "secrets"),
    ):
        for key in given:
            if key not in known:
                raise ConfigurationError(f"salesforce: unknown key '{where}.{key}'{nearest(key, known)}")
    for key in _NUMBERS:
        try:
            is_positive = float(connection.get(key, "1")) > 0
        except ValueError:
            is_positive = False
        if not is_positive:
            raise ConfigurationError(f"salesforce: connection.{key} must be a number above 0")
    for key in ("instance_url", "login_url"):
        if key in connection and not is_safe(connection[key]):
            raise ConfigurationError(
                f"salesforce: connection.{key} must begin with https:// (http:// only on this machine)"
            )
    needed = {
        "access_token": ("instance_url",),
        "client_secret": ("client_id", "login_url"),
        "private_key": ("client_id", "username"),
        "password": ("username",),
    }
    way = next((key for key in needed if key in secrets), None)
    if way is None:
        raise ConfigurationError(
            f"salesforce: secrets name none of {', '.join(needed)}; see docs/targets/salesforce.md"
        )
    for key in needed[way]:
        if key not in connection:
            raise ConfigurationError(f"salesforce: secrets.{way} needs connection.{key}")
    version = connection.get("version", DEFAULT_VERSION)
    if not re.fullmatch(r"\d+\.0", version):
        raise ConfigurationError('salesforce: connection.version must be quoted and like "62.0"')
    if way == "password" and float(version) >= FIRST_WITHOUT_LOGIN:
        raise ConfigurationError(
            f"salesforce: API version {version} has no SOAP login; use client_secret or private_key"
        )
    if "ca_bundle" in connection and not Path(connection["ca_bundle"]).is_file():
        raise ConfigurationError(f"salesforce: connection.ca_bundle: {connection['ca_bundle']}: no such file")
