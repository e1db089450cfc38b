from __future__ import annotations

from pathlib import Path

import pytest

from crm_hygiene.sample import generate


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample of 1,500 people that the tests only read."""
    out = tmp_path_factory.mktemp("sample")
    generate(out, people=1500, seed=11)
    return out
