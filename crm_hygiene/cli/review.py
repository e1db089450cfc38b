"""`crm-hygiene review`: the queue, deciding, taking back, and bulk work in a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.console import Console

from crm_hygiene.cli.acting import acting
from crm_hygiene.cli.json_output import print_json
from crm_hygiene.cli.kind_option import Kind, kind_of
from crm_hygiene.cli.options import ByOption, ConfigOption, JsonOption
from crm_hygiene.cli.review_cash import app as cash_app
from crm_hygiene.cli.review_text import (
    act_json,
    show_act,
    show_decisions,
    show_import,
    show_question,
    show_queue,
    show_revocation,
)
from crm_hygiene.config import load_config
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.explanation.explain import PairExplanation, explain_pairs
from crm_hygiene.linkage.night_settings import settings_of
from crm_hygiene.linkage.records import KINDS, Record
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night
from crm_hygiene.night_lock import night_lock
from crm_hygiene.stewardship.act import Act, Judgement, decide, judged
from crm_hygiene.stewardship.bulk import import_judgements
from crm_hygiene.stewardship.cluster_around import cluster_around
from crm_hygiene.stewardship.log import DecisionLog
from crm_hygiene.stewardship.questions import Question, kept_apart_by, open_questions, read_questions
from crm_hygiene.stewardship.records import fields_of, name_of
from crm_hygiene.stewardship.revocation import revoke
from crm_hygiene.stewardship.targets import question_row, resolve_targets
from crm_hygiene.stewardship.worksheet import export_worksheet

app = typer.Typer(
    name="review",
    help="Questions for stewards: list the queue, decide, revoke, work in bulk.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(cash_app)


class QuestionKind(StrEnum):
    """Why a question is asked."""

    doubtful = "doubtful"
    conflict = "conflict"
    suspect = "suspect"


class Answer(StrEnum):
    """What a steward can say."""

    same = "same"
    different = "different"
    unsure = "unsure"


_ANSWERS: dict[Answer, Judgement] = {
    Answer.same: "same",
    Answer.different: "different",
    Answer.unsure: "unsure",
}

KindOption = Annotated[Kind | None, typer.Option("--kind", help="Only people or only organisations.")]
AskedOption = Annotated[
    QuestionKind | None,
    typer.Option("--question-kind", help="Only doubtful pairs, conflicts or suspect clusters."),
]
WhyOption = Annotated[str | None, typer.Option("--why", help="The reason, kept with the decision.")]


def _explanations(night: Night, questions: list[Question]) -> dict[str, PairExplanation]:
    """Explanation by review id; none for whole clusters and for records that are gone by now."""
    found = {}
    for kind in KINDS:
        asked = [q for q in questions if q.kind == kind and q.right and q.left_fields and q.right_fields]
        pairs = [(q.left, q.right) for q in asked if q.right]
        for question, explained in zip(asked, explain_pairs(night, kind, pairs), strict=True):
            found[question.review_id] = explained
    return found


def _names(night: Night, rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str, str], str]:
    """What a person would call the records of some rows of the log."""
    wanted: dict[EntityKind, set[Record]] = {kind: set() for kind in KINDS}
    for row in rows:
        for side in ("l", "r"):
            wanted[row["entity_kind"]].add((row[f"source_{side}"], row[f"record_id_{side}"]))
    return {
        (kind, *record): name_of(fields)
        for kind, records in wanted.items()
        for record, fields in fields_of(night.lake, kind, records).items()
    }


def _names_in(night: Night, act: Act) -> dict[tuple[str, str, str], str]:
    return _names(night, [*act.rows.head(20).iter_rows(named=True), *act.repeated[:20]])


@app.command("list")
def list_command(
    kind: KindOption = None,
    question_kind: AskedOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Questions to print.")] = 20,
    is_full: Annotated[
        bool, typer.Option("--full", help="Both records side by side, with what speaks for and against.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The open questions, the most valuable first."""
    night = Night.open(load_config(config))
    asked = question_kind.value if question_kind else None
    queue = open_questions(night.lake, kind_of(kind), asked, limit)
    weights = _explanations(night, list(queue.questions)) if is_full else {}
    if as_json:
        print_json(
            [
                {**q.as_json(), "explanation": weights[q.review_id].as_json()}
                if q.review_id in weights
                else q.as_json()
                for q in queue.questions
            ]
        )
        return
    console = Console()
    if is_full:
        for question in queue.questions:
            show_question(question, weights.get(question.review_id), console)
    show_queue(queue, console, is_full)


