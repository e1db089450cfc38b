"""The naive SQL of the same job: tax id, amount within 1%, due date within 3 days.

The payer's tax id is the entry's, else that of the organisation with the entry's IBAN or name. Many rows
per payment are what such a join gives. What does not belong here: anything cleverer.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from bench.cash.ledgers import read
from bench.cash.scoring import score

_SQL = """
with payer as (
    select p.record_id, p.currency, p.amount, p.booked_date,
           coalesce(p.payer_tax_id, by_iban.tax_id, by_name.tax_id) as tax_id
    from payments p
    left join (select iban, min(tax_id) as tax_id
               from organisations where iban is not null group by 1) by_iban
        on by_iban.iban = p.payer_iban
    left join (select organisation_name_normalised as name, min(tax_id) as tax_id
               from organisations group by 1) by_name
        on by_name.name = p.organisation_name_normalised
    where p.amount > 0
)
select p.record_id as payment_record_id, i.record_id as invoice_record_id, i.amount as settled
from payer p join invoices i
  on i.tax_id = p.tax_id and i.currency = p.currency
 and abs(p.amount - i.amount) <= i.amount * 0.01
 and abs(p.booked_date - i.due_date) <= 3
"""


def naive(folder: Path, threads: int = 2) -> dict[str, Any]:
    """Score, seconds and rows of the naive SQL on a drawn ledger."""
    invoices = read(folder, "conformed.invoices", ["record_id", "tax_id", "currency", "amount", "due_date"])
    payments = read(
        folder,
        "conformed.payments",
        [
            "record_id",
            "currency",
            "amount",
            "booked_date",
            "payer_tax_id",
            "payer_iban",
            "organisation_name_normalised",
        ],
    )
    organisations = read(
        folder, "conformed.organisations", ["iban", "tax_id", "organisation_name_normalised"]
    )
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    with duckdb.connect() as connection:
        connection.execute(f"set threads = {threads}")
        connection.register("invoices", invoices.to_arrow())
        connection.register("payments", payments.to_arrow())
        connection.register("organisations", organisations.to_arrow())
        rows = connection.sql(_SQL).pl()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    made = rows.unique().with_columns(pl.col("settled").cast(pl.Decimal(18, 4)))
    found = score(made, read(folder, "truth"), read(folder, "cases"))
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        **{k: found[k] for k in ("postings", "wrong", "precision", "recall", "automatic_rate")},
    }


def main() -> None:
    """Run it on one ledger: `naive_sql folder out`; `naive.json` in `out`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    (given.out / "naive.json").write_text(json.dumps(naive(given.folder)))


if __name__ == "__main__":
    main()
