"""Line charts as inline SVG: no script, no font, readable in print and in the dark."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

from crm_hygiene.quality.metric import in_words

_WIDTH, _HEIGHT = 320, 110
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 8, 12, 24


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Lowest and highest value to draw; a flat line lies in the middle."""
    low, high = min(values), max(values)
    if high - low < 1e-9:
        margin = abs(high) * 0.1 or 0.5
        return low - margin, high + margin
    return low, high


def _points(
    values: Sequence[float], width: float, height: float, left: float, top: float
) -> list[tuple[float, float]]:
    low, high = _span(values)
    step = width / max(1, len(values) - 1)
    start = left if len(values) > 1 else left + width
    return [(start + i * step, top + height * (high - v) / (high - low)) for i, v in enumerate(values)]


def line_chart(name: str, metric: str, days: Sequence[str], values: Sequence[float]) -> str:
    """One figure over the nights; colours come from the page (`currentColor` and its classes).

    The values are told in the picture's description too, for those who do not see it.
    """
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    points = _points(values, width, height, _LEFT, _TOP)
    path = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
    told = ", ".join(
        f"{day}: {in_words(metric, value)}" for day, value in list(zip(days, values, strict=True))[-10:]
    )
    last_x, last_y = points[-1]
    base = _TOP + height
    area = f"{_number(points[0][0])},{base} {path} {_number(last_x)},{base}" if len(points) > 1 else ""
    dots = (
        "".join(
            f'<circle class="dot" cx="{_number(x)}" cy="{_number(y)}" r="2.2">'
            f"<title>{html.escape(day)}: {html.escape(in_words(metric, value))}</title></circle>"
            for (x, y), day, value in zip(points, days, values, strict=True)
        )
        if len(points) > 1
        else ""
    )
    first = _tick(_LEFT, days[0], "start") if len(days) > 1 else ""
    return (
        f'<svg class="line" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{html.escape(name)}. {html.escape(told)}">'
        f'<line class="axis" x1="{_LEFT}" y1="{base}" x2="{_WIDTH - _RIGHT}" y2="{base}"/>'
        + (f'<polygon class="area" points="{area}"/>' if area else "")
        + (f'<polyline class="course" points="{path}"/>' if len(points) > 1 else "")
        + dots
        + f'<circle class="last" cx="{_number(last_x)}" cy="{_number(last_y)}" r="4"/>'
        + f"{first}{_tick(_WIDTH - _RIGHT, days[-1], 'end')}</svg>"
    )


def _tick(x: float, text: str, anchor: str) -> str:
    return f'<text class="tick" x="{x}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{html.escape(text)}</text>'


def sparkline(values: Sequence[float]) -> str:
    """A small line of a figure's course as a self-contained SVG with colours of its own."""
    width, height = 160, 32
    points = _points(values, width - 12, height - 12, 6, 6)
    path = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
    x, y = points[-1]
    line = (
        f'<polyline points="{path}" fill="none" stroke="#3b6fd4" stroke-width="2"/>'
        if len(points) > 1
        else ""
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{line}'
        f'<circle cx="{_number(x)}" cy="{_number(y)}" r="3" fill="#3b6fd4"/></svg>'
    )


def data_uri(svg: str) -> str:
    """An SVG as the address of an image."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
