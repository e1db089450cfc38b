"""Small bank files by hand, and reading them with the built-in mapping."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from crm_hygiene.mapping import Mapping
from crm_hygiene.mapping_file import BUILT_IN_SOURCES, load_mapping
from crm_hygiene.readers import LandedFile, read_file

Read = Callable[..., tuple[pl.DataFrame, LandedFile]]

ACCOUNT = "DE89370400440532013000"
_ROOTS = {
    "053": ("BkToCstmrStmt", "Stmt"),
    "054": ("BkToCstmrDbtCdtNtfctn", "Ntfctn"),
    "052": ("BkToCstmrAcctRpt", "Rpt"),
}


@pytest.fixture(scope="session")
def statements() -> Mapping:
    return load_mapping(BUILT_IN_SOURCES / "bank_statements.yaml")


@pytest.fixture
def read(tmp_path: Path, statements: Mapping) -> Read:
    """Reads text as a bank file: its rows and what landed."""

    def reader(
        text: str, name: str = "statement.sta", strict: bool = True
    ) -> tuple[pl.DataFrame, LandedFile]:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        landed = read_file(path, statements.model_copy(update={"strict_balances": strict}))
        frames = list(landed.chunks)
        return (pl.concat(frames) if frames else pl.DataFrame()), landed

    return reader


def balance(kind: str, amount: str, side: str = "CRDT", currency: str = "EUR") -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd></Bal>'
    )


def balances(opening: str, closing: str) -> str:
    return balance("OPBD", opening) + balance("CLBD", closing)


def entry(
    amount: str,
    side: str = "CRDT",
    inner: str = "",
    status: str = "<Cd>BOOK</Cd>",
    reference: str = "",
    before: str = "",
    day: str = "2026-01-02",
) -> str:
    return (
        f'<Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd>{before}'
        f"<Sts>{status}</Sts><BookgDt><Dt>{day}</Dt></BookgDt><ValDt><Dt>2026-01-03</Dt></ValDt>"
        f"<AcctSvcrRef>{reference}</AcctSvcrRef>{inner}</Ntry>"
    )


def message(
    body: str, version: str = "08", kind: str = "053", prolog: str = "", account: str = ACCOUNT
) -> str:
    root, statement = _ROOTS[kind]
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{prolog}'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.{kind}.001.{version}"><{root}>'
        f"<{statement}><Id>S1</Id><Acct><Id><IBAN>{account}</IBAN></Id></Acct>{body}</{statement}>"
        f"</{root}></Document>"
    )


def details(*amounts: str, texts: tuple[str, ...] = ()) -> str:
    said = [*texts, *[""] * (len(amounts) - len(texts))]
    each = "".join(
        f'<TxDtls><Amt Ccy="EUR">{a}</Amt><CdtDbtInd>CRDT</CdtDbtInd>'
        f"{f'<RmtInf><Ustrd>{t}</Ustrd></RmtInf>' if t else ''}</TxDtls>"
        for a, t in zip(amounts, said, strict=True)
    )
    return f"<NtryDtls>{each}</NtryDtls>"
