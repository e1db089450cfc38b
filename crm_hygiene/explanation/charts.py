"""Charts of a night's linkage as files that open offline: the model, the pairs, the entities.

The comparison viewer shows records as they are, so the files belong where the lake is and nowhere
else. What does not belong here: the waterfall of one pair (`waterfall`).
"""

from __future__ import annotations

import html
import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.explanation.chart_page import offline, page_of, page_of_spec, write_page
from crm_hygiene.explanation.pair_weights import weigh
from crm_hygiene.explanation.selection import UnknownRecord, select_records
from crm_hygiene.linkage.comparable import comparable, with_block_columns
from crm_hygiene.linkage.connection import connection, load, quiet_splink, single_thread
from crm_hygiene.linkage.model import FrozenModel
from crm_hygiene.linkage.night_settings import settings_of
from crm_hygiene.linkage.organisation_words import with_model_words
from crm_hygiene.linkage.recipe import splink_settings
from crm_hygiene.linkage.records import NOUNS, TABLES
from crm_hygiene.linkage.scoring import learned_comparisons, match_weight_of, numbers_of
from crm_hygiene.linkage.settings import EntityKind, LinkageSettings
from crm_hygiene.linkage.store import load_model
from crm_hygiene.night import Night

# Of the stored pairs so many are looked at for the viewer, and so many kinds of agreement shown.
VIEWER_PAIRS = 5000
VIEWER_KINDS = 300
MOST_BYTES = 5_000_000

MEANING = {
    "match_weights.html": "what each level of each comparison weighs in the model in use",
    "m_u_parameters.html": "how often each level is seen among matches (m) and non-matches (u)",
    "pair_weights.html": "the pairs that were kept, by match weight and by what became of them",
    "entity_sizes.html": "how many records the entities have",
    "comparison_viewer.html": "example pairs for each kind of agreement, and why (personal data)",
}
_STATE = "charts.json"


@dataclass(frozen=True)
class ChartSet:
    """The charts of one kind: their folder, bytes by file, and whether they were drawn anew."""

    folder: Path
    files: dict[str, int]
    is_new: bool


def charts_folder(night: Night) -> Path:
    """Where charts are: in the lake's folder, or in `lake.local_folder` where it is an object store."""
    return night.config.local_folder / "charts"


def draw_charts(night: Night, kind: EntityKind) -> ChartSet | None:
    """Draw the charts of a kind, unless those there were made from the same tables; None without a model."""
    folder = charts_folder(night) / kind
    inputs = night.inputs(
        f"linked.{kind}_pairs", f"linked.{kind}_members", "linked.models", "stewardship.promotions"
    )
    state = _state(folder)
    if state.get("inputs") == inputs and all((folder / name).is_file() for name in state["files"]):
        return ChartSet(folder, dict(state["files"]), False)
    model = load_model(night.lake, kind)
    if model is None:
        return None
    settings = settings_of(night)
    pages = {**_pair_page(night, kind, settings), **_size_page(night, kind)}
    pages |= _viewer_page(night, kind, model, settings) or _model_pages(model, settings)
    files = {name: write_page(folder / name, page) for name, page in sorted(pages.items())}
    for stale in set(MEANING) - set(files):
        (folder / stale).unlink(missing_ok=True)
    write_page(folder / "index.html", _index(kind, model, files))
    write_page(folder / _STATE, json.dumps({"inputs": inputs, "files": files}, indent=1))
    return ChartSet(folder, files, True)


