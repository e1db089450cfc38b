"""Targets: what a steward points at, resolved to records.

A word with a colon is a record, `source:record_id`, split at the first colon; `P-...` or `O-...` is an
entity and stands for all its records; anything else is the id of a question in the review queue, `R-`
in front or not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.lake import Lake
from crm_hygiene.linkage.night_settings import settings_of
from crm_hygiene.linkage.records import KINDS, Record, written
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night
from crm_hygiene.stewardship.cluster_around import cluster_around
from crm_hygiene.stewardship.records import deleted_among, members_of
from crm_hygiene.stewardship.suggestions import UnknownTarget, by_prefix, closest

QUEUE = "stewardship.review_queue"
_ENTITY = re.compile(r"[PO]-\S+")
_KIND_OF: dict[str, EntityKind] = {"P": "person", "O": "organisation"}


@dataclass(frozen=True)
class Group:
    """Records that one word stands for; the founding record, or the first, leads."""

    label: str
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Subject:
    """What one judgement is about: two or more groups of records of one kind."""

    kind: EntityKind
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Targets:
    """All subjects of one act; `notes` tell what an id was taken for."""

    subjects: tuple[Subject, ...]
    notes: tuple[str, ...] = ()


@dataclass
class _Entity:
    kind: EntityKind
    entity_id: str
    records: list[Record]
    notes: list[str] = field(default_factory=list)


def parse_record(word: str) -> Record:
    """`source:record_id`, split at the first colon."""
    source, _, record_id = word.partition(":")
    if not source or not record_id:
        raise ConfigurationError(f"'{word}' is not a record; write it source:record_id")
    return source, record_id


def question_row(lake: Lake, word: str) -> dict[str, Any]:
    """The row of the review queue with the id `word`, or the only one that begins with it.

    Raises
    ------
    UnknownTarget
        if there is none.
    """
    queue = lake.read(contract_of(QUEUE))
    wanted = word.removeprefix("R-")
    try:
        found = by_prefix(wanted, queue["review_id"], "question")
    except UnknownTarget as error:
        raise UnknownTarget(
            f"{error}. It may have been settled by a later night: `crm-hygiene review list` has the open "
            "questions; records are written source:record_id"
        ) from None
    row: dict[str, Any] = queue.row(by_predicate=pl.col("review_id") == found, named=True)
    return row


def _entity(lake: Lake, word: str) -> _Entity:
    kind = _KIND_OF[word[0]]
    entities = lake.read(contract_of(f"linked.{kind}_entities"))
    row = entities.filter(pl.col("entity_id") == word)
    if row.is_empty():
        raise UnknownTarget(f"no {kind} '{word}'{closest(word, entities['entity_id'])}")
    known = row.row(0, named=True)
    notes = []
    if known["status"] == "tombstone":
        raise UnknownTarget(
            f"{word} is a tombstone: every record of it is gone, so there is nothing left to judge"
        )
    if known["status"] == "alias":
        live = str(known["resolves_to"])
        notes.append(f"{word} has been merged into {live}; the judgement is about {live}")
        return _Entity(kind, live, _records(lake, kind, live, entities), notes)
    return _Entity(kind, word, _records(lake, kind, word, entities), notes)


def _records(lake: Lake, kind: EntityKind, entity_id: str, entities: pl.DataFrame) -> list[Record]:
    """Records of a live entity, the founding one first."""
    rows = (
        lake.scan(contract_of(f"linked.{kind}_members"))
        .filter(pl.col("entity_id") == entity_id)
        .select("source", "record_id")
        .collect()
    )
    founded = entities.filter(pl.col("entity_id") == entity_id)
    founder = founded.select("founding_source", "founding_record_id").row(0)
    return sorted(rows.iter_rows(), key=lambda record: (record != founder, record))


def missing(lake: Lake, record: Record, with_nearest: bool = True) -> str:
    """Why a record cannot be judged, in words."""
    for kind in KINDS:
        if record in deleted_among(lake, kind, [record]):
            return (
                f"{written(record)} was deleted in its source; judgements about it that were made before "
                "are kept"
            )
    if not with_nearest:
        return f"no record {written(record)}"
    known: dict[str, set[str]] = {}
    for kind in KINDS:
        members = lake.scan(contract_of(f"linked.{kind}_members"))
        for (source,) in members.select(pl.col("source").unique()).collect().iter_rows():
            known.setdefault(source, set())
        ids = members.filter(pl.col("source") == record[0]).select("record_id").collect()
        if ids.height:
            known[record[0]].update(ids["record_id"])
    if record[0] not in known:
        return f"no source '{record[0]}' with records of people or organisations{closest(record[0], known)}"
    return f"no record {written(record)}{closest(record[1], known[record[0]])}"


def kinds_of(lake: Lake, records: Sequence[Record]) -> dict[Record, dict[EntityKind, str]]:
    """Entity of each record by kind; an empty mapping for a record that is not there."""
    found: dict[Record, dict[EntityKind, str]] = {record: {} for record in records}
    for kind in KINDS:
        for record, entity_id in members_of(lake, kind, records).items():
            found[record][kind] = entity_id
    return found


def common_kind(of: Sequence[tuple[Record, dict[EntityKind, str]]], wanted: EntityKind | None) -> EntityKind:
    """The one kind that all the records are known as.

    Raises
    ------
    ConfigurationError
        if there is none, or more than one and `wanted` does not say which.
    """
    shared = [kind for kind in KINDS if all(kind in kinds for _, kinds in of)]
    if wanted is not None:
        if wanted in shared:
            return wanted
        odd = next(record for record, kinds in of if wanted not in kinds)
        raise ConfigurationError(f"{written(odd)} is no {wanted} record")
    if len(shared) == 1:
        return shared[0]
    if shared:
        raise ConfigurationError(
            f"{written(of[0][0])} is both a person and an organisation record; say which with --kind"
        )
    raise ConfigurationError(
        "a person and an organisation cannot be judged against each other: "
        + ", ".join(f"{written(record)} is {' and '.join(kinds)}" for record, kinds in of)
    )


def _from_questions(night: Night, words: Sequence[str], is_cluster: bool) -> Targets:
    lake = night.lake
    subjects = []
    notes: list[str] = []
    for word in words:
        row = question_row(lake, word)
        kind: EntityKind = "person" if row["entity_kind"] == "person" else "organisation"
        left = (row["source_l"], row["record_id_l"])
        if is_cluster:
            around = cluster_around(lake, kind, left, settings_of(night).threshold)
            if len(around) < 2:
                raise ConfigurationError(f"nothing is linked to {written(left)} any more; nothing to confirm")
            notes.append(f"question {word}: a cluster of {len(around)} records")
            groups = tuple(Group(written(record), (record,)) for record in around)
        elif row["record_id_r"] is None:
            raise ConfigurationError(
                f"question {word} is about a whole cluster: `review decide same --cluster {word}` confirms "
                "all its records as one; to take it apart name the records, each as source:record_id"
            )
        else:
            right = (row["source_r"], row["record_id_r"])
            groups = (Group(written(left), (left,)), Group(written(right), (right,)))
        subjects.append(Subject(kind, groups))
    _check_records(lake, [r for s in subjects for g in s.groups for r in g.records])
    return Targets(tuple(subjects), tuple(notes))


def _check_records(lake: Lake, records: Sequence[Record]) -> dict[Record, dict[EntityKind, str]]:
    found = kinds_of(lake, records)
    gone = [record for record, kinds in found.items() if not kinds]
    if gone:
        raise UnknownTarget("\n".join(missing(lake, record) for record in gone[:10]))
    return found


def resolve_targets(
    night: Night, words: Sequence[str], wanted: EntityKind | None = None, is_cluster: bool = False
) -> Targets:
    """What a steward's words stand for.

    Parameters
    ----------
    words
        review ids (each is a subject of its own), or two or more records and entity ids, which are one
        subject. A record that belongs to an entity which is also named stands for itself, the entity for
        the rest of its records.
    wanted
        the kind, needed only for a record that is known both as a person and as an organisation.
    is_cluster
        the words are review ids and stand for the whole cluster around the record asked about.

    Raises
    ------
    ConfigurationError
        if something named is not there (`UnknownTarget`), or what is named cannot be judged.
    """
    lake = night.lake
    words = list(dict.fromkeys(words))
    named = [word for word in words if ":" in word or _ENTITY.fullmatch(word)]
    if not named:
        return _from_questions(night, words, is_cluster)
    if len(named) < len(words):
        other = next(word for word in words if word not in named)
        raise ConfigurationError(
            f"'{other}' is taken for a question, the others are records or entities; decide them one by one"
        )
    if is_cluster:
        raise ConfigurationError(
            "--cluster goes with a review id; for an entity name it: decide same P-... P-..."
        )
    entities = {word: _entity(lake, word) for word in words if _ENTITY.fullmatch(word)}
    records = [parse_record(word) for word in words if word not in entities]
    of = _check_records(lake, records)
    kinds = {entity.kind for entity in entities.values()}
    if len(kinds) > 1:
        raise ConfigurationError("a person and an organisation cannot be judged against each other")
    kind = common_kind(list(of.items()), wanted or next(iter(kinds), None)) if of else next(iter(kinds))
    notes = [note for entity in entities.values() for note in entity.notes]
    groups = []
    seen: dict[str, str] = {}
    for word in words:
        if word not in entities:
            groups.append(Group(word, (parse_record(word),)))
            continue
        entity = entities[word]
        if entity.entity_id in seen:
            raise ConfigurationError(
                f"{seen[entity.entity_id]} and {word} are one {kind} now, {entity.entity_id}; to take it "
                "apart name the records that do not belong: `review decide different "
                f"{entity.entity_id} source:record_id`"
            )
        seen[entity.entity_id] = word
        rest = tuple(record for record in entity.records if record not in of)
        if len(rest) < len(entity.records):
            notes.append(f"{entity.entity_id}: the other {len(rest)} of its {len(entity.records)} records")
        if rest:
            groups.append(Group(entity.entity_id, rest))
    if len(groups) < 2:
        raise ConfigurationError(
            "a judgement needs at least two things to judge: records, entities, or the id of a question"
        )
    return Targets((Subject(kind, tuple(groups)),), tuple(notes))
