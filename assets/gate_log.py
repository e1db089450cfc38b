"""The gates of the lake during one night: `quality.gate_results`, read once and added to.

A step asks what the last gate of its table found, an OpenLineage event what the gates of all its
tables found, and each gate adds its rows. The table is read again only where somebody else has added
to it. What does not belong here: gates themselves (`expectations.gate`).
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake

GATES = "quality.gate_results"
QUARANTINE = "quality.quarantine"


class GateLog:
    """What the last gate of each table found; the rows of one run have one `checked_at`."""

    def __init__(self, lake: Lake, run_id: str) -> None:
        self.lake = lake
        self.run_id = run_id
        self._is_read = False
        self._version: int | None = None
        self._last: dict[str, pl.DataFrame] = {}
        self._quarantined: tuple[int | None, frozenset[str]] | None = None

    def last(self, tables: Iterable[str]) -> dict[str, pl.DataFrame]:
        """Rows of each table's newest gate in the columns of quality.gate_results; none if it had none."""
        version = self.lake.version(GATES)
        if not self._is_read or version != self._version:
            rows = self.lake.scan(contract_of(GATES)).collect()
            newest = rows.filter(pl.col("checked_at") == pl.col("checked_at").max().over("table_name"))
            self._last = {str(name): mine for (name,), mine in newest.group_by("table_name")}
            self._is_read, self._version = True, version
        none = contract_of(GATES).empty()
        return {table: self._last.get(table, none) for table in tables}

    def add(self, results: pl.DataFrame, metadata: dict[str, str]) -> None:
        """Append what gates of some tables found, of each table once per run."""
        if results.is_empty():
            return
        of_table = {str(name): mine for (name,), mine in results.group_by("table_name", maintain_order=True)}
        keys = {f"gate/{self.run_id}/{table}": mine for table, mine in of_table.items()}
        live = self.lake.version(GATES)
        known = live if self._is_read and live == self._version else None
        are_new = all(self._is_newer(table, mine) for table, mine in of_table.items())
        self.lake.append_each(contract_of(GATES), keys, metadata, absent_at=known if are_new else None)
        if known is not None and self.lake.version(GATES) == known + 1:
            self._version = known + 1
            for table, mine in of_table.items():
                self._last[table] = self._newest(table, mine)

    def is_quarantined(self, table: str) -> bool:
        """Whether the table has rows in quarantine."""
        version = self.lake.version(QUARANTINE)
        if self._quarantined is None or self._quarantined[0] != version:
            names = self.lake.scan(contract_of(QUARANTINE)).select(pl.col("table_name").unique()).collect()
            self._quarantined = version, frozenset(names["table_name"])
        return table in self._quarantined[1]

    def _is_newer(self, table: str, results: pl.DataFrame) -> bool:
        """Whether all that is known of the table was found before `results`, so none of it in this run."""
        known = self._last.get(table)
        return known is None or bool((known["checked_at"] < results["checked_at"].min()).all())

    def _newest(self, table: str, results: pl.DataFrame) -> pl.DataFrame:
        known = self._last.get(table)
        if known is None or self._is_newer(table, results):
            return results
        both = pl.concat([known, results])
        return both.filter(pl.col("checked_at") == both["checked_at"].max())


_open: list[GateLog] = []


def gate_log(lake: Lake, run_id: str) -> GateLog:
    """The log that the steps of a run share in this process."""
    if not (_open and _open[0].run_id == run_id and _open[0].lake.uri == lake.uri):
        _open[:] = [GateLog(lake, run_id)]
    return _open[0]
