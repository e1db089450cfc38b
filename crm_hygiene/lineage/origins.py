"""The SQL that takes a golden cell to its source file, row, raw value, rule, runner-up and link.

It is kept in the catalog as the view `golden.origins` (all cells) and the table macro `why(entity, field)`
(those of one entity). What it tells is put together when it is asked: golden.provenance names the record
and the landed row, quality.column_lineage the columns of that row, linked.*_pairs the link.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import duckdb

from crm_hygiene.contract import Contract, load_contracts
from crm_hygiene.linkage.clustering import KEY, MODEL, SAME
from crm_hygiene.linkage.resolution import KEY_STRENGTH
from crm_hygiene.survivorship.pins import PINS

VIEW = "golden.origins"
MACRO = "why"

_KINDS = {"golden.contacts": "person", "golden.accounts": "organisation"}
_NEEDED = ("golden.provenance", "quality.column_lineage")

# No entity has so many cells. DuckDB cannot tell how few it has where provenance is read in place, and would
# look up its landed rows by hashing every landed row there is: 13 s at a million people instead of 1.
_CELLS_OF_ONE = 10_000

# Meaning of the columns that golden.provenance does not have.
MEANINGS = {
    "file_hash": "SHA-256 of the landed file's bytes; with row_number the key of landing.<source>.",
    "raw_column": "Column of the source's export the value was read from.",
    "raw_value": "What the export says there, as it landed.",
    "raw_cells": "Every filled cell of the landed row that the value is made of.",
    "expression": "How the mapping makes the value of the export's columns.",
    "link": "What brought the record into the entity, in words.",
    "link_method": "The same as a word: decision, key or model; null where the record stands alone.",
    "link_source": "Source of the record it is linked with.",
    "link_record_id": "Record it is linked with.",
    "match_key": "Deterministic key of the link.",
    "match_weight": "Weight of the link in bits.",
    "match_probability": "Probability of the link.",
    "decision_id": "The steward's judgement behind the link.",
}


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _name(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def _landed(source: str, columns: Sequence[str]) -> str:
    cells = ", ".join(f"{_text(c)}: l.{_name(c)}" for c in columns)
    return (
        "SELECT c.table_name, c.entity_id, c.column_name, l._file_hash AS file_hash, "
        f"MAP {{{cells}}} AS cells "
        f"FROM cell c JOIN landing.{_name(source)} l ON l._file = c.file "
        "AND l._row_number = c.row_number AND l._landed_at = c.landed_at "
        f"WHERE c.source = {_text(source)}"
    )


def _links(kind: str, table: str) -> str:
    """The strongest link of each record to another record of its entity.

    The strongest link of a record is always part of the tree that holds its entity together.
    """
    sides = [
        f"SELECT source_{a} AS source, record_id_{a} AS record_id, source_{b} AS link_source, "
        f"record_id_{b} AS link_record_id, method, match_key, match_weight, match_probability "
        f"FROM linked.{kind}_pairs WHERE is_link"
        for a, b in (("l", "r"), ("r", "l"))
    ]
    keys = " ".join(f"WHEN {_text(key)} THEN {strength}" for key, strength in sorted(KEY_STRENGTH.items()))
    return f"""
      SELECT {_text(table)} AS table_name, p.*
      FROM ({" UNION ALL ".join(sides)}) p
      JOIN (SELECT DISTINCT source, record_id FROM cell WHERE table_name = {_text(table)}) w
        USING (source, record_id)
      JOIN linked.{kind}_members m USING (source, record_id)
      JOIN linked.{kind}_members o
        ON o.source = p.link_source AND o.record_id = p.link_record_id AND o.entity_id = m.entity_id
      QUALIFY row_number() OVER (
        PARTITION BY p.source, p.record_id
        ORDER BY CASE p.method WHEN 'decision' THEN {SAME} WHEN 'key'
          THEN CASE p.match_key {keys} ELSE {KEY} END ELSE {MODEL} END DESC,
          p.match_weight DESC NULLS LAST, p.link_source, p.link_record_id) = 1"""


_DECISIONS = """
      SELECT decision_id, entity_kind, source_l, record_id_l, source_r, record_id_r
      FROM stewardship.decisions d
      WHERE judgement = 'same' AND revokes IS NULL
        AND decision_id NOT IN (SELECT revokes FROM stewardship.decisions WHERE revokes IS NOT NULL)
      QUALIFY row_number() OVER (
        PARTITION BY entity_kind, least(source_l || ':' || record_id_l, source_r || ':' || record_id_r),
          greatest(source_l || ':' || record_id_l, source_r || ':' || record_id_r)
        ORDER BY decided_at DESC, decision_id DESC) = 1"""

_NO_DECISIONS = """
      SELECT NULL::VARCHAR AS decision_id, NULL::VARCHAR AS entity_kind, NULL::VARCHAR AS source_l,
        NULL::VARCHAR AS record_id_l, NULL::VARCHAR AS source_r, NULL::VARCHAR AS record_id_r WHERE false"""

_RAW = """
      SELECT l.*, list_filter(list_transform(m.made_of, lambda x: {
          'column': x.source_column, 'value': l.cells[x.landing_column],
          'is_beside': x.is_beside, 'expression': x.expression, 'empty_values': x.empty_values}),
        lambda x: trim(x.value) <> '' AND NOT list_contains(x.empty_values, trim(x.value))) AS found
      FROM landed l
      JOIN cell c USING (table_name, entity_id, column_name)
      LEFT JOIN made m
        ON m.table_name = l.table_name AND m.column_name = l.column_name AND m.source = c.source"""

# A name or an address is read as a whole: where a column's own cell is empty, the others made it.
_CHOSEN = """
      SELECT *, CASE
          WHEN len(own) = 0 THEN found
          WHEN own[1].expression LIKE '% joined' OR own[1].expression LIKE 'template %'
            OR own[1].expression LIKE 'hash of %' THEN own
          ELSE own[1:1] END AS taken
      FROM (SELECT *, list_filter(found, lambda x: NOT x.is_beside) AS own FROM raw)"""


def can_trace(tables: Collection[str]) -> bool:
    """Whether the tables that the view needs are published."""
    linked = [
        f"linked.{kind}_{name}" for kind in _KINDS.values() for name in ("members", "pairs", "entities")
    ]
    return {*_NEEDED, *linked} <= set(tables)


def origins_sql(
    sources: Mapping[str, Sequence[str]], tables: Collection[str], cells: str = "FROM golden.provenance"
) -> str:
    """The query: one row per golden cell of those asked for.

    Parameters
    ----------
    cells
        the rows of golden.provenance asked for, as SQL.
    sources
        columns of `landing.<source>` in use, by source; only published ones.
    tables
        published tables.
    """
    landed = [_landed(source, columns) for source, columns in sorted(sources.items()) if columns]
    nothing = (
        "SELECT NULL::VARCHAR AS table_name, NULL::VARCHAR AS entity_id, NULL::VARCHAR AS column_name, "
        "NULL::VARCHAR AS file_hash, MAP {'': NULL::VARCHAR} AS cells WHERE false"
    )
    links = " UNION ALL ".join(f"({_links(kind, table)})" for table, kind in _KINDS.items())
    registers = " UNION ALL ".join(
        f"SELECT {_text(table)} AS table_name, entity_id, founding_source, founding_record_id "
        f"FROM linked.{kind}_entities"
        for table, kind in _KINDS.items()
    )
    members = " UNION ALL ".join(
        f"SELECT {_text(table)} AS table_name, source, record_id FROM linked.{kind}_members"
        for table, kind in _KINDS.items()
    )
    decisions = _DECISIONS if "stewardship.decisions" in tables else _NO_DECISIONS
    kinds = " ".join(f"WHEN {_text(table)} THEN {_text(kind)}" for table, kind in _KINDS.items())
    return f"""
    WITH cell AS ({cells}),
    made AS (
      SELECT table_name, column_name, source,
        list({{'source_column': source_column, 'landing_column': landing_column,
          'is_beside': is_beside, 'expression': expression, 'empty_values': empty_values}}
          ORDER BY position) AS made_of
      FROM (SELECT *, transformation IN ('identity', 'transformation', 'aggregation') AS is_direct
            FROM quality.column_lineage WHERE table_name LIKE 'golden.%')
      WHERE true
      GROUP BY table_name, column_name, source, is_direct
      QUALIFY row_number() OVER (PARTITION BY table_name, column_name, source ORDER BY is_direct DESC) = 1),
    landed AS ({" UNION ALL ".join([nothing, *landed])}),
    raw AS ({_RAW}),
    chosen AS ({_CHOSEN}),
    link AS ({links}),
    register AS ({registers}),
    members AS ({members}),
    decision AS ({decisions})
    SELECT c.*, r.file_hash,
      array_to_string(list_transform(r.taken, lambda x: x.column), ', ') AS raw_column,
      array_to_string(list_transform(r.taken, lambda x: x.value), ' ') AS raw_value,
      list_transform(r.found, lambda x: {{'column': x.column, 'value': x.value}}) AS raw_cells,
      r.taken[1].expression AS expression,
      CASE
        WHEN k.method = 'decision' THEN 'a steward decided that it is the same as ' || k.link_source || ':'
          || k.link_record_id
        WHEN k.method = 'key' THEN 'the key ' || k.match_key || ' links it with ' || k.link_source || ':'
          || k.link_record_id
        WHEN k.method = 'model' THEN 'the model links it with ' || k.link_source || ':' || k.link_record_id
          || ' by ' || round(k.match_weight, 1) || ' bits'
        WHEN e.founding_record_id IS NOT NULL THEN 'the entity was founded on it'
        WHEN c.source = {_text(PINS)} THEN 'a steward pinned the value'
        WHEN m.record_id IS NOT NULL THEN 'kept from an earlier night, no link of this one holds it'
        ELSE 'a statement about the person, tied by its record, e-mail address or telephone number'
      END AS link,
      k.method AS link_method, k.link_source, k.link_record_id, k.match_key, k.match_weight,
      k.match_probability, coalesce(d.decision_id, d2.decision_id) AS decision_id
    FROM cell c
    LEFT JOIN chosen r USING (table_name, entity_id, column_name)
    LEFT JOIN link k ON k.table_name = c.table_name AND k.source = c.source AND k.record_id = c.record_id
    LEFT JOIN register e ON e.table_name = c.table_name AND e.entity_id = c.entity_id
      AND e.founding_source = c.source AND e.founding_record_id = c.record_id
    LEFT JOIN members m ON m.table_name = c.table_name AND m.source = c.source AND m.record_id = c.record_id
    LEFT JOIN decision d ON k.method = 'decision' AND d.entity_kind = CASE c.table_name {kinds} END
      AND d.source_l = c.source AND d.record_id_l = c.record_id
      AND d.source_r = k.link_source AND d.record_id_r = k.link_record_id
    LEFT JOIN decision d2 ON k.method = 'decision' AND d2.entity_kind = CASE c.table_name {kinds} END
      AND d2.source_r = c.source AND d2.record_id_r = c.record_id
      AND d2.source_l = k.link_source AND d2.record_id_l = k.link_record_id"""


def origins_statements(sources: Mapping[str, Sequence[str]], tables: Collection[str]) -> list[str]:
    """Statements that put the view and the macro into a catalog; none where a table they need is missing."""
    if not can_trace(tables):
        return [f"DROP MACRO TABLE IF EXISTS {MACRO}", f"DROP VIEW IF EXISTS {VIEW}"]
    living = " UNION ALL ".join(
        f"SELECT entity_id, resolves_to FROM linked.{kind}_entities" for kind in _KINDS.values()
    )
    # A former id stands for the entity it was merged into.
    live = f"(SELECT max(i.resolves_to) FROM ({living}) i WHERE i.entity_id = entity)"
    cells = (
        f"FROM golden.provenance WHERE entity_id = coalesce({live}, entity)"
        f" AND (field IS NULL OR column_name = field) LIMIT {_CELLS_OF_ONE}"
    )
    known = {c.name: c.meaning for c in load_contracts()["golden.provenance"].columns} | MEANINGS
    return [
        f"CREATE OR REPLACE VIEW {VIEW} AS {origins_sql(sources, tables)}",
        f"CREATE OR REPLACE MACRO {MACRO}(entity, field := NULL) AS TABLE "
        + origins_sql(sources, tables, cells),
        f"COMMENT ON VIEW {VIEW} IS "
        + _text("Every golden cell with its source file, row, raw value, rule, runner-up and link."),
        f"COMMENT ON MACRO TABLE {MACRO} IS "
        + _text("golden.origins of one entity: why('P...', 'email'), or why('P...') for all its cells."),
        *(f"COMMENT ON COLUMN {VIEW}.{_name(name)} IS {_text(meaning)}" for name, meaning in known.items()),
    ]


def _sources(contracts: Sequence[Contract]) -> dict[str, list[str]]:
    """Vendor columns by source, from the landing tables among `contracts`."""
    return {
        c.table.removeprefix("landing."): [name for name in c.column_names if not name.startswith("_")]
        for c in contracts
        if c.layer == "landing" and "_row_number" in c.column_names
    }


def origins_offer(contracts: Sequence[Contract]) -> list[str]:
    """The statements as the contracts ask for them; they change when the view has to be made anew."""
    return origins_statements(_sources(contracts), [c.table for c in contracts])


def make_origins(connection: duckdb.DuckDBPyConnection, contracts: Sequence[Contract]) -> None:
    """Put view and macro into the catalog; `contracts` are those of the tables it holds."""
    present: dict[str, set[str]] = {}
    for table, column in connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'landing'"
    ).fetchall():
        present.setdefault(table, set()).add(column)
    # Files that landed before a mapping grew lack its newer columns.
    sources = {
        source: [c for c in columns if c in present.get(source, ())]
        for source, columns in _sources(contracts).items()
    }
    for statement in origins_statements(sources, [c.table for c in contracts]):
        connection.execute(statement)
