"""A pair program gives what the database gives for the same SQL, nulls included."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from crm_hygiene.linkage.connection import connection, fetch, load
from crm_hygiene.linkage.letter_marks import letter_marks
from crm_hygiene.linkage.pair_program import PairProgram
from crm_hygiene.linkage.relaxation import parsed
from crm_hygiene.linkage.settings import LinkageSettings

TEXTS = ["anna", "hanna", "ann", "bob", "robert", None, "x1", "11", "anna maria"]
CONDITIONS = (
    "c_l = c_r",
    "c_l <> d_r",
    "c_l IS DISTINCT FROM d_r",
    "t_l OR t_r",
    "NOT (t_l AND c_l = c_r)",
    "(NOT (t_l AND c_l = c_r)) IS TRUE",
    "NOT (c_l <> c_r) IS TRUE",
    "coalesce(c_l <> d_r, true)",
    "NOT coalesce(c_l <> d_r, false)",
    "CASE WHEN t_l THEN c_l = c_r WHEN t_r THEN x_l < x_r END",
    "x_l = x_r",
    "x_l <> x_r",
    "abs(x_l - x_r) <= 2",
    "least(x_l, x_r) >= 3",
    "greatest(x_l, x_r) < 3",
    "x_l / 2 + x_r * 3 > 7",
    "marks_l & marks_r <> 0",
    "NOT (marks_l & marks_r <> 0)",
    "(abs(size_l - size_r) <= 2 AND may_be_near(marks_l, marks_r, 2))",
    "missing_letters(marks_l, marks_r) <= 0",
    "jaro_winkler_bound(size_l, marks_l, size_r, marks_r, start_l = start_r) >= 0.9",
    "jaro_winkler_bound(size_l, marks_l, size_r, marks_r, start_l = start_r) >= 0.7",
)


@pytest.fixture(scope="module")
def columns() -> pl.DataFrame:
    count = len(TEXTS)
    marks = letter_marks(pl.Series(TEXTS))
    return pl.DataFrame(
        {
            "c": pl.Series([1, 1, 2, None, 3, 2, None, 1, 3], dtype=pl.UInt64),
            "d": pl.Series([2, 1, None, None, 1, 3, 1, 2, 3], dtype=pl.UInt64),
            "t": [True, False, None] * (count // 3),
            "x": [1.0, 2.5, None, 4.0, 1.0, None, 7.0, 3.0, 2.0],
            "marks": marks["marks"],
            "size": marks["size"],
            "start": marks["start"].cast(pl.UInt64),
        }
    )


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_holds_where_the_database_says_so(condition: str, columns: pl.DataFrame) -> None:
    weight = f"CASE WHEN {condition} THEN 1.5 ELSE -2 END + coalesce(greatest(x_l, x_r), 10)"
    pairs = [(a, b) for a in range(columns.height) for b in range(columns.height)]
    left, right = (np.array(side) for side in zip(*pairs, strict=True))
    codes = columns.with_columns(pl.col(c).fill_null(0) for c in ("c", "d", "start"))
    found = PairProgram([parsed(weight)], codes, [99.0]).run(left, right)
    with connection(LinkageSettings()) as con:
        rows = [columns[side].select(pl.all().name.suffix(s)) for side, s in ((left, "_l"), (right, "_r"))]
        load(con, "pairs", pl.concat(rows, how="horizontal"))
        expected = fetch(con, f"SELECT {weight} AS weight FROM pairs")["weight"].cast(pl.Float64)
    assert found.tolist() == pytest.approx(expected.to_list())


def test_terms_are_summed_and_what_arrays_cannot_tell_has_a_stand_in(columns: pl.DataFrame) -> None:
    terms = [parsed("CASE WHEN c_l = c_r THEN 2 ELSE 0 END"), parsed("levenshtein(c_l, c_r)")]
    rows = np.array([0, 1])
    assert PairProgram(terms, columns, [50.0, 7.0]).run(rows, rows[::-1].copy()).tolist() == [9.0, 9.0]
