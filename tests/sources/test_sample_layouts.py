"""The vendor layouts the sample generator writes: every column is mapped or ignored."""

from __future__ import annotations

import pytest

from crm_hygiene.mapping_file import BUILT_IN_SOURCES, load_mappings

MAPPINGS = load_mappings([BUILT_IN_SOURCES])
LAYOUTS = {
    ("salesforce/Lead.csv", "salesforce_leads"): "Id,Salutation,FirstName,LastName,Company,Title,Email,Phone,"
    "MobilePhone,Street,City,State,PostalCode,Country,Website,Industry,LeadSource,Status,OwnerId,IsConverted,"
    "ConvertedContactId,ConvertedAccountId,HasOptedOutOfEmail,DoNotCall,IsDeleted,CreatedDate,LastModifiedDate",
    (
        "salesforce/Contact.csv",
        "salesforce_contacts",
    ): "Id,AccountId,Salutation,FirstName,LastName,Title,Department,"
    "Email,Phone,MobilePhone,MailingStreet,MailingCity,MailingState,MailingPostalCode,MailingCountry,Birthdate,"
    "LeadSource,OwnerId,HasOptedOutOfEmail,DoNotCall,IsDeleted,CreatedDate,LastModifiedDate",
    (
        "salesforce/Account.csv",
        "salesforce_accounts",
    ): "Id,Name,ParentId,Website,Phone,BillingStreet,BillingCity,"
    "BillingState,BillingPostalCode,BillingCountry,Industry,NumberOfEmployees,AnnualRevenue,OwnerId,IsDeleted,"
    "CreatedDate,LastModifiedDate,VAT_Number__c",
    (
        "salesforce/Opportunity.json",
        "salesforce_opportunities",
    ): "attributes.type,attributes.url,Id,AccountId,Name,"
    "StageName,Amount,CurrencyIsoCode,CloseDate,IsClosed,IsWon,LeadSource,OwnerId,IsDeleted,CreatedDate,"
    "LastModifiedDate",
    ("hubspot/contacts.csv", "hubspot_contacts"): "Record ID,First Name,Last Name,Email,Phone Number,"
    "Mobile Phone Number,Job Title,Company Name,Associated Company IDs,Street Address,City,State/Region,"
    "Postal Code,"
    "Country/Region,Lifecycle Stage,Lead Status,Original Source,Contact owner,Unsubscribed from all email,"
    "Create Date,Last Modified Date",
    ("hubspot/companies.csv", "hubspot_companies"): "Record ID,Company name,Company Domain Name,Phone Number,"
    "Street Address,City,State/Region,Postal Code,Country/Region,Industry,Number of Employees,Annual Revenue,"
    "Company owner,Create Date,Last Modified Date",
    (
        "hubspot/deals.json",
        "hubspot_deals",
    ): "id,createdAt,updatedAt,archived,associations.companies.results,dealname,"
    "dealstage,amount,deal_currency_code,closedate,pipeline,hubspot_owner_id,createdate,hs_lastmodifieddate",
    (
        "dynamics/contacts.csv",
        "dynamics_contacts",
    ): "contactid,salutation,firstname,middlename,lastname,jobtitle,"
    "emailaddress1,telephone1,mobilephone,parentcustomerid,address1_line1,address1_city,address1_stateorprovince,"
    "address1_postalcode,address1_country,birthdate,donotemail,donotphone,ownerid,statecode,createdon,modifiedon",
    ("dynamics/accounts.csv", "dynamics_accounts"): "accountid,name,websiteurl,telephone1,emailaddress1,"
    "address1_line1,address1_city,address1_stateorprovince,address1_postalcode,address1_country,industrycode,"
    "numberofemployees,revenue,transactioncurrencyid,parentaccountid,ownerid,statecode,createdon,modifiedon",
    (
        "dynamics/leads.csv",
        "dynamics_leads",
    ): "leadid,fullname,firstname,lastname,companyname,jobtitle,emailaddress1,"
    "telephone1,mobilephone,websiteurl,address1_country,leadsourcecode,statuscode,donotemail,ownerid,createdon,"
    "modifiedon",
    (
        "salesforce/User.csv",
        "salesforce_users",
    ): "Id,Username,FirstName,LastName,Name,Email,IsActive,UserType,CreatedDate,LastModifiedDate",
    ("salesforce/LeadHistory.csv", "salesforce_lead_history"): "Id,IsDeleted,LeadId,CreatedById,CreatedDate,"
    "Field,DataType,OldValue,NewValue",
    ("hubspot/owners.json", "hubspot_owners"): "id,email,type,firstName,lastName,userId,createdAt,updatedAt,"
    "archived",
    ("dynamics/systemusers.csv", "dynamics_users"): "systemuserid,fullname,internalemailaddress,isdisabled,"
    "createdon,modifiedon",
    ("marketing/events.jsonl", "marketing_events"): "event_id,type,email,campaign,subject,occurred_at",
    ("marketing/events.csv", "marketing_events"): "event_id,type,email,campaign,subject,occurred_at",
    (
        "forms/submissions.jsonl",
        "form_submissions",
    ): "submission_id,submitted_at,form,page,first_name,last_name,email,"
    "phone,company,country,message,consent_marketing",
    (
        "erp/invoices.csv",
        "erp_invoices",
    ): "invoice_id,invoice_number,document_kind,corrects_invoice_number,customer_id,customer_name,"
    "customer_tax_id,customer_iban,purchase_order_number,payment_reference,issue_date,due_date,currency,"
    "total_amount,discount_days,discount_percent,late_interest_percent,status",
    (
        "erp/invoice_lines.csv",
        "erp_invoice_lines",
    ): "invoice_id,line_number,item_id,item_description,quantity,unit_price,amount,currency,"
    "purchase_order_number,purchase_order_line",
    (
        "erp/purchase_order_lines.csv",
        "erp_purchase_order_lines",
    ): "order_id,order_number,line_number,item_id,item_description,quantity,unit_price,amount,currency",
    (
        "erp/receipts.csv",
        "erp_receipts",
    ): "receipt_id,order_number,line_number,item_id,quantity,received_date",
    (
        "erp/reservations.csv",
        "erp_reservations",
    ): "reservation_id,order_number,item_id,quantity,location,reserved_at",
    (
        "erp/payer_relations.csv",
        "erp_payer_relations",
    ): "relation_id,payer_iban,payer_tax_id,payer_name,virtual_account,customer_id,customer_tax_id,"
    "relation_kind,valid_from,valid_to",
    (
        "erp/remittance_advices.csv",
        "erp_remittance_advices",
    ): "advice_id,payer_name,payer_tax_id,payment_reference,payment_date,invoice_number,paid_amount,"
    "discount_amount,currency",
    ("erp/purchase_orders.csv", "erp_purchase_orders"): "order_id,order_number,customer_id,customer_name,"
    "customer_tax_id,order_date,currency,total_amount,status",
    (
        "bank/ledger.csv",
        "bank_ledger",
    ): "entry_id,account_iban,booked_on,value_on,amount,currency,counterparty_name,"
    "counterparty_iban,remittance,end_to_end_id,bank_reference",
}


@pytest.mark.parametrize(("file", "source"), sorted(LAYOUTS))
def test_a_sample_layout_is_fully_covered(file: str, source: str) -> None:
    match = MAPPINGS[source].match_header(LAYOUTS[file, source].split(","))
    assert match.unknown == []
    assert match.missing_required == []
    assert [m.source for m in MAPPINGS.values() if m.claims(file)] == [source]


@pytest.mark.parametrize("name", ["bank/statement.xml", "bank/statement.sta"])
def test_a_statement_is_claimed_once(name: str) -> None:
    assert [m.source for m in MAPPINGS.values() if m.claims(name)] == ["bank_statements"]


@pytest.mark.parametrize(
    ("source", "flag"),
    [
        ("salesforce_leads", "HasOptedOutOfEmail"),
        ("dynamics_contacts", "donotemail"),
        ("marketing_events", "type"),
    ],
)
def test_only_a_set_flag_is_an_opt_out(source: str, flag: str) -> None:
    blocks = [b for b in MAPPINGS[source].tables["consents"] if b.when[0].column == flag]
    assert len(blocks) == 1
    assert "false" not in (blocks[0].when[0].in_ or ())
