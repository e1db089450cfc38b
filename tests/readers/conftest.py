from __future__ import annotations

from pathlib import Path

import pytest

from crm_hygiene.mapping import Mapping
from crm_hygiene.mapping_file import load_mapping

CONTACTS = """
source: contacts
system: shop
object: Contact
files: ["shop/*contact*"]
nulls: ["#N/A"]
unwrap: [properties]
strip_prefixes: [property_]
ignore: [Noise, "x_*"]
tables:
  people:
    record_id: Id
    person_kind: {constant: contact}
    given_name: FirstName
    email: Email
"""


@pytest.fixture
def contacts(tmp_path: Path) -> Mapping:
    path = tmp_path / "contacts.yaml"
    path.write_text(CONTACTS, encoding="utf-8")
    return load_mapping(path)


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing"
    folder.mkdir()
    return folder
