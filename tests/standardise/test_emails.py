from __future__ import annotations

import pytest

from crm_hygiene.standardise import standardise_emails

from .conftest import Raw


@pytest.mark.parametrize(
    ("written", "email", "normalised", "kind"),
    [
        ("J.Doe+news@GMail.com", "j.doe+news@gmail.com", "jdoe@gmail.com", "free"),
        ("j.doe@googlemail.com", "j.doe@googlemail.com", "jdoe@gmail.com", "free"),
        ("j.doe+x@acme.com", "j.doe+x@acme.com", "j.doe@acme.com", "person"),
        ("mailto:Info@Acme.com?subject=Hi", "info@acme.com", "info@acme.com", "role"),
        ("Jane Roe <jane@acme.co.uk>", "jane@acme.co.uk", "jane@acme.co.uk", "person"),
        ("jürg@münchen.de", "jürg@xn--mnchen-3ya.de", "jürg@xn--mnchen-3ya.de", "person"),
        ('"ab"@acme.com', "ab@acme.com", "ab@acme.com", "person"),
        ("x1@mailinator.com", "x1@mailinator.com", "x1@mailinator.com", "disposable"),
        ("bob@sub.mailinator.com", "bob@sub.mailinator.com", "bob@sub.mailinator.com", "disposable"),
        ("noreply@acme.de", "noreply@acme.de", "noreply@acme.de", "role"),
        ("\u00a0jane@acme.com\u200b.", "jane@acme.com", "jane@acme.com", "person"),
    ],
)
def test_addresses(raw: Raw, written: str, email: str, normalised: str, kind: str) -> None:
    row = standardise_emails(raw(written)).row(0, named=True)
    assert (row["email"], row["email_normalised"], row["email_kind"]) == (email, normalised, kind)
    assert row["email_domain"] == email.split("@")[1]
    assert row["problem"] is None


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("none@none.com", "is a placeholder"),
        ("test@test.com", "is a placeholder"),
        ("noemail@acme.com", "is a placeholder"),
        ("n/a", "is a placeholder"),
        ("jane.acme.com", "is not an e-mail address"),
        ("jane@acme", "is not an e-mail address"),
        ("jane.@acme.com", "is not an e-mail address"),
        ('"a b"@acme.com', "is not an e-mail address"),
        ("a" * 65 + "@acme.com", "is not an e-mail address"),
        ("jane@host.local", "cannot receive mail"),
    ],
)
def test_refusals(raw: Raw, written: str, reason: str) -> None:
    row = standardise_emails(raw(written)).row(0, named=True)
    assert row["email"] is row["email_normalised"] is row["email_domain"] is row["email_kind"] is None
    assert row["problem"].endswith(reason)
