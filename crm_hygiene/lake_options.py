"""The lake that hygiene.yaml names; options of an object store, `lake.storage_options`, with their secrets.

`${NAME}` in a value is a variable of the environment, or a line of the secrets file that write-back
uses too. What the store's own variables say (AWS_*, GOOGLE_*, AZURE_*) needs no option at all. What does not
belong here: which options there are (the object store's, docs/object-storage.md).
"""

from __future__ import annotations

import re

from crm_hygiene.config import Config
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.lake import Lake
from crm_hygiene.lake_address import check_lake_address
from crm_hygiene.writeback.delivery.secrets import load_secrets

_NAMED = re.compile(r"\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Parts of the names of options whose values open the store.
_SECRET_WORDS = ("secret", "token", "password", "account_key", "access_key", "sas", "service_account_key")

# Contain a word above, and name a person or a place.
_NO_SECRETS = ("aws_access_key_id", "access_key_id")


def storage_options(config: Config) -> dict[str, str]:
    """The options for the object store, secrets in place.

    Raises
    ------
    ConfigurationError
        if a name is missing in environment and secrets file, or is none; never shows a value.
    """
    given = config.lake.storage_options
    named: dict[str, str] = {}
    for option, value in given.items():
        for name in _NAMED.findall(value):
            if not _NAME.fullmatch(name):
                raise ConfigurationError(
                    f"lake.storage_options.{option}: '${{{name}}}' names no variable; write ${{NAME}}"
                )
            named[name] = name
    if not named:
        return dict(given)
    path = None if config.secrets_file is None else config.resolve(config.secrets_file)
    try:
        found = load_secrets(named, config.base, path)
    except ConfigurationError as error:
        raise ConfigurationError(f"lake.storage_options: {error}") from None
    # The store's client needs the plain text; `Lake` never shows its options.
    return {
        option: _NAMED.sub(lambda match: found[match[1]].reveal(), value) for option, value in given.items()
    }


def lake_of(config: Config) -> Lake:
    """The lake that hygiene.yaml names.

    Raises
    ------
    ConfigurationError
        as of `storage_options` and `check_lake_address`.
    """
    check_lake_address(config)
    return Lake(config.lake_uri, storage_options(config))


def plain_secrets(config: Config) -> list[str]:
    """Options whose secret stands in hygiene.yaml itself, where it is copied and committed with the rest."""
    return sorted(
        option
        for option, value in config.lake.storage_options.items()
        if option.lower() not in _NO_SECRETS
        and any(word in option.lower() for word in _SECRET_WORDS)
        and value
        and not _NAMED.search(value)
    )
