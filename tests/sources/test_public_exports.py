"""Every real file the built-in sources cover, where the public data is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crm_hygiene.mapping_file import BUILT_IN_SOURCES, load_mappings
from crm_hygiene.readers import read_file

PUBLIC_DATA = Path(
    os.environ.get("HYGIENE_PUBLIC_DATA", Path(__file__).parents[2].parent / "shared" / "data")
)

pytestmark = pytest.mark.skipif(
    not (PUBLIC_DATA / "exports").is_dir(),
    reason="public data is absent; HYGIENE_PUBLIC_DATA names its folder",
)

ROWS = {
    "salesforce/sf_lead_data.csv": 1,
    "salesforce/sf_contact_data.csv": 4,
    "salesforce/sf_account_data.csv": 10,
    "salesforce/sf_opportunity_data.csv": 10,
    "salesforce/sf_user_data.csv": 10,
    "salesforce/sf_task_data.csv": 10,
    "salesforce/sf_event_data.csv": 10,
    "hubspot/owner_data.csv": 100,
    "hubspot/contact_data.csv": 22,
    "hubspot/company_data.csv": 24,
    "hubspot/deal_data.csv": 44,
    "marketo/marketo_lead_data.csv": 100,
    "marketo/marketo_activity_unsubscribe_email_data.csv": 100,
    "marketo/marketo_activity_delete_lead_data.csv": 31,
    "coral_cloud/coral-cloud_data-Contact.json": 156,
    "coral_cloud/coral-cloud_data-Contact-large.json": 992,
    "bulk_csv/bulkcsv_backquote.csv": 10,
    "bulk_csv/bulkcsv_tab.csv": 10,
    "bulk_csv/bulkcsv_pipe.csv": 10,
    "bulk_csv/bulkcsv_semicolon.csv": 10,
    "bulk_csv/bulkcsv_comma_wrapped_values.csv": 10,
}


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_real_export_is_read_whole(name: str) -> None:
    claimants = [m for m in load_mappings([BUILT_IN_SOURCES]).values() if m.claims(name)]
    assert len(claimants) == 1
    landed = read_file(PUBLIC_DATA / "exports" / name, claimants[0])
    assert sum(chunk.height for chunk in landed.chunks) == ROWS[name]
    assert landed.refused == []
