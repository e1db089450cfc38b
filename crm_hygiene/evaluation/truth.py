"""Truth files: which records truly belong together, as somebody wrote it down.

`CLUSTER_ID,RECORD_ID,DATA_SOURCE`: records of one cluster are one entity; the source is the name of
the mapping that landed the record. Other columns are ignored.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.records import NOUNS, written
from crm_hygiene.linkage.settings import EntityKind

TRUTH_COLUMNS = ("CLUSTER_ID", "RECORD_ID", "DATA_SOURCE")
_SHOWN = 5


@dataclass(frozen=True)
class Truth:
    """A truth file without repetitions.

    Attributes
    ----------
    rows
        `CLUSTER_ID`, `RECORD_ID`, `DATA_SOURCE`, one row per record, in the file's order.
    notes
        what a reader of the figures should know about the file.
    """

    rows: pl.DataFrame
    notes: tuple[str, ...] = ()


def _first(texts: Iterable[str], count: int) -> str:
    more = f"; and {count - _SHOWN:,} more" if count > _SHOWN else ""
    return "; ".join(texts) + more


def _read(path: Path) -> tuple[list[int], list[tuple[str, str, str]]]:
    """The line on which each row starts, and its three cells, trimmed."""
    lines: list[int] = []
    cells: list[tuple[str, str, str]] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = [name.strip() for name in next(reader, [])]
        absent = [c for c in TRUTH_COLUMNS if c not in header]
        if absent:
            raise ConfigurationError(
                f"{path}: column {', '.join(absent)} is missing; a truth file has {', '.join(TRUTH_COLUMNS)}"
            )
        cluster, record, source = (header.index(c) for c in TRUTH_COLUMNS)
        before = reader.line_num
        for row in reader:
            line, before = before + 1, reader.line_num
            if not row:
                continue
            if len(row) < len(header):
                raise ConfigurationError(
                    f"{path}: line {line} has {len(row)} cells, the header {len(header)}"
                )
            lines.append(line)
            cells.append((row[cluster].strip(), row[record].strip(), row[source].strip()))
    return lines, cells


def read_truth(path: Path) -> Truth:
    """Read a truth file and check that it does not contradict itself.

    Raises
    ------
    ConfigurationError
        if there is no such file, it is no CSV in UTF-8, lacks a column or a cell, has no row, or puts
        one record into two clusters; the message names the lines.
    """
    try:
        lines, cells = _read(path)
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such file; `--truth` names a CSV with labels") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path}: not readable as CSV in UTF-8: {error}") from error
    if not cells:
        raise ConfigurationError(f"{path}: there is no row below the header")
    rows = pl.DataFrame(cells, schema=dict.fromkeys(TRUTH_COLUMNS, pl.String), orient="row").with_columns(
        line=pl.Series(lines, dtype=pl.Int64)
    )
    empty = rows.filter(pl.any_horizontal(pl.col(TRUTH_COLUMNS) == ""))
    if empty.height:
        named = ", ".join(str(n) for n in empty["line"].head(_SHOWN))
        more = f" and {empty.height - _SHOWN:,} more" if empty.height > _SHOWN else ""
        raise ConfigurationError(f"{path}: a cell is empty on line {named}{more}; every row needs all three")
    firsts = rows.unique(["DATA_SOURCE", "RECORD_ID"], keep="first", maintain_order=True)
    again = rows.join(firsts, on="line", how="anti").join(
        firsts.rename({"line": "first_line", "CLUSTER_ID": "first_cluster"}),
        on=["DATA_SOURCE", "RECORD_ID"],
        how="left",
        maintain_order="left",
    )
    torn = again.filter(pl.col("CLUSTER_ID") != pl.col("first_cluster"))
    if torn.height:
        said = (
            f"{written((row['DATA_SOURCE'], row['RECORD_ID']))} is in cluster {row['first_cluster']} on line "
            f"{row['first_line']} and in cluster {row['CLUSTER_ID']} on line {row['line']}"
            for row in torn.head(_SHOWN).iter_rows(named=True)
        )
        raise ConfigurationError(f"{path}: the truth contradicts itself: {_first(said, torn.height)}")
    notes = []
    if again.height:
        said = (
            f"{written((row['DATA_SOURCE'], row['RECORD_ID']))} on lines {row['first_line']}, {row['line']}"
            for row in again.head(_SHOWN).iter_rows(named=True)
        )
        count = f"{again.height:,} row{'s repeat records' if again.height > 1 else ' repeats a record'}"
        notes.append(f"{count} and count once: {_first(said, again.height)}")
    return Truth(firsts.select(TRUTH_COLUMNS), tuple(notes))


def known_records(truth: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """The rows of `truth` whose records are among `members` (`source`, `record_id`)."""
    return truth.join(
        members, left_on=["DATA_SOURCE", "RECORD_ID"], right_on=["source", "record_id"], how="semi"
    )


def of_one_kind(
    truth: Truth, members: dict[EntityKind, pl.DataFrame], kind: EntityKind | None = None
) -> tuple[EntityKind, Truth]:
    """The kind a truth file is about, and its rows without records of the other kind.

    Parameters
    ----------
    members
        linked members of each kind.
    kind
        the kind asked for; None takes the one that knows more of the records.

    Raises
    ------
    ConfigurationError
        if no record is known.
    """
    counts: dict[EntityKind, int] = {k: known_records(truth.rows, members[k]).height for k in sorted(members)}
    likeliest = max(counts, key=counts.__getitem__)
    chosen = likeliest if kind is None else kind
    if not counts[chosen]:
        sources = truth.rows["DATA_SOURCE"].unique().sort().head(_SHOWN).to_list()
        known = sorted({s for k in members if kind in (None, k) for s in members[k]["source"].unique()})
        what = "no record" if kind is None else f"no {NOUNS[kind][0]} record"
        there = f"the lake knows {', '.join(known)}" if known else "no night has linked anything yet"
        other = next((k for k in counts if counts[k]), None)
        hint = f"; {counts[other]:,} are {NOUNS[other][1]}: try --kind {other}" if other else ""
        raise ConfigurationError(
            f"the truth file names {what} that linkage knows: its sources are {', '.join(sources)}, "
            f"{there}{hint}"
        )
    others = [m for k, m in members.items() if k != chosen]
    rows = truth.rows
    for frame in others:
        rows = rows.join(
            frame, left_on=["DATA_SOURCE", "RECORD_ID"], right_on=["source", "record_id"], how="anti"
        )
    left_out = truth.rows.height - rows.height
    if not left_out:
        return chosen, truth
    note = f"{left_out:,} records of the file are not {NOUNS[chosen][1]} and are left out"
    return chosen, Truth(rows, (*truth.notes, note))
