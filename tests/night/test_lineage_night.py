"""After a night: golden cells lead to raw values, events tell of every step, earlier nights answer."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import polars as pl
import pytest
from lineage.published_model import check_event

from assets import golden as golden_assets
from crm_hygiene import standardise as std
from crm_hygiene.catalog_query import query
from crm_hygiene.conform.standard import plain
from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError, GateStopped, LakeError
from crm_hygiene.lineage.cell_story import explain_cell, golden_row
from crm_hygiene.lineage.changes import entity_changes
from crm_hygiene.lineage.entity_then import entity_then
from crm_hygiene.lineage.past_night import past_night
from crm_hygiene.night import Night

from .project import Project

# Columns whose value is the raw one in a standard form, told by the cell alone.
_AS_IT_STANDS = ("job_title", "lead_source", "industry", "occupation")


def night_of(project: Project) -> Night:
    return Night.open(project.config)


def events(project: Project, run_id: str) -> list[dict[str, object]]:
    path = Path(project.config.lake_uri) / "openlineage" / f"{run_id}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def origins(undisturbed: Project) -> pl.DataFrame:
    return query(undisturbed.config.catalog_path, "select * from golden.origins")


def test_every_golden_cell_has_one_origin_with_file_row_and_raw_value(
    undisturbed: Project, origins: pl.DataFrame
) -> None:
    key = ["table_name", "entity_id", "column_name"]
    provenance = undisturbed.read("golden.provenance")
    assert origins.height == provenance.height > 0
    assert not origins.select(key).is_duplicated().any()
    landed = origins.filter(pl.col("file").is_not_null())
    assert landed.filter(pl.col("file_hash").is_null()).is_empty()
    # Entities of accounts can be found by what a record of another kind says; their cells name no raw text.
    stated = landed.filter(~pl.col("column_name").str.ends_with("entity_id"))
    assert stated.filter(pl.col("raw_value").is_null()).is_empty()
    assert origins["link"].null_count() == 0


def test_raw_values_standardise_to_the_golden_ones(origins: pl.DataFrame) -> None:
    def cells(*columns: str) -> pl.DataFrame:
        found = origins.filter(pl.col("column_name").is_in(columns))
        assert found.height, columns
        return found

    mails = cells("email")
    again = std.standardise_emails(mails.select(raw="raw_value"))["email"]
    assert again.to_list() == mails["value"].to_list()
    countries = cells("country_code")
    again = std.standardise_countries(countries.select(raw="raw_value"))["country_code"]
    assert again.to_list() == countries["value"].to_list()
    domains = cells("website_domain")
    again = std.standardise_domains(domains.select(raw="raw_value"))["website_domain"]
    assert again.to_list() == domains["value"].to_list()
    texts = cells(*_AS_IT_STANDS).with_columns(again=plain(pl.col("raw_value")))
    assert texts.filter(pl.col("again") != pl.col("value")).is_empty()
    # A national number gets its country's prefix: the last digits are the same.
    phones = cells("phone", "mobile_phone").select(
        pl.col("value", "raw_value")
        .str.replace_all(r"(ext|x|#).*$", "")
        .str.replace_all("[^0-9]", "")
        .str.tail(6)
    )
    assert phones["value"].to_list() == phones["raw_value"].to_list()


def test_why_tells_the_same_of_one_entity(undisturbed: Project, origins: pl.DataFrame) -> None:
    catalog = undisturbed.config.catalog_path
    for entity in origins["entity_id"].unique().sort().head(5):
        mine = origins.filter(entity_id=entity).sort("column_name")
        assert query(catalog, f"select * from why('{entity}') order by column_name").equals(mine)
        column = mine["column_name"][0]
        one = query(catalog, f"select column_name, value from why('{entity}', '{column}')")
        assert one.rows() == mine.select("column_name", "value").head(1).rows()


def test_links_lead_to_another_record_of_the_entity(undisturbed: Project, origins: pl.DataFrame) -> None:
    linked = origins.filter(pl.col("link_method").is_not_null())
    assert linked.height
    members = pl.concat(undisturbed.read(f"linked.{kind}_members") for kind in ("person", "organisation"))
    ends = linked.join(
        members, left_on=["link_source", "link_record_id"], right_on=["source", "record_id"], how="left"
    )
    assert ends.filter(pl.col("entity_id").ne_missing(pl.col("entity_id_right"))).is_empty()


def test_the_story_tells_what_why_tells(undisturbed: Project, origins: pl.DataFrame) -> None:
    night = night_of(undisturbed)
    lost = origins.filter(
        (pl.col("column_name") == "email") & pl.col("runner_up").is_not_null() & pl.col("link").is_not_null()
    ).sort("entity_id")
    row = lost.row(0, named=True)
    story = explain_cell(night, "person", row["entity_id"], "email")
    text = "\n".join(story.lines())
    for part in (row["value"], row["rule"], row["runner_up"], row["file"], f"row {row['row_number']:,}"):
        assert part in text
    assert f"{row['raw_column']} = '{row['raw_value']}'" in text
    assert story.ranked()[0].record == (row["source"], row["record_id"])
    remarks = [c["remark"] for c in story.as_json()["candidates"]]  # type: ignore[index, union-attr]
    assert remarks[:2] == ["chosen", "runner-up"]
    json.dumps(story.as_json(), default=str)


def test_every_step_told_its_start_and_end(undisturbed: Project) -> None:
    run_id = undisturbed.read("audit.runs")["run_id"][0]
    told = events(undisturbed, run_id)
    for event in told:
        check_event(event)
    by_step: dict[str, list[str]] = {}
    for event in told:
        by_step.setdefault(event["job"]["name"], []).append(event["eventType"])  # type: ignore[index, arg-type]
    assert set(map(tuple, by_step.values())) == {("START", "COMPLETE")}
    written = {o["name"]: o for e in told if e["eventType"] == "COMPLETE" for o in e["outputs"]}  # type: ignore[attr-defined]
    for table in ("golden.contacts", "golden.provenance", "quality.column_lineage", "conformed.people"):
        rows = written[table]["outputFacets"]["outputStatistics"]["rowCount"]
        assert rows == undisturbed.read(table).height
    lineage = written["golden.contacts"]["facets"]["columnLineage"]["fields"]
    assert "email" in lineage
    # Names and counts only: no cell of the lake is in any event.
    text = json.dumps(told, ensure_ascii=False)
    for mail in undisturbed.read("golden.contacts")["email"].drop_nulls().head(20):
        assert mail not in text


@pytest.mark.long
def test_a_stopped_step_fails_and_later_nights_tell_what_changed(project: Project) -> None:
    before = project.read("golden.contacts")
    alone = before.filter(pl.col("record_count") == 1)
    provenance = (
        project.read("golden.provenance")
        .filter((pl.col("column_name") == "email") & (pl.col("source") == "salesforce_leads"))
        .join(alone, on="entity_id", how="semi")
    )
    row = provenance.sort("entity_id").row(0, named=True)
    entity, record = row["entity_id"], row["record_id"]
    first_run = project.read("audit.runs")["run_id"][0]
    _changed_lead(project, record, row["value"])

    held = {"side_effect": GateStopped("held back for a test")}
    with (
        mock.patch.object(golden_assets, "golden_of", **held),
        mock.patch.object(golden_assets, "revise_golden", **held),
    ):
        stopped = project.night(day=1)
    assert not stopped.is_success
    failed = [e for e in events(project, stopped.run_id) if e["eventType"] == "FAIL"]
    assert [e["job"]["name"] for e in failed] == ["nightly.golden"]  # type: ignore[index]
    check_event(failed[0])
    assert "held back for a test" in failed[0]["run"]["facets"]["errorMessage"]["message"]  # type: ignore[index]

    assert project.night(day=2).is_success
    night = night_of(project)
    then = past_night(night, first_run[:8])
    old = golden_row(then.night, "golden.contacts", entity)
    assert old == before.filter(entity_id=entity).row(0, named=True)
    first = project.read("audit.runs").row(by_predicate=pl.col("run_id") == first_run, named=True)
    version = json.loads(first["read_versions"])["golden.contacts"]
    assert past_night(night, str(version)).run_id == first_run
    found = entity_changes(then.night, night, "person", entity, None, "then", "now", is_ruled_anew=False)
    change = next(c for c in found.cells if c.column == "email")
    assert change.before == row["value"]
    assert change.after == f"new.{row['value']}"
    assert change.cause == "record changed"
    assert f"salesforce_leads:{record} changed" in change.why
    assert "2026-01-02 02:00" in change.why or "2026-01-03 02:00" in change.why
    only = entity_changes(then.night, night, "person", entity, "email", "then", "now", is_ruled_anew=False)
    assert [c.column for c in only.cells] == ["email"]
    shown = entity_then(then.night, "person", entity, "the first night")
    assert row["value"] in "\n".join(shown.lines())
    assert explain_cell(then.night, "person", entity, "email").value == row["value"]
    with pytest.raises(LakeError, match="earlier night"):
        then.night.lake.publish(contract_of("golden.contacts"), before, {})
    with pytest.raises(ConfigurationError, match="the latest nights"):
        past_night(night, "no-such-run")


def _changed_lead(project: Project, record: str, mail: str) -> None:
    """Another export of one lead, with a new address and a later change time."""
    path = next(iter(sorted(project.landing.glob("salesforce/Lead*.csv"))))
    rows = pl.read_csv(path, infer_schema=False)
    changed = rows.filter(pl.col("Id").str.slice(0, 15) == record[:15]).with_columns(
        Email=pl.lit(f"new.{mail}"), LastModifiedDate=pl.lit("2026-12-31T00:00:00.000Z")
    )
    assert changed.height == 1
    changed.write_csv(path.with_name("Lead_later.csv"))
