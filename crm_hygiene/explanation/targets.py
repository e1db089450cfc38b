"""Targets of an explanation as people type them: a record `source:record_id`, or an entity id."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.entity_ids import PREFIX
from crm_hygiene.linkage.records import KINDS, NOUNS, TABLES, Record, written
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night


@dataclass(frozen=True)
class Target:
    """A record or an entity; `kinds` are the kinds it can be of, the likeliest first."""

    text: str
    record: Record | None
    kinds: tuple[EntityKind, ...]


def find_target(night: Night, text: str) -> Target:
    """What `text` names; whether it exists is for the explanation to say.

    Raises
    ------
    ConfigurationError
        if it is neither a record nor an entity id; the message names records of that id.
    """
    source, colon, record_id = text.partition(":")
    if colon and source and record_id:
        return Target(text, (source, record_id), _kinds_of((source, record_id), night))
    for kind in KINDS:
        if text.startswith(PREFIX[kind]) and not colon:
            return Target(text, None, (kind,))
    found = [
        written(record)
        for kind in KINDS
        for record in sorted(
            night.lake.scan(contract_of(TABLES[kind]))
            .filter(pl.col("record_id") == text)
            .select("source", "record_id")
            .collect()
            .iter_rows()
        )
    ]
    hint = f"; did you mean {' or '.join(sorted(set(found))[:5])}?" if found else ""
    raise ConfigurationError(
        f"'{text}' is neither a record (source:record_id) nor an entity id "
        f"({PREFIX['person']}… or {PREFIX['organisation']}…){hint}"
    )


def _kinds_of(record: Record, night: Night) -> tuple[EntityKind, ...]:
    """Kinds whose table holds the record; where none does, those that know its source, else all."""
    holding: list[EntityKind] = []
    knowing: list[EntityKind] = []
    for kind in KINDS:
        rows = night.lake.scan(contract_of(TABLES[kind])).filter(pl.col("source") == record[0])
        if not rows.head(1).select("source").collect().is_empty():
            knowing.append(kind)
            at = rows.filter(pl.col("record_id") == record[1]).head(1).select("source")
            if not at.collect().is_empty():
                holding.append(kind)
    return tuple(holding or knowing or KINDS)


def common_kind(targets: list[Target], wanted: EntityKind | None) -> EntityKind:
    """The kind all targets can be of, the one wanted if given.

    Raises
    ------
    ConfigurationError
        if they share none, or not the one that is wanted.
    """
    shared = [kind for kind in KINDS if all(kind in target.kinds for target in targets)]
    if wanted is not None and wanted in shared:
        return wanted
    if wanted is None and shared:
        return shared[0]
    said = "; ".join(f"{t.text}: {' or '.join(NOUNS[kind][0] for kind in t.kinds)}" for t in targets)
    raise ConfigurationError(
        f"--kind {wanted} does not fit: {said}"
        if wanted
        else f"only records of one kind can be compared: {said}"
    )
