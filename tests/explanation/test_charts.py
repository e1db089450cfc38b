"""Charts: whole pages, no network, drawn only when something changed, the same each time."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from linkage.explained_lake import ExplainedLake, pairs_of

from crm_hygiene.config import Config, LakeConfig
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.explanation.charts import MEANING, MOST_BYTES, ChartSet, charts_folder, draw_charts
from crm_hygiene.explanation.waterfall import check_chart_file, draw_waterfall
from crm_hygiene.night import Night

FETCHED = re.compile(
    r"<(?:script|img|iframe)\b[^>]*\bsrc=|<link\b[^>]*\bhref=|@import\b|url\(\s*['\"]?https?:"
)


@pytest.fixture(scope="module")
def lake(explained: ExplainedLake, tmp_path_factory: pytest.TempPathFactory) -> ExplainedLake:
    return explained.copy(tmp_path_factory.mktemp("charts") / "copy")


@pytest.fixture(scope="module")
def drawn(lake: ExplainedLake) -> ChartSet:
    found = draw_charts(lake.night(), "person")
    assert found is not None
    return found


def test_every_chart_is_a_page_of_bounded_size_that_fetches_nothing(drawn: ChartSet) -> None:
    assert set(drawn.files) == set(MEANING)
    for path in sorted(drawn.folder.glob("*.html")):
        page = path.read_text(encoding="utf-8")
        assert len(page.encode()) < MOST_BYTES
        head = re.sub(r"<script\b[^>]*>.*?</script>", "<script></script>", page, flags=re.DOTALL)
        assert not FETCHED.search(head), path.name
        assert not re.search(r"<script\b[^>]*\bsrc=\s*[\"']https?:", page), path.name


def test_an_index_leads_to_all_of_them(drawn: ChartSet) -> None:
    index = (drawn.folder / "index.html").read_text(encoding="utf-8")
    assert all(f'href="{name}"' in index for name in drawn.files)


def test_only_the_viewer_holds_personal_data(lake: ExplainedLake, drawn: ChartSet) -> None:
    mailbox = lake.read("conformed.people")["email"].drop_nulls()[0]
    mailboxes = set(lake.read("conformed.people")["email"].drop_nulls())
    assert mailbox in mailboxes
    holding = {
        name for name in drawn.files if any(m in (drawn.folder / name).read_text("utf-8") for m in mailboxes)
    }
    assert holding == {"comparison_viewer.html"}


def test_unchanged_tables_are_not_drawn_again_and_the_same_tables_give_the_same_pages(
    lake: ExplainedLake, drawn: ChartSet
) -> None:
    again = draw_charts(lake.night(), "person")
    assert again is not None
    assert not again.is_new
    before = {path.name: path.read_bytes() for path in drawn.folder.iterdir()}
    shutil.rmtree(drawn.folder)
    anew = draw_charts(lake.night(), "person")
    assert anew is not None
    assert anew.is_new
    assert {path.name: path.read_bytes() for path in drawn.folder.iterdir()} == before


def test_a_lost_or_damaged_page_list_draws_again(lake: ExplainedLake, drawn: ChartSet) -> None:
    (drawn.folder / "match_weights.html").unlink()
    lost = draw_charts(lake.night(), "person")
    assert lost is not None
    assert lost.is_new
    (drawn.folder / "charts.json").write_text("{", encoding="utf-8")
    damaged = draw_charts(lake.night(), "person")
    assert damaged is not None
    assert damaged.is_new


def test_before_the_first_night_there_is_nothing_to_draw(tmp_path: Path) -> None:
    assert draw_charts(Night.open(Config(base=tmp_path)), "person") is None
    assert not charts_folder(Night.open(Config(base=tmp_path))).exists()


def test_of_a_lake_in_an_object_store_the_charts_are_beside_hygiene_yaml(tmp_path: Path) -> None:
    config = Config(base=tmp_path, lake=LakeConfig(uri="s3://bucket/lake"))
    assert charts_folder(Night.open(config)) == tmp_path / "charts"


def test_a_waterfall_names_the_records_and_ends_at_the_weight(lake: ExplainedLake, tmp_path: Path) -> None:
    row = lake.read("linked.person_pairs").row(0, named=True)
    pairs = pairs_of(lake.read("linked.person_pairs"))
    draw_waterfall(lake.night(), "person", pairs[:1], tmp_path / "one.html")
    page = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert row["record_id_l"] in page
    assert row["record_id_r"] in page
    assert f"{row['match_weight']:.4f}"[:-1] in page
    assert (
        "cdn.jsdelivr.net/npm/vega" not in re.sub(r"(?s)<script[^>]*>/\*|sourceMappingURL.*", "", page)[:2000]
    )
    draw_waterfall(lake.night(), "person", [(b, a) for a, b in pairs[:3]], tmp_path / "three.html")
    assert "3 pairs" in (tmp_path / "three.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("x.pdf", "ends in one of"), ("gone/x.html", "there is no folder"), ("x", "ends in")],
)
def test_a_chart_that_cannot_be_drawn_is_refused_before_any_work(
    tmp_path: Path, name: str, expected: str
) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        check_chart_file(tmp_path / name)


def test_a_picture_without_its_packages_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    with pytest.raises(ConfigurationError, match=r"vl-convert-python.*\.html needs nothing more"):
        check_chart_file(tmp_path / "x.png")
