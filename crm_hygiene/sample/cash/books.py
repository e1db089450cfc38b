"""A ledger as the frames of the lake that reconciliation reads, and the truth about it.

Frames hold the columns that are not empty; whoever needs a table's full shape adds the rest from its
contract. What does not belong here: reading or writing files.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import polars as pl

from crm_hygiene.sample.cash.courses import LEG, LEG_KINDS
from crm_hygiene.sample.cash.customers import PAYER_KINDS
from crm_hygiene.sample.cash.ledger import Ledger
from crm_hygiene.sample.cash.profile import CURRENCIES, RETURNS, USABLE, Profile
from crm_hygiene.sample.draws import Ints, blank, hit, stream
from crm_hygiene.sample.identifiers import serials
from crm_hygiene.sample.world import World
from crm_hygiene.standardise.organisations import standardise_organisation_names

INVOICE_SOURCE, PAYMENT_SOURCE, ACCOUNT_SOURCE = "erp_invoices", "bank_statements", "salesforce_accounts"
_LANDED = datetime(2026, 11, 1, 2, tzinfo=UTC)


@dataclass(frozen=True)
class CashBooks:
    """Frames by the name of their table, and the truth.

    `truth`: payment_record_id, invoice_record_id, allocation_kind, amount (in the invoice's currency; a
    credit note's is negative). `cases`, one row per entry: payment_record_id, amount, case, reference_kind,
    is_usable, payer_kind, pays (truly pays a document of ours), twin_record_id (of the first of two
    entries of one day that nobody can tell apart), returned_record_id.
    """

    tables: dict[str, pl.DataFrame]
    truth: pl.DataFrame
    cases: pl.DataFrame


def exact(minor: Ints, currency: Ints) -> pl.Series:
    """Minor units as Decimal(18,4)."""
    units = minor.astype(np.int64) * np.where(currency == CURRENCIES.index("JPY"), 10_000, 100)
    scaled = pl.DataFrame({"u": units}).select(
        pl.col("u").cast(pl.Decimal(38, 0)) * pl.lit(Decimal("0.0001"))
    )
    return scaled.to_series().cast(pl.Decimal(18, 4))


def _days(values: pl.Series) -> pl.Series:
    return values.cast(pl.Int32).cast(pl.Date)


def _code(currency: Ints) -> pl.Series:
    return pl.Series([*CURRENCIES, None]).gather(np.where(currency < 0, len(CURRENCIES), currency))


def invoice_frame(ledger: Ledger) -> pl.DataFrame:
    """`conformed.invoices` of a ledger."""
    documents = ledger.documents
    who = ledger.customers[documents["customer"].to_numpy()]
    currency = documents["currency"].to_numpy()
    corrects = documents["corrects"].to_numpy()
    return pl.DataFrame(
        {
            "record_id": documents["invoice_id"],
            "is_deleted": np.zeros(len(documents), dtype=bool),
            "document_kind": pl.Series(["invoice", "credit_note"]).gather(documents["kind"]),
            "corrects_invoice_number": blank(
                corrects < 0, documents["invoice_number"].gather(np.maximum(corrects, 0))
            ),
            "invoice_number": documents["invoice_number"],
            "customer_record_id": who["customer_id"],
            "customer_name": who["name"],
            "tax_id": who["tax_id"],
            "iban": who["iban"],
            "purchase_order_number": documents["order_number"],
            "payment_reference": documents["reference"],
            "issue_date": _days(documents["issued"]),
            "due_date": _days(documents["due"]),
            "currency": _code(currency),
            "amount": exact(documents["minor"].to_numpy(), currency),
            "document_status": pl.Series(["open"]).new_from_index(0, len(documents)),
            "discount_days": documents["discount_days"].replace(0, None),
            "discount_percent": exact(
                documents["discount_bp"].to_numpy(), np.zeros(len(documents), dtype=np.int64)
            ),
            "late_interest_percent": exact(
                documents["interest_bp"].to_numpy(), np.zeros(len(documents), dtype=np.int64)
            ),
        }
    ).with_columns(
        pl.lit(INVOICE_SOURCE).alias("source"),
        pl.when(pl.col("discount_days").is_not_null()).then("discount_percent").alias("discount_percent"),
        pl.when(pl.col("late_interest_percent") != 0)
        .then("late_interest_percent")
        .alias("late_interest_percent"),
    )


def payment_ids(ledger: Ledger, part: int = 0) -> pl.Series:
    """Record id of each entry."""
    return serials(f"E{part:02d}", np.arange(1, len(ledger.entries) + 1), 8)


def payment_frame(ledger: Ledger, ids: pl.Series) -> pl.DataFrame:
    """`conformed.payments` of a ledger."""
    entries = ledger.entries
    currency = entries["currency"].to_numpy()
    instructed = entries["instructed_currency"].to_numpy()
    rate = entries["rate_micro"].to_numpy()
    kind = pl.when(pl.col("case").is_in(RETURNS)).then(pl.lit("return")).otherwise(pl.lit("payment"))
    return (
        pl.DataFrame(
            {
                "record_id": ids,
                "entry_key": ids,
                "account_iban": pl.Series(["DE02100100100006820101"]).new_from_index(0, len(ids)),
                "booked_date": _days(entries["day"]),
                "value_date": _days(entries["valued"]),
                "currency": _code(currency),
                "amount": exact(entries["minor"].to_numpy(), currency),
                "payer_name": entries["name"],
                "payer_iban": entries["iban"],
                "payer_tax_id": entries["payer_tax_id"],
                "remittance_text": entries["text"].replace("", None),
                "end_to_end_id": entries["end_to_end_id"].replace("NOTPROVIDED", None),
                "creditor_reference": entries["reference"],
                "bank_reference": entries["bank_reference"],
                "reversed_reference": entries["reversed_reference"],
                "virtual_account": entries["virtual_account"],
                "instructed_amount": blank(
                    instructed < 0, exact(entries["instructed_minor"].to_numpy(), np.maximum(instructed, 0))
                ),
                "instructed_currency": _code(instructed),
                "exchange_rate": pl.Series(rate).cast(pl.Decimal(38, 0)),
                "case": entries["case"],
            }
        )
        .with_columns(
            pl.lit(PAYMENT_SOURCE).alias("source"),
            pl.lit("statement").alias("statement_kind"),
            kind.alias("payment_kind"),
            pl.col("case").is_in(RETURNS).alias("is_reversal"),
            pl.when(pl.col("exchange_rate") != 0)
            .then((pl.col("exchange_rate") * pl.lit(Decimal("0.000001"))).cast(pl.Decimal(18, 6)))
            .alias("exchange_rate"),
        )
        .drop("case")
    )


def relation_frame(ledger: Ledger) -> pl.DataFrame:
    """`conformed.payer_relations`: the foreign payers that the books know."""
    known = ledger.customers.filter(pl.col("is_told"))
    kind = known["payer_kind"].to_numpy()
    is_virtual = kind == PAYER_KINDS.index("virtual_account")
    return pl.DataFrame(
        {
            "record_id": "R" + known["customer_id"],
            "payer_iban": blank(is_virtual, known["payer_iban"]),
            "payer_tax_id": blank(is_virtual, known["payer_tax_id"]),
            "payer_name": blank(is_virtual, known["payer_name"]),
            "virtual_account": known["virtual_account"],
            "customer_record_id": known["customer_id"],
            "customer_tax_id": known["tax_id"],
            "relation_kind": pl.Series(PAYER_KINDS).gather(kind),
            "valid_from": pl.Series([None], dtype=pl.Date).new_from_index(0, len(known)),
            "valid_to": pl.Series([None], dtype=pl.Date).new_from_index(0, len(known)),
        }
    ).with_columns(pl.lit("payer_relations").alias("source"))


def advice_frame(ledger: Ledger, profile: Profile, seed: int) -> pl.DataFrame:
    """`conformed.remittance_advices` of some payments for several invoices."""
    rng = stream(seed, "advices")
    paying = ledger.legs.filter(pl.col("kind") == LEG["payment"])
    size = paying.select(pl.len().over("entry")).to_series().to_numpy()
    chosen = hit(rng, len(ledger.entries), profile.advised)[paying["entry"].to_numpy()] & (size > 1)
    told = paying.filter(pl.Series(chosen))
    entry, invoice = told["entry"].to_numpy(), told["invoice"].to_numpy()
    entries = ledger.entries[entry]
    one = ledger.documents[invoice]
    who = ledger.customers[one["customer"].to_numpy()]
    currency = one["currency"].to_numpy()
    return pl.DataFrame(
        {
            "record_id": serials("A", entry, 8) + "-" + one["invoice_id"],
            "payer_name": who["payer_name"],
            "payer_tax_id": who["payer_tax_id"],
            "payment_reference": entries["end_to_end_id"].replace("NOTPROVIDED", None),
            "payment_date": _days(entries["day"]),
            "invoice_number": one["invoice_number"],
            "paid_amount": exact(told["minor"].to_numpy(), currency),
            "discount_amount": exact(np.zeros(len(told), dtype=np.int64), currency),
            "currency": _code(currency),
        }
    ).with_columns(pl.lit("remittance_advices").alias("source"))


def _organisations(world: World, ledger: Ledger, seed: int, part: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`conformed.organisations` and `linked.organisation_members`: customers, and a CRM's record of most."""
    rng = stream(seed, "organisations of the books")
    customers = ledger.customers
    entity = serials(f"O{part:02d}", customers["organisation"].to_numpy(), 8)
    own = pl.DataFrame(
        {
            "source": pl.Series([INVOICE_SOURCE]).new_from_index(0, len(customers)),
            "record_id": customers["customer_id"],
            "organisation_name": customers["name"],
            "tax_id": customers["tax_id"],
            "iban": customers["iban"],
            "entity_id": entity,
        }
    )
    kept = np.flatnonzero(hit(rng, len(world.organisations), 0.7))
    truth = world.organisations[kept]
    crm = pl.DataFrame(
        {
            "source": pl.Series([ACCOUNT_SOURCE]).new_from_index(0, len(kept)),
            "record_id": serials(f"S{part:02d}", kept, 8),
            "organisation_name": truth["name"] + " " + truth["legal"],
            "tax_id": blank(hit(rng, len(kept), 0.4), truth["tax_id"]),
            "iban": blank(hit(rng, len(kept), 0.6), truth["iban"]),
            "entity_id": serials(f"O{part:02d}", kept, 8),
        }
    )
    both = pl.concat([own, crm])
    return both.drop("entity_id"), both.select("source", "record_id", "entity_id")


def _orders(invoices: pl.DataFrame) -> pl.DataFrame:
    """`conformed.purchase_orders`: those the invoices name, at the invoice's amount."""
    return (
        invoices.filter(pl.col("purchase_order_number").is_not_null())
        .unique("purchase_order_number", keep="first", maintain_order=True)
        .select(
            "purchase_order_number",
            "customer_record_id",
            "customer_name",
            "organisation_name_normalised",
            "tax_id",
            "currency",
            "amount",
            source=pl.lit("erp_purchase_orders"),
            record_id="PO" + pl.col("record_id"),
            is_deleted=pl.lit(False),
            order_date=pl.col("issue_date") - pl.duration(days=20),
            document_status=pl.lit("invoiced"),
        )
    )


def _landed(frame: pl.DataFrame, file: str) -> pl.DataFrame:
    """`frame` with the trailing columns of a landed table and, where it has a name, its normal form."""
    name = next((c for c in ("customer_name", "organisation_name", "payer_name") if c in frame.columns), None)
    if name and "organisation_name_normalised" not in frame.columns:
        distinct = frame.select(raw=pl.col(name)).unique(maintain_order=True)
        normal = standardise_organisation_names(distinct).select("raw", "organisation_name_normalised")
        frame = frame.join(normal, left_on=name, right_on="raw", how="left", maintain_order="left")
    return frame.with_columns(
        pl.lit(_LANDED).alias("observed_at"),
        pl.lit(_LANDED).alias("landed_at"),
        pl.lit(file).alias("file"),
        pl.int_range(1, pl.len() + 1).cast(pl.Int64).alias("row_number"),
    )


def _cases(ledger: Ledger, ids: pl.Series) -> pl.DataFrame:
    entries = ledger.entries
    twin = entries["twin"].to_numpy()
    back = entries["takes_back"].to_numpy()
    same_day = (twin >= 0) & (entries["day"].to_numpy()[np.maximum(twin, 0)] == entries["day"].to_numpy())
    paying = np.zeros(len(entries), dtype=bool)
    paying[ledger.legs.filter(pl.col("kind") == LEG["payment"])["entry"].to_numpy()] = True
    return pl.DataFrame(
        {
            "payment_record_id": ids,
            "amount": exact(entries["minor"].to_numpy(), entries["currency"].to_numpy()),
            "case": entries["case"],
            "reference_kind": entries["reference_kind"],
            "is_usable": entries["reference_kind"].is_in(USABLE),
            "payer_kind": entries["payer_kind"],
            "pays": paying,
            "twin_record_id": blank(~same_day, ids.gather(np.maximum(twin, 0))),
            "returned_record_id": blank(back < 0, ids.gather(np.maximum(back, 0))),
        }
    )


def books_of(world: World, ledger: Ledger, profile: Profile, part: int = 0) -> CashBooks:
    """The frames of a ledger and the truth about it.

    Parameters
    ----------
    part
        number of this part of a larger ledger; record ids of the parts differ
    """
    ids = payment_ids(ledger, part)
    invoices = _landed(invoice_frame(ledger), "invoices.csv")
    organisations, members = _organisations(world, ledger, world.seed, part)
    legs = ledger.legs
    currency = ledger.documents["currency"].to_numpy()[legs["invoice"].to_numpy()]
    truth = pl.DataFrame(
        {
            "payment_record_id": ids.gather(legs["entry"]),
            "invoice_record_id": ledger.documents["invoice_id"].gather(legs["invoice"]),
            "allocation_kind": pl.Series(LEG_KINDS).gather(legs["kind"]),
            "amount": exact(legs["minor"].to_numpy(), currency),
        }
    )
    tables = {
        "conformed.invoices": invoices,
        "conformed.payments": _landed(payment_frame(ledger, ids), "statement.xml"),
        "conformed.purchase_orders": _landed(_orders(invoices), "purchase_orders.csv"),
        "conformed.organisations": _landed(
            organisations.with_columns(is_deleted=pl.lit(False)), "organisations.csv"
        ),
        "conformed.payer_relations": _landed(relation_frame(ledger), "payer_relations.csv"),
        "conformed.remittance_advices": _landed(advice_frame(ledger, profile, world.seed), "advices.csv"),
        "linked.organisation_members": members,
    }
    return CashBooks(tables, truth, _cases(ledger, ids))
