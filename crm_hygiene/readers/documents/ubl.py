"""UBL 2.1 Invoice and CreditNote (OASIS; EN 16931 syntax binding CEN/TS 16931-3-2)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from crm_hygiene.readers.documents.einvoice import EInvoice, Line, Party, kind_of_code
from crm_hygiene.readers.documents.elements import Element, child, children, local_name, number, text
from crm_hygiene.readers.documents.invoice_sums import Totals
from crm_hygiene.readers.documents.payment_terms import Discount, read_terms

ROOTS = ("Invoice", "CreditNote")
_PERIOD_DAYS = {"DAY": 1, "D": 1, "WEE": 7}


def read_ubl(root: Element) -> EInvoice:
    """An invoice or credit note as it states itself."""
    is_credit = local_name(root) == "CreditNote"
    issued = text(root, "IssueDate")
    currency = text(root, "DocumentCurrencyCode")
    note = " ".join(filter(None, (text(t, "Note") for t in children(root, "PaymentTerms"))))
    payment = child(root, "PaymentMeans")
    return EInvoice(
        number=text(root, "ID"),
        kind="credit_note" if is_credit else kind_of_code(text(root, "InvoiceTypeCode")),
        currency=currency,
        totals=totals_of(root),
        seller=_party(child(root, "AccountingSupplierParty/Party")),
        buyer=_party(child(root, "AccountingCustomerParty/Party")),
        issue_date=issued,
        due_date=text(root, "DueDate")
        or text(payment, "PaymentDueDate")
        or text(root, "PaymentTerms/PaymentDueDate"),
        corrects=text(root, "BillingReference/InvoiceDocumentReference/ID"),
        order_number=text(root, "OrderReference/ID"),
        payment_reference=text(payment, "PaymentID"),
        terms_text=note,
        terms=read_terms(note, _discounts(root, issued)),
        payee_iban=text(payment, "PayeeFinancialAccount/ID"),
        lines=tuple(
            line
            for element in (*children(root, "InvoiceLine"), *children(root, "CreditNoteLine"))
            for line in [_line(element)]
            if line is not None
        ),
    )


def _party(party: Element | None) -> Party:
    tax = next(
        (
            text(scheme, "CompanyID")
            for scheme in children(party, "PartyTaxScheme")
            if text(scheme, "TaxScheme/ID").upper() in ("VAT", "")
        ),
        "",
    )
    return Party(
        name=text(party, "PartyLegalEntity/RegistrationName", "PartyName/Name"),
        tax_id=tax,
        country=text(party, "PostalAddress/Country/IdentificationCode"),
        identifiers=tuple(
            filter(
                None,
                (
                    text(party, "PartyIdentification/ID"),
                    tax,
                    text(party, "PartyLegalEntity/CompanyID"),
                    text(party, "EndpointID"),
                ),
            )
        ),
    )


def totals_of(root: Element) -> Totals:
    """The document's totals and what they are made of."""
    stated = child(root, "LegalMonetaryTotal")
    currency = text(root, "DocumentCurrencyCode")

    def amount(name: str) -> Decimal | None:
        return number(text(stated, name))

    adjustments: dict[bool, list[Decimal]] = {True: [], False: []}
    for element in children(root, "AllowanceCharge"):
        value = number(text(element, "Amount"))
        if value is not None:
            adjustments[text(element, "ChargeIndicator") in ("true", "1")].append(value)
    lines = [
        number(text(line, "LineExtensionAmount"))
        for line in (*children(root, "InvoiceLine"), *children(root, "CreditNoteLine"))
    ]
    return Totals(
        lines=amount("LineExtensionAmount"),
        allowances=amount("AllowanceTotalAmount"),
        charges=amount("ChargeTotalAmount"),
        net=amount("TaxExclusiveAmount"),
        taxes=_taxes(root, currency),
        gross=amount("TaxInclusiveAmount"),
        prepaid=amount("PrepaidAmount"),
        rounding=amount("PayableRoundingAmount"),
        payable=amount("PayableAmount"),
        line_amounts=[v for v in lines if v is not None],
        allowance_amounts=adjustments[False],
        charge_amounts=adjustments[True],
    )


def _taxes(root: Element, currency: str) -> list[Decimal]:
    """Total tax in the document's currency; a second total may be in the currency of the tax office."""
    found = [
        number((e.text or "").strip())
        for e in children(root, "TaxTotal/TaxAmount")
        if not currency or e.get("currencyID") in (currency, None)
    ]
    return [v for v in found if v is not None]


def _discounts(root: Element, issued: str) -> list[Discount]:
    found = []
    for terms in children(root, "PaymentTerms"):
        percent = number(text(terms, "SettlementDiscountPercent"))
        if percent is None:
            continue
        measure = child(terms, "SettlementPeriod/DurationMeasure")
        days = number(text(terms, "SettlementPeriod/DurationMeasure"))
        if measure is not None and days is not None:
            per = _PERIOD_DAYS.get(measure.get("unitCode", "DAY"))
            if per is not None:
                found.append(Discount(percent, int(days) * per))
            continue
        try:
            end = date.fromisoformat(text(terms, "SettlementPeriod/EndDate"))
            found.append(Discount(percent, (end - date.fromisoformat(issued)).days))
        except ValueError:
            continue
    return found


def _line(element: Element) -> Line | None:
    amount = number(text(element, "LineExtensionAmount"))
    if amount is None:
        return None
    price = number(text(element, "Price/PriceAmount"))
    per = number(text(element, "Price/BaseQuantity"))
    item = child(element, "Item")
    return Line(
        number=text(element, "ID"),
        amount=amount,
        quantity=number(text(element, "InvoicedQuantity", "CreditedQuantity")),
        unit_price=price / per if price is not None and per else price,
        item_id=text(
            item,
            "SellersItemIdentification/ID",
            "BuyersItemIdentification/ID",
            "StandardItemIdentification/ID",
        ),
        description=text(item, "Name", "Description"),
        order_number=text(element, "OrderLineReference/OrderReference/ID"),
        order_line=text(element, "OrderLineReference/LineID"),
    )
