"""Time zones as configuration names them: by their IANA name, checked when the file is read."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator

from crm_hygiene.contract import nearest


def _known(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"no time zone '{name}'{nearest(name, sorted(available_timezones()))}")
    return name


TimeZone = Annotated[str, AfterValidator(_known)]
"""A field of a pydantic model; an unknown name is an error that tells the nearest."""
