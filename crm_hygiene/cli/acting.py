"""Who acts, said or known."""

from __future__ import annotations

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.models.promotion import acting_person


def acting(by: str | None) -> str:
    """Who acts: as said with `--by`, else the user logged in.

    Raises
    ------
    ConfigurationError
        if neither is known.
    """
    name = (by or "").strip() or acting_person()
    if not name:
        raise ConfigurationError("who decides is not known here; say it with --by")
    return name
