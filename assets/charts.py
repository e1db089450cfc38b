"""Charts: pictures of the linkage as files beside the lake, with their addresses in Dagster's metadata."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dagster as dg
import duckdb

from assets.publication import asset_key
from assets.resources import NightResource
from crm_hygiene.errors import HygieneError
from crm_hygiene.explanation.charts import MEANING, ChartSet, charts_folder, draw_charts
from crm_hygiene.linkage.records import KINDS

_READS = (
    *(f"linked.{kind}_{name}" for kind in KINDS for name in ("pairs", "members")),
    "linked.models",
    "stewardship.promotions",
)


def _table(drawn: ChartSet) -> str:
    lines = ["| chart | shows | kB |", "|---|---|---:|"]
    lines += [
        f"| `{drawn.folder / name}` | {MEANING[name]} | {size // 1000:,} |"
        for name, size in drawn.files.items()
    ]
    return "\n".join(lines)


def charts_assets() -> list[dg.AssetsDefinition]:
    """One asset for the charts of both kinds; nothing depends on it."""

    @dg.asset(
        key=dg.AssetKey(["charts", "linkage"]),
        deps=[asset_key(table) for table in _READS],
        group_name="charts",
        description="How the linkage decides and what came of it, as HTML pages that open offline: match "
        "weights, m and u, weights of the pairs, sizes of the entities, and example pairs (personal data).",
        owners=["team:data-steward"],
        kinds={"splink"},
        tags={"layer": "charts"},
    )
    def linkage(context: dg.AssetExecutionContext, night: NightResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        tonight = night.of(context)
        metadata: dict[str, Any] = {"folder": dg.MetadataValue.path(str(charts_folder(tonight)))}
        # Drawing keeps one core busy: both kinds at once.
        with ThreadPoolExecutor(len(KINDS), thread_name_prefix="charts") as threads:
            pending = {kind: threads.submit(draw_charts, tonight, kind) for kind in KINDS}
        for kind, drawing in pending.items():
            try:
                drawn = drawing.result()
            except (HygieneError, OSError, duckdb.Error) as error:
                # What is published is published: a picture that cannot be drawn stops no night.
                context.log.warning(f"the {kind} charts are not drawn, the old ones stay: {error}")
                continue
            if drawn is not None:
                metadata[f"{kind}: start here"] = dg.MetadataValue.path(str(drawn.folder / "index.html"))
                metadata[f"{kind}: charts"] = dg.MetadataValue.md(_table(drawn))
                metadata[f"{kind}: drawn anew"] = drawn.is_new
        return dg.MaterializeResult(metadata=metadata)

    return [linkage]
