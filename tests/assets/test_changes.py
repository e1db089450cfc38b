"""What a night changed in a table, as numbers, a sentence and columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.changes import Made, changes, hashes_of
from assets.presentation import table_metadata
from crm_hygiene.contract import Contract, contract_of
from crm_hygiene.lake import Lake

ACCOUNTS = contract_of("golden.accounts")
COUNTS = ("rows added", "rows changed", "rows removed")


def rows(contract: Contract, *given: dict[str, Any]) -> pl.DataFrame:
    """Rows with something in every required column."""
    fill = {
        c.name: {"string": (c.values or ("x",))[0], "integer": 1, "boolean": False}[c.type]
        for c in contract.columns
        if c.name in contract.required
    }
    return contract.shape(pl.DataFrame([{**fill, **row} for row in given]))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def night(lake: Lake, number: int, *given: dict[str, Any]) -> dict[str, Any]:
    publication = lake.publish(ACCOUNTS, rows(ACCOUNTS, *given), {"run_id": "a", "inputs": str(number)})
    found = table_metadata(lake, ACCOUNTS, publication)
    assert found["dagster/row_count"] == len(given)
    return found


def test_changes_are_told_from_the_last_version(lake: Lake) -> None:
    first = night(lake, 1, {"entity_id": "1"}, {"entity_id": "2"})
    assert [first[name] for name in COUNTS] == [2, 0, 0]
    assert first["last night"] == "2 rows: 2 new."
    given = ({"entity_id": "2", "city": "Bern"}, {"entity_id": "3"}, {"entity_id": "4"})
    second = night(lake, 2, *given)
    assert [second[name] for name in COUNTS] == [2, 1, 1]
    assert second["last night"].startswith("3 rows: 2 new, 1 changed, 1 gone since 20")
    assert second["columns changed"].value == "| column | rows changed |\n|---|---:|\n| city | 1 |"
    third = night(lake, 3, *given)
    assert [third[name] for name in COUNTS] == [0, 0, 0]
    assert third["last night"] == "3 rows: nothing changed."
    assert "columns changed" not in third
    assert table_metadata(lake, ACCOUNTS, None)["rows changed"] == 0


def test_a_row_that_only_aged_did_not_change(lake: Lake) -> None:
    night(lake, 1, {"entity_id": "1", "freshness_score": 0.5, "quality_score": 0.5})
    found = night(lake, 2, {"entity_id": "1", "freshness_score": 0.4, "quality_score": 0.4})
    assert [found[name] for name in COUNTS] == [0, 0, 0]


def test_a_large_table_is_not_compared(lake: Lake) -> None:
    publication = lake.publish(ACCOUNTS, rows(ACCOUNTS, {"entity_id": "1"}), {"inputs": "1"})
    assert changes(lake, ACCOUNTS, publication, 5_000_000) == {}


def test_fresh_rows_tell_the_same_as_all_rows(lake: Lake) -> None:
    night(lake, 1, *({"entity_id": str(n), "city": "Bern"} for n in range(5)))
    after = [{"entity_id": "0", "city": "Bern"}, {"entity_id": "1", "city": "Basel"}, {"entity_id": "9"}]
    kept = [{"entity_id": "3", "city": "Bern"}]
    publication = lake.publish(ACCOUNTS, rows(ACCOUNTS, *after, *kept), {"run_id": "a", "inputs": "2"})
    whole = changes(lake, ACCOUNTS, publication, 4)
    assert [whole[name] for name in COUNTS] == [1, 1, 2]
    assert changes(lake, ACCOUNTS, publication, 4, Made(rows(ACCOUNTS, *after))) == whole
    hashes = hashes_of(rows(ACCOUNTS, *after, *kept), ACCOUNTS)
    assert changes(lake, ACCOUNTS, publication, 4, Made(hashes=hashes)) == whole
    before = lake.read(ACCOUNTS, publication.version - 1).filter(pl.col("entity_id") != "3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lake, "scan", lambda *_: pytest.fail("read"))  # who is told what is gone reads nothing
        assert changes(lake, ACCOUNTS, publication, 4, Made(rows(ACCOUNTS, *after), before)) == whole
    gone = lake.publish(ACCOUNTS, rows(ACCOUNTS, *kept), {"run_id": "a", "inputs": "3"})
    assert changes(lake, ACCOUNTS, gone, 1, Made(ACCOUNTS.empty()))["rows removed"] == 3
