"""Lakes in new buckets; the stores' addresses and keys come by the environment, as in production."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.object_store import stores
from tests.object_store.stores import Store


@pytest.fixture(scope="session")
def s3_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    pytest.importorskip("moto", reason="the S3 server of the tests: pip install 'moto[server]'")
    with stores.s3(tmp_path_factory.mktemp("s3")) as store:
        yield store


@pytest.fixture(scope="session")
def google_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    pytest.importorskip("moto", reason="Google's server of the tests is moto's: pip install 'moto[server]'")
    with stores.google(tmp_path_factory.mktemp("google")) as store:
        yield store


@pytest.fixture(scope="session")
def azure_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    if not stores.AZURITE.exists() or shutil.which("node") is None:
        pytest.skip("no Azurite; `make azurite` installs it where there is a node and an npm")
    with stores.azure(tmp_path_factory.mktemp("azure")) as store:
        yield store


@pytest.fixture(
    params=[pytest.param(kind, marks=() if kind == "s3" else pytest.mark.long) for kind in stores.KINDS]
)
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Each of the stores, opened."""
    found: Store = request.getfixturevalue(f"{request.param}_store")
    return found.opened(monkeypatch)


@pytest.fixture
def lake_uri(store: Store) -> str:
    """Address of a lake in a new bucket of each store."""
    return store.lake()


@pytest.fixture
def s3_lake_uri(s3_store: Store, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of a lake in a new bucket on S3."""
    return s3_store.opened(monkeypatch).lake()
