"""Charts: pictures of the linkage as files beside the lake, with their addresses in Dagster's metadata."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dagster as dg
import duckdb

from assets.errands import done_ahead
from assets.publication import asset_key
from assets.resources import NightResource
from assets.turns import Turn
from crm_hygiene.errors import HygieneError
from crm_hygiene.explanation.charts import MEANING, ChartSet, charts_folder, draw_charts
from crm_hygiene.linkage.records import KINDS
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night

CHARTS = "charts__linkage"
CHARTS_READ = (
    *(f"linked.{kind}_{name}" for kind in KINDS for name in ("pairs", "members")),
    "linked.models",
    "stewardship.promotions",
)


# Kind -> its charts, why they could not be drawn, or None where there is nothing to draw.
Drawn = dict[EntityKind, ChartSet | str | None]


def _table(drawn: ChartSet) -> str:
    lines = ["| chart | shows | kB |", "|---|---|---:|"]
    lines += [
        f"| `{drawn.folder / name}` | {MEANING[name]} | {size // 1000:,} |"
        for name, size in drawn.files.items()
    ]
    return "\n".join(lines)


def draw_both(night: Night) -> Drawn:
    """Draw the charts of both kinds, at once: drawing keeps one core busy."""

    def drawn(kind: EntityKind) -> ChartSet | str | None:
        try:
            return draw_charts(night, kind)
        except (HygieneError, OSError, duckdb.Error) as error:
            return str(error)

    with ThreadPoolExecutor(len(KINDS), thread_name_prefix="charts") as threads:
        return dict(zip(KINDS, threads.map(drawn, KINDS), strict=True))


def charts_assets() -> list[dg.AssetsDefinition]:
    """One asset for the charts of both kinds; nothing depends on it."""

    @dg.asset(
        key=dg.AssetKey(["charts", "linkage"]),
        deps=[asset_key(table) for table in CHARTS_READ],
        group_name="charts",
        description="How the linkage decides and what came of it, as HTML pages that open offline: match "
        "weights, m and u, weights of the pairs, sizes of the entities, and example pairs (personal data).",
        owners=["team:data-steward"],
        kinds={"splink"},
        tags={"layer": "charts"},
        op_tags=Turn.LAST.tags,
    )
    def linkage(context: dg.AssetExecutionContext, night: NightResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        tonight = night.of(context)
        metadata: dict[str, Any] = {"folder": dg.MetadataValue.path(str(charts_folder(tonight)))}
        for kind, drawn in (done_ahead(CHARTS) or draw_both(tonight)).items():
            if isinstance(drawn, str):
                # What is published is published: a picture that cannot be drawn stops no night.
                context.log.warning(f"the {kind} charts are not drawn, the old ones stay: {drawn}")
            elif drawn is not None:
                metadata[f"{kind}: start here"] = dg.MetadataValue.path(str(drawn.folder / "index.html"))
                metadata[f"{kind}: charts"] = dg.MetadataValue.md(_table(drawn))
                metadata[f"{kind}: drawn anew"] = drawn.is_new
        return dg.MaterializeResult(metadata=metadata)

    return [linkage]
