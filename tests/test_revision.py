"""What stays of a live version and what does not."""

from __future__ import annotations

import polars as pl

from crm_hygiene.revision import Gone

NONE = pl.DataFrame(schema={"a": pl.Int64})


def _split(gone: Gone, values: list[int]) -> list[int]:
    rows = pl.DataFrame({"a": values})
    return gone.split(rows, rows["a"] > 2)["a"].to_list()


def test_rows_that_do_not_stay_are_put_by() -> None:
    gone = Gone()
    assert gone.rows(NONE).equals(NONE)  # type: ignore[union-attr]
    assert _split(gone, [1, 3, 2]) == [3]
    assert _split(gone, [4, 5]) == [4, 5]
    assert _split(gone, [0]) == []
    found = gone.rows(NONE)
    assert found is not None
    assert found["a"].to_list() == [1, 2, 0]


def test_too_many_are_let_go_of() -> None:
    gone = Gone(most=1)
    assert _split(gone, [1]) == []
    assert gone.rows(NONE) is not None
    assert _split(gone, [2, 9]) == [9]
    assert gone.rows(NONE) is None
    assert _split(gone, [7]) == [7]
    assert gone.rows(NONE) is None
