"""Run by Tryton's own Python, `books.py config database password`: a company that can issue invoices.

A new Tryton has no company, no chart of accounts and no user but admin. This makes them through Tryton's own
models, once per prepared database. What does not belong here: parties (`dirty`); nothing of crm_hygiene is
imported, for it is not installed where Tryton is.
"""

from __future__ import annotations

import datetime
import sys
from decimal import Decimal
from typing import Any

from trytond import config

YEAR = 2025

#: What the write-back's user may do, by the XML ids of Tryton's own groups.
GROUPS = (("sale_opportunity", "group_opportunity"), ("account_statement", "group_statement"))

#: What it may only read: Tryton has no group for that, so it gets one of its own (docs/targets/tryton.md).
READ_ONLY = ("account.invoice",)


def main(path: str, database: str, password: str) -> None:
    """Company, chart of accounts, fiscal year, statement journal, categories and the user `hygiene`."""
    config.update_etc(path)
    from trytond.pool import Pool
    from trytond.transaction import Transaction, TransactionError

    Pool.start()
    pool = Pool(database)
    with Transaction().start(database, 0, readonly=True):
        pool.init()
    extras: dict[str, Any] = {}
    while True:
        with Transaction().start(database, 1, **extras) as transaction:
            try:
                _make(pool, transaction, password)
            except TransactionError as error:
                # On SQLite a table is locked only from a transaction's beginning: Tryton asks to begin anew.
                transaction.rollback()
                error.fix(extras)
                continue
            transaction.commit()
            return


def _make(pool: Any, transaction: Any, password: str) -> None:
    company = _company(pool)
    with transaction.set_context(company=company.id, companies=[company.id]):
        _chart(pool, company)
        _fiscal_year(pool, company)
        _statement_journal(pool, company)
    _user(pool, company, password)


def _company(pool: Any) -> Any:
    country, _ = pool.get("country.country").create(
        [{"name": "Germany", "code": "DE"}, {"name": "Austria", "code": "AT"}]
    )
    currency, = pool.get("currency.currency").create(
        [
            {
                "name": "Euro", "code": "EUR", "symbol": "€", "digits": 2, "rounding": Decimal("0.01"),
                "rates": [("create", [{"date": datetime.date(YEAR, 1, 1), "rate": Decimal(1)}])],
            }
        ]
    )  # fmt: skip
    pool.get("party.category").create([{"name": n} for n in ("Person", "No e-mail", "No phone")])
    (seller,) = pool.get("party.party").create(
        [{"name": "Nordwerk GmbH", "code": "US", "addresses": [("create", [{"country": country.id}])]}]
    )
    company = pool.get("company.company")(party=seller, currency=currency)
    company.save()
    user = pool.get("res.user")(1)
    user.companies, user.company = [company], company
    user.save()
    return company


def _chart(pool: Any, company: Any) -> None:
    wizard = pool.get("account.create_chart", type="wizard")
    template = pool.get("ir.model.data").get_id("account", "account_template_root_en")
    session_id, _, _ = wizard.create()
    chart = wizard(session_id)
    chart.account.account_template = pool.get("account.account.template")(template)
    chart.account.company = company
    chart.transition_create_account()
    account = pool.get("account.account")
    chart.properties.company = company
    (chart.properties.account_receivable,) = account.search(
        [("type.receivable", "=", True), ("party_required", "=", True), ("company", "=", company.id)], limit=1
    )
    (chart.properties.account_payable,) = account.search(
        [("type.payable", "=", True), ("party_required", "=", True), ("company", "=", company.id)], limit=1
    )
    chart.transition_create_properties()


def _fiscal_year(pool: Any, company: Any) -> None:
    kinds = pool.get("ir.sequence.type")
    sequence = pool.get("ir.sequence.strict")

    def numbered(kind: str) -> Any:
        (of_kind,) = kinds.search([("name", "=", kind)], limit=1)
        (made,) = sequence.create(
            [
                {
                    "name": f"{kind} {YEAR}", "sequence_type": of_kind.id, "company": company.id,
                    "prefix": f"INV{YEAR}-", "padding": 4,
                }
            ]
        )  # fmt: skip
        return made

    invoices = numbered("Invoice").id
    names = ("in_invoice", "in_credit_note", "out_invoice", "out_credit_note")
    year, = pool.get("account.fiscalyear").create(
        [
            {
                "name": str(YEAR), "company": company.id, "move_sequence": numbered("Account Move").id,
                "start_date": datetime.date(YEAR, 1, 1), "end_date": datetime.date(YEAR, 12, 31),
                "invoice_sequences": [("create", [{f"{n}_sequence": invoices for n in names}])],
            }
        ]
    )  # fmt: skip
    pool.get("account.fiscalyear").create_period([year])


def _statement_journal(pool: Any, company: Any) -> None:
    (account,) = pool.get("account.account").search(
        [("code", "=", "1.1.1"), ("company", "=", company.id)], limit=1
    )
    journal = pool.get("account.journal").create([{"name": "Bank", "code": "BANK", "type": "statement"}])[0]
    pool.get("account.statement.journal").create(
        [
            {
                "name": "Bank", "journal": journal.id, "company": company.id, "validation": "amount",
                "account": account.id, "currency": company.currency.id,
            }
        ]
    )  # fmt: skip


def _user(pool: Any, company: Any, password: str) -> None:
    data = pool.get("ir.model.data")
    user = pool.get("res.user")(name="CRM hygiene", login="hygiene", password=password)
    user.companies, user.company = [company], company
    reader = pool.get("res.group")(name="CRM hygiene")
    reader.save()
    no_more = {"perm_write": False, "perm_create": False, "perm_delete": False}
    pool.get("ir.model.access").create(
        [{"model": m, "group": reader.id, "perm_read": True, **no_more} for m in READ_ONLY]
    )
    user.groups = [reader, *(pool.get("res.group")(data.get_id(*g)) for g in GROUPS)]
    user.save()


if __name__ == "__main__":
    main(*sys.argv[1:4])
