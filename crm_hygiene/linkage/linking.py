"""One night of linkage: records in, pairs, entities, history and questions out.

The order of the steps is here and nothing else: preparation, keys, blocking, model, scores, resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from crm_hygiene.linkage.blocking import blocking
from crm_hygiene.linkage.connection import connection
from crm_hygiene.linkage.decisions import binding
from crm_hygiene.linkage.keys import key_links
from crm_hygiene.linkage.model import FrozenModel
from crm_hygiene.linkage.preparation import prepare
from crm_hygiene.linkage.register import Register
from crm_hygiene.linkage.resolution import Resolution, resolve
from crm_hygiene.linkage.scoring import score
from crm_hygiene.linkage.settings import EntityKind, LinkageSettings
from crm_hygiene.linkage.training import train


@dataclass(frozen=True)
class Linkage(Resolution):
    """Outcome of one night for one kind of entity, with the model that scored it."""

    model: FrozenModel


def link(
    kind: EntityKind,
    records: pl.DataFrame,
    previous: Register,
    decisions: pl.DataFrame,
    model: FrozenModel | None,
    as_of: datetime,
    settings: LinkageSettings | None = None,
) -> Linkage:
    """Link the records of one kind of entity.

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

    Returns
    -------
    Linkage
        the same for the same input, in any row order and on any number of threads.
    """
    settings = settings or LinkageSettings()
    prepared = prepare(kind, records, settings)
    frame = prepared.frame
    notes = list(prepared.notes)

    with connection(settings) as con:
        keys = key_links(con, kind, frame, prepared.stated, settings.systems)
        if model is None:
            model, trained = train(con, kind, frame, settings)
            notes += trained
        blocks = blocking(kind, frame, settings)
        scores, scored = score(con, frame, blocks, model, settings)
        notes += blocks.notes + scored

    decided = binding(kind, decisions, frame)
    resolved = resolve(kind, frame, scores, keys, decided, previous, model.model_version, as_of, settings)
    return Linkage(**{**vars(resolved), "notes": notes + resolved.notes}, model=model)
