"""A few hundred records of each kind, conformed, for both engines."""

from __future__ import annotations

from datetime import UTC, date, datetime
from random import Random
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.linkage import FrozenModel, Linkage, LinkageSettings, Register, link
from crm_hygiene.linkage.engine import Engine
from crm_hygiene.linkage.night_before import NightBefore
from crm_hygiene.linkage.settings import EntityKind

NIGHT = datetime(2026, 1, 1, tzinfo=UTC)
TABLES = ("pairs", "members", "entities", "history", "fingerprints", "questions")
GIVEN = ("José", "Jose", "Anna", "Anne", "Robert", "Bob", "Łukasz", "Lukas", "Мария", "J")
FAMILY = (
    "Müller",
    "Mueller",
    "Muller",
    "O'Brien",
    "Çelik",
    "Nguyễn",
    "Smith",
    "Smyth",
    "Петров",
    "de la Cruz",
)
FIRMS = (
    "Bäckerei Müller GmbH", "Baeckerei Mueller", "Nordwind Logistics 2", "Nordwind Logistik 3",
    "Acme Widgets Inc",
    "ACME Widget", "Société Générale", "Foo & Bar Holdings",
    "International Business Machines", "IBM",
)  # fmt: skip
STREETS = ("Hauptstraße 5", "Hauptstr. 5", "Main St 12", "12 Main Street", "Rue de l'Église 3", None)
BIRTHS = (None, date(1980, 2, 3), date(1980, 3, 2), date(1981, 2, 3), date(1975, 11, 30))
CITIES = ("Köln", "Koeln", "München", "Paris", None)


def _shaped(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    contract = contract_of(table)
    return pl.DataFrame(rows, schema_overrides=dict(contract.schema), infer_schema_length=None).pipe(
        contract.shape
    )


def people(count: int = 260) -> pl.DataFrame:
    random = Random(11)
    rows = []
    for i in range(count):
        given, family = random.choice(GIVEN), random.choice(FAMILY)
        email = f"{given}.{family}{random.randrange(6)}@firm{random.randrange(9)}.example".lower()
        email = email.replace(" ", "") if random.random() < 0.7 else ""
        rows.append(
            {
                "source": random.choice(("crm_contacts", "web_forms")),
                "record_id": f"{i:03}",
                "given_name": given if random.random() < 0.95 else None,
                "family_name": family,
                "email": email or None,
                "email_normalised": email or None,
                "email_domain": email.split("@")[1] if email else None,
                "email_kind": "person" if email else None,
                "phone": f"+4930{random.randrange(1000000, 1000090)}" if random.random() < 0.6 else None,
                "birth_date": random.choice(BIRTHS),
                "organisation_name": random.choice((*FIRMS, None)),
                "street": random.choice(STREETS),
                "city": random.choice(CITIES),
                "postal_code": random.choice(("50667", "50668", "80331", None)),
                "tax_id": random.choice((None, None, "DE123456789", "DE123456780")),
                "occupation": random.choice((None, "baker", "engineer")),
            }
        )
    return _shaped("conformed.people", rows)


def organisations(count: int = 240) -> pl.DataFrame:
    random = Random(12)
    rows: list[dict[str, Any]] = []
    for i in range(count):
        if i % 6 == 5:  # names repeat by chance: some firms are the same beyond doubt
            firm = f"{rows[-1]['organisation_name']} {random.randrange(100, 999)}"
            rows[-1] |= {"organisation_name": firm, "website_domain": f"firm{i}.example"}
            rows.append({**rows[-1], "source": "erp_ledger", "record_id": f"{i:03}"})
            continue
        name = random.choice(FIRMS)
        rows.append(
            {
                "source": random.choice(("crm_accounts", "erp_customers")),
                "record_id": f"{i:03}",
                "organisation_name": f"{name} {random.choice(('', 'Nord', 'Süd', '2'))}".strip(),
                "website_domain": random.choice((None, "acme.example", "acme.test", "nordwind.example")),
                "phone": f"+4930{random.randrange(1000000, 1000050)}" if random.random() < 0.6 else None,
                "street": random.choice(STREETS),
                "city": random.choice(CITIES),
                "postal_code": random.choice(("50667", "50668", None)),
                "country_code": random.choice(("DE", "FR", None)),
                "tax_id": random.choice((None, None, "DE123456789", "DE123456780")),
            }
        )
    return _shaped("conformed.organisations", rows)


def records_of(kind: EntityKind) -> pl.DataFrame:
    return people() if kind == "person" else organisations()


def linked(
    kind: EntityKind,
    records: pl.DataFrame,
    model: FrozenModel | None,
    engine: Engine | None,
    before: NightBefore | None = None,
) -> Linkage:
    nothing = contract_of("stewardship.decisions").empty()
    return link(
        kind, records, Register.empty(), nothing, model, NIGHT, LinkageSettings(), before, engine=engine
    )


def differing(one: Linkage, other: Linkage) -> list[str]:
    return [name for name in TABLES if not getattr(one, name).equals(getattr(other, name))]
