"""The tables of the night's benchmark, for the terminal and as a Markdown page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

NIGHTS = {"first": "first night", "unchanged": "nothing changed", "changed": "1% changed"}
BESIDE = {"plain": "plain script", "recordlinkage": "pandas, recordlinkage"}
_MIB = 1 << 20

# From so many people on a step's figures are its own: of a smaller night linkage, among others, is computed
# beside what comes before it.
_ONE_AFTER_ANOTHER = 100_000

# Steps of the night by what a reader asks for; what is in none of them is named by itself.
_PARTS = {
    "start": "imports and definitions",
    "link": "linkage",
    "golden": "golden and provenance",
    "reconcile": "cash",
    "catalog__duckdb": "catalog",
    "plan_writeback": "plan of changes",
}


@dataclass(frozen=True)
class Figures:
    """A table: its title, the heads of its columns, its rows as text."""

    title: str
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def rich(self) -> Table:
        """For the terminal."""
        table = Table(title=self.title)
        for at, head in enumerate(self.heads):
            table.add_column(head, justify="left" if at < 2 else "right")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """For a page."""
        lines = [
            f"## {self.title}",
            "",
            "| " + " | ".join(self.heads) + " |",
            "|" + "|".join("---" if at < 2 else "---:" for at in range(len(self.heads))) + "|",
            *("| " + " | ".join(row) + " |" for row in self.rows),
        ]
        return "\n".join(lines)


def _size(people: int) -> str:
    return f"{people:,}"


def figures_table(results: list[dict[str, Any]]) -> Figures:
    """What every night and bare job cost."""
    rows = []
    for result in results:
        for name, words in (BESIDE | NIGHTS).items():
            if name not in result:
                continue
            one = result[name]
            pairs = one.get("pairs_scored") or {
                kind: counts["pairs_proposed"] for kind, counts in one.get("linked", {}).items()
            }
            lake = f"{result['lake_bytes'] // _MIB:,}" if name == "first" and "lake_bytes" in result else ""
            rows.append(
                (
                    _size(result["people"]),
                    words if one["is_success"] else f"{words}: failed",
                    f"{one['wall_s']:,}",
                    f"{one['cpu_s']:,}",
                    f"{one['peak_mib']:,}",
                    f"{sum(pairs.values()):,}" if pairs else "",
                    lake,
                )
            )
    return Figures(
        "What it cost", ("people", "what", "wall s", "CPU s", "peak MiB", "pairs scored", "lake MiB"), rows
    )


def _part(step: str) -> str:
    if step.startswith("landing__"):
        return "landing"
    if step.startswith("conform_"):
        return "conforming"
    return _PARTS.get(step, "the rest")


def ratios(results: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Ratios within this run, by size; a missing one could not be measured.

    Linkage is compared from 100,000 people on: of a small night it is computed beside landing and conforming.
    `cost_per_record_growth` is CPU seconds per exported row against the smallest size from 100,000 people on.
    """
    found: dict[str, dict[str, float]] = {}
    base: float | None = None
    for result in results:
        first = result["first"]
        one: dict[str, float] = {}
        if not first["is_success"]:
            found[_size(result["people"])] = one
            continue
        plain = result.get("plain", {})
        if plain.get("is_success"):
            one["night_to_plain_script"] = first["wall_s"] / plain["wall_s"]
            if result["people"] >= _ONE_AFTER_ANOTHER:
                linkage = plain["parts"]["linkage"]["wall_s"]
                one["linkage_to_plain_linkage"] = first["steps"]["link"]["wall_s"] / linkage
        for night in ("changed", "unchanged"):
            if result.get(night, {}).get("is_success"):
                one[f"{night}_to_first_night"] = result[night]["wall_s"] / first["wall_s"]
        if result["people"] >= _ONE_AFTER_ANOTHER:
            cost = first["cpu_s"] / result["exported_rows"]
            base = base or cost
            one["cost_per_record_growth"] = cost / base
        found[_size(result["people"])] = {name: round(value, 3) for name, value in one.items()}
    return found


def ratios_table(found: dict[str, dict[str, float]]) -> Figures:
    """`ratios` as a table, a row per ratio and a column per size."""
    names = sorted({name for one in found.values() for name in one})
    return Figures(
        "Ratios within the run",
        ("ratio", *found),
        [
            (name.replace("_", " "), *(f"{one[name]:.3f}" if name in one else "" for one in found.values()))
            for name in names
        ],
    )


def steps_table(results: list[dict[str, Any]]) -> Figures:
    """Where the time of the first and the changed night went: wall, CPU and peak by part of the night."""
    rows = []
    for result in results:
        for night in ("first", "changed"):
            parts: dict[str, dict[str, float]] = {}
            for step, one in result.get(night, {}).get("steps", {}).items():
                part = parts.setdefault(_part(step), {"wall_s": 0.0, "cpu_s": 0.0, "peak_mib": 0})
                part["wall_s"] += one["wall_s"]
                part["cpu_s"] += one["cpu_s"]
                part["peak_mib"] = max(part["peak_mib"], one["peak_mib"])
            rows += [
                (
                    f"{_size(result['people'])}, {NIGHTS[night]}",
                    name,
                    f"{part['wall_s']:,.1f}",
                    f"{part['cpu_s']:,.1f}",
                    f"{part['peak_mib']:,.0f}",
                )
                for name, part in parts.items()
            ]
    return Figures("Where the time went", ("night", "part", "wall s", "CPU s", "peak MiB"), rows)


def page(path: Path) -> str:
    """The results of one JSON file as a Markdown page."""
    document = json.loads(path.read_text(encoding="utf-8"))
    results = document["results"]
    head = [
        "# Benchmark results",
        "",
        f"Measured {document['measured_at'][:16].replace('T', ' ')} UTC at commit `{document['commit']}` on "
        f"{document['processor']}, {document['cores']} cores, {document['memory_gib']} GiB, Python "
        f"{document['python']}; `limits.memory` {document['memory'] or 'at its default'}.",
        "Made by `python -m bench night --page`; what is measured stands in the benchmarks' README. Compare",
        "the ratios: seconds tell as much about the machine and its neighbours.",
    ]
    tables = (figures_table(results), ratios_table(document["ratios"]), steps_table(results))
    accuracy = Figures(
        "Accuracy against the sample's truth",
        ("people", "of", "precision", "recall", "F1"),
        [
            (
                _size(result["people"]),
                kind,
                *(f"{one[name]:.4f}" if name in one else "" for name in ("precision", "recall", "f1")),
            )
            for result in results
            for kind, one in result.get("figures", {}).get("accuracy", {}).items()
        ],
    )
    return "\n\n".join(["\n".join(head), *(table.markdown() for table in (*tables, accuracy))]) + "\n"
