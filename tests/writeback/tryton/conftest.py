"""A real Tryton per test file: a copy of the prepared database on loopback; its admin makes the parties."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bench.tryton.server import DATABASE, NOT_BUILT, PASSWORD, USER, TrytonServer, is_built
from crm_hygiene.writeback.policy import TargetPolicy
from crm_hygiene.writeback.targets.tryton import TrytonTarget, open_target
from crm_hygiene.writeback.targets.tryton_rpc import TrytonSession

Make = Callable[..., str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrytonServer]:
    if not is_built():
        pytest.skip(NOT_BUILT)
    with TrytonServer(tmp_path_factory.mktemp("tryton")) as running:
        yield running


@pytest.fixture(scope="module")
def admin(server: TrytonServer) -> TrytonSession:
    return server.session()


def policy_for(server: TrytonServer, **connection: str) -> TargetPolicy:
    where = {"url": server.url, "database": DATABASE, "user": USER, **connection}
    return TargetPolicy(target="tryton", connector="tryton", connection=where)


@pytest.fixture
def target(server: TrytonServer) -> Iterator[TrytonTarget]:
    """Signed in as the user with no more rights than it needs."""
    opened = open_target(policy_for(server), {"password": PASSWORD}, server.folder)
    opened.connect()
    yield opened
    opened.close()


@pytest.fixture
def make(admin: TrytonSession) -> Make:
    """Makes a party as a person at Tryton's own client would; its id."""

    def party(name: str = "Ada Krüger", **values: Any) -> str:
        ways = values.pop("ways", {})
        if ways:
            made = [{"type": kind, "value": value} for kind, value in ways.items()]
            values["contact_mechanisms"] = [["create", made]]
        ids = admin.call("model.party.party.create", [{"name": name, **values}], changes=True)
        return str(ids[0])

    return party
