"""Which versions of its inputs a live table was made from, if this night's rules made it.

A commit names the versions (`pins`); that the rules are those of this night follows from its fingerprint of
inputs, which is then the one of those versions by the rules of this night. What does not belong here: what
changed since (each layer compares its own inputs).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import LakeError
from crm_hygiene.fingerprint import fingerprint
from crm_hygiene.lake_versions import state_of
from crm_hygiene.night import Night


def versions_made_from(
    night: Night, tables: Sequence[str], reads: Sequence[str], extra: str | None = None
) -> dict[str, int | None] | None:
    """Version of each of `reads` that all `tables` were made from; None for a table that was not there.

    Parameters
    ----------
    extra
        what the step's fingerprint has besides its tables and rules.

    Returns
    -------
    None where the tables were made of other inputs than each other or by other rules, where the gate refused
    rows of them, or where one of the versions can no longer be read.
    """
    lives = [night.lake.metadata(table) for table in tables]
    if len({(live.get("inputs"), live.get("pins")) for live in lives}) != 1:
        return None
    versions: dict[str, int | None] = json.loads(lives[0].get("pins") or "{}")
    if set(versions) != set(reads):
        return None
    try:
        states = {table: state_at(night, table, version) for table, version in versions.items()}
    except LakeError:
        return None
    found = fingerprint([night.rules, states])
    made = found if extra is None else fingerprint([found, extra])
    if lives[0].get("inputs") != made or _has_refused(night, tables):
        return None
    readable = (
        version is None or states[table] == night.lake.state(table) or night.lake.has_files_of(table, version)
        for table, version in versions.items()
    )
    return versions if all(readable) else None


def state_at(night: Night, table: str, version: int | None) -> str:
    """As `Lake.state`, of a past version."""
    if version is None:
        return "absent"
    return state_of({**night.lake.metadata(table, version), "version": version})


def _has_refused(night: Night, tables: Sequence[str]) -> bool:
    """Whether rows of the tables are in quarantine: the gate has to meet them again."""
    quarantine = night.lake.scan(contract_of("quality.quarantine"))
    return not quarantine.filter(pl.col("table_name").is_in(list(tables))).head(1).collect().is_empty()
