"""The summary of a night: what came in, what was refused and why, who is who, what is paid, what is next.

Everything here is read from the lake, so the same summary can be made again later.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of, load_contracts
from crm_hygiene.explanation.charts import charts_folder
from crm_hygiene.landing import Discovery, content_hash, discover, file_name
from crm_hygiene.night import Night
from crm_hygiene.report import report_path
from crm_hygiene.runs import published_by


@dataclass(frozen=True)
class Summary:
    """Figures of one night, as plain data."""

    is_success: bool
    seconds: float
    failures: dict[str, str]
    notes: list[str]
    published: dict[str, int]
    landed: list[dict[str, Any]]
    refused_files: list[dict[str, Any]]
    unclaimed_files: list[str]
    quarantine: list[dict[str, Any]]
    people_records: int
    people: int
    organisation_records: int
    organisations: int
    questions: int
    invoices: list[dict[str, Any]]
    payments: list[dict[str, Any]]
    exceptions: list[dict[str, Any]]
    changes: list[dict[str, Any]]
    suppressed: int
    catalog: str
    charts: str | None
    report: str | None

    def as_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


def _cause(reason: str) -> str:
    """A reason without its value, so that equal causes count together."""
    return re.split(r" \[| '|: ", reason, maxsplit=1)[0].strip()


def _count(night: Night, name: str) -> int:
    return int(night.lake.scan(contract_of(name)).select(pl.len()).collect().item())


def _live(night: Night, name: str) -> int:
    rows = night.lake.scan(contract_of(name)).filter(pl.col("status") == "live")
    return int(rows.select(pl.len()).collect().item())


def _still_refused(night: Night, files: pl.DataFrame, found: Discovery) -> list[dict[str, Any]]:
    """Files present whose content of now, or of tonight's look at them, was refused: `file`, `reason`."""
    present = {file_name(night.config, p): p for paths in found.claimed.values() for p in paths}
    latest = files.sort("landed_at").unique("file", keep="last", maintain_order=True)
    refused = latest.filter((pl.col("status") == "refused") & pl.col("file").is_in(list(present)))
    still = []
    for row in refused.sort("file").iter_rows(named=True):
        # A file put back as it was lands nothing and gets no entry; only its content tells.
        if row["run_id"] == night.run_id or row["file_hash"] == content_hash(present[row["file"]]):
            still.append({"file": row["file"], "reason": row["reason"]})
    return still


def summarise(night: Night, is_success: bool, failures: dict[str, str], notes: list[str]) -> Summary:
    """Read the figures of the night from the lake."""
    lake = night.lake
    files = lake.read(contract_of("landing.files"))
    tonight = files.filter(pl.col("run_id") == night.run_id)
    landed = (
        tonight.filter(pl.col("status") == "landed")
        .group_by("source")
        .agg(pl.len().alias("files"), pl.col("row_count").sum(), pl.col("refused_count").sum())
        .sort("source")
    )
    quarantine = (
        lake.scan(contract_of("quality.quarantine"))
        .filter(pl.col("row").is_not_null())  # without a row it is a refused file, told elsewhere
        .select("table_name", "source", pl.col("reasons"))
        .explode("reasons", empty_as_null=True, keep_nulls=True)
        .collect()
        .with_columns(reason=pl.col("reasons").map_elements(_cause, return_dtype=pl.String, skip_nulls=True))
        .group_by("table_name", "reason")
        .agg(pl.len().alias("rows"), pl.col("source").drop_nulls().unique().sort().alias("sources"))
        .sort(["rows", "table_name", "reason"], descending=[True, False, False])
    )
    found = discover(night.config, night.mappings)
    invoices = (
        lake.scan(contract_of("reconciled.invoices"))
        .group_by("status", "currency")
        .agg(pl.len().alias("invoices"), pl.col("amount").sum(), pl.col("open_amount").sum())
        .collect()
        .sort("status", "currency")
    )
    payments = (
        lake.scan(contract_of("reconciled.payments"))
        .group_by("status")
        .agg(pl.len().alias("payments"))
        .collect()
        .sort("status")
    )
    exceptions = (
        lake.scan(contract_of("reconciled.exceptions"))
        .group_by("exception_type")
        .agg(pl.len().alias("rows"))
        .collect()
        .sort(["rows", "exception_type"], descending=[True, False])
    )
    changes = (
        lake.scan(contract_of("writeback.changes"))
        .group_by("target", "object", "change_kind")
        .agg(pl.len().alias("changes"), pl.col("record_id").n_unique().alias("records"))
        .collect()
        .sort("target", "object", "change_kind")
    )
    suppressed = (
        lake.scan(contract_of("golden.contacts")).select(pl.col("is_suppressed").sum()).collect().item()
    )
    tables = [*load_contracts(), *(f"landing.{name}" for name in night.mappings)]
    return Summary(
        is_success=is_success,
        seconds=(datetime.now(UTC) - night.started_at).total_seconds(),
        failures=failures,
        notes=sorted(set(notes)),
        published=published_by(lake, night.run_id, tables),
        landed=landed.to_dicts(),
        refused_files=_still_refused(night, files, found),
        unclaimed_files=[file_name(night.config, p) for p in found.unclaimed],
        quarantine=quarantine.to_dicts(),
        people_records=_count(night, "linked.person_members"),
        people=_live(night, "linked.person_entities"),
        organisation_records=_count(night, "linked.organisation_members"),
        organisations=_live(night, "linked.organisation_entities"),
        questions=_count(night, "stewardship.review_queue"),
        invoices=invoices.to_dicts(),
        payments=payments.to_dicts(),
        exceptions=exceptions.to_dicts(),
        changes=changes.to_dicts(),
        suppressed=int(suppressed or 0),
        catalog=str(night.config.catalog_path),
        charts=str(charts) if (charts := charts_folder(night)).is_dir() else None,
        report=str(report) if (report := report_path(night)).is_file() else None,
    )
