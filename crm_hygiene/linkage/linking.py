"""One night of linkage: records in, pairs, entities, history and questions out.

The order of the steps is here and nothing else: preparation, keys, blocking, model, scores, resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from crm_hygiene.linkage.connection import connection
from crm_hygiene.linkage.decisions import asleep, binding
from crm_hygiene.linkage.engine import DuckDBEngine, Engine
from crm_hygiene.linkage.identifiers import IDENTIFYING_COLUMNS
from crm_hygiene.linkage.keys import key_links
from crm_hygiene.linkage.model import FrozenModel
from crm_hygiene.linkage.night_before import NightBefore, Unfinished, fingerprints, unfinished
from crm_hygiene.linkage.organisation_words import with_model_words
from crm_hygiene.linkage.preparation import prepare
from crm_hygiene.linkage.register import Register
from crm_hygiene.linkage.resolution import Resolution, resolve
from crm_hygiene.linkage.scoring import compared_columns, known_comparisons
from crm_hygiene.linkage.settings import Comparison, EntityKind, LinkageSettings
from crm_hygiene.linkage.training import train
from crm_hygiene.progress import tell


@dataclass(frozen=True)
class Linkage(Resolution):
    """Outcome of one night for one kind of entity, with the model that scored it.

    Attributes
    ----------
    model
        the model given, or the one trained because none was.
    generic
        `family`, `value`, `record_count` of values that were used for no link.
    fingerprints
        rows of linked.{kind}_fingerprints; with `pairs` they are the next night's `before`.
    changed_records
        records that are new or of which something that linkage looks at changed.
    scored_pairs
        candidate pairs that were scored; the others kept their weights.
    """

    model: FrozenModel
    generic: pl.DataFrame
    fingerprints: pl.DataFrame
    changed_records: int
    scored_pairs: int


def link(
    kind: EntityKind,
    records: pl.DataFrame,
    previous: Register,
    decisions: pl.DataFrame,
    model: FrozenModel | None,
    as_of: datetime,
    settings: LinkageSettings | None = None,
    before: NightBefore | None = None,
    engine: Engine | None = None,
) -> Linkage:
    """Link the records of one kind of entity.

    Only pairs that touch a changed record are scored; the outcome is that of scoring all.

    Parameters
    ----------
    records
        conformed.people or conformed.organisations, without deleted records; absent columns count
        as empty.
    previous
        the register as last published, `Register.empty()` on the first night.
    decisions
        stewardship.decisions; revoked ones and those of the other kind are ignored.
    model
        the promoted model; None trains one.
    as_of
        landing time of the night (UTC), stamped on events.
    settings
        thresholds, budgets and rules; None takes `rules.yaml`.
    before
        what the night before scored; None, or another model, rules or program, scores every pair.
    engine
        who counts, proposes and scores pairs; None is DuckDB on this machine.

    Returns
    -------
    Linkage
        the same for the same input, in any row order, on any number of threads and on either engine.
    """
    settings = settings or LinkageSettings()
    tell(f"{kind}: preparing {records.height:,} records")
    prepared = prepare(kind, records, settings)
    frame, stated, generic, notes = prepared.frame, prepared.stated, prepared.generic, list(prepared.notes)
    # A million records take a gigabyte in each of their shapes: none outlives its use.
    del records, prepared

    with connection(settings) as con:
        keys = key_links(con, kind, frame, stated, settings.systems)
        del stated
        if model is None:
            tell(f"{kind}: training the model")
            model, trained = train(con, kind, frame, settings)
            notes += trained
        frame = with_model_words(kind, frame, model.content)
        at_work = engine or DuckDBEngine(con)
        tell(f"{kind}: counting pairs per blocking rule")
        blocks = at_work.blocking(kind, frame, settings)
        comparisons, fallen = known_comparisons(model, settings, frame)
        now = fingerprints(frame, blocks, model, comparisons, settings)
        left = unfinished(now, blocks, before)
        frame = frame.select(_still_looked_at(frame, comparisons))
        tell(f"{kind}: scoring the pairs of {left.changed_records:,} changed records")
        count, fresh = at_work.score(frame, blocks, left.touched, comparisons, model, settings)
        notes += [*blocks.notes, *fallen, _in_words(kind, left, frame.height, count)]
    # Kept first: of a pair that a block new in force proposes once more they know its first rule.
    scores = pl.concat([left.kept, fresh]).unique(["l", "r"], keep="first").sort("l", "r")

    tell(f"{kind}: {scores.height:,} pairs to entities")
    decided = binding(kind, decisions, frame)
    notes += asleep(kind, decisions, frame)
    resolved = resolve(kind, frame, scores, keys, decided, previous, model.model_version, as_of, settings)
    return Linkage(
        **{**vars(resolved), "notes": notes + resolved.notes},
        model=model,
        generic=generic,
        fingerprints=now,
        changed_records=left.changed_records,
        scored_pairs=count,
    )


def _still_looked_at(frame: pl.DataFrame, comparisons: list[Comparison]) -> list[str]:
    """Columns of `frame` that scoring and resolution read; the others served blocking."""
    wanted = {"source", "record_id", "unique_id", *IDENTIFYING_COLUMNS, *compared_columns(frame, comparisons)}
    return [c for c in frame.columns if c in wanted]


def _in_words(kind: EntityKind, left: Unfinished, records: int, scored: int) -> str:
    if left.is_everything:
        return f"{kind}: all {scored:,} candidate pairs of {records:,} records scored"
    return (
        f"{kind}: {left.changed_records:,} of {records:,} records changed, {scored:,} candidate pairs "
        f"scored, {left.kept.height:,} pairs keep their weight"
    )
