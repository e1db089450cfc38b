"""A bucket on a local S3 server; the store's address and key come by the environment, as in production."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

SECRET = "a-secret-of-the-tests"


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("moto", reason="the S3 server of the tests: pip install 'moto[server]'")
    folder = tmp_path_factory.mktemp("s3")
    port_file = folder / "port"
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.object_store.s3_server", str(port_file)],
            cwd=Path(__file__).parents[2],
            stdout=log,
            stderr=log,
        )
        try:
            until = time.monotonic() + 60
            while not port_file.exists() and server.poll() is None and time.monotonic() < until:
                time.sleep(0.005)
            assert port_file.exists(), (folder / "log").read_text()
            yield f"http://127.0.0.1:{port_file.read_text()}"
        finally:
            server.kill()
            server.wait()


@pytest.fixture
def s3_variables(s3_endpoint: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ALLOW_HTTP": "true",
    }


@pytest.fixture
def lake_uri(s3_endpoint: str, s3_variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of a lake in a new bucket, which this process and those it starts can open."""
    for name, value in s3_variables.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{uuid4().hex[:12]}"
    request = urllib.request.Request(f"{s3_endpoint}/{bucket}", method="PUT")
    urllib.request.urlopen(request, timeout=30).close()
    return f"s3://{bucket}/my läke (1)"
