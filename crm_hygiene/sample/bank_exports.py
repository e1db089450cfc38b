"""The banks' exports: a ledger as CSV and statements as camt.053.001.08, and the truth about both.

What does not belong here: what was paid (`payments`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from crm_hygiene.sample.draws import Ints, fill, stream, where
from crm_hygiene.sample.identifiers import serials
from crm_hygiene.sample.invoices import LAST_DAY, Billing, dates, money
from crm_hygiene.sample.payments import CURRENCIES, Payments
from crm_hygiene.sample.registers import mod97
from crm_hygiene.sample.world import World

OUR_NAME = "Hygieia Software GmbH"
_BANKS = ("10070000", "37040044")
_BICS = ("DEUTDEBBXXX", "COBADEFFXXX")


def our_accounts(bank: int) -> dict[str, str]:
    """Our own account of each currency at one of the two banks, as IBAN."""
    bodies = [f"{_BANKS[bank]}{4_711_000_00 + 10 * number:010d}" for number in range(len(CURRENCIES))]
    check = 98 - mod97(pl.Series(bodies) + "DE00")
    return {c: f"DE{k:02d}{body}" for c, k, body in zip(CURRENCIES, check, bodies, strict=True)}


def record_ids(payments: Payments) -> pl.Series:
    """Record id of each entry: the ledger's entry_id or the statement's AcctSvcrRef."""
    bank = payments.entries["at_bank"].to_numpy()
    rank = np.where(bank == 1, np.cumsum(bank == 1), np.cumsum(bank == 0))
    day = dates(payments.entries["day"].to_numpy()).dt.to_string("%Y%m%d")
    servicer = day + pl.Series(rank).cast(pl.String).str.zfill(9)
    return where(bank == 1, servicer, serials("BL", rank, 8))


def write_ledger(world: World, payments: Payments, ids: pl.Series, path: Path) -> int:
    """`ledger.csv`; returns the number of entries."""
    rng = stream(world.seed, "ledger")
    accounts = our_accounts(0)
    entries = payments.entries
    n = len(entries)
    text = where(entries["reference"].is_not_null().to_numpy(), entries["reference"], entries["remittance"])
    pl.DataFrame(
        {
            "entry_id": ids,
            "account_iban": entries["currency"].replace_strict(accounts, return_dtype=pl.String),
            "booked_on": dates(entries["day"].to_numpy()),
            "value_on": dates(entries["valued"].to_numpy()),
            "amount": money(entries["minor"].to_numpy(), entries["is_yen"].to_numpy()),
            "currency": entries["currency"],
            "counterparty_name": entries["name"],
            "counterparty_iban": entries["iban"],
            "remittance": text.replace("", None),
            "end_to_end_id": entries["end_to_end_id"],
            "bank_reference": fill(rng, ["@@%#######-%###"], np.zeros(n, dtype=np.int64)),
        }
    ).filter(entries["at_bank"] == 0).write_csv(path)
    return int((entries["at_bank"] == 0).sum())


def _escaped(column: str) -> pl.Expr:
    return pl.col(column).str.replace_many(["&", "<", ">"], ["&amp;", "&lt;", "&gt;"])


def _optional(value: pl.Expr, before: str, after: str) -> pl.Expr:
    """The element around `value`, or nothing where it is null or empty."""
    is_empty = value.is_null() | (value == "")
    return pl.when(is_empty).then(pl.lit("")).otherwise(pl.lit(before) + value + after)


def _entries(frame: pl.DataFrame, currency: str) -> pl.Series:
    """`Ntry` elements of one account, one text each."""
    credit = pl.col("minor") >= 0
    mark = pl.when(credit).then(pl.lit("CRDT")).otherwise(pl.lit("DBIT"))
    party = pl.when(credit).then(pl.lit("Dbtr")).otherwise(pl.lit("Cdtr"))
    amount = pl.lit(f'<Amt Ccy="{currency}">') + pl.col("amount") + "</Amt>"
    amount = amount + "<CdtDbtInd>" + mark + "</CdtDbtInd>"
    account = (
        pl.when(pl.col("iban").is_null())
        .then(pl.lit(""))
        .otherwise(
            pl.lit("<") + party + "Acct><Id><IBAN>" + pl.col("iban") + "</IBAN></Id></" + party + "Acct>"
        )
    )
    family = pl.when(credit).then(pl.lit("RCDT")).otherwise(pl.lit("ICDT"))
    structured = _optional(
        pl.col("reference"),
        "<Strd><CdtrRefInf><Tp><CdOrPrtry><Cd>SCOR</Cd></CdOrPrtry></Tp><Ref>",
        "</Ref></CdtrRefInf></Strd>",
    )
    unstructured = (
        pl.when(pl.col("reference").is_null())
        .then(_optional(_escaped("remittance"), "<Ustrd>", "</Ustrd>"))
        .otherwise(pl.lit(""))
    )
    text = _optional(unstructured + structured, "<RmtInf>", "</RmtInf>")
    return frame.select(
        pl.concat_str(
            pl.lit("<Ntry><NtryRef>"),
            pl.int_range(1, pl.len() + 1).cast(pl.String),
            pl.lit("</NtryRef>"),
            amount,
            pl.lit("<Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>"),
            pl.col("booked"),
            pl.lit("</Dt></BookgDt><ValDt><Dt>"),
            pl.col("value"),
            pl.lit("</Dt></ValDt><AcctSvcrRef>"),
            pl.col("id"),
            pl.lit("</AcctSvcrRef><BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>"),
            family,
            pl.lit(
                "</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd><NtryDtls><TxDtls><Refs><EndToEndId>"
            ),
            _escaped("end_to_end_id"),
            pl.lit("</EndToEndId></Refs>"),
            amount,
            pl.lit("<RltdPties><") + party + "><Pty><Nm>" + _escaped("name") + "</Nm></Pty></" + party + ">",
            account,
            pl.lit("</RltdPties>"),
            text,
            pl.lit("</TxDtls></NtryDtls></Ntry>"),
        )
    ).to_series()


def _balance(kind: str, currency: str, minor: int, day: int) -> str:
    amount = money(np.array([abs(minor)]), np.array([currency == "JPY"]))[0]
    mark = "CRDT" if minor >= 0 else "DBIT"
    on = dates(np.array([day]))[0].isoformat()
    return (
        f'<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp><Amt Ccy="{currency}">{amount}</Amt>'
        f"<CdtDbtInd>{mark}</CdtDbtInd><Dt><Dt>{on}</Dt></Dt></Bal>\n"
    )


def write_statements(payments: Payments, ids: pl.Series, path: Path) -> int:
    """`statement.xml`: one statement per account, opening balance plus entries = closing balance.

    Returns the number of entries.
    """
    accounts = our_accounts(1)
    entries = payments.entries
    frame = pl.DataFrame(
        {
            "currency": entries["currency"],
            "minor": entries["minor"],
            "amount": money(np.abs(entries["minor"].to_numpy()), entries["is_yen"].to_numpy()),
            "booked": dates(entries["day"].to_numpy()).cast(pl.String),
            "value": dates(entries["valued"].to_numpy()).cast(pl.String),
            "id": ids,
            "name": entries["name"],
            "iban": entries["iban"],
            "remittance": entries["remittance"],
            "reference": entries["reference"],
            "end_to_end_id": entries["end_to_end_id"],
            "day": entries["day"],
        }
    ).filter(entries["at_bank"] == 1)
    stamp = "2026-11-01T02:00:00Z"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write('<?xml version="1.0" encoding="UTF-8"?>\n')
        file.write('<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">\n<BkToCstmrStmt>\n')
        file.write(f"<GrpHdr><MsgId>CAMT053-20261031</MsgId><CreDtTm>{stamp}</CreDtTm></GrpHdr>\n")
        for number, (currency, iban) in enumerate(accounts.items(), start=1):
            booked = frame.filter(pl.col("currency") == currency)
            opening = 2_500_000 * number
            change = int(booked["minor"].sum())
            start = int(booked["day"].min()) if len(booked) else LAST_DAY  # type: ignore[arg-type]
            first = dates(np.array([start]))[0].isoformat()
            file.write(
                f"<Stmt>\n<Id>STMT-2026-{number:05d}</Id><ElctrncSeqNb>{number}</ElctrncSeqNb><CreDtTm>{stamp}</CreDtTm>"
                f"<FrToDt><FrDtTm>{first}T00:00:00Z</FrDtTm><ToDtTm>2026-10-31T23:59:59Z</ToDtTm></FrToDt>\n"
                f"<Acct><Id><IBAN>{iban}</IBAN></Id><Ccy>{currency}</Ccy><Ownr><Nm>{OUR_NAME}</Nm></Ownr>"
                f"<Svcr><FinInstnId><BICFI>{_BICS[1]}</BICFI></FinInstnId></Svcr></Acct>\n"
            )
            file.write(_balance("OPBD", currency, opening, start))
            file.write(_balance("CLBD", currency, opening + change, LAST_DAY))
            if len(booked):
                file.write("\n".join(_entries(booked, currency)) + "\n")
            file.write("</Stmt>\n")
        file.write("</BkToCstmrStmt>\n</Document>\n")
    return len(frame)


def allocations(billing: Billing, payments: Payments, ids: pl.Series) -> pl.DataFrame:
    """The true allocations in the columns of `truth/payments.csv`."""
    legs = payments.legs
    entry: Ints = legs["entry"].to_numpy()
    n = len(legs)
    at_bank = payments.entries["at_bank"].to_numpy()[entry] == 1
    names = (pl.Series([x]).new_from_index(0, n) for x in ("bank_statements", "bank_ledger"))
    return pl.DataFrame(
        {
            "PAYMENT_SOURCE": where(at_bank, *names),
            "PAYMENT_ID": ids.gather(entry),
            "INVOICE_SOURCE": pl.Series(["erp_invoices"]).new_from_index(0, n),
            "INVOICE_ID": billing.invoices["invoice_id"].gather(legs["invoice"]),
            "AMOUNT": money(legs["minor"].to_numpy(), payments.entries["is_yen"].to_numpy()[entry]),
        }
    )
