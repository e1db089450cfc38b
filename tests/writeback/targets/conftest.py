"""One PostgreSQL server for a run of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .postgresql_server import PostgreSQL, running


@pytest.fixture(scope="session")
def cluster() -> Iterator[PostgreSQL]:
    with running() as found:
        yield found