def _state(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _model_pages(model: FrozenModel, settings: LinkageSettings) -> dict[str, str]:
    """Match weights and m and u of the model, as Splink draws them, where there are no pairs to draw."""
    from splink import DuckDBAPI, Linker

    comparisons, _ = learned_comparisons(model, settings)
    if not comparisons:
        return {}
    nobody = comparable(model.entity_kind, contract_of(TABLES[model.entity_kind]).empty())
    with connection(settings) as con, quiet_splink():
        # The charts are of the model alone; Splink wants to see the columns it speaks of.
        columns = with_block_columns(model.entity_kind, nobody)
        load(con, "records", with_model_words(model.entity_kind, columns, model.content))
        linker = Linker(
            DuckDBAPI(con).register("records"),
            splink_settings(comparisons, numbers_of(model, comparisons), model.content["prior"], True),
            log_level=None,
        )
        return _pages_of_model(linker)


def _pages_of_model(linker: Any) -> dict[str, str]:
    return {
        "match_weights.html": page_of(linker.visualisations.match_weights_chart()),
        "m_u_parameters.html": page_of(linker.visualisations.m_u_parameters_chart()),
    }


def _bar_page(title: str, subtitle: str, values: list[dict[str, Any]], **rest: Any) -> str:
    return page_of_spec(
        {
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
            "title": {"text": title, "subtitle": subtitle, "anchor": "start"},
            "width": 720,
            "height": 320,
            "data": {"values": values},
            **rest,
        }
    )


def _pair_page(night: Night, kind: EntityKind, settings: LinkageSettings) -> dict[str, str]:
    """Kept pairs by whole bits of match weight, and by what became of them."""
    outcome = (
        pl.when(pl.col("is_link"))
        .then(pl.lit("linked by ") + pl.col("method"))
        .otherwise(pl.lit("not linked"))
    )
    counted = (
        night.lake.scan(contract_of(f"linked.{kind}_pairs"))
        .filter(pl.col("match_weight").is_not_null())
        .select(weight=pl.col("match_weight").floor(), outcome=outcome)
        .group_by("weight", "outcome")
        .agg(pl.len().alias("pairs"))
        .collect()
        .sort("weight", "outcome")
    )
    values = counted.with_columns(to=pl.col("weight") + 1).to_dicts()
    least = round(match_weight_of(settings.threshold), 2)
    bars = {
        "mark": {"type": "bar", "tooltip": True},
        "encoding": {
            "x": {
                "field": "weight",
                "type": "quantitative",
                "bin": {"binned": True},
                "title": "match weight (bits)",
            },
            "x2": {"field": "to"},
            "y": {"field": "pairs", "type": "quantitative", "title": "pairs"},
            "color": {"field": "outcome", "type": "nominal", "title": None},
        },
    }
    line = {
        "data": {"values": [{"threshold": least}]},
        "mark": {"type": "rule", "strokeDash": [4, 3]},
        "encoding": {"x": {"field": "threshold", "type": "quantitative"}},
    }
    subtitle = (
        f"dashed: the threshold, probability {settings.threshold} = {least} bits; each bit doubles the odds"
    )
    return {
        "pair_weights.html": _bar_page(f"Kept pairs of {kind} records", subtitle, values, layer=[bars, line])
    }


def _size_page(night: Night, kind: EntityKind) -> dict[str, str]:
    """Entities by number of records; many sizes are put together by powers of two."""
    sizes = (
        night.lake.scan(contract_of(f"linked.{kind}_members"))
        .group_by("entity_id")
        .agg(pl.len().alias("records"))
        .group_by("records")
        .agg(pl.len().alias("entities"))
        .collect()
        .sort("records")
    )
    largest = int(sizes["records"].max() or 0)  # type: ignore[arg-type]
    total = int(sizes["entities"].sum())
    rows = {(records, str(records)): 0 for records in range(1, min(largest, 10) + 1)}
    for records, entities in sizes.iter_rows():
        low = records if records <= 10 else 2 ** int(math.log2(records))
        text = str(records) if records <= 10 else f"{max(low, 11)} to {2 * low - 1}"
        rows[low, text] = rows.get((low, text), 0) + entities
    values = [
        {"records": text, "order": low, "entities": count, "share": f"{count / total:.1%}"}
        for (low, text), count in sorted(rows.items())
    ]
    encoding = {
        "x": {
            "field": "records", "type": "ordinal", "sort": {"field": "order"}, "title": "records",
            "axis": {"labelAngle": 0},
        },
        "y": {
            "field": "entities", "type": "quantitative", "scale": {"type": "symlog"},
            "title": "entities (logarithmic)",
        },
    }  # fmt: skip
    layers = [
        {"mark": {"type": "bar", "tooltip": True}},
        {
            "mark": {"type": "text", "dy": -6},
            "encoding": {"text": {"field": "entities", "type": "quantitative", "format": ","}},
        },
    ]
    subtitle = f"{total:,} {NOUNS[kind][1]}; the largest has {largest:,} records"
    title = f"Records per {NOUNS[kind][0]}"
    return {"entity_sizes.html": _bar_page(title, subtitle, values, encoding=encoding, layer=layers)}


def _viewer_page(
    night: Night, kind: EntityKind, model: FrozenModel, settings: LinkageSettings
) -> dict[str, str]:
    """Splink's comparison viewer over an even sample of the kept pairs, and the charts of the model.

    Setting Splink up takes longer than drawing, so one linker draws all of them. Empty without pairs.
    """
    ends = ("source_l", "record_id_l", "source_r", "record_id_r")
    kept = (
        night.lake.scan(contract_of(f"linked.{kind}_pairs"))
        .filter(pl.col("match_weight").is_not_null())
        .select(*ends)
        .collect()
        .sort(*ends)
    )
    sample = kept.gather_every(max(1, math.ceil(kept.height / VIEWER_PAIRS)))
    pairs = [((a, b), (c, d)) for a, b, c, d in sample.iter_rows()]
    if not pairs:
        return {}
    try:
        chosen = select_records(night, kind, [record for pair in pairs for record in pair], settings)
    except UnknownRecord:
        return {}  # the pairs are a night older than the records: the next night draws them
    number = chosen.number_of()
    with connection(settings) as con, single_thread(con, settings), tempfile.TemporaryDirectory() as scratch:
        # The viewer draws its examples at random; with a seed and one thread the same each time.
        con.execute("SELECT setseed(0.5)").fetchall()
        weights = weigh(con, chosen.frame, [(number[a], number[b]) for a, b in pairs], model, settings)
        if weights.linker is None:
            return {}
        pages = _pages_of_model(weights.linker)
        for examples in (2, 1):
            page = weights.linker.visualisations.comparison_viewer_dashboard(
                weights.predicted,
                str(Path(scratch) / "viewer.html"),
                overwrite=True,
                num_example_rows=examples,
                minimum_comparison_vector_count=_least_count(weights.table, weights.comparisons),
                return_html_as_string=True,
            )
            if len(page.encode()) <= MOST_BYTES:
                return {**pages, "comparison_viewer.html": offline(page)}
    return pages


def _least_count(table: pl.DataFrame, comparisons: list[Any]) -> int:
    """How many pairs a kind of agreement needs so that at most `VIEWER_KINDS` are shown."""
    counts = table.group_by([f"gamma_{c.name}" for c in comparisons]).len()["len"].sort(descending=True)
    return 1 if len(counts) <= VIEWER_KINDS else int(counts[VIEWER_KINDS]) + 1


def _index(kind: EntityKind, model: FrozenModel, files: dict[str, int]) -> str:
    rows = "".join(
        f'<li><a href="{name}">{html.escape(name.removesuffix(".html").replace("_", " "))}</a>: '
        f"{html.escape(meaning)}</li>\n"
        for name, meaning in MEANING.items()
        if name in files
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Linkage charts</title>\n'
        "<style>body{font:16px/1.6 system-ui,sans-serif;max-width:46em;margin:3em auto;padding:0 1em}</style>"
        f"</head><body>\n<h1>Who is who: {NOUNS[kind][1]}</h1>\n"
        f"<p>Model {model.model_version}, as of the last night that changed anything. "
        f"The pages need no network. One pair in detail: <code>crm-hygiene explain RECORD RECORD "
        f"--chart FILE.html</code></p>\n<ul>\n{rows}</ul>\n</body></html>\n"
    )
