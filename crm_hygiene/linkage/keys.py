"""Deterministic keys: pairs that are one entity by an identifier, before any model is asked.

Equal mailboxes and tax numbers count only between records whose names can be one name; the vendor's
own statements (merged records, converted leads) count as they stand. Generic values were removed
before (`generic_values`).
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import polars as pl

from crm_hygiene.linkage.connection import fetch, load
from crm_hygiene.linkage.settings import EntityKind

KEYS_SCHEMA = pl.Schema({"l": pl.Int64(), "r": pl.Int64(), "match_key": pl.String()})

# Two people's names can be one name: each part missing, alike, a nickname or an initial; or swapped; or
# one in Latin letters and one in letters that cannot be compared with them.
COMPATIBLE_PEOPLE = """(
    (coalesce(a.family, '') = '' OR coalesce(b.family, '') = ''
        OR jaro_winkler_similarity(a.family, b.family) >= 0.85)
    AND (coalesce(a.given, '') = '' OR coalesce(b.given, '') = ''
        OR jaro_winkler_similarity(a.given, b.given) >= 0.8
        OR list_has_any(a.given_roots, b.given_roots)
        OR ((length(a.given) = 1 OR length(b.given) = 1) AND left(a.given, 1) = left(b.given, 1)))
) OR (a.given = b.family AND a.family = b.given) OR a.name_is_latin <> b.name_is_latin"""

COMPATIBLE_ORGANISATIONS = """(
    a.name IS NULL OR b.name IS NULL OR jaro_winkler_similarity(a.name, b.name) >= 0.8
    OR contains(a.name, b.name) OR contains(b.name, a.name) OR a.name_is_latin <> b.name_is_latin
)"""

# Up to this many records of one value and one name are paired each with each, so that a decision on one
# pair leaves the evidence of the others; more are joined as a star to their first.
STAR_FROM = 8

# column -> (column filter, whether names must be compatible)
SHARED: dict[EntityKind, dict[str, tuple[str, bool]]] = {
    "person": {
        "email": ("email_kind IN ('person', 'free')", True),
        "tax_id": ("tax_is_verified", True),
    },
    "organisation": {"tax_id": ("tax_is_verified", False), "iban": ("unique_id IS NOT NULL", True)},
}

# Columns besides those that the conditions above read.
COMPARED = (
    "tax_is_verified",
    "name_sort",
    "given",
    "family",
    "given_roots",
    "email_kind",
    "name",
    "name_is_latin",
)


def _shared_value(con: duckdb.DuckDBPyConnection, kind: EntityKind, column: str) -> pl.DataFrame:
    condition, by_name = SHARED[kind][column]
    compatible = COMPATIBLE_PEOPLE if kind == "person" else COMPATIBLE_ORGANISATIONS
    # Names are compared between the first records of each name only. A record
    # without a name joins where all names agree.
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE centres AS
        SELECT "{column}" AS value, coalesce(name_sort, '') AS named, min(unique_id) AS centre, count(*) AS n
        FROM records WHERE "{column}" IS NOT NULL AND {condition} GROUP BY ALL
    """)
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE centre_pairs AS
        SELECT ca.value, ca.centre AS a_id, cb.centre AS b_id, ca.named = '' OR cb.named = '' AS is_nameless,
               {compatible if by_name else "true"} AS is_compatible
        FROM centres ca JOIN centres cb ON ca.value = cb.value AND ca.centre < cb.centre
        JOIN records a ON a.unique_id = ca.centre JOIN records b ON b.unique_id = cb.centre
    """)
    return fetch(
        con,
        f"""
        WITH torn AS (SELECT DISTINCT value FROM centre_pairs WHERE NOT coalesce(is_compatible, false))
        SELECT r.l, r.r FROM (
            SELECT c.centre AS l, p.unique_id AS r
            FROM centres c JOIN records p ON p."{column}" = c.value AND coalesce(p.name_sort, '') = c.named
            WHERE p.unique_id > c.centre AND p.{condition}
              AND (c.named <> '' OR c.value NOT IN (SELECT value FROM torn))
            UNION ALL
            SELECT p.unique_id, q.unique_id
            FROM centres c
            JOIN records p ON p."{column}" = c.value AND coalesce(p.name_sort, '') = c.named AND c.named <> ''
            JOIN records q ON q."{column}" = c.value AND q.name_sort = p.name_sort
            WHERE c.n <= {STAR_FROM} AND c.centre < p.unique_id AND p.unique_id < q.unique_id
              AND p.{condition} AND q.{condition}
            UNION ALL
            SELECT a_id, b_id FROM centre_pairs
            WHERE is_compatible AND (NOT is_nameless OR value NOT IN (SELECT value FROM torn))
        ) r
        """,
    ).select(pl.col("l").cast(pl.Int64), pl.col("r").cast(pl.Int64), pl.lit(column).alias("match_key"))


def _stated(rows: pl.DataFrame, systems: Mapping[str, str]) -> pl.DataFrame:
    """Links the sources state themselves: merged records, converted leads."""
    system = (
        pl.col("source").replace_strict(dict(systems), default=None, return_dtype=pl.String)
        if systems
        else pl.lit(None, dtype=pl.String)
    )
    rows = rows.with_columns(system=pl.coalesce(system, pl.col("source").str.split("_").list.first()))
    merged = (
        rows.select("source", "unique_id", record_id="merged_record_ids")
        .explode("record_id")
        .join(rows.select("source", "record_id", other="unique_id"), on=["source", "record_id"])
        .select("unique_id", "other", match_key=pl.lit("merged_record_ids"))
    )
    found = [merged]
    if "converted_person_record_id" in rows.columns:
        found.append(
            rows.select("system", "unique_id", from_source="source", record_id="converted_person_record_id")
            .filter(pl.col("record_id").is_not_null())
            .join(rows.select("system", "source", "record_id", other="unique_id"), on=["system", "record_id"])
            .filter(pl.col("from_source") != pl.col("source"))
            .select("unique_id", "other", match_key=pl.lit("converted_person_record_id"))
        )
    return (
        pl.concat(found)
        .filter(pl.col("unique_id") != pl.col("other"))
        .select(
            l=pl.min_horizontal("unique_id", "other"),
            r=pl.max_horizontal("unique_id", "other"),
            match_key="match_key",
        )
    )


def key_links(
    con: duckdb.DuckDBPyConnection,
    kind: EntityKind,
    frame: pl.DataFrame,
    stated_rows: pl.DataFrame,
    systems: Mapping[str, str],
) -> pl.DataFrame:
    """Pairs of records that share an identifier.

    Parameters
    ----------
    frame
        comparable columns without generic values, with block columns.
    stated_rows
        `unique_id`, `source`, `record_id`, `merged_record_ids` and, for people,
        `converted_person_record_id`.
    systems
        vendor system by source; where absent, the source's name up to the first underscore.

    Returns
    -------
    polars.DataFrame
        `l` < `r` (unique_id) and `match_key`, one row per pair, sorted.
    """
    compared = [c for c in COMPARED if c in frame.columns]
    holds_any = pl.any_horizontal(pl.col(c).is_not_null() for c in SHARED[kind])
    load(con, "records", frame.filter(holds_any).select("unique_id", *compared, *SHARED[kind]))
    found = [_stated(stated_rows, systems)]
    found += [_shared_value(con, kind, column) for column in SHARED[kind]]
    con.execute("DROP TABLE records")
    return (
        pl.concat([part.cast(KEYS_SCHEMA) for part in found])
        .group_by("l", "r")
        .agg(pl.col("match_key").min())
        .sort("l", "r")
    )
