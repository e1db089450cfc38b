"""Object stores on this machine, each a process of its own, and what opens them.

Azurite is Microsoft's server for tests of its blob storage. It is no Python package: `make azurite` installs
it from npm into .azurite. It takes no notice of `startFrom` in a listing (Azurite, issue 2619), which Azure
knows; a client that is told of an emulator, as it is here, asks for none.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from uuid import uuid4

import pytest

_PROJECT = Path(__file__).parents[2]
AZURITE = _PROJECT / ".azurite/node_modules/azurite/dist/src/blob/main.js"

KINDS = ("s3", "google", "azure")

# What the tests' S3 key is, which no message may tell.
SECRET = "a-secret-of-the-tests"

# Azurite's account and key are the same everywhere (its README, "Default Storage Account").
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Store:
    """A store that runs.

    Attributes
    ----------
    scheme
        of its lakes' addresses
    variables
        of the environment, which open it as in production
    make
        makes an empty bucket of a name
    """

    scheme: str
    variables: dict[str, str]
    make: Callable[[str], None]

    def opened(self, monkeypatch: pytest.MonkeyPatch) -> Store:
        """Itself, which this process and those it starts can open."""
        for name, value in self.variables.items():
            monkeypatch.setenv(name, value)
        return self

    def bucket(self) -> str:
        """The address of a new, empty bucket."""
        name = f"bucket{uuid4().hex[:12]}"
        self.make(name)
        return f"{self.scheme}://{name}"

    def lake(self) -> str:
        """The address of a lake in a new bucket, of letters that addresses write otherwise."""
        return f"{self.bucket()}/my läke (1)"


def _put(address: str, headers: dict[str, str] | None = None) -> None:
    request = urllib.request.Request(address, method="PUT", headers=headers or {})
    urllib.request.urlopen(request, timeout=30).close()


@contextmanager
def _running(command: list[str], log: Path, port_of: Callable[[], str | None]) -> Iterator[str]:
    """The address of a server while it runs; `port_of` is asked until it tells the port."""
    with log.open("w") as out:
        server = subprocess.Popen(command, cwd=_PROJECT, stdout=out, stderr=out)
        try:
            until = time.monotonic() + 60
            while (port := port_of()) is None and server.poll() is None and time.monotonic() < until:
                time.sleep(0.005)
            assert port is not None, log.read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()
            server.wait()


@contextmanager
def _python_server(module: str, folder: Path) -> Iterator[str]:
    port = folder / "port"
    command = [sys.executable, "-m", f"tests.object_store.{module}", str(port)]
    with _running(command, folder / "log", lambda: port.read_text() if port.exists() else None) as address:
        yield address


@contextmanager
def s3(folder: Path) -> Iterator[Store]:
    """Amazon's S3, by moto."""
    with _python_server("s3_server", folder) as address:
        variables = {
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "eu-central-1",
            "AWS_ENDPOINT_URL": address,
            "AWS_ALLOW_HTTP": "true",
        }
        yield Store("s3", variables, lambda name: _put(f"{address}/{name}"))


@contextmanager
def google(folder: Path) -> Iterator[Store]:
    """Google's Cloud Storage: its names and conditions before moto's S3."""
    with _python_server("google_server", folder) as address:
        key = folder / "key.json"
        nobody = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        key.write_text(json.dumps({"gcs_base_url": address, "disable_oauth": True, **nobody}))
        yield Store("gs", {"GOOGLE_SERVICE_ACCOUNT": str(key)}, lambda name: _put(f"{address}/{name}"))


@contextmanager
def azure(folder: Path) -> Iterator[Store]:
    """Microsoft's blob storage, by Azurite."""
    log = folder / "log"

    def port() -> str | None:
        found = re.search(r"successfully listens on http://127\.0\.0\.1:(\d+)", log.read_text())
        return None if found is None else found[1]

    where = ["--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence"]
    with _running(["node", str(AZURITE), *where, "--disableTelemetry", "--silent"], log, port) as address:
        variables = {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": address}
        yield Store("az", variables, lambda name: _make_container(address, name))


def _make_container(address: str, name: str) -> None:
    """Signed by the account's key ("Authorize with Shared Key", Azure Storage REST API reference)."""
    date = format_datetime(datetime.now(UTC), usegmt=True)
    headers = {"x-ms-date": date, "x-ms-version": "2021-12-02"}
    told = "".join(f"{header}:{value}\n" for header, value in headers.items())
    signed = f"PUT{12 * chr(10)}{told}/{_ACCOUNT}/{_ACCOUNT}/{name}\nrestype:container"
    digest = hmac.new(base64.b64decode(_KEY), signed.encode(), hashlib.sha256).digest()
    signature = f"SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}"
    _put(f"{address}/{_ACCOUNT}/{name}?restype=container", {**headers, "Authorization": signature})
