"""`crm-hygiene doctor`: is everything in place for a night?"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Literal

import typer

from crm_hygiene.cli.json_output import print_json
from crm_hygiene.cli.options import ConfigOption, JsonOption
from crm_hygiene.config import Config, load_config
from crm_hygiene.contract import load_contracts
from crm_hygiene.errors import HygieneError
from crm_hygiene.lake_options import lake_of, plain_secrets
from crm_hygiene.lake_tables import is_folder
from crm_hygiene.landing import discover, file_name
from crm_hygiene.mapping import Mapping
from crm_hygiene.night import check_rules, mappings_of

_LIBRARIES = ("dagster", "duckdb", "polars", "great-expectations", "splink", "deltalake")
_LOW_DISK = 2 * 1024**3


@dataclass(frozen=True)
class Finding:
    """One thing looked at: fine, odd or wrong."""

    state: Literal["ok", "warning", "error"]
    subject: str
    text: str


def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check configuration, sources, dependencies, landing folder and lake."""
    findings = examine(config)
    if as_json:
        print_json([f.__dict__ for f in findings])
    else:
        for finding in findings:
            mark = {"ok": "ok  ", "warning": "note", "error": "FAIL"}[finding.state]
            typer.echo(f"{mark}  {finding.subject}: {finding.text}")
    raise typer.Exit(2 if any(f.state == "error" for f in findings) else 0)


def examine(config_path: Path | None) -> list[Finding]:
    """Look at configuration, contracts, sources, libraries, landing folder and lake; change nothing."""
    findings: list[Finding] = []
    subject = "configuration"
    try:
        config = load_config(config_path)
        findings.append(Finding("ok", "configuration", str(config_path or "hygiene.yaml or its defaults")))
        findings.append(Finding("ok", "contracts", f"{len(load_contracts())} tables"))
        subject = "sources"
        mappings = mappings_of(config)
        findings.append(Finding("ok", subject, ", ".join(mappings)))
        subject = "rules"
        check_rules(config, mappings)
        own = [f"{name}: {path}" for name, path in config.rules if path is not None]
        findings.append(Finding("ok", subject, ", ".join(own) or "the built-in ones"))
    except HygieneError as error:
        return [*findings, *(Finding("error", subject, line) for line in str(error).splitlines())]
    findings += [_library(name) for name in _LIBRARIES]
    findings += _orchestrators(config, config_path)
    return [*findings, *_landing(config, mappings), *_lake(config)]


def _library(name: str) -> Finding:
    try:
        return Finding("ok", name, version(name))
    except PackageNotFoundError:
        return Finding("error", name, "not installed; `make run` sets everything up")


def _orchestrators(config: Config, config_path: Path | None) -> list[Finding]:
    checks = entry_points(group="crm_hygiene.orchestrator_checks")
    if not entry_points(group="crm_hygiene.orchestrators") or not checks:
        return [Finding("error", "orchestrator", "none installed; `pip install -e .`")]
    findings = []
    for check in checks:
        try:
            findings.append(Finding("ok", "orchestrator", check.load()(config, config_path)))
        except HygieneError as error:
            findings.append(Finding("error", "orchestrator", str(error)))
    return findings


def _landing(config: Config, mappings: dict[str, Mapping]) -> list[Finding]:
    folder = config.landing_folder
    if not folder.is_dir():
        return [Finding("warning", "landing folder", f"{folder} does not exist yet")]
    found = discover(config, mappings)
    count = sum(len(paths) for paths in found.claimed.values())
    findings = [Finding("ok", "landing folder", f"{count} files with a source in {folder}")]
    findings += [
        Finding("warning", "landing folder", f"{file_name(config, p)}: no source claims it")
        for p in found.unclaimed
    ]
    findings += [
        Finding("error", "landing folder", f"{file_name(config, p)}: claimed by {' and '.join(names)}")
        for p, names in found.contested.items()
    ]
    return findings


def _secrets(config: Config) -> list[Finding]:
    return [
        Finding(
            "warning",
            "lake",
            f"lake.storage_options.{option}: the secret stands in hygiene.yaml; write ${{NAME}} and set NAME "
            "in the environment or the secrets file",
        )
        for option in plain_secrets(config)
    ]


def _disk(root: Path) -> list[Finding]:
    place = next(p for p in (root, *root.parents) if p.exists())
    free = shutil.disk_usage(place).free
    state: Literal["ok", "warning"] = "warning" if free < _LOW_DISK else "ok"
    found = [Finding(state, "disk", f"{free / 1024**3:.1f} GiB free")]
    if not os.access(place, os.W_OK):
        found.insert(0, Finding("error", "lake", f"{place} cannot be written"))
    return found


def _lake(config: Config) -> list[Finding]:
    findings = _secrets(config)
    try:
        lake = lake_of(config)
        tables = lake.tables()
    except HygieneError as error:
        return [*findings, Finding("error", "lake", str(error))]
    text = f"{len(tables)} tables in {lake.uri}"
    if is_folder(config.lake_uri):
        return [*findings, *_disk(Path(lake.uri)), Finding("ok", "lake", text)]
    return [
        *findings,
        Finding("ok", "lake", f"{text}; its catalog, charts and report in {config.local_folder}"),
    ]
