"""The report as a page: it opens offline, is the same each time, and shows no personal data."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.config import Config
from crm_hygiene.contract import contract_of
from crm_hygiene.night import Night
from crm_hygiene.quality import STAGES, measure_stage
from crm_hygiene.report import report_path, write_report
from crm_hygiene.report.charts import data_uri, line_chart, sparkline
from crm_hygiene.report.markup import code, table, text

START = datetime(2026, 1, 1, 2, tzinfo=UTC)
_VOID = {"meta", "br", "line", "circle", "polyline", "polygon"}


class Balanced(HTMLParser):
    """Fails on a tag that is closed and was not the last one opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids.add(given.get("id") or "")
        self.links.add(given.get("href") or "")
        self.sources += [given[k] or "" for k in ("src", "srcset") if k in given]
        if tag not in _VOID:
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.opened.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids.add(dict(attrs).get("id") or "")


def parsed(page: str) -> Balanced:
    found = Balanced()
    found.feed(page)
    assert found.opened == []
    return found


def rows_of(table_name: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    contract = contract_of(table_name)
    full = [{**dict.fromkeys(contract.column_names), **row} for row in rows]
    return pl.DataFrame(full, schema=contract.schema)


def a_night(folder: Path, day: int, filled: int) -> Night:
    """A measured night over people of one source, with a queue, a quarantine and a run."""
    night = Night.open(Config(base=folder), f"run{day}")
    night.started_at = START + timedelta(days=day)
    people = [
        {
            "source": "salesforce_leads",
            "record_id": f"{i}",
            "person_kind": "lead",
            "is_deleted": False,
            "email": "ann.secret@lee.example" if i < filled else None,
            "full_name": "Ann Secret",
            "problems": ["email: no address"] if i >= filled else [],
            "file": "f.csv",
            "row_number": i,
            "observed_at": START,
        }
        for i in range(200)
    ]
    refused = {
        "quarantine_id": "q",
        "table_name": "conformed.people",
        "source": "salesforce_leads",
        "reasons": ["email is no address: ann.secret@lee.example"],
        "row": '{"email": "ann.secret@lee.example"}',
    }
    run = {
        "run_id": night.run_id,
        "status": "succeeded",
        "started_at": night.started_at,
        "ended_at": night.started_at + timedelta(minutes=3),
        "published": '{"conformed.people": 1}',
    }
    metadata = {"run_id": night.run_id, "inputs": str(day)}
    night.lake.publish(contract_of("conformed.people"), rows_of("conformed.people", people), metadata)
    night.lake.publish(contract_of("quality.quarantine"), rows_of("quality.quarantine", [refused]), metadata)
    for stage in STAGES:
        measure_stage(night, stage)
    night.lake.append(contract_of("audit.runs"), [rows_of("audit.runs", [run])], metadata)
    return night


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("lake")
    a_night(folder, 0, 200)
    return a_night(folder, 1, 20)


@pytest.fixture(scope="module")
def page(night: Night) -> str:
    return write_report(night).path.read_text(encoding="utf-8")


def test_the_page_is_whole_and_needs_no_network(page: str) -> None:
    found = parsed(page)
    assert not re.search(r"https?://", page)
    assert "<script" not in page
    assert found.sources == []
    assert {link[1:] for link in found.links if link.startswith("#")} <= found.ids
    assert len(page.encode()) < 1_000_000


def test_the_page_tells_the_night(page: str) -> None:
    assert "The night of 2 January 2026" in page
    assert "took 3 min" in page
    assert "email of salesforce_leads: 10.0 %, at least 50.0 % (100.0 % before)" in page
    assert "a field has gone empty" in page
    assert "crm-hygiene review list" not in page  # the queue is empty
    assert "select * from quality.quarantine" in page


def test_a_night_that_changed_nothing_says_so(tmp_path: Path) -> None:
    a_night(tmp_path, 0, 200)
    night = a_night(tmp_path, 1, 200)
    run = {
        "run_id": "run2",
        "status": "succeeded",
        "started_at": START + timedelta(days=2),
        "ended_at": START + timedelta(days=2, minutes=1),
        "published": "{}",
    }
    night.lake.append(
        contract_of("audit.runs"), [rows_of("audit.runs", [run])], {"run_id": "run2", "inputs": "2"}
    )
    page = write_report(night).path.read_text(encoding="utf-8")
    assert "The night of 3 January 2026" in page
    assert "No table has more or fewer rows." in page
    assert "first night measured" not in page


def test_the_page_holds_no_personal_data(page: str) -> None:
    assert "ecret" not in page
    assert "lee.example" not in page


def test_the_same_lake_gives_the_same_bytes(night: Night, page: str) -> None:
    again = write_report(night)
    assert not again.is_new
    assert again.path.read_text(encoding="utf-8") == page


def test_a_lake_without_a_night_has_a_page_too(tmp_path: Path) -> None:
    empty = Night.open(Config(base=tmp_path), "r")
    told = write_report(empty).path.read_text(encoding="utf-8")
    parsed(told)
    assert "No night has changed anything on this lake yet." in told


def test_an_object_store_has_its_report_beside_hygiene_yaml(tmp_path: Path) -> None:
    config = Config(base=tmp_path).model_copy(
        update={"lake": Config().lake.model_copy(update={"uri": "s3://b/l"})}
    )
    assert report_path(Night.open(config, "r")) == tmp_path / "report" / "index.html"


@given(st.text(), st.text())
def test_whatever_is_shown_is_escaped(heading: str, value: str) -> None:
    shown = table(heading, [heading], [[value], [code(value)]])
    assert "<script" not in shown.lower().replace("&lt;script", "")
    parsed(shown.replace("\x00", ""))


def test_text_knows_numbers_and_nothing() -> None:
    assert text(1234567) == "1,234,567"
    assert text("<b>") == "&lt;b&gt;"
    assert "–" in text(None)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60))
def test_lines_stay_within_the_picture(values: list[float]) -> None:
    days = [f"2026-01-{i % 28 + 1:02}" for i in range(len(values))]
    drawn = line_chart("people", "row_count", days, values)
    parsed(drawn)
    points = [p.split(",") for p in " ".join(re.findall(r'points="([^"]+)"', drawn)).split()]
    assert all(0 <= float(x) <= 320 and 0 <= float(y) <= 110 for x, y in points)
    assert "nan" not in drawn
    assert data_uri(sparkline(values)).startswith("data:image/svg+xml;base64,")
