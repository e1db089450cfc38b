"""Every public bank file is read with its proofs or refused for a true reason (skipped without the files)."""

from __future__ import annotations

import os
import warnings
from decimal import Decimal
from pathlib import Path

import pytest

from crm_hygiene.errors import FileRefused
from crm_hygiene.mapping import Mapping
from crm_hygiene.readers import read_file

FOLDER = (
    Path(os.environ.get("HYGIENE_PUBLIC_DATA", Path(__file__).parents[3].parent / "shared" / "data")) / "bank"
)
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="public bank files are not beside the clone")

_NOT_DATA = {"LICENSE", "SOURCE.txt", "requirements.txt"}
# Each refusal was looked at: what the files say is what is wrong with them.
REFUSED = {
    "all-balance-types.xml|five.decimals.xml|sepa_snippet.sta|sepa_snippet_broken.sta|abnamro.sta|ing.sta|knab.sta|"
    "postfinance.sta|rabobank.sta|triodos.sta|with_newline_in_tnr.sta|details_60-63.sta|malformed_details.sta|"
    "overly_long_details.sta|raiffeisen-cmi.sta|whitespace.sta": "but the closing balance is",
    "minimal.ultimate.xml|v2.minimal.xml|with-party-ids.xml|053.v3.xml|053.v4.xml|"
    "053.v8.xml": "several currencies",
    "053.v2.with-account-name.xml|only-Dt-with-DtTm.xml|gv_codes.sta": "no .*closing balance",
    "053.v2.wrong.xml": "holds no statement",
    "054.v4.xml|054.v8.xml": "lists 3 transactions of a batch of 2",
    "self-provided/mt942.sta": "sum of debits of 2.30, its entries give 0.42",
    "raphaelm.sta": "balance :62M:C020315105000,00 cannot be read",
    "amount_formats.sta|empty_86.sta|empty_entry_date.sta|missing_crlf_at_end.sta|balance_credit.sta|"
    "balance_debit.sta|available_balance.sta|closing_balance.sta|statement_details.sta|statement_line.sta|"
    "cmxl/statement_number.sta|empty_non_swift.sta|sparkassen.sta": "stands outside a statement",
    "empty_line.sta|reference.sta": "names no account",
    "currency_in_25.sta|identification_iban.sta|identification_legacy.sta": "its currency is not known",
    "invalid_statement.sta|3940e35d8f932097|771e938e4458e983|e262a7798c82c66e|"
    "f96b9eec61a21275": "is no bank statement",
    "sample-parseError.txt": "no BAI2 record",
    "sample4-continuations-newline-delimited.txt|sample5-issue113.txt": "control total .* of -1260161341762",
    "account_listing_aggregation.ofx|bank_small.ofx|signon_success.ofx|"
    "signon_success_no_message.ofx": "no account statement",
    "error_message.ofx|signon_fail.ofx": "answered with error",
    "ofx-v102-empty-tags.ofx": "states no currency",
}


def _files() -> list[Path]:
    return sorted(
        p for p in FOLDER.rglob("*") if p.is_file() and p.name not in _NOT_DATA and p.suffix != ".yml"
    )


def _reason(path: Path) -> str | None:
    return next(
        (said for names, said in REFUSED.items() if any(str(path).endswith(n) for n in names.split("|"))),
        None,
    )


def test_every_file_is_read_or_refused_for_its_reason(statements: Mapping) -> None:
    read = 0
    for path in _files():
        said = _reason(path)
        if said is None:
            for _ in read_file(path, statements).chunks:
                pass
            read += 1
            continue
        with pytest.raises(FileRefused, match=said):
            list(read_file(path, statements).chunks)
    assert read >= 47


def _amounts(path: Path, statements: Mapping) -> list[Decimal]:
    lenient = statements.model_copy(update={"strict_balances": False})
    return [Decimal(a) for chunk in read_file(path, lenient).chunks for a in chunk["Amount"]]


def test_amounts_are_those_of_another_reader(statements: Mapping) -> None:
    """mt-940 reads the same; the one file where it does not, reversals, adds up to its balance here."""
    mt940 = pytest.importorskip("mt940")
    compared = 0
    for path in _files():
        if path.suffix != ".sta" or path.name == "sepa_mt9401.sta" or _reason(path) in _PIECES:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = [
                t.data["amount"].amount for t in mt940.parse(str(path)).transactions if "amount" in t.data
            ]
        assert _amounts(path, statements) == theirs, path.name
        compared += 1
    assert compared >= 26


_PIECES = {
    "stands outside a statement",
    "names no account",
    "its currency is not known",
    "is no bank statement",
    REFUSED["raphaelm.sta"],
}


def test_transactions_are_those_of_ofxparse(statements: Mapping) -> None:
    ofxparse = pytest.importorskip("ofxparse")
    for path in _files():
        if path.suffix != ".ofx" or _reason(path):
            continue
        with warnings.catch_warnings(), path.open("rb") as stream:
            warnings.simplefilter("ignore")
            accounts = ofxparse.OfxParser.parse(stream, fail_fast=False).accounts
        theirs = [
            t.amount
            for a in accounts
            if a.statement
            for t in a.statement.transactions
            if hasattr(t, "amount")
        ]
        assert _amounts(path, statements) == theirs, path.name
