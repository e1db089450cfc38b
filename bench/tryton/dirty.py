"""Dirty parties for a prepared Tryton: what years of several hands leave behind; invoices and a statement.

Everything goes through Tryton's own RPC, as its client would send it. What does not belong here: the books
(`books`), and what becomes of it (`circle`).
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from crm_hygiene.writeback.targets.tryton_rpc import TrytonSession

FREIBURG = {"street": "Kaiser-Joseph-Straße 12", "postal_code": "79098", "city": "Freiburg"}
MUENSTER = {"street": "Hafenweg 3", "postal_code": "48155", "city": "Münster"}

#: The fiscal year that `books` opens.
YEAR = 2025

#: name, mechanisms, tax number, address. The first three and the next three are one customer each.
ORGANISATIONS: tuple[tuple[str, dict[str, str], str | None, dict[str, str] | None], ...] = (
    (
        "Solaris Energietechnik GmbH",
        {"email": "info@solaris-energie.example", "website": "https://www.solaris-energie.example"},
        "DE136695976",
        FREIBURG,
    ),
    ("SOLARIS ENERGIETECHNIK GMBH", {"phone": "+49 761 4567890"}, "DE136695976", FREIBURG),
    ("Solaris  Energietechnik Gmbh", {"email": "Info@Solaris-Energie.EXAMPLE"}, "DE136695976", None),
    ("Berger KG", {}, "DE811569869", MUENSTER),
    ("Berger & Söhne KG", {}, "DE811569869", MUENSTER),
    (
        "Berger & Söhne KG",
        {"phone": "+49 251 987650", "email": "kontor@berger-soehne.example"},
        "DE811569869",
        None,
    ),
    ("Alpenblick Hotel AG", {"email": "empfang@alpenblick.example"}, None, FREIBURG),
)

#: name, mechanisms, categories besides Person, address. The first three pairs are one person each; the third
#: has opted out, so that nothing of it may be changed.
PEOPLE: tuple[tuple[str, dict[str, str], tuple[str, ...], dict[str, str] | None], ...] = (
    ("Ada Krüger", {"email": "ada.krueger@solaris-energie.example"}, (), FREIBURG),
    ("ADA KRÜGER", {"email": "Ada.Krueger@solaris-energie.example", "mobile": "+49 171 2345678"}, (), None),
    ("Mira Haas", {"mobile": "+49 160 7654321", "email": "mira.haas@alpenblick.example"}, (), None),
    ("mira haas", {"email": "mira.haas@alpenblick.example"}, (), MUENSTER),
    ("Jonas Weber", {"email": "jonas.weber@berger-soehne.example"}, ("No e-mail",), None),
    (
        "Jonas Weber",
        {"email": "jonas.weber@berger-soehne.example", "mobile": "+49 1522 1112223"},
        ("No e-mail",),
        None,
    ),
    ("Lena Vogt", {"email": "lena.vogt@freemail.example"}, (), MUENSTER),
)


def seed(session: TrytonSession) -> dict[str, list[int]]:
    """Make all of it; ids by what they are, in the order above."""
    categories = {r["name"]: r["id"] for r in _all(session, "party.category", "name")}
    countries = {r["code"]: r["id"] for r in _all(session, "country.country", "code")}

    def party(
        name: str, mechanisms: dict[str, str], address: dict[str, str] | None, **also: Any
    ) -> dict[str, Any]:
        values: dict[str, Any] = {"name": name, **also}
        if mechanisms:
            made = [{"type": kind, "value": value} for kind, value in mechanisms.items()]
            values["contact_mechanisms"] = [["create", made]]
        if address:
            values["addresses"] = [["create", [{**address, "country": countries["DE"]}]]]
        return values

    organisations = [
        party(
            name,
            ways,
            address,
            **({"identifiers": [["create", [{"type": "eu_vat", "code": tax}]]]} if tax else {}),
        )
        for name, ways, tax, address in ORGANISATIONS
    ]
    people = [
        party(name, ways, address, categories=[["add", [categories[c] for c in ("Person", *more)]]])
        for name, ways, more, address in PEOPLE
    ]
    made = {
        "organisations": _create(session, "party.party", organisations),
        "people": _create(session, "party.party", people),
    }
    made["opportunities"] = _opportunities(session, made)
    made["invoices"] = _invoices(session, made["organisations"])
    made["entries"] = _statement(session, made["organisations"])
    return made


def _opportunities(session: TrytonSession, made: dict[str, list[int]]) -> list[int]:
    about = (
        ("Rooftop plant", made["organisations"][1], "48000"),
        ("Storage", made["organisations"][2], "12500.50"),
        ("Heat pumps", made["organisations"][5], "9900"),
        ("Spa refit", made["people"][3], "3100"),
    )
    values = [
        {"description": name, "party": party, "amount": Decimal(amount), "start_date": date(YEAR, 3, 1)}
        for name, party, amount in about
    ]
    return _create(session, "sale.opportunity", values)


def _invoices(session: TrytonSession, organisations: list[int]) -> list[int]:
    """Posted customer invoices, numbered INV2025-0001 on."""
    accounts = _all(session, "account.account", "closed", "type.receivable", "type.revenue")
    usable = [a for a in accounts if a["type."] is not None and not a["closed"]]
    receivable = next(a["id"] for a in usable if a["type."]["receivable"])
    revenue = next(a["id"] for a in usable if a["type."]["revenue"])
    journal = next(j["id"] for j in _all(session, "account.journal", "type") if j["type"] == "revenue")
    addresses: dict[int, int] = {}
    for row in _all(session, "party.address", "party"):
        addresses.setdefault(row["party"], row["id"])
    values = []
    for day, (party, amount) in enumerate(
        ((organisations[0], "1190.00"), (organisations[1], "595.00"), (organisations[3], "2380.00"),
         (organisations[6], "714.00")),
        start=3,
    ):  # fmt: skip
        line = {
            "description": "As ordered",
            "quantity": 1.0,
            "unit_price": Decimal(amount),
            "account": revenue,
        }
        values.append(
            {
                "type": "out", "party": party, "invoice_address": addresses[party], "account": receivable,
                "journal": journal, "invoice_date": date(YEAR, 4, day), "lines": [["create", [line]]],
            }
        )  # fmt: skip
    invoices = _create(session, "account.invoice", values)
    for invoice in invoices:
        session.call("model.account.invoice.post", [invoice], changes=True)
    return invoices


def _statement(session: TrytonSession, organisations: list[int]) -> list[int]:
    """A draft statement with three entries, of which the last two pay what they name."""
    journal = _all(session, "account.statement.journal", "name")[0]["id"]
    entries = [
        {"date": date(YEAR, 4, 28), "amount": Decimal("19.90"), "number": "B-1", "description": "Interest"},
        {
            "date": date(YEAR, 4, 29), "amount": Decimal("1190.00"), "number": "B-2",
            "description": f"Invoice INV{YEAR}-0001 thank you", "party": organisations[0],
        },
        {
            "date": date(YEAR, 4, 30), "amount": Decimal("2380.00"), "number": "B-3",
            "description": f"INVOICE INV{YEAR}-0003", "party": organisations[3],
        },
    ]  # fmt: skip
    statement = {
        "name": "April", "journal": journal, "date": date(YEAR, 4, 30), "total_amount": Decimal("3589.90"),
        "origins": [["create", entries]],
    }  # fmt: skip
    _create(session, "account.statement", [statement])
    return sorted(row["id"] for row in _all(session, "account.statement.origin", "number"))


def _create(session: TrytonSession, model: str, values: list[dict[str, Any]]) -> list[int]:
    made: list[int] = session.call(f"model.{model}.create", values, changes=True)
    return made


def _all(session: TrytonSession, model: str, *fields: str) -> list[dict[str, Any]]:
    order = [["id", "ASC"]]
    rows: list[dict[str, Any]] = session.call(
        f"model.{model}.search_read", [], 0, None, order, ["id", *fields]
    )
    return rows
