"""Conform what landed since the live table was made, and keep the rest of it.

A conformed row depends on the landed rows of its own record only, so a record of which nothing new landed is
as it was. Where that does not hold the source is conformed whole: a newer snapshot (records it leaves out are
gone), payments (a telling of an entry moves others), lines that come with their document. What does not
belong here: whether the live table was made by the same rules (`assets.conformed`).
"""

from __future__ import annotations

from collections.abc import Mapping as Versions

import polars as pl

from crm_hygiene.conform.build import conform_sources, feeding, is_snapshot, raw_rows
from crm_hygiene.conform.document_lines import DOCUMENT_OF
from crm_hygiene.conform.parts import conform_sources_in_parts, is_streamed
from crm_hygiene.contract import Contract, contract_of
from crm_hygiene.lake_additions import rows_added_since
from crm_hygiene.landing import landing_contract
from crm_hygiene.mapping import Mapping
from crm_hygiene.night import Night
from crm_hygiene.revision import Revision, StreamedRevision, revised, revised_in_parts

_RECORD = ["source", "record_id"]

# Rows of a streamed table kept at a time.
_KEPT_ROWS = 250_000


def conform_changes(
    night: Night, table: str, since: Versions[str, int | None]
) -> Revision | StreamedRevision:
    """What `conform_table` gives: what stays of the live table, and the records that were told of anew.

    Of a table that is streamed both come in parts. No record is in two parts, kept or fresh: what is kept is
    without the records and sources that are conformed again.

    Parameters
    ----------
    table
        bare name: `people`, `organisations`, ...
    since
        version of each landing table from which the live table was made, by the rules of this night.

    Records with a row in quarantine are conformed again, so that the gate meets that row again.
    """
    contract = contract_of(f"conformed.{table}")
    refused = _refused(night, contract)
    whole: list[str] = []
    touched: list[pl.DataFrame] = []
    again: list[tuple[Mapping, pl.Series | None]] = []
    for mapping in feeding(night, table):
        mine = refused.filter(pl.col("source") == mapping.source)["record_id"]
        new = _told_anew(night, mapping, table, since.get(f"landing.{mapping.source}"))
        # Payments of one source are told apart by each other.
        if new is None or (table == "payments" and mine.len()):
            whole.append(mapping.source)
            again.append((mapping, None))
            continue
        records = pl.concat([new, mine]).unique()
        if records.len():
            touched.append(pl.DataFrame({"source": mapping.source, "record_id": records}))
            again.append((mapping, records))
    anew = pl.concat([contract.empty().select(_RECORD), *touched]).with_columns(is_told=pl.lit(value=True))

    def stays(rows: pl.DataFrame) -> pl.Series:
        told = rows.select(_RECORD).join(anew, on=_RECORD, how="left", maintain_order="left")
        return told["is_told"].is_null() & ~rows["source"].is_in(whole)

    live = night.lake.scan(contract)
    if is_streamed(night, table):
        parts = conform_sources_in_parts(night, contract, again)
        return revised_in_parts(live, stays, parts, _KEPT_ROWS)
    return revised(live, stays, pl.concat([contract.empty(), *conform_sources(night, contract, again)]))


def _refused(night: Night, contract: Contract) -> pl.DataFrame:
    """Source and id of every row that the table's last gate refused; the id may be null."""
    quarantine = night.lake.scan(contract_of("quality.quarantine"))
    return quarantine.filter(pl.col("table_name") == contract.table).select(_RECORD).unique().collect()


def _told_anew(night: Night, mapping: Mapping, table: str, version: int | None) -> pl.Series | None:
    """Ids of the records in rows that landed after `version`; None if any record may have changed."""
    if version is None and night.lake.exists(f"landing.{mapping.source}"):
        return None  # a source that is new
    added = rows_added_since(night.lake, landing_contract(mapping), version)
    if added is None:
        return None
    if _is_entangled(mapping, table):
        is_new = added.select(pl.len()).collect().item() > 0
        return None if is_new else pl.Series("record_id", [], dtype=pl.String)
    return raw_rows(added, mapping, table).select("record_id").collect()["record_id"].unique()


def _is_entangled(mapping: Mapping, table: str) -> bool:
    """Whether a landed row may change rows of other records than its own."""
    with_documents = DOCUMENT_OF.get(table, ("", ""))[0] in mapping.tables
    return is_snapshot(mapping, table) or table == "payments" or with_documents
