"""What a night without any trouble leaves behind, and that a second one changes nothing."""

from __future__ import annotations

import shutil

import polars as pl
import pytest

from crm_hygiene.contract import contract_of
from crm_hygiene.night import mappings_of

from .project import OUTCOME, Project


def test_every_table_is_there(undisturbed: Project) -> None:
    for table in OUTCOME:
        assert undisturbed.lake.exists(table), table
    assert undisturbed.read("golden.contacts").height > 10
    assert undisturbed.read("audit.runs")["status"].to_list() == ["succeeded"]
    assert undisturbed.config.catalog_path.is_file()


def test_same_night_again_changes_no_table(project: Project) -> None:
    before = project.versions()
    outcome = project.night(day=1)
    assert outcome.is_success, outcome.failures
    assert project.versions() == before


@pytest.mark.long
def test_renamed_file_adds_nothing(project: Project) -> None:
    contacts = project.landing / "salesforce/Contact.csv"
    shutil.move(contacts, contacts.with_name("Contact-2026-01-02.csv"))
    before = project.versions()
    assert project.night(day=1).is_success
    assert project.versions() == before


def test_every_row_of_every_file_landed_or_is_in_quarantine(undisturbed: Project) -> None:
    files = undisturbed.read("landing.files")
    quarantine = undisturbed.read("quality.quarantine").filter(
        pl.col("table_name").str.starts_with("landing.")
    )
    for source in files["source"].unique():
        mine = files.filter(pl.col("source") == source)
        assert undisturbed.read_landing(source).height == mine["row_count"].sum()
        assert quarantine.filter(pl.col("source") == source).height == mine["refused_count"].sum()
    for name, mapping in mappings_of(undisturbed.config).items():
        csv = [
            p
            for p in undisturbed.landing.rglob("*.csv")
            if mapping.claims(p.relative_to(undisturbed.landing).as_posix())
        ]
        for path in csv:
            rows = len(
                pl.read_csv(path, infer_schema=False, encoding="utf8-lossy", separator=_delimiter(path))
            )
            file = path.relative_to(undisturbed.landing).as_posix()
            entry = files.filter(pl.col("file") == file).row(0, named=True)
            assert entry["row_count"] + entry["refused_count"] == rows, (name, file)


def _delimiter(path) -> str:  # type: ignore[no-untyped-def]
    return ";" if b";" in path.read_bytes().split(b"\n", 1)[0] else ","


def test_every_golden_cell_has_one_provenance_row_that_leads_to_a_landed_row(undisturbed: Project) -> None:
    provenance = undisturbed.read("golden.provenance")
    assert not provenance.select("table_name", "entity_id", "column_name").is_duplicated().any()
    for table in ("golden.contacts", "golden.accounts"):
        frame = undisturbed.read(table)
        mine = provenance.filter(pl.col("table_name") == table)
        columns = [c for c in mine["column_name"].unique() if c in frame.columns]
        assert len(columns) > 5
        cells = (
            frame.select(
                "entity_id",
                *(
                    pl.col(c).cast(pl.String, strict=False)
                    for c in columns
                    if frame.schema[c] != pl.List(pl.String)
                ),
            )
            .unpivot(index="entity_id", variable_name="column_name", value_name="value")
            # Nobody stated anything: there is no record to point to.
            .filter(pl.col("value").is_not_null() & (pl.col("value") != "unknown"))
        )
        assert cells.join(mine, on=["entity_id", "column_name"], how="anti").height == 0
        assert mine.join(frame, on="entity_id", how="anti").height == 0
    mappings = mappings_of(undisturbed.config)
    landed = pl.concat(
        undisturbed.read_landing(source).select(
            pl.lit(source).alias("source"), file="_file", row_number="_row_number"
        )
        for source in provenance["source"].unique().drop_nulls()
        if source in mappings
    )
    assert provenance.filter(~pl.col("source").is_in(list(mappings))).height == 0
    assert provenance.join(landed, on=["source", "file", "row_number"], how="anti").height == 0


def test_commits_name_run_and_rules(undisturbed: Project) -> None:
    run = undisturbed.read("audit.runs").row(0, named=True)
    for table in OUTCOME:
        commit = undisturbed.lake.metadata(table)
        assert commit["run_id"] == run["run_id"]
        assert commit["rules"] == run["rule_fingerprint"]
    assert contract_of("golden.contacts").table in run["published"]


@pytest.mark.long
def test_row_order_and_threads_change_nothing(undisturbed: Project, tmp_path) -> None:  # type: ignore[no-untyped-def]
    other = Project(tmp_path / "shuffled")
    shutil.copytree(undisturbed.landing, other.landing)
    other.configure("limits: {threads: 1}\n")
    for number, path in enumerate(sorted(other.landing.rglob("*.csv"))):
        header, *lines = path.read_bytes().splitlines(keepends=True)
        assert path.read_bytes().count(b'"') % 2 == 0
        if any(line.count(b'"') % 2 for line in lines):
            continue  # a record over several lines: shuffling lines would tear it
        shuffled = pl.Series(range(len(lines))).sample(fraction=1, shuffle=True, seed=number)
        path.write_bytes(header + b"".join(lines[i] for i in shuffled))
    assert other.night().is_success
    # Where a row stood is all that may differ; quarantine ids and file hashes are part of it.
    assert other.contents(OUTCOME, _PLACES) == undisturbed.contents(OUTCOME, _PLACES)


_PLACES = ("file", "row_number")
