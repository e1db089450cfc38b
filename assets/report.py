"""The report of the night as a static page beside the lake."""

import dagster as dg

from assets.charts import charts_assets
from assets.publication import asset_key
from assets.resources import NightResource
from crm_hygiene.errors import HygieneError
from crm_hygiene.lake_copies import share_pages
from crm_hygiene.report import write_report
from crm_hygiene.runs import RUNS


def report_assets() -> list[dg.AssetsDefinition]:
    """One asset for the page, once the run is recorded and the charts it links to are drawn."""
    charts = [key for asset in charts_assets() for key in asset.keys]

    @dg.asset(
        key=dg.AssetKey(["report", "html"]),
        deps=[asset_key(RUNS), *charts],
        group_name="report",
        description="The night on one page that opens offline: figures, trends, worst sources and fields, "
        "queues with the commands to work them. Counts and shares only, no personal data.",
        owners=["team:data-steward"],
        kinds={"html"},
        tags={"layer": "report"},
    )
    def html(context: dg.AssetExecutionContext, night: NightResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        try:
            tonight = night.of(context)
            report = write_report(tonight)
            share_pages(tonight.config, tonight.lake)
        except (HygieneError, OSError) as error:
            # What is published is published: a page that cannot be written stops no night.
            context.log.warning(f"the report is not written, the old one stays: {error}")
            return dg.MaterializeResult(metadata={"is written": False})
        return dg.MaterializeResult(
            metadata={
                "start here": dg.MetadataValue.path(str(report.path)),
                "bytes": report.byte_count,
                "changed": report.is_new,
            }
        )

    return [html]
