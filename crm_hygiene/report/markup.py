"""Pieces of the page: tables, tiles, commands. Everything that is not markup here is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from crm_hygiene.quality.metric import in_words


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Markup:
    """A value as HTML: markup as it is, numbers with thousands, anything else escaped, None as a dash."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return Markup('<span class="soft">–</span>')
    if isinstance(value, int) and not isinstance(value, bool):
        return Markup(f"{value:,}")
    return Markup(html.escape(str(value)))


def code(value: str) -> Markup:
    """A command or a name as it is typed."""
    return Markup(f"<code>{html.escape(value)}</code>")


def measured(metric: str, value: float | None) -> str | None:
    """A figure in words, None where there is none."""
    return None if value is None else in_words(metric, value)


def signed(value: int) -> str:
    """A change with its sign."""
    return f"{value:+,}".replace("-", "−")


def table(
    caption: str, headings: Sequence[str], rows: Iterable[Sequence[object]], numbers: str = ""
) -> Markup:
    """A table, or nothing where it has no row.

    `numbers` has an `n` for each column of numbers and a `t` for each of text. The first column heads
    its row.
    """
    listed = list(rows)
    if not listed:
        return Markup("")
    kinds = (numbers or "t" * len(headings)).ljust(len(headings), "t")

    def attributes(kind: str) -> str:
        return ' class="n"' if kind == "n" else ""

    head = "".join(
        f'<th scope="col"{attributes(k)}>{html.escape(h)}</th>' for h, k in zip(headings, kinds, strict=True)
    )
    body = []
    for row in listed:
        cells = [
            f'<th scope="row"{attributes(k)}>{text(v)}</th>'
            if number == 0
            else f"<td{attributes(k)}>{text(v)}</td>"
            for number, (v, k) in enumerate(zip(row, kinds, strict=True))
        ]
        body.append(f"<tr>{''.join(cells)}</tr>\n")
    return Markup(
        f'<div class="scroll" tabindex="0" role="group" aria-label="{html.escape(caption)}"><table>'
        f"<caption>{html.escape(caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(body)}</tbody></table></div>\n"
    )


def tile(what: str, value: object, more: object = "") -> Markup:
    """A figure with its name above and a word below."""
    below = f'<span class="more">{text(more)}</span>' if more != "" else ""
    return Markup(
        f'<li><span class="what">{html.escape(what)}</span>'
        f'<span class="value">{text(value)}</span>{below}</li>\n'
    )
