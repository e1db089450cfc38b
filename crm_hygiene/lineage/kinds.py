"""What becomes of a value between two columns, in the vocabulary of OpenLineage's column lineage facet.

https://openlineage.io/docs/spec/facets/dataset-facets/column_lineage_facet: direct lineage is IDENTITY,
TRANSFORMATION or AGGREGATION; indirect lineage JOIN, CONDITIONAL, FILTER and others.
"""

from __future__ import annotations

from typing import Literal

from crm_hygiene.contract import contract_of

# From the most to the least direct.
Kind = Literal["identity", "transformation", "aggregation", "join", "conditional"]

DIRECT: tuple[Kind, ...] = ("identity", "transformation", "aggregation")

# Text that conforming only folds blanks of; every other column is rewritten to a standard form.
_VERBATIM = frozenset(
    {
        "record_id",
        "occupation",
        "job_title",
        "lead_source",
        "lead_status",
        "owner_id",
        "industry",
        "external_id",
        "organisation_record_id",
        "person_record_id",
        "parent_record_id",
        "customer_record_id",
        "converted_person_record_id",
        "converted_organisation_record_id",
        "subject",
        "campaign",
        "stage",
        "opportunity_name",
        "invoice_number",
        "purchase_order_number",
        "payment_reference",
        "document_status",
        "remittance_text",
        "bank_reference",
        "creditor_reference",
        "object",
    }
)
_SUMMED = frozenset({"first_seen_at", "last_seen_at", "valid_from", "valid_to", "lead_score", "strength"})
_CONSENT = frozenset({"email_consent", "phone_consent", "is_suppressed"})


def kind_of(table: str, column: str, from_table: str, from_column: str) -> Kind:
    """What becomes of `from_column` on its way into `column`.

    For a conformed table an empty `from_column` means that the mapping itself rewrites the value.
    """
    if table.startswith("conformed."):
        return "identity" if from_column and column in _VERBATIM else "transformation"
    contract = contract_of(table)
    of_type = {c.name: c.type for c in contract.columns}
    if column in _CONSENT and from_table.startswith("conformed."):
        return "aggregation" if from_column.endswith("_state") else "conditional"
    if column.endswith("entity_id"):
        return "identity" if from_column.endswith("entity_id") else "join"
    if column in _SUMMED or column.endswith(("_count", "_score")):
        return "aggregation"
    if of_type[column] == "strings" and from_table.startswith("conformed.") and column != from_column:
        return "aggregation"
    return "identity"
