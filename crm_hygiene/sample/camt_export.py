"""Statements as camt.053.001.08: batches with their transactions, returns, reversals, exchanges.

What does not belong here: what is on the account (`accounts`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from crm_hygiene.sample.accounts import BICS, CAMT, OUR_NAME, our_accounts
from crm_hygiene.sample.cash.profile import CURRENCIES, LAST_DAY, RETURNS
from crm_hygiene.sample.layouts import dates, money

_STAMP = "2026-11-01T02:00:00Z"
OPENING = 2_500_000
"""Opening balance of the first account in minor units; the second has twice as much, and so on."""


def _escaped(column: str) -> pl.Expr:
    # XML 1.0 has no control characters; a bank that is sent some drops them.
    return (
        pl.col(column)
        .str.replace_all(r"[\x00-\x08\x0B\x0C\x0E-\x1F]", "")
        .str.replace_many(["&", "<", ">"], ["&amp;", "&lt;", "&gt;"])
    )


def _optional(value: pl.Expr, before: str | pl.Expr, after: str | pl.Expr) -> pl.Expr:
    """The element around `value`, or nothing where it is null or empty."""
    is_empty = value.is_null() | (value == "")
    before, after = (pl.lit(x) if isinstance(x, str) else x for x in (before, after))
    return pl.when(is_empty).then(pl.lit("")).otherwise(before + value + after)


def _amount(currency: str) -> pl.Expr:
    mark = pl.when(pl.col("is_credit")).then(pl.lit("CRDT")).otherwise(pl.lit("DBIT"))
    return (
        pl.lit(f'<Amt Ccy="{currency}">') + pl.col("unsigned") + "</Amt><CdtDbtInd>" + mark + "</CdtDbtInd>"
    )


def _exchange() -> pl.Expr:
    """What was instructed in another currency, and the bank's rate in six decimals."""
    rate = pl.col("rate_micro")
    printed = (rate // 1_000_000).cast(pl.String) + "." + (rate % 1_000_000).cast(pl.String).str.zfill(6)
    told = pl.concat_str(
        pl.lit('<AmtDtls><InstdAmt><Amt Ccy="'),
        pl.col("instructed_code"),
        pl.lit('">'),
        pl.col("instructed_amount"),
        pl.lit("</Amt><CcyXchg><SrcCcy>"),
        pl.col("instructed_code"),
        pl.lit("</SrcCcy><XchgRate>"),
        printed,
        pl.lit("</XchgRate></CcyXchg></InstdAmt></AmtDtls>"),
    )
    return pl.when(rate > 0).then(told).otherwise(pl.lit(""))


def _parties() -> pl.Expr:
    # Who paid stays the debtor where the bank reverses the booking; a return is money of ours going out.
    is_debtor = pl.col("is_credit") | pl.col("is_reversal")
    party = pl.when(is_debtor).then(pl.lit("Dbtr")).otherwise(pl.lit("Cdtr"))
    tax = _optional(
        pl.col("payer_tax_id"),
        "<Id><OrgId><Othr><Id>",
        "</Id><SchmeNm><Cd>TXID</Cd></SchmeNm></Othr></OrgId></Id>",
    )
    account = _optional(
        pl.col("iban"),
        pl.lit("<") + party + "Acct><Id><IBAN>",
        pl.lit("</IBAN></Id></") + party + "Acct>",
    )
    virtual = _optional(pl.col("virtual_account"), "<CdtrAcct><Id><Othr><Id>", "</Id></Othr></Id></CdtrAcct>")
    return pl.concat_str(
        pl.lit("<RltdPties><"),
        party,
        pl.lit("><Pty><Nm>"),
        _escaped("name").fill_null(""),
        pl.lit("</Nm>"),
        tax,
        pl.lit("</Pty></"),
        party,
        pl.lit(">"),
        account,
        virtual,
        pl.lit("</RltdPties>"),
    )


def _transaction(currency: str) -> pl.Expr:
    structured = _optional(
        pl.col("reference"),
        "<Strd><CdtrRefInf><Tp><CdOrPrtry><Cd>SCOR</Cd></CdOrPrtry></Tp><Ref>",
        "</Ref></CdtrRefInf></Strd>",
    )
    unstructured = (
        pl.when(pl.col("reference").is_null())
        .then(_optional(_escaped("text"), "<Ustrd>", "</Ustrd>"))
        .otherwise(pl.lit(""))
    )
    returned = (
        pl.when(pl.col("case").is_in(RETURNS) & ~pl.col("is_reversal"))
        .then(pl.lit("<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>"))
        .otherwise(pl.lit(""))
    )
    return pl.concat_str(
        pl.lit("<TxDtls><Refs><AcctSvcrRef>"),
        pl.col("bank_reference"),
        pl.lit("</AcctSvcrRef><EndToEndId>"),
        _escaped("end_to_end_id"),
        pl.lit("</EndToEndId>"),
        _optional(pl.col("reversed_reference"), "<TxId>", "</TxId>"),
        pl.lit("</Refs>"),
        _amount(currency),
        _exchange(),
        _parties(),
        _optional(unstructured + structured, "<RmtInf>", "</RmtInf>"),
        returned,
        pl.lit("</TxDtls>"),
    )


def _entries(frame: pl.DataFrame, currency: str) -> pl.Series:
    """`Ntry` elements of one account, one text each; a batch is one of them."""
    is_yen = currency == "JPY"
    whole = (
        frame.with_columns(transaction=_transaction(currency))
        .group_by("batch", maintain_order=True)
        .agg(
            pl.col("transaction").str.join(""),
            pl.col("minor").sum(),
            pl.len(),
            pl.col("booked", "value", "stem", "is_reversal").first(),
        )
    )
    whole = whole.with_columns(
        is_credit=pl.col("minor") >= 0,
        unsigned=money(np.abs(whole["minor"].to_numpy()), np.full(len(whole), is_yen)),
    )
    family = pl.when("is_credit").then(pl.lit("RCDT")).otherwise(pl.lit("ICDT"))
    batch = pl.concat_str(
        pl.lit("<Btch><NbOfTxs>"),
        pl.col("len").cast(pl.String),
        pl.lit(f'</NbOfTxs><TtlAmt Ccy="{currency}">'),
        pl.col("unsigned"),
        pl.lit("</TtlAmt><CdtDbtInd>CRDT</CdtDbtInd></Btch>"),
    )
    reversed_by_bank = pl.when("is_reversal").then(pl.lit("<RvslInd>true</RvslInd>")).otherwise(pl.lit(""))
    return whole.select(
        pl.concat_str(
            pl.lit("<Ntry><NtryRef>"),
            pl.int_range(1, pl.len() + 1).cast(pl.String),
            pl.lit("</NtryRef>"),
            _amount(currency),
            reversed_by_bank,
            pl.lit("<Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>"),
            pl.col("booked").cast(pl.String),
            pl.lit("</Dt></BookgDt><ValDt><Dt>"),
            pl.col("value").cast(pl.String),
            pl.lit("</Dt></ValDt><AcctSvcrRef>"),
            pl.col("stem"),
            pl.lit("</AcctSvcrRef><BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>"),
            family,
            pl.lit("</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd><NtryDtls>"),
            pl.when(pl.col("len") > 1).then(batch).otherwise(pl.lit("")),
            pl.col("transaction"),
            pl.lit("</NtryDtls></Ntry>"),
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


def _told(bookings: pl.DataFrame) -> pl.DataFrame:
    """The bank's entries with what is printed of them; every second return is a reversal by the bank."""
    instructed = bookings["instructed_currency"].to_numpy()
    return bookings.with_columns(
        is_credit=pl.col("minor") >= 0,
        unsigned=pl.col("amount").str.strip_prefix("-"),
        is_reversal=(pl.col("takes_back") >= 0) & (pl.col("takes_back") % 2 == 0),
        instructed_code=pl.Series(CURRENCIES).gather(np.maximum(instructed, 0)),
        instructed_amount=money(
            bookings["instructed_minor"].to_numpy(), instructed == CURRENCIES.index("JPY")
        ),
    )


def write_camt(bookings: pl.DataFrame, path: Path) -> int:
    """`statement.xml`: one statement per account, opening balance plus entries = closing balance.

    Returns the number of entries, a batch counted once.
    """
    frame = _told(bookings.filter(pl.col("bank") == CAMT))
    rows = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write('<?xml version="1.0" encoding="UTF-8"?>\n')
        file.write('<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">\n<BkToCstmrStmt>\n')
        file.write(f"<GrpHdr><MsgId>CAMT053-20261031</MsgId><CreDtTm>{_STAMP}</CreDtTm></GrpHdr>\n")
        for number, (currency, iban) in enumerate(our_accounts(CAMT).items(), start=1):
            booked = frame.filter(pl.col("currency_code") == currency)
            opening = OPENING * number
            change = int(booked["minor"].sum())
            start = int(booked["day"].min()) if len(booked) else LAST_DAY  # type: ignore[arg-type]
            first = dates(np.array([start]))[0].isoformat()
            file.write(
                f"<Stmt>\n<Id>STMT-2026-{number:05d}</Id><ElctrncSeqNb>{number}</ElctrncSeqNb>"
                f"<CreDtTm>{_STAMP}</CreDtTm><FrToDt><FrDtTm>{first}T00:00:00Z</FrDtTm>"
                f"<ToDtTm>2026-10-31T23:59:59Z</ToDtTm></FrToDt>\n"
                f"<Acct><Id><IBAN>{iban}</IBAN></Id><Ccy>{currency}</Ccy><Ownr><Nm>{OUR_NAME}</Nm></Ownr>"
                f"<Svcr><FinInstnId><BICFI>{BICS[CAMT]}</BICFI></FinInstnId></Svcr></Acct>\n"
            )
            file.write(_balance("OPBD", currency, opening, start))
            file.write(_balance("CLBD", currency, opening + change, LAST_DAY))
            if len(booked):
                entries = _entries(booked, currency)
                rows += len(entries)
                file.write("\n".join(entries) + "\n")
            file.write("</Stmt>\n")
        file.write("</BkToCstmrStmt>\n</Document>\n")
    return rows
