"""What a canary found, for a person to read."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape

from crm_hygiene.cli.tables import table
from crm_hygiene.models.canary import Canary
from crm_hygiene.models.labels import LABELS, LabelAccuracy, Share

_SHOWN_NOTES, _SHOWN_COLUMNS, _SHOWN_VALUE = 12, 10, 48

# What is counted or computed from the other columns is shown after them.
_MEASURES = ("_score", "_count", "_seen_at")


def _percent(found: int, of: int) -> str:
    return f"{found / of:.2%}" if of else ""


def _value(value: Any) -> str:
    if value is None or value == []:
        return "(empty)"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _SHOWN_VALUE else f"{text[: _SHOWN_VALUE - 1]}…"


def _interval(share: Share) -> str:
    if not share.pair_count:
        return "no pairs"
    return f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"


def show_canary(canary: Canary, broken: list[str], console: Console) -> None:
    """Print the comparison: what would change, how good it is, and which limits it breaks."""
    console.print()
    console.print(
        f"[bold]{canary.entity_kind} model {canary.model_version}[/bold] on the live data, against what is "
        f"live now (in use: {canary.in_use or 'no model'}). Nothing has been written.",
        highlight=False,
        soft_wrap=True,
    )
    _show_entities(canary, console)
    _show_golden(canary, console)
    _show_accuracy(canary, console)
    if canary.notes:
        console.print("[bold]Worth knowing[/bold]")
        for note in canary.notes[:_SHOWN_NOTES]:
            console.print(f"  · {escape(note)}", highlight=False)
        if len(canary.notes) > _SHOWN_NOTES:
            console.print(f"  · and {len(canary.notes) - _SHOWN_NOTES} more (--json)")
    if broken:
        console.print("[bold red]Breaks declared limits[/bold red]")
        for line in broken:
            console.print(f"  · {escape(line)}", highlight=False)
    else:
        console.print("[bold green]Within every declared limit.[/bold green]")


def _show_entities(canary: Canary, console: Console) -> None:
    found = canary.regrouping
    entities, records = found.entity_count, found.record_count
    rows: list[tuple[object, ...]] = [
        ("entities now", entities, ""),
        ("… that would be merged", found.merged_entities, _percent(found.merged_entities, entities)),
        ("… that would be split", found.split_entities, _percent(found.split_entities, entities)),
        ("records now", records, ""),
        ("… that would change entity", found.moved_records, _percent(found.moved_records, records)),
        ("entity ids that would be new", found.created_ids, ""),
        ("entity ids that would no longer be live", found.retired_ids, ""),
        ("pairs of records newly together", found.gained_pairs, ""),
        ("pairs of records no longer together", found.lost_pairs, ""),
        ("records of the largest entity", f"{found.largest_before:,} to {found.largest_after:,}", ""),
        ("questions for stewards", f"{canary.questions_before:,} to {canary.questions_after:,}", ""),
        (
            "judgements of stewards no longer kept",
            f"{len(canary.contradicted):,} of {canary.judgement_count:,}",
            "",
        ),
    ]
    console.print(table("Who would be who", [("", "left"), ("", "right"), ("share", "right")], rows))
    for title, examples, word in (
        ("Would be merged, for example", found.merges, "from"),
        ("Would be split, for example", found.splits, "into"),
    ):
        if not examples:
            continue
        console.print(f"[bold]{title}[/bold]")
        for example in examples:
            parts = ", ".join(
                f"{_who(canary, entity)}: {count}" for entity, count in example["parts"].items()
            )
            console.print(
                f"  {escape(_who(canary, example['entity']))}  {word}  {escape(parts)}",
                highlight=False,
                soft_wrap=True,
            )
        console.print()
    for row in canary.contradicted[:5]:
        console.print(
            f"  [red]no longer kept[/red]: {row['judgement']}, {row['source_l']} {row['record_id_l']} and "
            f"{row['source_r']} {row['record_id_r']}, decided by {escape(str(row['decided_by']))}",
            highlight=False,
            soft_wrap=True,
        )


def _who(canary: Canary, entity: str) -> str:
    name = canary.names.get(entity)
    return f"{entity} ({name})" if name else entity


def _show_golden(canary: Canary, console: Console) -> None:
    console.print(
        table(
            "Golden cells that would change",
            [
                ("table", "left"),
                ("rows now", "right"),
                ("would go", "right"),
                ("would be new", "right"),
                ("cells now", "right"),
                ("change or go", "right"),
                ("share", "right"),
            ],
            (
                (
                    t.table.removeprefix("golden."),
                    t.row_count,
                    t.gone_rows,
                    t.new_rows,
                    t.cell_count,
                    t.changed_cells,
                    _percent(t.changed_cells, t.cell_count),
                )
                for t in canary.golden
            ),
        )
    )
    changed = sorted(
        (column.endswith(_MEASURES), -count, t.table, column)
        for t in canary.golden
        for column, count in t.columns.items()
    )
    if not changed:
        return
    first = {(t.table, e["column"]): e for t in reversed(canary.golden) for e in reversed(t.examples)}
    shown = changed[:_SHOWN_COLUMNS]
    wide = max(len(f"{-count:,}") for _, count, _, _ in shown)
    console.print("[bold]By column, with an example each[/bold]")
    for _, count, name, column in shown:
        example = first[name, column]
        told = f"{example['key']}: {_value(example['before'])} → {_value(example['after'])}"
        console.print(
            f"  {-count:>{wide},}  {name.removeprefix('golden.')}.{column}, for example {escape(told)}",
            highlight=False,
            soft_wrap=True,
        )
    if len(changed) > _SHOWN_COLUMNS:
        console.print(f"  … and {len(changed) - _SHOWN_COLUMNS} more columns (--json)", highlight=False)
    console.print()


def _show_accuracy(canary: Canary, console: Console) -> None:
    rows: list[tuple[object, ...]] = []
    for labels, sides in canary.accuracy.items():
        for side, title in (("live", "live now"), ("candidate", "this model")):
            found: LabelAccuracy | None = sides[side]
            if found is not None:
                rows.append(
                    (
                        LABELS[labels].removeprefix("the "),
                        title,
                        _interval(found.precision),
                        found.precision.pair_count,
                        _interval(found.recall),
                        found.recall.pair_count,
                        f"{found.f1:.1%}",
                    )
                )
    if not rows:
        console.print(
            "No labels to measure accuracy on: neither a judgement of a steward nor a truth file (--truth) "
            f"speaks of live {canary.entity_kind} records.\n",
            highlight=False,
        )
        return
    console.print(
        table(
            "Accuracy on labels, with 95 % intervals",
            [
                ("labels", "left"),
                ("", "left"),
                ("precision", "left"),
                ("of pairs", "right"),
                ("recall", "left"),
                ("of pairs", "right"),
                ("F1", "right"),
            ],
            rows,
        )
    )
    if "judgements" in canary.accuracy:
        console.print(
            "  Judgements are about doubtful pairs, and each model is asked under the threshold in force as "
            "if nobody had judged them: the shares rank models; of all pairs they would be higher.",
            highlight=False,
        )
