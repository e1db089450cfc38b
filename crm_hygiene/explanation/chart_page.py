"""A chart as one HTML page that needs no network: libraries inside, no fonts from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_ELSEWHERE = re.compile(r"<link\b[^>]*https?://[^>]*>\s*", re.IGNORECASE)
_RANDOM_ID = re.compile(r"splink-chart-[0-9a-f]{32}")


def offline(page: str) -> str:
    """`page` without links to other hosts and with the same ids each time."""
    return _RANDOM_ID.sub("chart", _ELSEWHERE.sub("", page))


def page_of(chart: Any) -> str:
    """One of Splink's charts as a page."""
    return offline(chart.to_html(inline=True))


def page_of_spec(spec: dict[str, Any]) -> str:
    """A Vega-Lite specification as a page, with the libraries that Splink carries."""
    from splink.internals import html_utils

    draw: Any = html_utils.chart_html
    return offline(draw(spec, inline=True, fullhtml=True))


def write_page(path: Path, page: str) -> int:
    """Write a page in one step, its folder included; returns its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = page.encode("utf-8")
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return len(data)
