"""Small camt messages by hand."""

from __future__ import annotations

ACCOUNT = "DE89370400440532013000"
_ROOTS = {"053": ("BkToCstmrStmt", "Stmt"), "054": ("BkToCstmrDbtCdtNtfctn", "Ntfctn")}


def balances(opening: str, closing: str) -> str:
    return "".join(
        f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>'
        for kind, amount in (("OPBD", opening), ("CLBD", closing))
    )


def entry(
    amount: str, inner: str = "", reference: str = "", day: str = "2026-01-02", currency: str = "EUR"
) -> str:
    return (
        f'<Ntry><Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>'
        f"<BookgDt><Dt>{day}</Dt></BookgDt><ValDt><Dt>2026-01-03</Dt></ValDt>"
        f"<AcctSvcrRef>{reference}</AcctSvcrRef>{inner}</Ntry>"
    )


def transactions(*amounts: str, text: str = "") -> str:
    """Details of a batch; `text` is the remittance of the first."""
    said = [text, *[""] * (len(amounts) - 1)]
    return "<NtryDtls>{}</NtryDtls>".format(
        "".join(
            f'<TxDtls><Amt Ccy="EUR">{a}</Amt><RmtInf><Ustrd>{t}</Ustrd></RmtInf></TxDtls>'
            for a, t in zip(amounts, said, strict=True)
        )
    )


def message(body: str, kind: str = "053", account: str = ACCOUNT) -> str:
    root, statement = _ROOTS[kind]
    return (
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.{kind}.001.08"><{root}>'
        f"<{statement}><Id>S1</Id><Acct><Id><IBAN>{account}</IBAN></Id></Acct>{body}</{statement}>"
        f"</{root}></Document>"
    )
