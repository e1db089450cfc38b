"""The public documents: each is read or refused for a reason that is true."""

from __future__ import annotations

import os
import re
from pathlib import Path

import polars as pl
import pytest
from lxml import etree

from crm_hygiene.errors import FileRefused
from crm_hygiene.mapping import Mapping
from crm_hygiene.readers import read_file
from crm_hygiene.readers.documents import cii, ubl
from crm_hygiene.readers.documents.elements import local_name, text
from crm_hygiene.readers.documents.invoice_sums import broken_sums

PUBLIC_DATA = Path(
    os.environ.get("HYGIENE_PUBLIC_DATA", Path(__file__).parents[3].parent / "shared" / "data")
)
INVOICES = PUBLIC_DATA / "invoices"

pytestmark = pytest.mark.skipif(
    not INVOICES.is_dir(), reason="public data is absent; HYGIENE_PUBLIC_DATA names its folder"
)

FILES = sorted(p for p in INVOICES.rglob("*") if p.suffix.lower() in (".xml", ".pdf", ".edi"))
RULES = ("BR-CO-10", "BR-CO-11", "BR-CO-12", "BR-CO-13", "BR-CO-15", "BR-CO-16")
# What each file of a family is, by the beginning of its name; first match holds.
REFUSED = (
    (r"(edifact|Apperak).*", "EDIFACT"),
    (r"tradacoms.*", "TRADACOMS"),
    (r"(204|210|214|990)-.*|x12\.(214|832|Issue88)\..*", "its transaction sets are"),
    (
        r"x12\.(810\.mandatory|850\.edi|850a|Issue101|Issue172|Issue91).*",
        "ISA13 is 000000055 and IEA02 is 000000001",
    ),
    (r"order-x-.*", "Order-X"),
)


def test_every_document_is_read_or_refused_with_a_true_reason(einvoices: Mapping, x12: Mapping) -> None:
    read = 0
    for path in FILES:
        why = next((said for name, said in REFUSED if re.fullmatch(name, path.name)), None)
        if "-unit-UBL" in str(path) or path.parent == INVOICES / "en16931/test/cii":
            why = "validator tests"
        mapping = x12 if path.suffix.lower() == ".edi" else einvoices
        if why is not None:
            with pytest.raises(FileRefused, match=re.escape(why)):
                list(read_file(path, mapping).chunks)
            continue
        rows = pl.concat(read_file(path, mapping).chunks)
        documents = rows.filter(~pl.col("RowKind").str.contains("line"))
        assert documents.height > 0
        assert documents["DocumentKey"].is_unique().all()
        read += 1
    assert read == 78


def test_an_order_among_two_with_a_lost_terminator_is_refused_alone(x12: Mapping) -> None:
    path = next(p for p in FILES if p.name == "x12.850.issue135.edi")
    landed = read_file(path, x12)
    assert pl.concat(landed.chunks)["RowKind"].to_list() == ["order"] + ["order_line"] * 11
    assert ["runs into the next" in r.reasons[0] for r in landed.refused] == [True]


def test_factur_x_profiles_agree(einvoices: Mapping) -> None:
    named = [p for p in FILES if p.name.startswith(("factur-x-", "invoice_EN16931"))]
    found = {pl.concat(read_file(p, einvoices).chunks).row(0, named=True)["Amount"] for p in named}
    assert len(named) == 6
    assert found == {"104.90"}


def test_sums_are_judged_as_cen_judges_them() -> None:
    judged = 0
    for path in FILES:
        if path.stem.removesuffix("-2") not in RULES or "test" not in path.parts:
            continue
        for case in etree.parse(str(path)).getroot().iterfind("{*}test"):
            document = next(c for c in case if local_name(c) in (*ubl.ROOTS, *cii.ROOTS))
            rule = path.stem.removesuffix("-2")
            is_wrong = case.find("{*}assert/{*}error") is not None
            of = ubl.totals_of if local_name(document) in ubl.ROOTS else cii.totals_of
            currency = text(document, "DocumentCurrencyCode") or "EUR"
            found = [b.split(":")[0] for b in broken_sums(of(document), currency)]
            assert (rule in found) == is_wrong, (path.name, judged, found)
            judged += 1
    assert judged > 40
