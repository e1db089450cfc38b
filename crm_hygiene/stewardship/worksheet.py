"""The review queue as a worksheet: one line per question, both records side by side, room to answer."""

from __future__ import annotations

from pathlib import Path

from crm_hygiene.lake import Lake
from crm_hygiene.linkage.records import written
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.stewardship.questions import Queue, open_questions
from crm_hygiene.stewardship.spreadsheet import write_csv

# A record is one cell, `source:record_id`: no spreadsheet takes it for a number and rounds it, and R- in
# front does the same for the id of the question.
LEADING = (
    "judgement", "why", "review_id", "entity_kind", "question_kind", "question",
    "match_probability", "match_weight", "stake", "priority", "entity_id_l", "record_l",
    "entity_id_r", "record_r",
)  # fmt: skip


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def export_worksheet(
    lake: Lake,
    path: Path,
    kind: EntityKind | None = None,
    question_kind: str | None = None,
    limit: int | None = None,
) -> tuple[int, int]:
    """Write the open questions to a CSV file that `import_worksheet` reads back.

    Questions about whole clusters have no second record to judge and are left out.

    Returns
    -------
    tuple
        questions written, questions about whole clusters left out.

    Raises
    ------
    ConfigurationError
        if the file cannot be written.
    """
    queue: Queue = open_questions(lake, kind, question_kind)
    pairs = [question for question in queue.questions if question.right is not None]
    clusters = len(queue.questions) - len(pairs)
    pairs = pairs if limit is None else pairs[:limit]
    filled = [{name: (left, right) for name, left, right in q.side_by_side()} for q in pairs]
    fields = list(dict.fromkeys(name for cells in filled for name in cells))
    rows = []
    for question, cells in zip(pairs, filled, strict=True):
        row = question.row
        assert question.right is not None
        lead = [
            "", "", f"R-{question.review_id}", row["entity_kind"], row["question_kind"], row["question"],
            _number(row["match_probability"]), _number(row["match_weight"]), _number(row["stake"]),
            _number(row["priority"]), row["entity_id_l"], written(question.left), row["entity_id_r"],
            written(question.right),
        ]  # fmt: skip
        rows.append([*lead, *(cell for name in fields for cell in cells.get(name, ("", "")))])
    write_csv(path, [*LEADING, *(f"{name}_{side}" for name in fields for side in ("l", "r"))], rows)
    return len(pairs), clusters
