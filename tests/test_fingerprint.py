from pathlib import Path

import pytest

from crm_hygiene import fingerprint
from crm_hygiene.fingerprint import code_fingerprint


def hashed(package: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(fingerprint, "PACKAGE", package)
    monkeypatch.setattr(fingerprint, "CONTRACTS", package.parent / "none")
    code_fingerprint.cache_clear()
    try:
        return code_fingerprint()
    finally:
        code_fingerprint.cache_clear()


@pytest.mark.parametrize("above", ["work", "sample", "cli"])
def test_code_counts_and_what_only_shows_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, above: str
) -> None:
    package = tmp_path / above / "crm_hygiene"
    (package / "cli").mkdir(parents=True)
    (package / "linkage.py").write_text("one = 1\n")
    first = hashed(package, monkeypatch)
    (package / "cli" / "main.py").write_text("shown = 1\n")
    assert hashed(package, monkeypatch) == first
    (package / "linkage.py").write_text("one = 2\n")
    assert hashed(package, monkeypatch) != first
