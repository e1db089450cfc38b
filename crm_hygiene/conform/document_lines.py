"""Lines of documents: a document that is sent again brings all its lines; those it leaves out are gone.

So it is where one file tells the document and its lines. An export of lines alone may bring only those that
changed; there each line stays until it comes again, or the export says that it is a snapshot. What does not
belong here: which row of a line is the newest (`build`).
"""

from __future__ import annotations

import polars as pl

#: The table of a line's document, and the line's column that names it.
DOCUMENT_OF = {
    "invoice_lines": ("invoices", "invoice_record_id"),
    "purchase_order_lines": ("purchase_orders", "purchase_order_record_id"),
}


def lines_of_latest(lines: pl.DataFrame, documents: pl.DataFrame, document: str) -> pl.DataFrame:
    """The lines that came with the newest telling of their document.

    Parameters
    ----------
    lines
        landed lines with `landed_at`, `file` and the column `document`.
    documents
        landed documents with `record_id`, `landed_at` and `file`. A line whose document is not there stays.
    """
    newest = (
        documents.filter(pl.col("record_id").is_not_null())
        .sort("landed_at", "file")
        .unique("record_id", keep="last", maintain_order=True)
        .select(
            pl.col("record_id").alias(document),
            pl.col("landed_at").alias("_landed"),
            pl.col("file").alias("_from"),
        )
    )
    joined = lines.join(newest, on=document, how="left", maintain_order="left")
    is_old = (pl.col("landed_at") != pl.col("_landed")) | (pl.col("file") != pl.col("_from"))
    return joined.filter(~is_old.fill_null(value=False)).drop("_landed", "_from")
