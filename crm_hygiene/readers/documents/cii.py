"""UN/CEFACT Cross Industry Invoice (D16B, D22B) as EN 16931, Factur-X and XRechnung use it, and ZUGFeRD 1.0.

ZUGFeRD 1.0 (2014) is the same model under an older draft's names; both are read along the same paths.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from crm_hygiene.readers.documents.einvoice import EInvoice, Line, Party, kind_of_code
from crm_hygiene.readers.documents.elements import Element, child, children, local_name, number, text
from crm_hygiene.readers.documents.invoice_sums import Totals
from crm_hygiene.readers.documents.payment_terms import Discount, read_terms

ROOTS = ("CrossIndustryInvoice", "CrossIndustryDocument")
_DATE_FORMATS = {"102": "%Y%m%d", "203": "%Y%m%d%H%M", "101": "%y%m%d"}
_PERIOD_DAYS = {"DAY": 1, "D": 1, "WEE": 7}
# Lines that group or comment others; their amounts are those of the lines below them.
_NOT_BILLED = frozenset({"GROUP", "INFORMATION"})


def _first(element: Element | None, *paths: str) -> Element | None:
    return next((found for path in paths for found in children(element, path)), None)


def _trade(root: Element) -> Element | None:
    return _first(root, "SupplyChainTradeTransaction", "SpecifiedSupplyChainTradeTransaction")


def _settlement(root: Element) -> Element | None:
    return _first(_trade(root), "ApplicableHeaderTradeSettlement", "ApplicableSupplyChainTradeSettlement")


def _date(element: Element | None) -> str:
    """ISO date of a DateTimeString in one of its formats; empty if there is none to be read."""
    holder = _first(element, "DateTimeString", "DateString")
    said = (holder.text or "").strip() if holder is not None else ""
    if holder is None and element is not None:
        said = (element.text or "").strip()
    try:
        return datetime.strptime(said, _DATE_FORMATS[holder.get("format", "102")]).date().isoformat()  # type: ignore[union-attr]
    except (AttributeError, KeyError, ValueError):
        return said[:10] if len(said) >= 10 and said[4:5] == "-" else ""


def read_cii(root: Element) -> EInvoice:
    """An invoice or credit note as it states itself."""
    trade = _trade(root)
    document = _first(root, "ExchangedDocument", "HeaderExchangedDocument")
    agreement = _first(trade, "ApplicableHeaderTradeAgreement", "ApplicableSupplyChainTradeAgreement")
    settlement = _settlement(root)
    issued = _date(child(document, "IssueDateTime"))
    terms = children(settlement, "SpecifiedTradePaymentTerms")
    said = " ".join(filter(None, (text(t, "Description") for t in terms)))
    return EInvoice(
        number=text(document, "ID"),
        kind=kind_of_code(text(document, "TypeCode")),
        currency=text(settlement, "InvoiceCurrencyCode"),
        totals=totals_of(root),
        seller=_party(child(agreement, "SellerTradeParty")),
        buyer=_party(child(agreement, "BuyerTradeParty")),
        issue_date=issued,
        due_date=next(filter(None, (_date(child(t, "DueDateDateTime")) for t in terms)), ""),
        corrects=text(
            settlement, "InvoiceReferencedDocument/IssuerAssignedID", "InvoiceReferencedDocument/ID"
        ),
        order_number=text(
            agreement,
            "BuyerOrderReferencedDocument/IssuerAssignedID",
            "BuyerOrderReferencedDocument/ID",
        ),
        payment_reference=text(settlement, "PaymentReference"),
        terms_text=said,
        terms=read_terms(said, _discounts(terms, issued)),
        payee_iban=text(
            settlement, "SpecifiedTradeSettlementPaymentMeans/PayeePartyCreditorFinancialAccount/IBANID"
        ),
        lines=tuple(line for element in _lines(root) for line in [_line(element)] if line is not None),
    )


def _lines(root: Element) -> list[Element]:
    return [
        element
        for element in children(_trade(root), "IncludedSupplyChainTradeLineItem")
        if text(element, "AssociatedDocumentLineDocument/LineStatusReasonCode").upper() not in _NOT_BILLED
    ]


def _party(party: Element | None) -> Party:
    registrations = {
        holder.get("schemeID", ""): " ".join((holder.text or "").split())
        for holder in children(party, "SpecifiedTaxRegistration/ID")
    }
    tax = registrations.get("VA") or ""
    return Party(
        name=text(party, "Name", "SpecifiedLegalOrganization/TradingBusinessName"),
        tax_id=tax,
        country=text(party, "PostalTradeAddress/CountryID"),
        identifiers=tuple(
            filter(
                None,
                (
                    text(party, "ID", "GlobalID"),
                    tax,
                    text(party, "SpecifiedLegalOrganization/ID"),
                    registrations.get("FC", ""),
                ),
            )
        ),
    )


def totals_of(root: Element) -> Totals:
    """The document's totals and what they are made of."""
    settlement = _settlement(root)
    stated = _first(
        settlement,
        "SpecifiedTradeSettlementHeaderMonetarySummation",
        "SpecifiedTradeSettlementMonetarySummation",
    )
    currency = text(settlement, "InvoiceCurrencyCode")

    def amounts(name: str) -> list[Decimal]:
        # A total may be repeated in the currency of the tax office.
        found = [
            number((e.text or "").strip())
            for e in children(stated, name)
            if not currency or e.get("currencyID") in (currency, None)
        ]
        return [v for v in found if v is not None]

    def amount(name: str) -> Decimal | None:
        return next(iter(amounts(name)), None)

    adjustments: dict[bool, list[Decimal]] = {True: [], False: []}
    for element in children(settlement, "SpecifiedTradeAllowanceCharge"):
        value = number(text(element, "ActualAmount"))
        if value is not None:
            is_charge = text(element, "ChargeIndicator/Indicator", "ChargeIndicator") in ("true", "1")
            # ZUGFeRD 1.0 left the sign of an allowance open; its own sample takes 21.55 off as -21.55.
            adjustments[is_charge].append(
                abs(value) if local_name(root) == "CrossIndustryDocument" else value
            )
    for element in children(settlement, "SpecifiedLogisticsServiceCharge"):
        value = number(text(element, "AppliedAmount"))
        if value is not None:
            adjustments[True].append(value)
    lines = [_line_amount(line) for line in _lines(root)]
    return Totals(
        lines=amount("LineTotalAmount"),
        allowances=amount("AllowanceTotalAmount"),
        charges=amount("ChargeTotalAmount"),
        net=amount("TaxBasisTotalAmount"),
        taxes=amounts("TaxTotalAmount"),
        gross=amount("GrandTotalAmount"),
        prepaid=amount("TotalPrepaidAmount"),
        rounding=amount("RoundingAmount"),
        payable=amount("DuePayableAmount"),
        line_amounts=[v for v in lines if v is not None],
        allowance_amounts=adjustments[False],
        charge_amounts=adjustments[True],
    )


