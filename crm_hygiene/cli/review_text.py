"""Questions, decisions and imports as a steward reads them on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.markup import escape

from crm_hygiene.cli.tables import table
from crm_hygiene.explanation.explain import PairExplanation
from crm_hygiene.linkage.records import Record, written
from crm_hygiene.stewardship.act import Act
from crm_hygiene.stewardship.bulk import Import
from crm_hygiene.stewardship.questions import Question, Queue
from crm_hygiene.stewardship.records import name_of
from crm_hygiene.stewardship.revocation import Revocation

Names = Mapping[tuple[str, str, str], str]
"""What a person would call a record, by (kind, source, record_id)."""

_SHOWN = 10  # rows of a kind before "and n more"


def say(console: Console, text: str, style: str = "") -> None:
    """A line for a person; what is in it is text and never markup."""
    console.print(
        f"[{style}]{escape(text)}[/{style}]" if style else escape(text), highlight=False, soft_wrap=True
    )


def _described(fields: dict[str, str] | None) -> str:
    """A record in a few words: its name and one thing more that tells it apart."""
    name, filled = name_of(fields), fields or {}
    more = next((filled[n] for n in ("email", "organisation_name", "city", "phone") if n in filled), None)
    return name if more is None or more == name else f"{name} <{more}>"


def _two_lines(question: Question, width: int) -> tuple[str, str]:
    """A question as two lines, its records one below the other."""
    row = question.row
    chance = "" if row["match_probability"] is None else f"{row['match_probability']:.0%}"
    upper = f"{question.review_id:<16}  {chance:>6}  {row['stake']:>5.0f}  "
    lower = f"{row['question_kind']:<16}  {'':>6}  {'':>5}  "
    if question.right is None:
        return (
            f"{upper}{_described(question.left_fields):<{width}}  {question.left[0]}",
            f"{lower}(its cluster)",
        )
    return (
        f"{upper}{_described(question.left_fields):<{width}}  {question.left[0]}",
        f"{lower}{_described(question.right_fields):<{width}}  {question.right[0]}",
    )


def show_queue(queue: Queue, console: Console, is_full: bool) -> None:
    """The open questions two lines each, unless they were printed in full, and what to type next."""
    if not queue.questions and not queue.settled:
        say(console, "No open questions. The next night may bring some.")
        return
    if not is_full and queue.questions:
        said = [_described(q.left_fields) for q in queue.questions]
        said += [_described(q.right_fields) for q in queue.questions if q.right is not None]
        width = min(max(map(len, said)), 60)
        say(console, f"{'question':<16}  {'chance':>6}  {'stake':>5}  are these the same?", "bold")
        for question in queue.questions:
            for line in _two_lines(question, width):
                say(console, line.rstrip())
        say(console, "")
    if queue.left_out:
        say(console, f"{queue.left_out:,} more (--limit)")
    if queue.settled:
        say(
            console,
            f"{queue.settled:,} answered since the last night and not shown; the next takes them off",
        )
    if queue.questions:
        first = queue.questions[0].review_id
        say(console, f"look closer   crm-hygiene review show {first}")
        say(console, f"decide        crm-hygiene review decide same|different|unsure {first} --why '...'")


def show_question(
    question: Question,
    explanation: PairExplanation | None,
    console: Console,
    cluster: Sequence[tuple[Record, str]] = (),
    apart: Sequence[Mapping[str, Any]] = (),
) -> None:
    """One question with its records side by side and the weights; `apart` is what judges them different."""
    row = question.row
    console.print()
    say(console, f"{question.review_id}  {row['question']}", "bold")
    say(
        console,
        f"asked as {row['question_kind']}; worth {row['priority']:.2f}: uncertainty {row['uncertainty']:.2f} "
        f"times a stake of {row['stake']:.0f} (what hangs on it: records, activities, deals, invoices)",
    )
    if question.judgement is not None:
        stands = question.judgement
        say(console, f"stands: {stands['judgement']}, {_signed(stands)}  {stands['decision_id']}")
    for said, rows in _by_whom(apart).items():
        _some(
            console,
            f"kept apart by: {said}",
            [f"{_pair_text(row)}  {row['decision_id']}" for row in rows],
        )
    if apart:
        say(console, f"to settle it: crm-hygiene review revoke {apart[0]['decision_id']}, or what says same")
    console.print()
    if question.right is None:
        members = [(escape(written(record)), escape(name)) for record, name in cluster[:100]]
        say(console, f"{len(cluster):,} records hang together")
        console.print(table(None, [("record", "left"), ("name", "left")], members))
        if len(cluster) > 100:
            say(console, f"and {len(cluster) - 100:,} more (--json lists all)")
        review_id = question.review_id
        say(console, f"all are one     crm-hygiene review decide same --cluster {review_id}")
        say(
            console,
            "some are not    crm-hygiene review decide different source:record_id source:record_id ...",
        )
        return
    shown = [
        ("  record", written(question.left), written(question.right)),
        ("  belongs to", row["entity_id_l"] or "", row["entity_id_r"] or ""),
    ]
    for name, left, right in question.side_by_side():
        mark = "≠" if left and right and left != right else " "
        shown.append((f"{mark} {name.replace('_', ' ')}", left, right))
    cells = [tuple(map(escape, row)) for row in shown]
    console.print(table(None, [("", "left"), ("left", "left"), ("right", "left")], cells))
    if explanation is None:
        say(
            console, "One of the records is gone, so there are no weights; the next night drops the question."
        )
        return
    for line in explanation.lines():
        say(console, line)


def _signed(row: Mapping[str, Any]) -> str:
    """Who, when and why."""
    why = f": {row['reason']}" if row["reason"] else ""
    return f"{row['decided_by']} on {row['decided_at']:%Y-%m-%d %H:%M} UTC{why}"


def _pair_text(row: Mapping[str, Any], names: Names | None = None) -> str:
    """Both records with the sign of the judgement, and their names where those are known."""
    sign = {"same": "=", "different": "≠", "unsure": "?"}.get(row["judgement"] or "", "/")
    text = f"{row['source_l']}:{row['record_id_l']} {sign} {row['source_r']}:{row['record_id_r']}"
    if names is None:
        return text
    called = [names.get((row["entity_kind"], row[f"source_{s}"], row[f"record_id_{s}"]), "?") for s in "lr"]
    return f"{text}  ({called[0]} {sign} {called[1]})"


def _by_whom(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Rows by who judged, when and why."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(f"{row['judgement']}, {_signed(row)}", []).append(row)
    return found


def _some(console: Console, heading: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    say(console, heading)
    for line in lines[:_SHOWN]:
        say(console, f"  {line}")
    if len(lines) > _SHOWN:
        say(console, f"  and {len(lines) - _SHOWN:,} more")


def act_json(act: Act) -> dict[str, Any]:
    """An act as plain data."""
    return {
        "decision_group": act.group,
        "added": act.rows.to_dicts(),
        "already_decided": [row["decision_id"] for row in act.repeated],
        "imported_before": [one.decision_id for one in act.recognised],
        "overridden": [row["decision_id"] for row in act.overridden],
        "contradictions": [
            {
                "different": c.different,
                "same": list(c.same),
                "acts": list(c.acts),
                "records": [written(record) for record in c.chain],
            }
            for c in act.contradictions
        ],
        "next_night": list(act.consequences),
    }


def show_act(act: Act, console: Console, names: Names | None = None, notes: Sequence[str] = ()) -> None:
    """What deciding came to."""
    for note in notes:
        say(console, note)
    rows = list(act.rows.iter_rows(named=True))
    for said, same in _by_whom(act.repeated).items():
        _some(
            console,
            f"Decided already, nothing added: {said}",
            [f"{_pair_text(r, names)}  {r['decision_id']}" for r in same],
        )
    if act.recognised:
        say(
            console,
            f"{len(act.recognised):,} were taken from this very file before and revoked or overridden since; "
            "nothing added. To judge so again, use `review decide`",
        )
    if not rows:
        return
    judgements = ", ".join(
        f"{n:,} {j}" for j, n in act.rows["judgement"].value_counts().sort("judgement").iter_rows()
    )
    _some(console, f"Decided by {rows[0]['decided_by']}: {judgements}", [_pair_text(r, names) for r in rows])
    for said, same in _by_whom(act.overridden).items():
        _some(
            console,
            f"This overrides, and the log keeps: {said}",
            [f"{_pair_text(r)}  {r['decision_id']}" for r in same],
        )
    if act.contradictions:
        say(console, "These judgements contradict each other:", "yellow")
        for contradiction in act.contradictions[:_SHOWN]:
            say(console, f"  {contradiction.text()}")
        if len(act.contradictions) > _SHOWN:
            say(console, f"  and {len(act.contradictions) - _SHOWN:,} more")
    _some(console, "On the next night:", act.consequences)
    say(console, f"To take it back: crm-hygiene review revoke {act.group}")


def show_revocation(done: Revocation, console: Console, names: Names | None = None) -> None:
    """What revoking came to."""
    before: dict[str, list[str]] = {}
    for row in done.already:
        before.setdefault(_signed(row), []).append(row["revokes"])
    for said, ids in before.items():
        _some(console, f"Revoked before, nothing added: by {said}", ids)
    for heading, rows in (("Revoked", done.revoked), ("Binding again", done.standing_again)):
        for said, same in _by_whom(rows).items():
            _some(
                console,
                f"{heading}: {said}",
                [f"{_pair_text(r, names)}  {r['decision_id']}" for r in same],
            )
    if not done.revoked:
        return
    free = len(done.freed)
    if free:
        say(console, f"{free:,} {'pair is' if free == 1 else 'pairs are'} left to keys and model again.")
    say(console, "It takes effect on the next night.")


def show_decisions(rows: pl.DataFrame, not_shown: int, names: Names, console: Console, limit: int) -> None:
    """The log act by act, newest first; `not_shown` rows do not bind and were left out."""
    act = None
    for row in rows.head(limit).iter_rows(named=True):
        what = "revoked" if row["revokes"] else row["judgement"]
        heading = f"{row['decision_group'] or ''}  {what}, {row['entity_kind']}, by {_signed(row)}".strip()
        if heading != act:
            say(console, heading, "bold")
            act = heading
        state = f"takes back {row['revokes']}" if row["revokes"] else row["state"]
        say(console, f"  {row['decision_id']}  {state}  {_pair_text(row, names)}")
    more = rows.height - limit
    if rows.is_empty() and not not_shown:
        say(console, "Nothing has been decided yet; `crm-hygiene review list` has the questions.")
        return
    counted = "1 row" if rows.height == 1 else f"{rows.height:,} rows"
    say(console, counted + (f", {more:,} more not shown (--limit)" if more > 0 else ""))
    if not_shown:
        say(
            console, f"{not_shown:,} more do not bind: revoked, overridden, or revocations themselves (--all)"
        )


def show_import(
    done: Import, file: Path, is_strict: bool, console: Console, names: Names | None = None
) -> None:
    """What an import came to."""
    if done.act is not None:
        show_act(done.act, console, names)
    if done.blank:
        say(console, f"{file}: lines left open, without a judgement: {done.blank:,}")
    if done.refused:
        show_refused([(line.number, line.reason) for line in done.refused], is_strict, console)
    elif done.act is None:
        say(console, f"{file}: no judgement in it, nothing to do")


def show_refused(lines: Sequence[tuple[int, str]], is_strict: bool, console: Console) -> None:
    """Lines of a CSV file that were refused: number and reason."""
    counted = "1 line" if len(lines) == 1 else f"{len(lines):,} lines"
    say(console, f"{counted} refused:", "red")
    for number, reason in lines:
        say(console, f"  line {number}: {reason}")
    say(
        console,
        "Nothing was taken (--strict)."
        if is_strict
        else "All other lines count. Mend these and import the file again; nothing is taken twice.",
    )
