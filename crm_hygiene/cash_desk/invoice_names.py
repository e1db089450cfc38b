"""Invoices as people name them: `source:record_id`, or an invoice number that only one invoice has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from crm_hygiene.cash_desk.balances import INVOICES
from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.linkage.records import Record, written
from crm_hygiene.stewardship.suggestions import UnknownTarget, closest
from crm_hygiene.stewardship.targets import parse_record

# Looking for the nearest id reads all ids; beyond so many unknown words the reason alone must do.
_SUGGESTIONS = 10


@dataclass
class InvoiceNames:
    """The invoices that some words may stand for, read at once."""

    lake: Lake
    records: frozenset[Record]
    by_number: dict[str, list[Record]]
    currencies: dict[Record, str]
    unknown: int = 0

    @classmethod
    def read(cls, lake: Lake, words: Iterable[str]) -> InvoiceNames:
        """All that `find` needs for any of `words`."""
        asked = set(words)
        ids = [word.partition(":")[2] for word in asked if ":" in word]
        rows = (
            lake.scan(contract_of(INVOICES))
            .filter(pl.col("record_id").is_in(sorted(ids)) | pl.col("invoice_number").is_in(sorted(asked)))
            .select("source", "record_id", "invoice_number", "currency")
            .collect()
        )
        by_number: dict[str, list[Record]] = {}
        currencies = {}
        for source, record_id, number, currency in rows.sort("source", "record_id").iter_rows():
            by_number.setdefault(number, []).append((source, record_id))
            currencies[source, record_id] = currency
        return cls(lake, frozenset(currencies), by_number, currencies)

    def find(self, word: str) -> Record:
        """The invoice that a word names.

        Raises
        ------
        UnknownTarget
            if it is not there, with the nearest that are, or the number is that of several.
        """
        if ":" in word and parse_record(word) in self.records:
            return parse_record(word)
        found = self.by_number.get(word, [])
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(map(written, found[:5]))
            raise UnknownTarget(f"invoice number {word} is that of {len(found)} invoices: {listed}")
        self.unknown += 1
        raise UnknownTarget(self._missing(word))

    def _missing(self, word: str) -> str:
        if self.unknown > _SUGGESTIONS:
            return f"no invoice {word}"
        rows = self.lake.scan(contract_of(INVOICES)).select("source", "record_id", "invoice_number").collect()
        if ":" not in word:
            return f"no invoice with the number '{word}'{closest(word, rows['invoice_number'].drop_nulls())}"
        source, _ = parse_record(word)
        ids = rows.filter(pl.col("source") == source)["record_id"]
        if ids.is_empty():
            return f"no source '{source}' with invoices{closest(source, rows['source'])}"
        return f"no invoice {word}{closest(word, (f'{source}:{record_id}' for record_id in ids))}"
