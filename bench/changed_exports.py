"""The second night's files: about one per cent of everything changed or new.

From the sample's own exports, every hundredth row: contacts of three systems with another job title and a
later change time, as many new marketing events, as many new invoices and the bank entries that pay them.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

_SHARE = 100
_TITLE = "Head of Change"

# file, column of the title, column of the change time and a later time in the file's own form
_CONTACTS = (
    ("salesforce/Contact.csv", "Title", "LastModifiedDate", "2026-11-01T08:00:00.000Z"),
    ("hubspot/contacts.csv", "Job Title", "Last Modified Date", "2026-11-01 08:00"),
    ("dynamics/contacts.csv", "jobtitle", "modifiedon", "2026-11-01T08:00:00Z"),
)


def _read(path: Path) -> pl.DataFrame:
    # The sample writes a few lines in another encoding on purpose; they are left alone here.
    text = path.read_bytes().decode("utf-8", errors="replace").encode()
    return pl.read_csv(text, infer_schema=False)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}_changed{path.suffix}")


def _change_contacts(landing: Path) -> int:
    written = 0
    for name, title, changed, time in _CONTACTS:
        rows = _read(landing / name).gather_every(_SHARE)
        rows = rows.with_columns(pl.lit(_TITLE).alias(title), pl.lit(time).alias(changed))
        rows.write_csv(_beside(landing / name))
        written += rows.height
    return written


def _add_events(landing: Path) -> int:
    """As many as one in a hundred of both files of events, seen a day later."""
    older = landing / "marketing/events.csv"
    every = pl.concat(
        [
            _read(older),
            pl.read_ndjson(landing / "marketing/events.jsonl", infer_schema_length=1).cast(pl.String),
        ],
        how="diagonal",
    )
    rows = every.gather_every(_SHARE).with_columns(
        (pl.lit("new-") + pl.col("event_id")).alias("event_id"),
        pl.lit("2026-11-01T08:00:00Z").alias("occurred_at"),
    )
    rows.write_csv(_beside(older))
    return rows.height


def _add_cash(landing: Path) -> int:
    """New invoices to known customers, and an entry that pays each and cites its number."""
    invoices = (
        _read(landing / "erp/invoices.csv")
        .filter(pl.col("document_kind") == "invoice", pl.col("currency") == "EUR")
        .gather_every(_SHARE // 2)
        .with_columns(
            pl.lit(None, dtype=pl.String).alias("purchase_order_number"),
            pl.lit(None, dtype=pl.String).alias("payment_reference"),
            # No digit in front: the sample's credit notes are numbered so.
            (pl.lit("X") + pl.col("invoice_id")).alias("invoice_id"),
            pl.col("invoice_number").str.replace("INV-", "INX-").alias("invoice_number"),
            pl.lit("2026-10-20").alias("issue_date"),
            pl.lit("2026-11-19").alias("due_date"),
            pl.lit("sent").alias("status"),
        )
    )
    invoices.write_csv(_beside(landing / "erp/invoices.csv"))
    ledger = landing / "bank/ledger.csv"
    template = _read(ledger)
    entries = invoices.select(
        (pl.lit("BX") + pl.col("invoice_id")).alias("entry_id"),
        pl.lit(template["account_iban"][0]).alias("account_iban"),
        pl.lit("2026-10-30").alias("booked_on"),
        pl.lit("2026-10-30").alias("value_on"),
        pl.col("total_amount").alias("amount"),
        "currency",
        pl.col("customer_name").alias("counterparty_name"),
        pl.col("customer_iban").alias("counterparty_iban"),
        (pl.lit("Invoice ") + pl.col("invoice_number")).alias("remittance"),
        pl.lit("NOTPROVIDED").alias("end_to_end_id"),
        (pl.lit("BX-") + pl.col("invoice_id")).alias("bank_reference"),
    )
    entries.select(template.columns).write_csv(_beside(ledger))
    return invoices.height + entries.height


def change_one_percent(landing: Path) -> dict[str, int]:
    """Write the second night's files below `landing`; rows written, by what they are."""
    return {
        "contacts": _change_contacts(landing),
        "events": _add_events(landing),
        "ledger_lines": _add_cash(landing),
    }
