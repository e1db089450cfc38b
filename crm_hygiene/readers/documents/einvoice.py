"""One e-invoice, whatever syntax it came in, and its rows in the landing layout of the family.

Amounts and quantities keep the document's signs here; rows of credit notes are negative.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from crm_hygiene.readers.documents.elements import plain_number
from crm_hygiene.readers.documents.invoice_sums import Totals
from crm_hygiene.readers.documents.payment_terms import Terms

COLUMNS = (
    "RowKind",
    "DocumentKey",
    "DocumentKind",
    "InvoiceNumber",
    "CorrectsInvoiceNumber",
    "SellerKey",
    "SellerName",
    "CustomerKey",
    "CustomerName",
    "CustomerTaxId",
    "CustomerCountry",
    "IssueDate",
    "DueDate",
    "Currency",
    "Amount",
    "OrderNumber",
    "PaymentReference",
    "PaymentTerms",
    "DiscountDays",
    "DiscountPercent",
    "LateInterestPercent",
    "PayeeIban",
    "LineKey",
    "LineNumber",
    "ItemId",
    "ItemDescription",
    "Quantity",
    "UnitPrice",
    "OrderLine",
)

# UNTDID 1001 codes as EN 16931 uses them; everything else that is billed is an invoice.
_CREDIT_NOTES = frozenset({"81", "83", "261", "262", "296", "308", "381", "396", "420", "458", "532"})
_DEBIT_NOTES = frozenset({"80", "84", "383"})

Row = dict[str, str | None]


def kind_of_code(code: str) -> str:
    """`credit_note`, `debit_note` or `invoice` for a document type code."""
    return "credit_note" if code in _CREDIT_NOTES else "debit_note" if code in _DEBIT_NOTES else "invoice"


@dataclass(frozen=True)
class Party:
    """Seller or buyer as the document names it; `key` is what tells it from others of its kind."""

    name: str = ""
    tax_id: str = ""
    country: str = ""
    identifiers: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The first identifier, else the tax number, else the name."""
        return next((i for i in (*self.identifiers, self.tax_id, self.name) if i), "")


@dataclass(frozen=True)
class Line:
    """One billed line; the price is per unit."""

    number: str
    amount: Decimal
    quantity: Decimal | None = None
    unit_price: Decimal | None = None
    item_id: str = ""
    description: str = ""
    order_number: str = ""
    order_line: str = ""


@dataclass(frozen=True)
class EInvoice:
    """An e-invoice as read, its sums not yet proven."""

    number: str
    kind: str
    currency: str
    totals: Totals
    seller: Party = field(default_factory=Party)
    buyer: Party = field(default_factory=Party)
    issue_date: str = ""
    due_date: str = ""
    corrects: str = ""
    order_number: str = ""
    payment_reference: str = ""
    terms_text: str = ""
    terms: Terms = field(default_factory=Terms)
    payee_iban: str = ""
    lines: tuple[Line, ...] = ()

    @property
    def amount(self) -> Decimal | None:
        """What is due: the payable amount, else the total less what was prepaid."""
        t = self.totals
        if t.payable is not None or t.gross is None:
            return t.payable
        return t.gross - (t.prepaid or Decimal(0))

    def rows(self) -> list[Row]:
        """The header row and one row per line.

        A credit note over a negative amount takes a credit back, which is a debit note. An invoice over a
        negative amount that names the invoice it corrects is a credit note; one that names none stays a
        negative invoice.
        """
        is_credit = self.kind == "credit_note"
        amount = self.amount
        kind = self.kind
        if is_credit and amount is not None and amount < 0:
            kind = "debit_note"
        if kind == "invoice" and amount is not None and amount < 0 and self.corrects:
            kind = "credit_note"
        sign = -1 if is_credit else 1
        # Numbers are unique per seller only, and credit notes may be numbered like invoices.
        key = "/".join(p for p in (self.seller.tax_id or self.seller.key, self.number) if p)
        if is_credit:
            key += "/credit_note"
        shared: Row = {"DocumentKey": key, "Currency": self.currency or None}
        discount = self.terms.discount
        header: Row = shared | {
            "RowKind": "invoice",
            "DocumentKind": kind,
            "InvoiceNumber": self.number,
            "CorrectsInvoiceNumber": self.corrects or None,
            "SellerKey": self.seller.key or None,
            "SellerName": self.seller.name or None,
            "CustomerKey": self.buyer.key or None,
            "CustomerName": self.buyer.name or None,
            "CustomerTaxId": self.buyer.tax_id or None,
            "CustomerCountry": self.buyer.country or None,
            "IssueDate": self.issue_date or None,
            "DueDate": self.due_date or None,
            "Amount": plain_number(None if amount is None else sign * amount),
            "OrderNumber": self.order_number or None,
            "PaymentReference": self.payment_reference or None,
            "PaymentTerms": self.terms_text or None,
            "DiscountDays": str(discount.days) if discount else None,
            "DiscountPercent": plain_number(discount.percent) if discount else None,
            "LateInterestPercent": plain_number(self.terms.late_interest_percent),
            "PayeeIban": self.payee_iban or None,
        }
        rows = [header]
        seen: dict[str, int] = {}
        for ordinal, line in enumerate(self.lines, start=1):
            name = line.number or f"line {ordinal}"
            seen[name] = seen.get(name, 0) + 1
            line_key = f"{key}:{name}" if seen[name] == 1 else f"{key}:{name}#{seen[name]}"
            rows.append(
                shared
                | {
                    "RowKind": "line",
                    "LineKey": line_key,
                    "LineNumber": line.number or str(ordinal),
                    "ItemId": line.item_id or None,
                    "ItemDescription": line.description or None,
                    "Quantity": plain_number(None if line.quantity is None else sign * line.quantity),
                    "UnitPrice": plain_number(line.unit_price),
                    "Amount": plain_number(sign * line.amount),
                    "OrderNumber": line.order_number or self.order_number or None,
                    "OrderLine": line.order_line or None,
                }
            )
        return rows
