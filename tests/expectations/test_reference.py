from __future__ import annotations

from gate_tables import check, contract

from crm_hygiene.contract import load_contracts
from expectations.reference import render_reference


def test_every_table_and_column_has_its_place() -> None:
    page = render_reference(load_contracts())
    for table, found in load_contracts().items():
        assert f"\n### {table}\n" in page
        assert all(f"| `{name}` |" in page for name in found.column_names)
    assert page == render_reference(dict(reversed(load_contracts().items())))


def test_cells_stay_cells_and_consequences_are_told() -> None:
    page = render_reference(
        {
            "tests.rows": contract(
                check("expect_column_values_to_match_regex", because="a|b\nc", column="email", regex="x|y"),
                check("expect_column_mean_to_be_between", column="count", min_value=1),
                check("expect_table_row_count_to_be_between", "critical", min_value=1),
            )
        }
    )
    assert (
        "| `column_values_to_match_regex(email)` | `regex=x\\|y` | warning: quarantines the row | a\\|b c |"
        in page
    )
    assert "| `column_mean_to_be_between(count)` | `min_value=1` | warning: is noted |" in page
    assert "critical: stops the table" in page
