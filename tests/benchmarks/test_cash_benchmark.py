"""The cash benchmark's own arithmetic, on books small enough to count by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from bench.__main__ import main
from bench.cash import ledgers
from bench.cash.ledgers import draw, parts_of, read, shaped
from bench.cash.naive_sql import naive
from bench.cash.night import NIGHTS, content_hash
from bench.cash.scoring import made_postings, score, score_reversals, true_postings, wrong_postings
from bench.child import PhaseError, measured
from crm_hygiene.contract import contract_of

AMOUNT = pl.Decimal(18, 4)


def truth(*rows: tuple[str, str, str, str]) -> pl.DataFrame:
    columns = ["payment_record_id", "invoice_record_id", "allocation_kind", "amount"]
    frame = pl.DataFrame(rows, schema=columns, orient="row")
    return frame.with_columns(pl.col("amount").cast(AMOUNT))


def lines(*rows: tuple[str, str, str, str, str, str | None]) -> pl.DataFrame:
    columns = [
        "allocation_id", "payment_record_id", "invoice_record_id", "allocation_kind", "allocated_amount",
        "reverses_allocation_id",
    ]  # fmt: skip
    schema = dict.fromkeys(columns, pl.String)
    frame = pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.lit(None).alias("decision_id"))
    return frame.with_columns(pl.col("allocated_amount").cast(AMOUNT))


def cases(**pays: tuple[bool, str | None, str | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "payment_record_id": list(pays),
            "case": ["c"] * len(pays),
            "reference_kind": ["exact"] * len(pays),
            "is_usable": [True] * len(pays),
            "payer_kind": [0] * len(pays),
            "pays": [p for p, _, _ in pays.values()],
            "twin_record_id": pl.Series([t for _, t, _ in pays.values()], dtype=pl.String),
            "returned_record_id": pl.Series([r for _, _, r in pays.values()], dtype=pl.String),
        }
    )


TRUTH = truth(("p1", "i1", "payment", "98"), ("p1", "i1", "fee", "2"), ("p2", "i2", "payment", "40"))


def test_a_posting_is_right_if_payment_document_and_sum_are() -> None:
    about = cases(p1=(True, None, None), p2=(True, None, None))
    made = made_postings(
        lines(
            ("a", "p1", "i1", "payment", "98", None),
            ("b", "p1", "i1", "fee", "2", None),
            ("c", "p2", "i2", "payment", "39.99", None),
        ),
        about,
    )
    found = score(made, TRUTH, about)
    assert (found["postings"], found["wrong"], found["automatic_rate"]) == (2, 1, 0.5)
    assert wrong_postings(made, TRUTH, about)["truly"].to_list() == [Decimal(40)]
    assert true_postings(TRUTH)["settled"].sum() == Decimal(140)


def test_nothing_made_is_precise_and_not_automatic() -> None:
    about = cases(p1=(True, None, None), p2=(True, None, None))
    found = score(made_postings(lines(), about), TRUTH, about)
    assert (found["precision"], found["automatic_rate"]) == (1.0, 0.0)


def test_of_two_entries_alike_either_may_be_posted_but_not_both() -> None:
    about = cases(p1=(True, None, None), p2=(True, None, None), p3=(False, "p2", None))
    one = made_postings(lines(("a", "p3", "i2", "payment", "40", None)), about)
    assert score(one, TRUTH, about)["wrong"] == 0
    both = lines(("a", "p3", "i2", "payment", "40", None), ("b", "p2", "i2", "payment", "40", None))
    assert score(made_postings(both, about), TRUTH, about)["wrong"] == 1


def test_what_bounced_must_not_stand_posted() -> None:
    about = cases(p2=(True, None, None), p9=(False, None, "p2"))
    posted = lines(("a", "p2", "i2", "payment", "40", None))
    assert score_reversals(posted, about)["standing"] == 1
    contra = pl.concat([posted, lines(("b", "p9", "i2", "payment", "-40", "a"))])
    assert score_reversals(contra, about) == {"returns": 1, "standing": 0, "contra_lines": 1, "untrue": 0}
    honest = cases(p2=(True, None, None), p9=(False, None, None))
    assert score_reversals(contra, honest)["untrue"] == 1


def test_the_hash_is_that_of_the_content_in_any_order() -> None:
    frame = lines(("a", "p1", "i1", "payment", "98", None), ("b", "p2", "i2", "payment", "40", None))
    assert content_hash(frame) == content_hash(frame.reverse())
    assert content_hash(frame) != content_hash(frame.head(1))


def test_a_ledger_is_drawn_once_in_the_shape_of_its_contracts(tmp_path: Path) -> None:
    folder = draw(tmp_path, 400, "referenced", 3)
    for table in ("conformed.invoices", "conformed.payments", "conformed.payer_relations"):
        assert read(folder, table).schema == contract_of(table).schema
    stamp = (folder / "drawn").stat().st_mtime_ns
    assert (draw(tmp_path, 400, "referenced", 3) / "drawn").stat().st_mtime_ns == stamp
    assert naive(folder, threads=1)["precision"] <= 1
    assert shaped(pl.DataFrame({"source": ["x"]}), "conformed.payments").height == 1


@pytest.mark.long
def test_parts_of_a_ledger_are_reconciled_as_books_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "PART_LINES", 300)
    folder = draw(tmp_path, 600, "referenced", 3)
    assert parts_of(folder) == ["000", "001"]
    told = {}
    for words in ([], ["--apart"]):
        out = tmp_path / "-".join(["out", *words])
        out.mkdir()
        for night in NIGHTS:
            measured("bench.cash.night", [str(folder), str(out), night, *words], out / "log")
        told[bool(words)] = json.loads((out / "second.json").read_text())
        assert read(out, "second.allocations").height == sum(told[bool(words)]["allocation_kinds"].values())
    assert told[True]["books"] == 2
    assert told[True]["lines"] == told[False]["lines"]


def test_a_phase_that_fails_names_its_log(tmp_path: Path) -> None:
    with pytest.raises(PhaseError, match="log"):
        measured("bench.cash.night", [str(tmp_path), str(tmp_path), "never"], tmp_path / "log")
    assert "invalid choice" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("only", [pytest.param("referenced", marks=pytest.mark.long), "transactions"])
def test_the_command_measures_or_says_what_is_left_out(
    only: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    main(["cash", "--lines", "300", "--seeds", "2", "--only", only, *folders])
    printed = capsys.readouterr().out
    if only == "transactions":
        assert "left out" in printed
        assert not (tmp_path / "out").exists()
    else:
        assert list((tmp_path / "out").glob("*_cash.json"))
        assert "1.000000" in printed
