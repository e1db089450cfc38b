from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .delivering import MemoryLake, ledger
from .ledger_target import LedgerTarget


@pytest.fixture
def lake() -> MemoryLake:
    return MemoryLake()


@pytest.fixture
def crm(tmp_path: Path) -> Iterator[LedgerTarget]:
    target = LedgerTarget(ledger(tmp_path))
    for number in range(8):
        target.seed("Contact", f"c{number}", {"Title": "Mr", "Phone": f"0{number}", "AccountId": "a0"})
    target.seed("Account", "a0", {"Name": "Acme"})
    yield target
    target.close()
