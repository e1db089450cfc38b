"""The same lines, exceptions and suggestions for any order of rows and any number of threads."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import polars as pl
import pytest

from bench.cash.ledgers import draw
from bench.cash.night import NIGHTS, books_at, days_of
from bench.child import measured
from crm_hygiene.cash import Reconciliation, load_cash_rules, reconcile
from crm_hygiene.contract import contract_of

LINES = 2000
SHUFFLES = 20
PROFILES = ("referenced", "bare")
TABLES = tuple(field.name for field in fields(Reconciliation))


@pytest.fixture(scope="module", params=PROFILES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn ledger of one profile."""
    return draw(tmp_path_factory.mktemp("drawn"), LINES, request.param, 5)


def night(folder: Path, name: str, before: pl.DataFrame, shuffle: int | None = None) -> Reconciliation:
    books = books_at(folder, days_of(folder)[name], before, shuffle)
    if shuffle is not None:
        books = replace(books, allocations=before.sample(fraction=1, shuffle=True, seed=shuffle))
    return reconcile(books, load_cash_rules(), days_of(folder)[name])


@pytest.fixture(scope="module")
def nights(folder: Path) -> dict[str, Reconciliation]:
    """Both nights with every input as it was drawn."""
    first = night(folder, "first", contract_of("reconciled.allocations").empty())
    return {"first": first, "second": night(folder, "second", first.allocations)}


@pytest.mark.parametrize(
    "shuffle", [0, *(pytest.param(n, marks=pytest.mark.long) for n in range(1, SHUFFLES))]
)
def test_the_order_of_rows_does_not_matter(
    folder: Path, nights: dict[str, Reconciliation], shuffle: int
) -> None:
    again = night(folder, "second", nights["first"].allocations, shuffle)
    for table in TABLES:
        assert getattr(again, table).equals(getattr(nights["second"], table)), table
    assert again.allocations.height > LINES // 5


def test_the_order_of_rows_does_not_matter_on_the_first_night(
    folder: Path, nights: dict[str, Reconciliation]
) -> None:
    again = night(folder, "first", contract_of("reconciled.allocations").empty(), shuffle=1)
    for table in TABLES:
        assert getattr(again, table).equals(getattr(nights["first"], table)), table


@pytest.mark.long
def test_the_number_of_threads_does_not_matter(folder: Path, tmp_path: Path) -> None:
    hashes = set()
    for threads in (1, 2):
        out = tmp_path / str(threads)
        out.mkdir()
        for name in NIGHTS:
            measured("bench.cash.night", [str(folder), str(out), name], out / f"{name}.log", threads)
        hashes.add(tuple(json.loads((out / f"{name}.json").read_text())["hash"] for name in NIGHTS))
    assert len(hashes) == 1
