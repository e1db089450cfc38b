"""Questions: the review queue as a steward reads it, with both records of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.linkage.records import KINDS, Record, written
from crm_hygiene.linkage.review import CONTRADICTION_QUESTION
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.stewardship.log import DecisionLog, pair_of
from crm_hygiene.stewardship.records import field_names, fields_of, members_of, name_of
from crm_hygiene.stewardship.targets import QUEUE


@dataclass(frozen=True)
class Question:
    """One row of the queue with what its records say; `right` is None for a whole cluster.

    `judgement` is the one that stands for the pair, if there is one.
    """

    row: dict[str, Any]
    left: Record
    right: Record | None
    left_fields: dict[str, str] | None
    right_fields: dict[str, str] | None
    judgement: dict[str, Any] | None = None

    @property
    def review_id(self) -> str:
        """Id of the question."""
        return str(self.row["review_id"])

    @property
    def kind(self) -> EntityKind:
        """Kind of entity."""
        return "person" if self.row["entity_kind"] == "person" else "organisation"

    @property
    def names(self) -> tuple[str, str]:
        """What a person would call the two records; the second is empty for a whole cluster."""
        return name_of(self.left_fields), "" if self.right is None else name_of(self.right_fields)

    def side_by_side(self) -> list[tuple[str, str, str]]:
        """Every field that at least one of the records fills: name, left, right."""
        left, right = self.left_fields or {}, self.right_fields or {}
        names = [name for name in field_names(self.kind) if name in left or name in right]
        return [(name, left.get(name, ""), right.get(name, "")) for name in names]

    def as_json(self) -> dict[str, Any]:
        """The question as plain data."""
        return {
            **self.row,
            "record_l": written(self.left),
            "record_r": None if self.right is None else written(self.right),
            "name_l": self.names[0],
            "name_r": self.names[1] or None,
            "fields_l": self.left_fields,
            "fields_r": self.right_fields,
            "judgement": None if self.judgement is None else self.judgement["judgement"],
        }


@dataclass(frozen=True)
class Queue:
    """Open questions, the most valuable first; how many more there are, and how many were just settled."""

    questions: tuple[Question, ...]
    left_out: int
    settled: int


def queue_rows(lake: Lake) -> tuple[pl.DataFrame, DecisionLog]:
    """The whole queue by priority, highest first, and the log."""
    rows = lake.read(contract_of(QUEUE)).sort(["priority", "review_id"], descending=[True, False])
    return rows, DecisionLog.read(lake)


def read_questions(lake: Lake, rows: Sequence[dict[str, Any]], log: DecisionLog) -> list[Question]:
    """Rows of the queue with their records, in the order given."""
    standing = log.standing()
    fields: dict[EntityKind, dict[Record, dict[str, str]]] = {}
    for kind in KINDS:
        wanted = [
            (row[f"source_{side}"], row[f"record_id_{side}"])
            for row in rows
            for side in ("l", "r")
            if row["entity_kind"] == kind and row[f"record_id_{side}"] is not None
        ]
        fields[kind] = fields_of(lake, kind, wanted) if wanted else {}
    found = []
    for row in rows:
        left = (row["source_l"], row["record_id_l"])
        right = None if row["record_id_r"] is None else (row["source_r"], row["record_id_r"])
        of = fields[row["entity_kind"]]
        judgement = None if right is None else standing.get(pair_of(row))
        found.append(Question(row, left, right, of.get(left), of.get(right) if right else None, judgement))
    return found


def kept_apart_by(lake: Lake, log: DecisionLog, question: Question) -> list[dict[str, Any]]:
    """Standing judgements that call a record of the one entity different from a record of the other."""
    both = {question.row["entity_id_l"], question.row["entity_id_r"]}
    rows = {
        pair: row
        for pair, row in log.standing().items()
        if pair[0] == question.kind and row["judgement"] == "different"
    }
    entity = members_of(lake, question.kind, [record for pair in rows for record in pair[1:]])
    return [row for (_, left, right), row in rows.items() if {entity.get(left), entity.get(right)} == both]


def _answers(lake: Lake, log: DecisionLog) -> set[frozenset[str]]:
    """Entities, as they are now, between which a judgement stands."""
    found = set()
    standing = log.standing()
    for kind in KINDS:
        pairs = [pair for pair in standing if pair[0] == kind]
        entity = members_of(lake, kind, [record for pair in pairs for record in pair[1:]]) if pairs else {}
        for _, left, right in pairs:
            if left in entity and right in entity:
                found.add(frozenset((entity[left], entity[right])))
    return found


def open_questions(
    lake: Lake,
    kind: EntityKind | None = None,
    question_kind: str | None = None,
    limit: int | None = None,
) -> Queue:
    """The queue, less the questions that have been answered since the last night.

    As at night, a judgement between two entities answers every doubtful question about the two. A conflict
    is answered by a judgement on its own pair; one between judgements stays until one of them is revoked.

    Parameters
    ----------
    limit
        most questions to return; None returns all.
    """
    rows, log = queue_rows(lake)
    if kind is not None:
        rows = rows.filter(pl.col("entity_kind") == kind)
    if question_kind is not None:
        rows = rows.filter(pl.col("question_kind") == question_kind)
    standing, answers = log.standing(), _answers(lake, log)
    still = []
    for row in rows.iter_rows(named=True):
        is_judged = row["record_id_r"] is not None and pair_of(row) in standing
        if row["question_kind"] == "doubtful":
            is_answered = is_judged or frozenset((row["entity_id_l"], row["entity_id_r"])) in answers
        else:
            is_answered = is_judged and row["question"] != CONTRADICTION_QUESTION
        if not is_answered:
            still.append(row)
    shown = still if limit is None else still[:limit]
    return Queue(tuple(read_questions(lake, shown, log)), len(still) - len(shown), rows.height - len(still))
