"""Where OpenLineage events go: a file beside the lake, an HTTP endpoint, or both.

Telling others about the night must never stop it: what cannot be written or sent is said once and left.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from crm_hygiene.config import Config
from crm_hygiene.lineage.openlineage import Event

FOLDER = "openlineage"

# Runs whose endpoint did not answer; it is not asked again in the same run, so that a dead one costs
# the night a single timeout.
_gave_up: set[str] = set()


def events_path(config: Config, run_id: str) -> Path:
    """The file of a run's events: in the lake's folder, or in `lake.local_folder` for an object store."""
    return config.local_folder / FOLDER / f"{run_id}.jsonl"


def send(config: Config, run_id: str, events: Sequence[Event]) -> list[str]:
    """Hand events on as `lineage:` of hygiene.yaml says; returns what went wrong, in words.

    A file has one event per line and grows with the run; the oldest beyond `keep_files` are deleted.
    """
    problems = []
    settings = config.lineage
    if settings.file:
        try:
            _append(events_path(config, run_id), events, settings.keep_files)
        except OSError as error:
            problems.append(f"OpenLineage events were not written: {error.strerror or error}")
    if settings.http_url and run_id not in _gave_up:
        try:
            for event in events:
                _post(settings.http_url, event, settings.timeout_seconds)
        except (OSError, ValueError) as error:
            _gave_up.add(run_id)
            problems.append(
                f"lineage.http_url did not take the OpenLineage events of this run, the rest of them is not "
                f"sent: {_reason(error)}"
            )
    return problems


def _append(path: Path, events: Sequence[Event], keep_files: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(event, sort_keys=True, ensure_ascii=False) + "\n" for event in events)
    if is_new:
        files = sorted(path.parent.glob("*.jsonl"), key=lambda p: (p.stat().st_mtime, p.name))
        for old in files[:-keep_files]:
            old.unlink(missing_ok=True)


def _post(url: str, event: Event, timeout_seconds: float) -> None:
    request = urllib.request.Request(
        url,
        data=json.dumps(event, sort_keys=True).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=timeout_seconds):
        pass


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error)
