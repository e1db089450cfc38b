"""`crm-hygiene explain`: why things are as they are. What is explained depends on the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

import typer
from rich.console import Console
from rich.markup import escape

from crm_hygiene.cli.explain_cell import cell_target, explain_target
from crm_hygiene.cli.json_output import print_json
from crm_hygiene.cli.kind_option import Kind, kind_of
from crm_hygiene.cli.options import ConfigOption, JsonOption
from crm_hygiene.cli.tables import table
from crm_hygiene.config import load_config
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.explanation.entity_explanation import EntityExplanation, explain_entity
from crm_hygiene.explanation.explain import PairExplanation, explain_pairs
from crm_hygiene.explanation.invoice_story import find_cash_story, nearest_invoice
from crm_hygiene.explanation.link_tree import Link
from crm_hygiene.explanation.nearest_pair import nearest_pair
from crm_hygiene.explanation.record_explanation import RecordExplanation, explain_record
from crm_hygiene.explanation.targets import Target, common_kind, find_target
from crm_hygiene.explanation.waterfall import check_chart_file, draw_waterfall
from crm_hygiene.linkage.records import Record, written
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night


class Explanation(Protocol):
    """What every explanation can do."""

    def lines(self) -> list[str]:
        """In words."""

    def as_json(self) -> dict[str, object]:
        """As plain data."""


@dataclass(frozen=True)
class Answer:
    """An explanation, with the pairs that its chart draws and a hint for the next question."""

    kind: EntityKind
    explanation: Explanation
    pairs: Sequence[tuple[Record, Record]]
    hint: str | None = None


def explain(
    targets: Annotated[
        list[str],
        typer.Argument(
            help="A record (source:record_id), an entity id (P-…, O-…), or two of them; an entity id and a "
            "golden column: P-… email; or an invoice by its number, an invoice or payment by its record.",
            metavar="TARGET [TARGET|COLUMN]",
        ),
    ],
    kind: Annotated[
        Kind | None, typer.Option("--kind", help="Which is meant, where one id names records of both kinds.")
    ] = None,
    chart: Annotated[
        Path | None,
        typer.Option("--chart", help="Write Splink's waterfall chart to this .html file; it opens offline."),
    ] = None,
    night_: Annotated[
        str | None,
        typer.Option(
            "--night",
            metavar="TIME|VERSION|RUN",
            help="How an entity or a cell was on an earlier night: a time, a version of the golden table or "
            "a run id.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME|VERSION|RUN",
            help="What changed of an entity or a cell since that night (until --night, if given), and why.",
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Why records are (not) one, whose a record is, why a cell says so, how an invoice came to be paid."""
    if chart is not None:
        check_chart_file(chart)
    night = Night.open(load_config(config))
    cell = cell_target(targets)
    if cell is not None and (cell.column or night_ or since):
        if chart is not None:
            raise ConfigurationError("--chart draws links of records and entities as they are now")
        found = explain_target(night, cell, night_, since)
        assert found is not None
        _print(found, as_json)
        return
    if night_ or since:
        raise ConfigurationError("--night and --since look at an entity (P-…, O-…) or a cell of one")
    if len(targets) == 1 and kind is None and (story := find_cash_story(night, targets[0])) is not None:
        if chart is not None:
            raise ConfigurationError("--chart draws links of records and entities, not postings")
        _print(story, as_json)
        return
    if len(targets) > 2:
        raise ConfigurationError(
            f"explain takes one or two targets, or a golden table, an entity and a column, not "
            f"{len(targets)} words"
        )
    answer = answer_for(night, targets, kind_of(kind))
    if chart is not None:
        if not answer.pairs:
            raise ConfigurationError(f"--chart {chart}: {targets[0]} has no links to draw")
        draw_waterfall(night, answer.kind, answer.pairs, chart)
    if as_json:
        print_json({**answer.explanation.as_json(), "chart": None if chart is None else str(chart)})
        return
    console = Console()
    if isinstance(answer.explanation, PairExplanation):
        _show_values(answer.explanation, console)
    for line in answer.explanation.lines():
        console.print(escape(line), highlight=False, soft_wrap=True)
    if chart is not None:
        console.print(f"\nchart: {escape(str(chart))}", highlight=False, soft_wrap=True)
    elif answer.hint:
        console.print(f"\n[dim]{escape(answer.hint)}[/dim]", highlight=False, soft_wrap=True)


