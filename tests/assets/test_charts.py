"""The charts as an asset: their addresses in the metadata, and no night stopped by a picture."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from linkage.explained_lake import ExplainedLake

from assets import charts
from assets.resources import NightResource
from crm_hygiene.errors import LakeError


def materialized(lake: ExplainedLake) -> dict[str, dg.MetadataValue]:
    resources = {"night": NightResource(config_path=str(lake.folder / "hygiene.yaml"))}
    result = dg.materialize(
        charts.charts_assets(), resources=resources, instance=dg.DagsterInstance.ephemeral()
    )
    assert result.success
    event = result.asset_materializations_for_node("charts__linkage")[0]
    return dict(event.metadata)


def test_metadata_leads_to_pages_that_exist(explained: ExplainedLake, tmp_path: Path) -> None:
    lake = explained.copy(tmp_path / "copy")
    found = materialized(lake)
    for kind in ("person", "organisation"):
        start = Path(str(found[f"{kind}: start here"].value))
        assert start.is_file()
        assert lake.folder in start.parents
        table = str(found[f"{kind}: charts"].value)
        for page in start.parent.glob("*.html"):
            assert page == start or str(page) in table
        assert found[f"{kind}: drawn anew"].value is True
    assert materialized(lake)["person: drawn anew"].value is False


def test_a_chart_that_cannot_be_drawn_stops_no_night(
    explained: ExplainedLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise LakeError("no space left")

    monkeypatch.setattr(charts, "draw_charts", refuse)
    found = materialized(explained.copy(tmp_path / "copy"))
    assert set(found) == {"folder"}
