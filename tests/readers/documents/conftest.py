from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from crm_hygiene.mapping import Mapping
from crm_hygiene.mapping_file import BUILT_IN_SOURCES, load_mapping
from crm_hygiene.readers import LandedFile, read_file

Read = Callable[[str | bytes], tuple[pl.DataFrame, LandedFile]]


def _reader(folder: Path, mapping: Mapping) -> Read:
    def read(content: str | bytes) -> tuple[pl.DataFrame, LandedFile]:
        path = folder / "document"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        landed = read_file(path, mapping)
        frames = list(landed.chunks)
        return (pl.concat(frames) if frames else pl.DataFrame()), landed

    return read


@pytest.fixture(scope="module")
def einvoices() -> Mapping:
    return load_mapping(BUILT_IN_SOURCES / "einvoices.yaml")


@pytest.fixture(scope="module")
def x12() -> Mapping:
    return load_mapping(BUILT_IN_SOURCES / "x12_documents.yaml")


@pytest.fixture
def read_invoice(tmp_path: Path, einvoices: Mapping) -> Read:
    return _reader(tmp_path, einvoices)


@pytest.fixture
def read_edi(tmp_path: Path, x12: Mapping) -> Read:
    return _reader(tmp_path, x12)