@app.command("show")
def show_command(
    review_id: Annotated[str, typer.Argument(help="Id of a question, or its first characters.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """One question: both records side by side, and what speaks for and against."""
    night = Night.open(load_config(config))
    log = DecisionLog.read(night.lake)
    (question,) = read_questions(night.lake, [question_row(night.lake, review_id)], log)
    explanation = _explanations(night, [question]).get(question.review_id)
    apart = kept_apart_by(night.lake, log, question) if question.row["question_kind"] == "conflict" else []
    cluster = []
    if question.right is None:
        records = cluster_around(night.lake, question.kind, question.left, settings_of(night).threshold)
        fields = fields_of(night.lake, question.kind, records)
        cluster = [(record, name_of(fields.get(record))) for record in records]
    if as_json:
        document = {**question.as_json(), "kept_apart_by": [row["decision_id"] for row in apart]}
        if explanation is not None:
            document["explanation"] = explanation.as_json()
        if cluster:
            document["cluster"] = [
                {"source": source, "record_id": record_id, "name": name}
                for (source, record_id), name in cluster
            ]
        print_json(document)
    else:
        show_question(question, explanation, Console(), cluster, apart)


@app.command("decide")
def decide_command(
    answer: Annotated[Answer, typer.Argument(help="What you say.")],
    targets: Annotated[
        list[str],
        typer.Argument(help="Ids of questions; or two or more of source:record_id, P-..., O-..."),
    ],
    why: WhyOption = None,
    by: ByOption = None,
    kind: Annotated[
        Kind | None, typer.Option("--kind", help="For a record that is both a person and an organisation.")
    ] = None,
    is_cluster: Annotated[
        bool, typer.Option("--cluster", help="The whole cluster around the record the question is about.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what belongs together. The newest decision on a pair binds, from the next night on."""
    night = Night.open(load_config(config))
    judgement = _ANSWERS[answer]
    if is_cluster and judgement == "different":
        raise ConfigurationError(
            "which of the cluster's records are different? name them, each as source:record_id; "
            "`review show` lists them"
        )
    reason = (why or "").strip() or None
    with night_lock(night.config.lake_uri, night.lake.storage_options):
        found = resolve_targets(night, targets, kind_of(kind), is_cluster)
        act = decide(night, judged(found, judgement, reason), acting(by))
    if as_json:
        print_json({**act_json(act), "notes": list(found.notes)})
    else:
        show_act(act, Console(), _names_in(night, act), found.notes)


@app.command("revoke")
def revoke_command(
    decision: Annotated[str, typer.Argument(help="A decision (D-...) or a whole act (G-...).")],
    why: WhyOption = None,
    by: ByOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a decision back; what was decided before it binds again, from the next night on."""
    night = Night.open(load_config(config))
    with night_lock(night.config.lake_uri, night.lake.storage_options):
        done = revoke(night, decision, (why or "").strip() or None, acting(by))
    if as_json:
        print_json(
            {
                "added": done.rows.to_dicts(),
                "revoked": [row["decision_id"] for row in done.revoked],
                "already_revoked": [row["revokes"] for row in done.already],
                "binds_again": [row["decision_id"] for row in done.standing_again],
            }
        )
    else:
        show_revocation(done, Console(), _names(night, [*done.revoked[:20], *done.standing_again[:20]]))


@app.command("decisions")
def decisions_command(
    is_all: Annotated[
        bool, typer.Option("--all", help="Also what was revoked or overridden, and the revocations.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Decisions to print.")] = 40,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What has been decided, the newest first: who, when, why, and whether it binds."""
    night = Night.open(load_config(config))
    rows = DecisionLog.read(night.lake).fates()
    shown = rows if is_all else rows.filter(pl.col("state") == "binds")
    if as_json:
        print_json(shown.to_dicts())
        return
    names = _names(night, shown.head(limit).iter_rows(named=True))
    show_decisions(shown, rows.height - shown.height, names, Console(), limit)


@app.command("export")
def export_command(
    file: Annotated[Path, typer.Argument(help="CSV file to write.")],
    kind: KindOption = None,
    question_kind: AskedOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Most questions to write.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the open questions to a CSV file, to be answered in a spreadsheet."""
    night = Night.open(load_config(config))
    asked = question_kind.value if question_kind else None
    written, clusters = export_worksheet(night.lake, file, kind_of(kind), asked, limit)
    if as_json:
        print_json({"file": str(file), "questions": written, "clusters_left_out": clusters})
        return
    typer.echo(f"{written:,} questions written to {file}; it holds personal data, keep it where that may be")
    if clusters:
        typer.echo(
            f"{clusters:,} questions about whole clusters are not in it: "
            "`crm-hygiene review list --question-kind suspect`"
        )
    typer.echo(
        "Write same, different or unsure into the column judgement, a reason into why, leave open what you "
        f"cannot say, save as CSV, then: crm-hygiene review import {file}"
    )


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="The exported file filled in, or a CSV of pairs.")],
    is_strict: Annotated[bool, typer.Option("--strict", help="Take nothing if one line is wrong.")] = False,
    by: ByOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take judgements from a CSV file as one act; exit code 1 if a line was refused."""
    night = Night.open(load_config(config))
    with night_lock(night.config.lake_uri, night.lake.storage_options):
        done = import_judgements(night, file, acting(by), is_strict)
    if as_json:
        print_json(
            {
                "refused": [{"line": line.number, "reason": line.reason} for line in done.refused],
                "without_judgement": done.blank,
                **(act_json(done.act) if done.act else {"added": []}),
            }
        )
    else:
        show_import(done, file, is_strict, Console(), _names_in(night, done.act) if done.act else None)
    raise typer.Exit(1 if done.refused else 0)
