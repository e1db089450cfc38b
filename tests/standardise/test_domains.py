from __future__ import annotations

import pytest
import tldextract

from crm_hygiene.standardise import standardise_domains

from .conftest import Raw


@pytest.mark.parametrize(
    ("written", "domain"),
    [
        ("https://www.Acme.co.uk:8080/x?y#z", "acme.co.uk"),
        ("acme.com", "acme.com"),
        ("www.shop.acme.com/path", "acme.com"),
        ("info@acme.de", "acme.de"),
        ("http://user:pw@acme.de/", "acme.de"),
        ("//acme.com", "acme.com"),
        ("http://münchen.de", "xn--mnchen-3ya.de"),
        ("www.straße.de", "xn--strae-oqa.de"),
        ("foo.www.ck", "www.ck"),
        ("x.city.kawasaki.jp", "city.kawasaki.jp"),
        ("z.x.y.kawasaki.jp", "x.y.kawasaki.jp"),
    ],
)
def test_registrable_domain(raw: Raw, written: str, domain: str) -> None:
    row = standardise_domains(raw(written)).row(0, named=True)
    assert (row["website_domain"], row["problem"]) == (domain, None)


@pytest.mark.parametrize(
    "written", ["10.0.0.1", "localhost", "co.uk", "acme", "acme.notatld", "ac me.com x", "http://", "n/a"]
)
def test_refusals(raw: Raw, written: str) -> None:
    row = standardise_domains(raw(written)).row(0, named=True)
    assert row["website_domain"] is None
    assert row["problem"].startswith("website '")


def test_agrees_with_tldextract_on_every_suffix(raw: Raw) -> None:
    extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    suffixes = sorted(r.removeprefix("*.").removeprefix("!") for r in extract.tlds if r.isascii())
    hosts = [f"{lead}{s}" for s in suffixes for lead in ("", "b.", "a.b.")]
    result = standardise_domains(raw(*hosts))["website_domain"].to_list()
    # tldextract lets an unlisted name below a wildcard's parent stand; the list's rule is the same.
    expected = [extract(h).top_domain_under_public_suffix or None for h in hosts]
    assert [(h, r, e) for h, r, e in zip(hosts, result, expected, strict=True) if r != e] == []
