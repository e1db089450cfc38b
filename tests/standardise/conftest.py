"""Frames for the tests of the standardisers."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

Raw = Callable[..., pl.DataFrame]


@pytest.fixture(scope="session")
def raw() -> Raw:
    def build(*values: str | None, **others: list[str | None]) -> pl.DataFrame:
        columns = {"raw": list(values), **others}
        return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))

    return build
