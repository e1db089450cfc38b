"""Options and addresses reach the store; errors are clear and show no secret.

Azurite has one account with one key. For accounts, keys and signatures of one's own stands a server that
holds nothing, and that refuses whoever asks below /403.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crm_hygiene.cli.doctor import examine
from crm_hygiene.config import load_config
from crm_hygiene.errors import ConfigurationError, LakeError
from crm_hygiene.lake import Lake
from crm_hygiene.lake_copies import fetch_catalog, share_catalog, share_pages
from crm_hygiene.lake_options import lake_of, plain_secrets

from .stores import SECRET, Store
from .writer import RUNS, runs


@pytest.fixture
def store_of_nothing() -> Iterator[tuple[str, list[str]]]:
    """A server of Azure's kind: its address, and what it was asked, with the kind of its signature."""
    asked: list[str] = []

    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            signed = self.headers.get("Authorization", "").split(" ")[0]
            asked.append(f"{signed} {self.path}")
            body = b""
            if "/403/" in self.path:
                self.send_response(403)
            elif "comp=list" in self.path:
                body = b"<?xml version='1.0'?><EnumerationResults><Blobs/></EnumerationResults>"
                self.send_response(200)
            else:
                self.send_response(404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_azure(store_of_nothing: tuple[str, list[str]]) -> None:
    address, asked = store_of_nothing
    options = {
        "azure_storage_account_name": "account",
        "azure_storage_account_key": "c2VjcmV0",
        "azure_storage_endpoint": address,
        "azure_allow_http": "true",
    }
    assert not Lake("az://container/lake", options).exists("golden.contacts")
    assert asked
    assert all(line.startswith("SharedKey ") and "container" in line for line in asked)
    assert any("golden" in line for line in asked)


def test_google_by_the_name_of_a_key_file(google_store: Store) -> None:
    key = google_store.variables["GOOGLE_SERVICE_ACCOUNT"]
    lake = Lake(google_store.bucket(), {"google_service_account": key})
    lake.publish(RUNS, runs("a"), {})
    assert lake.read(RUNS)["run_id"].to_list() == ["a"]


def test_a_store_that_refuses_is_a_lake_error_in_one_line(store: Store) -> None:
    lake = Lake(f"{store.scheme}://no-such-bucket/lake")
    for asked in (lambda: lake.read(RUNS), lake.tables, lambda: lake.lease("night").last()):
        with pytest.raises(LakeError) as caught:
            asked()
        told = str(caught.value)
        assert "404 Not Found" in told
        assert "no-such-bucket" in told
        assert "\n" not in told
        assert "\x1b" not in told
        assert SECRET not in told


def test_an_error_tells_no_signature_of_an_address(store_of_nothing: tuple[str, list[str]]) -> None:
    address, asked = store_of_nothing
    options = {
        "azure_storage_account_name": "account",
        "azure_storage_sas_token": f"sv=2021-12-02&sig={SECRET}",
        "azure_storage_endpoint": f"{address}/403",
        "azure_allow_http": "true",
    }
    with pytest.raises(LakeError, match="403 Forbidden") as caught:
        Lake("az://container/lake", options).exists("golden.contacts")
    assert any(SECRET in line for line in asked)
    assert SECRET not in str(caught.value)


def _project(folder: Path, lake_uri: str, options: str = "") -> Path:
    path = folder / "hygiene.yaml"
    path.write_text(f"lake:\n  uri: {lake_uri}\n  local_folder: here\n{options}")
    return path


def test_secrets_are_named_and_never_shown(
    s3_lake_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    options = "  storage_options:\n    aws_secret_access_key: ${LAKE_SECRET}\n"
    config = load_config(_project(tmp_path, s3_lake_uri, options))
    with pytest.raises(ConfigurationError, match="LAKE_SECRET"):
        lake_of(config)
    monkeypatch.setenv("LAKE_SECRET", SECRET)
    lake = lake_of(config)
    assert lake.publish(RUNS, runs("a"), {}).is_changed
    assert SECRET not in f"{lake!r} {config!r} {config.lake}"
    assert plain_secrets(config) == []
    plain = load_config(_project(tmp_path, s3_lake_uri, options.replace("${LAKE_SECRET}", SECRET)))
    assert plain_secrets(plain) == ["aws_secret_access_key"]
    assert SECRET not in repr(plain)
    wrong = load_config(_project(tmp_path, s3_lake_uri, options.replace("LAKE_SECRET", "no name")))
    with pytest.raises(ConfigurationError, match="names no variable"):
        lake_of(wrong)


def test_the_secrets_file_of_write_back_serves_too(
    s3_lake_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    secrets = tmp_path / "secrets"
    secrets.write_text(f"LAKE_SECRET={SECRET}\n")
    secrets.chmod(0o600)
    monkeypatch.setenv("CRM_HYGIENE_SECRETS", str(secrets))
    options = "  storage_options:\n    aws_secret_access_key: ${LAKE_SECRET}\n"
    lake = lake_of(load_config(_project(tmp_path / "project", s3_lake_uri, options)))
    assert lake.storage_options == {"aws_secret_access_key": SECRET}


def test_doctor_opens_the_store(store: Store, lake_uri: str, tmp_path: Path) -> None:
    path = _project(tmp_path, lake_uri)
    Lake(lake_uri).publish(RUNS, runs("a"), {})
    found = [f for f in examine(path) if f.subject == "lake"]
    assert [(f.state, f.text.split(";")[0]) for f in found] == [("ok", f"1 tables in {lake_uri}")]
    path = _project(tmp_path, f"{store.scheme}://no-such-bucket/lake")
    assert [f.state for f in examine(path) if f.subject == "lake"] == ["error"]


def test_tables_versions_and_files_are_found_in_the_store(lake_uri: str) -> None:
    lake = Lake(lake_uri)
    assert lake.tables() == []
    version = lake.publish(RUNS, runs("a"), {}).version
    assert lake.tables() == [RUNS.table]
    assert lake.has_files_of(RUNS.table, version)
    assert not lake.has_files_of(RUNS.table, version + 1)
    data = [name for name in lake.stored(RUNS.table) if name.endswith(".parquet")]
    lake.files().delete(f"audit/runs/{data[0]}")
    assert not lake.has_files_of(RUNS.table, version)


def test_the_catalog_goes_to_the_store_and_comes_from_there(lake_uri: str, tmp_path: Path) -> None:
    (one := tmp_path / "one").mkdir()
    (two := tmp_path / "two").mkdir()
    here, there = (load_config(_project(folder, lake_uri)) for folder in (one, two))
    lake = Lake(lake_uri)
    assert not fetch_catalog(here, lake)
    assert not share_catalog(here, lake)
    for number in range(4):
        here.local_folder.mkdir(exist_ok=True)
        here.catalog_path.write_bytes(f"night {number}".encode())
        assert share_catalog(here, lake)
        assert not share_catalog(here, lake)
        assert not fetch_catalog(here, lake)
        assert fetch_catalog(there, lake)
        assert not fetch_catalog(there, lake)
        assert there.catalog_path.read_bytes() == here.catalog_path.read_bytes()
    assert len(lake.files().files("catalog")) == 2
    page = here.local_folder / "report/index.html"
    page.parent.mkdir()
    page.write_text("page")
    assert (share_pages(here, lake), share_pages(here, lake)) == (1, 0)
    assert lake.files().read("report/index.html") == b"page"
    page.unlink()
    share_pages(here, lake)
    assert lake.files().read("report/index.html") is None


def test_upkeep_of_a_lake_in_the_store(lake_uri: str) -> None:
    from datetime import UTC, datetime

    from crm_hygiene.config import UpkeepConfig
    from crm_hygiene.upkeep import keep_up

    lake = Lake(lake_uri)
    for number in range(10):
        lake.append(RUNS, [runs(str(number))], {"run_id": str(number)})
    state, versions = lake.state(RUNS.table), lake.versions(RUNS.table)
    done = keep_up(lake, UpkeepConfig(), datetime.now(UTC))
    assert done[0].is_compacted
    assert (lake.state(RUNS.table), lake.versions(RUNS.table)) == (state, versions)
    assert lake.read(RUNS).height == 10
    assert keep_up(lake, UpkeepConfig(), datetime.now(UTC))[0].is_tidy
