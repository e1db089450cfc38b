"""The address of the lake, `lake.uri` of hygiene.yaml: whether a lake can be there at all."""

from __future__ import annotations

import re
from pathlib import Path

from crm_hygiene.config import Config
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.lake_tables import is_folder

# In a folder's path delta-rs takes # and ? for its end, panics at brackets, ^ and |, takes a backslash for a
# slash, and %41 for the letter with that code.
_UNTELLABLE = re.compile(r"[#?\[\]^|\\]|%[0-9A-Fa-f]{2}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/*")


def check_lake_address(config: Config) -> None:
    """Raise ConfigurationError where no lake can be, or none beside the landing folder; changes nothing."""
    given = config.lake.uri
    if not is_folder(given):
        return
    if scheme := _SCHEME.match(given):
        raise ConfigurationError(
            f"lake.uri: '{given}' looks like an address; one in an object store begins with {scheme[1]}://"
        )
    folder = Path(config.lake_uri).resolve()
    if refused := _UNTELLABLE.search(str(folder)):
        raise ConfigurationError(
            f"lake.uri: Delta keeps no table in a folder with '{refused[0]}' in its path: {folder}"
        )
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"lake.uri: {folder} is a file; the lake is a folder")
    landing = config.landing_folder.resolve()
    if folder.is_relative_to(landing) or landing.is_relative_to(folder):
        raise ConfigurationError(
            f"lake.uri: the lake, {folder}, and the landing folder, {landing}, lie within each other; "
            "tables would be taken for exports"
        )
