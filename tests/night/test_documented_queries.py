"""The queries of docs/queries.md run on a night's catalog and have the columns that the page names."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from crm_hygiene.catalog_query import query
from crm_hygiene.contract import load_contracts

from .project import Project

PAGE = Path(__file__).parent.parent.parent / "docs" / "queries.md"
QUERIES = re.findall(r"([^\n]+):\n\n```sql\n(.+?)\n```\n\nColumns: ([^\n]+)\n", PAGE.read_text(), re.S)

# On a first night nothing is in the past, and the sample refuses a row only now and then.
_MAY_BE_EMPTY = ("Who is new", "Every e-mail address that a night", "Rows that were refused")


def test_the_page_is_read_whole() -> None:
    assert len(QUERIES) == PAGE.read_text().count("```sql") > 15


@pytest.mark.parametrize(("title", "sql", "columns"), QUERIES, ids=[title for title, *_ in QUERIES])
def test_a_documented_query_runs(undisturbed: Project, title: str, sql: str, columns: str) -> None:
    found = query(undisturbed.config.catalog_path, sql)
    assert found.columns == columns.split(", ")
    assert found.height or title.startswith(_MAY_BE_EMPTY)


def test_every_documented_join_finds_its_rows(undisturbed: Project) -> None:
    path = undisturbed.config.catalog_path
    joins = query(path, "FROM joins")
    assert ("golden.contacts", "account_entity_id", "golden.accounts", "entity_id") in joins.rows()
    for table, column, joined, key in joins.iter_rows():
        lost = query(
            path,
            f"SELECT count(*) FROM {table} t ANTI JOIN {joined} j ON t.{column} = j.{key}"
            f" WHERE t.{column} IS NOT NULL",
        )
        assert lost.item() == 0, (table, column)


def test_tables_and_columns_are_commented(undisturbed: Project) -> None:
    with duckdb.connect(str(undisturbed.config.catalog_path), read_only=True) as connection:
        silent = connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables()"
            " WHERE comment IS NULL AND schema_name <> 'main' ORDER BY ALL"
        ).fetchall()
        bare = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns()"
            " WHERE comment IS NULL AND schema_name = 'golden' ORDER BY ALL"
        ).fetchall()
    assert not silent
    assert not bare


def test_references_name_columns_that_are_there() -> None:
    contracts = load_contracts()
    for contract in contracts.values():
        for column in contract.columns:
            if column.references:
                table, _, name = column.references.rpartition(".")
                assert name in contracts[table].column_names, (contract.table, column.name)
