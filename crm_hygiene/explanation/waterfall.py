"""Splink's waterfall chart of chosen pairs: from the prior, weight by weight, to the total."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.explanation.chart_page import page_of_spec, write_page
from crm_hygiene.explanation.explain import explain_pairs, promoted_model
from crm_hygiene.explanation.pair_explanation import PairExplanation
from crm_hygiene.explanation.pair_weights import weigh
from crm_hygiene.explanation.selection import select_records
from crm_hygiene.linkage.connection import connection
from crm_hygiene.linkage.night_settings import settings_of
from crm_hygiene.linkage.records import Record, written
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night

FORMATS = (".html", ".png", ".svg")

_BAR = 120  # pixels from bar to bar
_LABEL = 30  # characters of a label of that width


def check_chart_file(path: Path) -> None:
    """Refuse a chart file that cannot be drawn, before any work.

    Raises
    ------
    ConfigurationError
        if its ending is none of `FORMATS`, its folder is missing, or a picture needs what is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigurationError(f"--chart {path}: the name ends in one of {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise ConfigurationError(f"--chart {path}: there is no folder {path.parent}")
    if path.suffix.lower() != ".html" and not all(map(importlib.util.find_spec, ("altair", "vl_convert"))):
        raise ConfigurationError(
            f"--chart {path}: a picture needs the packages altair and vl-convert-python, which are not "
            "installed; a chart as .html needs nothing more and opens offline"
        )


def draw_waterfall(
    night: Night, kind: EntityKind, pairs: Sequence[tuple[Record, Record]], path: Path
) -> None:
    """Write the waterfall of `pairs` to `path`; of several, the page has a slider to choose one.

    Raises
    ------
    ConfigurationError
        if the file cannot be drawn (`check_chart_file`), a record is unknown, or there is nothing to draw.
    """
    check_chart_file(path)
    explained = [pair.in_night_order() for pair in explain_pairs(night, kind, pairs)]
    settings = settings_of(night)
    model = promoted_model(night, kind)
    chosen = select_records(night, kind, [record for pair in pairs for record in pair], settings)
    number = chosen.number_of()
    with connection(settings) as con:
        numbered = [(number[pair.record_l], number[pair.record_r]) for pair in explained]
        weights = weigh(con, chosen.frame, numbered, model, settings)
        if weights.linker is None:
            raise ConfigurationError(f"--chart {path}: there is nothing to draw, the model weighs none of it")
        chart = weights.linker.visualisations.waterfall_chart(weights.table.to_dicts(), filter_nulls=True)
    spec = _readable(chart.chart_dict, explained)
    if path.suffix.lower() == ".html":
        write_page(path, page_of_spec(spec))
    else:
        import altair

        altair.Chart.from_dict(spec).save(str(path))


def _readable(spec: dict[str, Any], explained: Sequence[PairExplanation]) -> dict[str, Any]:
    """Splink's chart with room for its labels, the records' names, and only the values that were compared."""
    spec["width"] = {"step": _BAR}
    first = explained[0]
    spec["title"] = {
        "text": "Why the weight is what it is",
        "subtitle": [
            f"{written(first.record_l)} and {written(first.record_r)}"
            if len(explained) == 1
            else f"{len(explained)} pairs, the slider chooses; the first bar names the records",
            "from any two records (Prior), comparison by comparison, to the total (tf: common value)",
        ],
    }
    if len(explained) == 1:
        del spec["params"][0]["bind"]
    values = [
        {step.comparison: (step.value_l or "", step.value_r or "") for step in pair.steps}
        | {"Prior": (written(pair.record_l), written(pair.record_r))}
        for pair in explained
    ]
    for row in spec["data"]["values"]:
        shown = values[row["record_number"]].get(row["column_name"], ("", ""))
        row["value_l"], row["value_r"] = (_short(text) for text in shown)
    return spec


def _short(text: str) -> str:
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"