def _print(found: Explanation, as_json: bool) -> None:
    if as_json:
        print_json(found.as_json())
        return
    console = Console()
    for line in found.lines():
        console.print(escape(line), highlight=False, soft_wrap=True)


def answer_for(night: Night, texts: Sequence[str], wanted: EntityKind | None) -> Answer:
    """Explain one target or two.

    Raises
    ------
    ConfigurationError
        if a target names nothing, or the two cannot be compared.
    """
    targets = [_target(night, text) for text in texts]
    kind = common_kind(targets, wanted)
    if len(targets) == 2:
        return _pair(night, kind, targets[0], targets[1])
    if targets[0].record is None:
        return _entity(explain_entity(night, kind, targets[0].text))
    other = [k for k in targets[0].kinds if k != kind]
    return _record(explain_record(night, kind, targets[0].record), other if wanted is None else [])


def _target(night: Night, text: str) -> Target:
    try:
        return find_target(night, text)
    except ConfigurationError as error:
        if (number := nearest_invoice(night, text)) is None:
            raise
        raise ConfigurationError(f"{error}; the nearest invoice is {number}") from error


def _pair(night: Night, kind: EntityKind, left: Target, right: Target) -> Answer:
    if left.record and right.record:
        found = explain_pairs(night, kind, [(left.record, right.record)])[0]
    else:
        sides = [_records(night, kind, target) for target in (left, right)]
        if set(sides[0]) & set(sides[1]):
            raise ConfigurationError(
                f"{left.text} and {right.text} are one {kind} already; explain either of them"
            )
        found = nearest_pair(night, kind, sides[0], sides[1])
    return Answer(
        kind,
        found,
        [(found.record_l, found.record_r)],
        "--chart FILE.html draws these weights as a waterfall",
    )


def _records(night: Night, kind: EntityKind, target: Target) -> list[Record]:
    if target.record is not None:
        return [target.record]
    entity = explain_entity(night, kind, target.text)
    if not entity.records:
        raise ConfigurationError(f"{target.text} is retired and has no records to compare")
    return entity.records


def _entity(found: EntityExplanation) -> Answer:
    pairs = [(link.record_l, link.record_r) for link in found.tree.links]
    hint = None
    if (weakest := found.tree.weakest) is not None:
        hint = _see_also(weakest)
    return Answer(found.kind, found, pairs, hint)


def _see_also(link: Link) -> str:
    ends = f"{written(link.record_l)} {written(link.record_r)}"
    return f"all that speaks for and against one pair: crm-hygiene explain {ends}"


def _record(found: RecordExplanation, other_kinds: Sequence[EntityKind]) -> Answer:
    shown = found.shown_links
    hints = [f"a record of that id is also there as {kind}: --kind {kind}" for kind in other_kinds]
    if shown:
        hints.append(_see_also(shown[0]))
    return Answer(
        found.kind, found, [(link.record_l, link.record_r) for link in shown], "\n".join(hints) or None
    )


def _show_values(pair: PairExplanation, console: Console) -> None:
    """Both records side by side, as they were conformed."""
    console.print(
        table(
            None,
            [
                ("", "left"),
                (escape(written(pair.record_l)), "left"),
                (escape(written(pair.record_r)), "left"),
            ],
            (
                (name.replace("_", " "), escape(value or ""), escape(pair.values_r[name] or ""))
                for name, value in pair.values_l.items()
            ),
        )
    )
