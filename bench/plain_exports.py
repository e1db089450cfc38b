"""The sample's exports as a plain script would read them: CSV with Polars, a few lines of cleaning.

No contracts, gates, quarantine or history; what is not needed for linking is read and written as it is.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

# Per export: its file, then column of ours -> column of theirs.
PEOPLE: dict[str, tuple[str, dict[str, str]]] = {
    "salesforce_contacts": (
        "salesforce/Contact.csv",
        {
            "record_id": "Id", "given_name": "FirstName", "family_name": "LastName", "email": "Email",
            "phone": "Phone", "mobile_phone": "MobilePhone", "job_title": "Title", "street": "MailingStreet",
            "city": "MailingCity", "region": "MailingState", "postal_code": "MailingPostalCode",
            "country_code": "MailingCountry", "birth_date": "Birthdate",
        },
    ),
    "salesforce_leads": (
        "salesforce/Lead.csv",
        {
            "record_id": "Id", "given_name": "FirstName", "family_name": "LastName", "email": "Email",
            "phone": "Phone", "mobile_phone": "MobilePhone", "job_title": "Title",
            "organisation_name": "Company", "website_domain": "Website", "street": "Street", "city": "City",
            "region": "State", "postal_code": "PostalCode", "country_code": "Country",
        },
    ),
    "hubspot_contacts": (
        "hubspot/contacts.csv",
        {
            "record_id": "Record ID", "given_name": "First Name", "family_name": "Last Name",
            "email": "Email", "phone": "Phone Number", "mobile_phone": "Mobile Phone Number",
            "job_title": "Job Title", "organisation_name": "Company Name", "street": "Street Address",
            "city": "City", "region": "State/Region", "postal_code": "Postal Code",
            "country_code": "Country/Region",
        },
    ),
    "dynamics_contacts": (
        "dynamics/contacts.csv",
        {
            "record_id": "contactid", "given_name": "firstname", "middle_name": "middlename",
            "family_name": "lastname", "email": "emailaddress1", "phone": "telephone1",
            "mobile_phone": "mobilephone", "job_title": "jobtitle", "street": "address1_line1",
            "city": "address1_city", "region": "address1_stateorprovince",
            "postal_code": "address1_postalcode", "country_code": "address1_country",
            "birth_date": "birthdate",
        },
    ),
    "dynamics_leads": (
        "dynamics/leads.csv",
        {
            "record_id": "leadid", "given_name": "firstname", "family_name": "lastname",
            "full_name": "fullname", "email": "emailaddress1", "phone": "telephone1",
            "mobile_phone": "mobilephone", "job_title": "jobtitle", "organisation_name": "companyname",
            "website_domain": "websiteurl", "country_code": "address1_country",
        },
    ),
    "form_submissions": (
        "forms/submissions.jsonl",
        {
            "record_id": "submission_id", "given_name": "first_name", "family_name": "last_name",
            "email": "email", "phone": "phone", "organisation_name": "company", "country_code": "country",
        },
    ),
}  # fmt: skip
ORGANISATIONS: dict[str, tuple[str, dict[str, str]]] = {
    "salesforce_accounts": (
        "salesforce/Account.csv",
        {
            "record_id": "Id", "organisation_name": "Name", "website_domain": "Website", "phone": "Phone",
            "street": "BillingStreet", "city": "BillingCity", "postal_code": "BillingPostalCode",
            "country_code": "BillingCountry", "tax_id": "VAT_Number__c",
        },
    ),
    "hubspot_companies": (
        "hubspot/companies.csv",
        {
            "record_id": "Record ID", "organisation_name": "Company name",
            "website_domain": "Company Domain Name", "phone": "Phone Number", "street": "Street Address",
            "city": "City", "postal_code": "Postal Code", "country_code": "Country/Region",
        },
    ),
    "dynamics_accounts": (
        "dynamics/accounts.csv",
        {
            "record_id": "accountid", "organisation_name": "name", "website_domain": "websiteurl",
            "phone": "telephone1", "email": "emailaddress1", "street": "address1_line1",
            "city": "address1_city", "postal_code": "address1_postalcode", "country_code": "address1_country",
        },
    ),
    "erp_invoices": (
        "erp/invoices.csv",
        {
            "record_id": "customer_id", "organisation_name": "customer_name", "tax_id": "customer_tax_id",
            "iban": "customer_iban",
        },
    ),
}  # fmt: skip
# What else a night lands as CSV.
OTHERS = (
    "marketing/events.csv", "erp/invoices.csv", "erp/invoice_lines.csv", "erp/purchase_orders.csv",
    "erp/purchase_order_lines.csv", "erp/receipts.csv", "erp/remittance_advices.csv", "bank/ledger.csv",
)  # fmt: skip
_EMPTY = ("", "#N/A")
_FREE_MAIL = (
    r"@(gmail|googlemail|hotmail|outlook|live|yahoo|icloud|gmx|web|comcast|aol|orange|free|libero|interia)\."
)


def text_rows(path: Path) -> pl.DataFrame:
    """All columns of a CSV (comma or semicolon) or JSON lines file as text; marks of nothing as null."""
    if path.suffix == ".jsonl":
        rows = pl.read_ndjson(path).with_columns(pl.all().cast(pl.String))
    else:
        with path.open(encoding="utf-8", errors="replace") as file:
            separator = ";" if file.readline().count(";") > 2 else ","
        rows = pl.read_csv(path, separator=separator, infer_schema=False, encoding="utf8-lossy")
    return rows.with_columns(
        pl.when(~pl.all().str.strip_chars().is_in(_EMPTY)).then(pl.all().str.strip_chars())
    )


def read_exports(landing: Path, exports: dict[str, tuple[str, dict[str, str]]]) -> pl.DataFrame:
    """The rows of several exports below each other: `source`, `record_id` (once each) and columns of ours."""
    found = []
    for source, (file, columns) in exports.items():
        rows = text_rows(landing / file)
        found.append(
            rows.select(
                pl.lit(source).alias("source"),
                *(pl.col(theirs).alias(ours) for ours, theirs in columns.items()),
            )
        )
    return pl.concat(found, how="diagonal").unique(["source", "record_id"], keep="first", maintain_order=True)


def standardised(rows: pl.DataFrame) -> pl.DataFrame:
    """Simple standards: lower-case mailboxes, digits of numbers, bare domains, ISO dates."""
    steps: list[pl.Expr] = []
    if "email" in rows.columns:
        email = pl.col("email").str.to_lowercase()
        is_free = email.str.contains(_FREE_MAIL)
        steps += [
            email,
            email.alias("email_normalised"),
            email.str.split("@").list.last().alias("email_domain"),
            pl.when(is_free).then(pl.lit("free")).otherwise(pl.lit("person")).alias("email_kind"),
        ]
    steps += [
        pl.col(c).str.replace_all(r"\D", "").str.strip_chars_start("0").alias(c)
        for c in ("phone", "mobile_phone")
        if c in rows.columns
    ]
    if "website_domain" in rows.columns:
        steps.append(
            pl.col("website_domain")
            .str.to_lowercase()
            .str.replace(r"^https?://", "")
            .str.replace(r"^www\.", "")
            .str.replace(r"/.*$", "")
        )
    if "birth_date" in rows.columns:
        steps.append(pl.col("birth_date").str.slice(0, 10))
    return rows.with_columns(steps)
