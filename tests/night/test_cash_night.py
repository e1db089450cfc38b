"""Money over nights: a statement pays, a person decides the rest, a revocation takes the posting back."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from .project import Project

pytestmark = pytest.mark.long

Review = Callable[..., tuple[int, str, str]]

INVOICES = """\
invoice_id,invoice_number,customer_id,customer_name,purchase_order_number,due_date,currency,total_amount
1,INV-2026-0071,C1,Karl Kaufmann GmbH,PO-771,2025-12-31,EUR,100.00
2,INV-2026-0072,C2,Brot und Butter KG,,2025-12-31,EUR,50.00
3,INV-2026-0073,C3,Dearer Than Ordered Ltd,PO-773,2025-12-31,EUR,80.00
"""
ORDERS = """order_id,order_number,customer_id,customer_name,order_date,currency,total_amount,status
9,PO-771,C1,Karl Kaufmann GmbH,2025-11-20,EUR,100.00,open
10,PO-773,C3,Dearer Than Ordered Ltd,2025-11-20,EUR,40.00,open
"""
STATEMENT = """{1:F01BANKDEFFXXXX0000000000}{2:O940BANKDEFFXXXXN}{4:
:20:STARTUMS
:25:DE89370400440532013000
:28C:00001/001
:60F:C251231EUR100,00
:61:2601010101CR100,00NTRFNONREF//BANK-1
:86:166?00GUTSCHRIFT?20SVWZ+Invoice INV-2026-0071?31DE14508800500194785000?32Karl Kaufmann GmbH
:61:2601010101CR60,00NTRFNONREF//BANK-2
:86:166?00GUTSCHRIFT?20SVWZ+thank you?32Somebody
:61:2601010101CR80,00NTRFNONREF//BANK-3
:86:166?00GUTSCHRIFT?20SVWZ+INV-2026-0073?32Dearer Than Ordered Ltd
:62F:C260101EUR340,00
-}
"""


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Project:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME", raising=False)
        project = Project(tmp_path_factory.mktemp("books"))
        project.configure("")
        put(project, "erp/invoices.csv", INVOICES)
        put(project, "erp/purchase_orders.csv", ORDERS)
        put(project, "bank/statement.sta", STATEMENT)
        outcome = project.night()
        assert outcome.is_success, outcome.failures
        return project


@pytest.fixture
def project(books: Project, tmp_path: Path) -> Project:
    return books.copy(tmp_path / "project")


@pytest.fixture
def review(project: Project, front_door: Review) -> Review:
    return partial(front_door, "review", "cash", folder=project.folder)


def put(project: Project, name: str, text: str) -> None:
    path = project.landing / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def open_amounts(project: Project) -> dict[str, Decimal]:
    return dict(project.read("reconciled.invoices").select("invoice_number", "open_amount").iter_rows())


def test_what_is_cited_is_paid_and_what_is_not_waits_for_a_person(project: Project) -> None:
    assert open_amounts(project) == {
        "INV-2026-0071": Decimal("0"),
        "INV-2026-0072": Decimal("50"),
        "INV-2026-0073": Decimal("80"),
    }
    waiting = dict(project.read("reconciled.exceptions").select("payment_record_id", "exception_type").rows())
    assert waiting == {"BANK-2": "UNKNOWN", "BANK-3": "ORDER"}
    checked = project.read("reconciled.order_checks").filter(pl.col("is_blocking"))
    assert checked["invoice_record_id"].to_list() == ["3"]


def test_the_statement_again_under_another_name_adds_nothing(project: Project) -> None:
    before = project.contents(("reconciled.allocations", "reconciled.payments", "reconciled.exceptions"))
    put(project, "bank/again.sta", STATEMENT.replace(":20:STARTUMS", ":20:STARTUM2"))
    assert project.night(1).is_success
    after = project.contents(("reconciled.allocations", "reconciled.payments", "reconciled.exceptions"))
    assert {k: len(v) for k, v in after.items()} == {k: len(v) for k, v in before.items()}
    assert after["reconciled.allocations"] == before["reconciled.allocations"]


def test_a_decision_is_posted_and_its_revocation_posts_it_back(project: Project, review: Review) -> None:
    code, _, err = review("decide", "bank_statements:BANK-2", "apply", "--invoice", "INV-2026-0099")
    assert (code, "INV-2026-007" in err) == (2, True)
    decide = ("decide", "bank_statements:BANK-2", "apply", "--invoice", "INV-2026-0072", "--amount", "50")
    code, _, err = review(*decide, "--why", "he phoned", "--by", "fin")
    assert (code, err) == (0, "")
    assert review(*decide, "--why", "he phoned", "--by", "fin")[0] == 0
    assert project.read("stewardship.cash_decisions").height == 1

    assert project.night(1).is_success
    assert open_amounts(project)["INV-2026-0072"] == 0
    payment = project.read("reconciled.payments").filter(record_id="BANK-2").row(0, named=True)
    assert (payment["applied_amount"], payment["unapplied_amount"]) == (Decimal("50"), Decimal("10"))
    posted = project.read("reconciled.allocations")

    decided = project.read("stewardship.cash_decisions")["decision_group"][0]
    assert review("revoke", decided, "--by", "fin")[0] == 0
    assert project.night(2).is_success
    assert open_amounts(project)["INV-2026-0072"] == 50
    now = project.read("reconciled.allocations")
    assert posted.join(now, on="allocation_id", how="anti").is_empty()
    contra = now.join(posted, on="allocation_id", how="anti").row(0, named=True)
    assert (contra["allocation_kind"], contra["allocated_amount"]) == ("reversal", Decimal("-50"))


def test_a_statement_that_does_not_add_up_is_refused_and_the_rest_goes_on(project: Project) -> None:
    put(project, "bank/broken.sta", STATEMENT.replace("EUR340,00", "EUR999,00").replace("BANK-", "LATER-"))
    assert project.night(1).is_success
    files = project.read("landing.files").filter(pl.col("status") == "refused")
    assert "closing balance is 999" in files["reason"][0]
    assert project.read("reconciled.payments").height == 3
