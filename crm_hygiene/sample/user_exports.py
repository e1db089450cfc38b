"""Users of each CRM, as Salesforce, HubSpot and Dynamics export them; the first fifth has left.

What does not belong here: which records they own (`layouts.stale_owners`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from crm_hygiene.sample.draws import stream
from crm_hygiene.sample.identifiers import guids, salesforce_ids
from crm_hygiene.sample.layouts import iso_time, salesforce_time, write_objects, write_salesforce, yes_no
from crm_hygiene.sample.people import EPOCH, moments
from crm_hygiene.sample.world import World

_FIRST_OWNER = 44_000_000


@dataclass(frozen=True)
class Users:
    """How each CRM's records name their owners: by key, by name, by GUID."""

    salesforce: pl.Series
    hubspot: pl.Series
    dynamics: pl.Series


def draw_users(world: World) -> Users:
    """The users of every CRM; HubSpot marks the names of those who left."""
    rng = stream(world.seed, "users")
    n = min(max(5, len(world.people) // 500), 250)
    vocabulary = world.vocabulary
    english = np.full(n, vocabulary.languages.index("en"), dtype=np.int64)
    names = vocabulary.male.pick(rng, english) + " " + vocabulary.family.pick(rng, english)
    left = _left(n)
    names = names.scatter(list(range(left)), names.head(left) + " (Deactivated User)")
    return Users(salesforce_ids(rng, "005", n)[1], names, guids(rng, n))


def _left(n: int) -> int:
    return max(1, n // 5)


def _facts(world: World, users: Users) -> pl.DataFrame:
    """What every CRM says of a user: given, family, email, has_left, created, modified."""
    rng = stream(world.seed, "users file")
    n = len(users.hubspot)
    created = np.sort(moments(rng, n, datetime(2018, 1, 1), datetime(2022, 1, 1)))
    modified = moments(rng, n, datetime(2023, 1, 1), EPOCH)
    parts = users.hubspot.str.replace(" (Deactivated User)", "", literal=True).str.split_exact(" ", 1)
    given, family = parts.struct.field("field_0"), parts.struct.field("field_1").fill_null("")
    number = pl.Series(np.arange(1, n + 1)).cast(pl.String)
    mailbox = (given + "." + number).str.to_lowercase().str.replace_all("[^a-z0-9.]", "")
    return pl.DataFrame(
        {
            "given": given,
            "family": family,
            "email": mailbox + "@our-company.example",
            "has_left": np.arange(n) < _left(n),
            "created": pl.Series(created).cast(pl.Datetime("us")),
            "modified": pl.Series(modified).cast(pl.Datetime("us")),
        }
    )


def write_salesforce_users(world: World, users: Users, path: Path) -> int:
    """`User.csv`; returns the number of rows."""
    facts = _facts(world, users)
    frame = pl.DataFrame(
        {
            "Id": users.salesforce,
            "Username": facts["email"] + ".crm",
            "FirstName": facts["given"],
            "LastName": facts["family"],
            "Name": facts["given"] + " " + facts["family"],
            "Email": facts["email"],
            "IsActive": yes_no(~facts["has_left"]),
            "UserType": pl.Series(["Standard"]).new_from_index(0, len(facts)),
            "CreatedDate": salesforce_time(facts["created"]),
            "LastModifiedDate": salesforce_time(facts["modified"]),
        }
    )
    return write_salesforce(frame, path)


def write_hubspot_owners(world: World, users: Users, path: Path) -> int:
    """`owners.json`, active and archived owners of the owners API together; returns their number."""
    facts = _facts(world, users)
    number = np.arange(len(facts))
    time = "%Y-%m-%dT%H:%M:%S.000Z"
    frame = pl.DataFrame(
        {
            "id": pl.Series(_FIRST_OWNER + number).cast(pl.String),
            "email": facts["email"],
            "type": pl.Series(["PERSON"]).new_from_index(0, len(facts)),
            "firstName": facts["given"],
            "lastName": facts["family"],
            "userId": pl.Series(7_000_000 + number),
            "createdAt": facts["created"].dt.to_string(time),
            "updatedAt": facts["modified"].dt.to_string(time),
            "archived": facts["has_left"],
        }
    )
    return write_objects(frame, path, '{"results":[\n', "\n]}")


def write_dynamics_users(world: World, users: Users, path: Path) -> int:
    """`systemusers.csv`; returns the number of rows."""
    facts = _facts(world, users)
    frame = pl.DataFrame(
        {
            "systemuserid": users.dynamics,
            "fullname": facts["given"] + " " + facts["family"],
            "internalemailaddress": facts["email"],
            "isdisabled": yes_no(facts["has_left"]),
            "createdon": iso_time(facts["created"]),
            "modifiedon": iso_time(facts["modified"]),
        }
    )
    frame.write_csv(path)
    return len(frame)