def _discounts(terms: list[Element], issued: str) -> list[Discount]:
    found = []
    for granted in (d for t in terms for d in children(t, "ApplicableTradePaymentDiscountTerms")):
        percent = number(text(granted, "CalculationPercent"))
        measure = child(granted, "BasisPeriodMeasure")
        days = number(text(granted, "BasisPeriodMeasure"))
        per = _PERIOD_DAYS.get(measure.get("unitCode", "DAY")) if measure is not None else None
        if percent is None or days is None or per is None:
            continue
        # The days count from a basis date that need not be the date of issue.
        offset = 0
        basis = _date(child(granted, "BasisDateTime"))
        if basis and issued:
            offset = (date.fromisoformat(basis) - date.fromisoformat(issued)).days
        found.append(Discount(percent, int(days) * per + offset))
    return found


def _line_amount(element: Element) -> Decimal | None:
    settled = _first(element, "SpecifiedLineTradeSettlement", "SpecifiedSupplyChainTradeSettlement")
    return number(
        text(
            settled,
            "SpecifiedTradeSettlementLineMonetarySummation/LineTotalAmount",
            "SpecifiedTradeSettlementMonetarySummation/LineTotalAmount",
        )
    )


def _line(element: Element) -> Line | None:
    amount = _line_amount(element)
    if amount is None:
        return None
    agreed = _first(element, "SpecifiedLineTradeAgreement", "SpecifiedSupplyChainTradeAgreement")
    delivered = _first(element, "SpecifiedLineTradeDelivery", "SpecifiedSupplyChainTradeDelivery")
    price = number(text(agreed, "NetPriceProductTradePrice/ChargeAmount"))
    per = number(text(agreed, "NetPriceProductTradePrice/BasisQuantity"))
    product = child(element, "SpecifiedTradeProduct")
    return Line(
        number=text(element, "AssociatedDocumentLineDocument/LineID"),
        amount=amount,
        quantity=number(text(delivered, "BilledQuantity")),
        unit_price=price / per if price is not None and per else price,
        item_id=text(product, "SellerAssignedID", "BuyerAssignedID", "GlobalID"),
        description=text(product, "Name", "Description"),
        order_number=text(agreed, "BuyerOrderReferencedDocument/IssuerAssignedID"),
        order_line=text(agreed, "BuyerOrderReferencedDocument/LineID"),
    )
