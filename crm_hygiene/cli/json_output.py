"""JSON for programs: what every command prints with `--json`."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, time
from typing import Any

import typer


def _plain(value: Any) -> Any:
    """A value that JSON has no form of, as text: times in ISO 8601, the rest as it is printed."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)


def _finite(value: Any) -> Any:
    """JSON knows no NaN and no infinity: they become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def as_json(document: Any) -> Any:
    """`document` in values that JSON has."""
    return json.loads(json.dumps(_finite(document), default=_plain, ensure_ascii=False, allow_nan=False))


def print_json(document: Any) -> None:
    """Print `document` as indented JSON."""
    typer.echo(json.dumps(_finite(document), default=_plain, ensure_ascii=False, indent=2, allow_nan=False))
