"""`crm-hygiene evaluate`: how right the entities are, by a truth file, and where they are wrong."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from crm_hygiene.cli.json_output import print_json
from crm_hygiene.cli.kind_option import Kind, kind_of
from crm_hygiene.cli.options import ConfigOption, JsonOption
from crm_hygiene.cli.tables import table
from crm_hygiene.config import load_config
from crm_hygiene.contract import contract_of
from crm_hygiene.evaluation.accuracy import Evaluation, evaluate
from crm_hygiene.evaluation.mistakes import Mistake, costliest_mistakes
from crm_hygiene.evaluation.truth import of_one_kind, read_truth
from crm_hygiene.linkage import EntityKind
from crm_hygiene.linkage.records import KINDS, NOUNS, written
from crm_hygiene.night import Night

_MISSING_SHOWN = 10
_NAMES = {
    "precision": "pairs linked that are right (precision)",
    "recall": "true pairs that are linked (recall)",
    "f1": "F1 of the two",
    "bcubed_precision": "B-cubed precision",
    "bcubed_recall": "B-cubed recall",
    "bcubed_f1": "B-cubed F1",
}


def evaluate_command(
    truth: Annotated[Path, typer.Option("--truth", help="A CSV with CLUSTER_ID, RECORD_ID, DATA_SOURCE.")],
    kind: Annotated[Kind | None, typer.Option("--kind", help="Default: told from the record ids.")] = None,
    mistakes: Annotated[int, typer.Option("--mistakes", min=0, help="Costliest mistakes to explain.")] = 5,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare who is who with a truth file, and explain the costliest mistakes."""
    labels = read_truth(truth)
    night = Night.open(load_config(config))
    members = {k: night.lake.read(contract_of(f"linked.{k}_members")) for k in KINDS}
    chosen, labels = of_one_kind(labels, members, kind_of(kind))
    found = evaluate(members[chosen], labels.rows)
    worst = costliest_mistakes(night, chosen, members[chosen], labels.rows, mistakes) if mistakes else []
    if as_json:
        print_json(_document(truth, chosen, labels.notes, found, worst))
    else:
        _show(chosen, labels.notes, found, worst, Console())


def _document(
    path: Path, kind: EntityKind, notes: tuple[str, ...], found: Evaluation, worst: list[Mistake]
) -> dict[str, Any]:
    rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in asdict(found.accuracy).items()}
    return {
        "truth": str(path),
        "kind": kind,
        **rounded,
        "intervals": {name: list(interval) for name, interval in found.intervals.items()},
        "entity_count": found.entity_count,
        "cluster_count": found.cluster_count,
        "exact_clusters": found.exact_clusters,
        "notes": list(notes),
        "missing": found.missing.to_dicts(),
        "mistakes": [mistake.as_json() for mistake in worst],
    }


def _show(
    kind: EntityKind, notes: tuple[str, ...], found: Evaluation, worst: list[Mistake], console: Console
) -> None:
    accuracy = found.accuracy
    rows = []
    for name, title in _NAMES.items():
        interval = found.intervals.get(name)
        between = f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else ""
        rows.append((title, f"{getattr(accuracy, name):.4f}", between))
    console.print(table(None, [(f"{kind} entities", "left"), ("", "right"), ("95 % interval", "left")], rows))

    def say(text: str, indent: str = "") -> None:
        # What is printed holds names and brackets from data: rich must not read them as styles.
        console.print(f"{indent}{text}", markup=False, highlight=False, soft_wrap=True)

    say(
        f"{accuracy.record_count:,} records of {found.cluster_count:,} true {NOUNS[kind][1]} are in "
        f"{found.entity_count:,} entities; {found.exact_clusters:,} are exactly right"
    )
    say(
        f"{accuracy.true_pairs:,} true pairs, {accuracy.predicted_pairs:,} linked pairs, "
        f"{accuracy.correct_pairs:,} of them right"
    )
    for note in notes:
        say(note)
    if accuracy.missing_records:
        say(f"{accuracy.missing_records:,} of these records no entity has; each counts as alone:")
        for source, record_id, cluster in found.missing.head(_MISSING_SHOWN).iter_rows():
            say(f"{written((source, record_id))} (cluster {cluster})", "  ")
        more = accuracy.missing_records - _MISSING_SHOWN
        if more > 0:
            say(f"and {more:,} more, all of them with --json", "  ")
    for number, mistake in enumerate(worst, start=1):
        headline, *lines = mistake.lines()
        say("")
        say(f"{number}. {headline}")
        for line in lines:
            say(line, "   ")
