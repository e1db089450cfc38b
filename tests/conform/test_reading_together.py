"""What sources read together become is what each becomes alone."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.conform.standard import standardise_sources, standardise_table
from crm_hygiene.contract import contract_of
from crm_hygiene.mapping import Mapping
from crm_hygiene.mapping_file import load_mappings
from crm_hygiene.night import BUILT_IN_SOURCES

_TEXTS = st.one_of(
    st.none(),
    st.sampled_from(
        (
            "n/a", "unknown", "Ana Núñez", "jane@example.org", "JANE@EXAMPLE.ORG", "x@", "030 123456",
            "+1 555", "0044 20 7946 0958", "DE", "Deutschland", "Atlantis", "1.234,50", "1,234.50", "12.5000",
            "EUR", "XQZ",
            "03/04/2024", "2024-04-03", "2024-04-03T10:00:00Z", "true", "ACME Ltd.", "GB29NWBK60161331926819",
            "DE136695976", "a;b", "  blank  ", "0",
        )
    ),
)  # fmt: skip
_COLUMNS = {
    "people": (
        "full_name", "given_name", "email", "phone", "mobile_phone", "country_code", "city", "street",
        "organisation_name", "created_at", "is_deleted", "website_domain",
    ),
    "payments": (
        "amount", "currency", "paid_amount", "payer_name", "payer_iban", "account_iban", "booked_date",
        "remittance_text", "_problem_payer_name_length", "_problem_remittance_text_length",
    ),
    "invoices": ("amount", "currency", "customer_name", "customer_tax_id", "issue_date", "document_kind"),
}  # fmt: skip


def _mappings() -> list[Mapping]:
    known = load_mappings([BUILT_IN_SOURCES])
    plain = known["salesforce_contacts"]
    foreign = plain.model_copy(update={"day_first": True, "decimal": ",", "default_country": "DE"})
    return [plain, known["hubspot_contacts"], foreign, plain.model_copy(update={"default_country": "FR"})]


MAPPINGS = _mappings()


@st.composite
def _rows(draw: Any, table: str) -> pl.DataFrame:
    columns = draw(st.lists(st.sampled_from(_COLUMNS[table]), unique=True))
    height = draw(st.integers(1, 4))
    cells = {c: draw(st.lists(_TEXTS, min_size=height, max_size=height)) for c in columns}
    frame = {"record_id": [str(n) for n in range(height)], **cells}
    return pl.DataFrame(frame, schema=dict.fromkeys(frame, pl.String))


@pytest.mark.parametrize("table", sorted(_COLUMNS))
@settings(max_examples=examples(25), deadline=None)
@given(data=st.data())
def test_sources_read_together_are_as_read_alone(table: str, data: st.DataObject) -> None:
    contract = contract_of(f"conformed.{table}")
    sources = data.draw(st.lists(st.tuples(st.sampled_from(MAPPINGS), _rows(table)), max_size=4))
    together = standardise_sources(sources, contract)
    assert len(together) == len(sources)
    for (mapping, rows), found in zip(sources, together, strict=True):
        alone = standardise_table(rows, contract, mapping)
        known = [[c for c in frame.columns if c in contract.column_names] for frame in (found, alone)]
        shaped = [contract.shape(f.select(c)) for f, c in zip((found, alone), known, strict=True)]
        assert shaped[0].equals(shaped[1])
