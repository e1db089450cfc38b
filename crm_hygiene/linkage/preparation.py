"""Preparation: conformed records as linkage sees them, generic values taken out."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from crm_hygiene.linkage.comparable import comparable, numbered, with_block_columns
from crm_hygiene.linkage.generic_values import generic_notes, generic_values, without_generic
from crm_hygiene.linkage.settings import EntityKind, LinkageSettings


@dataclass(frozen=True)
class Prepared:
    """Records ready for keys, blocking and scoring.

    Attributes
    ----------
    frame
        comparable columns with block columns, sorted by `unique_id` (0..n-1), that is by (source, record_id).
    stated
        `unique_id`, `source`, `record_id`, `merged_record_ids` and, for people,
        `converted_person_record_id`: what the sources themselves say of identity.
    generic
        `family`, `value`, `record_count` of the values that were taken out.
    notes
        lines for the run's summary.
    """

    frame: pl.DataFrame
    stated: pl.DataFrame
    generic: pl.DataFrame
    notes: list[str]


def prepare(kind: EntityKind, records: pl.DataFrame, settings: LinkageSettings) -> Prepared:
    """Prepare conformed people or organisations without deleted records; absent columns are empty."""
    frame = comparable(kind, records)
    generic = generic_values(kind, frame, settings)
    frame = with_block_columns(kind, without_generic(kind, frame, generic))
    stated = numbered(records, ("converted_person_record_id",) if kind == "person" else ())
    wanted = [c for c in ("converted_person_record_id",) if c in stated.columns]
    stated = stated.select("unique_id", "source", "record_id", "merged_record_ids", *wanted)
    return Prepared(frame, stated, generic, generic_notes(generic))
