"""Tax numbers and bank accounts: what check digits decide."""

from __future__ import annotations

import pytest

from crm_hygiene.standardise import standardise_ibans, standardise_tax_ids

from .conftest import Raw


@pytest.mark.parametrize(
    ("written", "country", "tax_id"),
    [
        ("DE136695976", "DE", "DE136695976"),
        ("136 695 976", "DE", "DE136695976"),
        ("USt-IdNr. DE 136 695 976", None, "DE136695976"),
        ("GB 980 7806 84", None, "GB980780684"),
        ("980 7806 84", "GB", "GB980780684"),
        ("ATU13585627", "DE", "ATU13585627"),
        ("EL094259216", None, "EL094259216"),
        ("094259216", "GR", "EL094259216"),
        ("CHE-107.787.577 IVA", "CH", "CHE107787577"),
        ("NO 995 525 828 MVA", "NO", "995525828"),
        ("12-3456789", "US", "123456789"),
        ("4123456789", "ZW", "4123456789"),
    ],
)
def test_tax_ids(raw: Raw, written: str, country: str | None, tax_id: str) -> None:
    row = standardise_tax_ids(raw(written, country_code=[country])).row(0, named=True)
    assert (row["tax_id"], row["problem"]) == (tax_id, None)


@pytest.mark.parametrize(
    ("written", "country", "reason"),
    [
        ("DE136695977", "DE", "is not a valid VAT number of DE"),
        ("123456789", None, "has no country and is not a valid EU VAT number"),
        ("GB980780685", None, "is not a valid VAT number of GB"),
        ("??", "DE", "is a placeholder"),
    ],
)
def test_refused_tax_ids(raw: Raw, written: str, country: str | None, reason: str) -> None:
    row = standardise_tax_ids(raw(written, country_code=[country])).row(0, named=True)
    assert row["tax_id"] is None
    assert row["problem"].endswith(reason)


def test_ibans(raw: Raw) -> None:
    result = standardise_ibans(raw("de89 3704 0044 0532 0130 00", "IBAN: GB29-NWBK-6016-1331-9268-19", None))
    assert result["iban"].to_list() == ["DE89370400440532013000", "GB29NWBK60161331926819", None]
    assert result["bic"].to_list() == ["COBADEFFXXX", "NWBKGB2LXXX", None]
    assert result["problem"].null_count() == 3


@pytest.mark.parametrize(
    "written", ["DE00370400440532013000", "DE8937040044053201300", "370400440532013000", "n/a"]
)
def test_refused_ibans(raw: Raw, written: str) -> None:
    row = standardise_ibans(raw(written)).row(0, named=True)
    assert row["iban"] is row["bic"] is None
    assert row["problem"].startswith("IBAN '")
