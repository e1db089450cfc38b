"""Results of a benchmark as JSON, with when and on what they were measured."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def write_results(folder: Path, name: str, document: dict[str, Any]) -> Path:
    """Write `<folder>/<time>_<name>.json` and return its path."""
    now = datetime.now(UTC)
    stamped = {
        "measured_at": now.isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        **document,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{now:%Y%m%dT%H%M%S}_{name}.json"
    path.write_text(json.dumps(stamped, indent=2))
    return path
