"""What a night can have done in a process of its own, by name, and the doing of it there.

A work yields what Dagster is to get. Everything else that it says goes through the logger it is given and
through the night's progress; `perform` hands all of it to the process of the night, in its order.
"""

from __future__ import annotations

import copyreg
import logging
import pickle
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import dagster as dg

from assets.apart import ERROR, LOG, RESULT, TELL, Work, is_large, stored_bytes
from assets.audit import CATALOG_WORK, replaced_catalog
from assets.conformed import conformed_steps
from assets.early import Early, is_made
from assets.golden import golden_step
from assets.landing import landed, landing_turn, landing_work, new_bytes
from assets.linked import linked_steps
from assets.orders import order_steps
from assets.privacy import privacy_step
from assets.publication import Step, make_tables
from assets.quality import METRICS_WORK, SOURCES_WORK, measured_entities, measured_sources
from assets.reconciled import reconciled_steps
from assets.resources import Run
from assets.signals import signals_steps
from assets.stewardship import stewardship_step
from assets.writeback import writeback_step
from crm_hygiene.beside import tell_master
from crm_hygiene.config import load_config
from crm_hygiene.errors import HygieneError
from crm_hygiene.free_memory import free_bytes
from crm_hygiene.lake_tables import OPEN_TABLES
from crm_hygiene.mapping import Mapping
from crm_hygiene.night import Night, mappings_of
from crm_hygiene.progress import LOGGER
from expectations.engine import prepare_gates

# A step holds at most so many times the bytes that it reads as stored: reconciling of 300,000 people 23.7.
_HELD_OF_STORED = 24


def _steps(mappings: dict[str, Mapping]) -> list[Step]:
    return [
        *conformed_steps(mappings),
        *linked_steps(),
        stewardship_step(),
        privacy_step(),
        golden_step(),
        *order_steps(),
        *reconciled_steps(),
        *signals_steps(),
        writeback_step(),
    ]


def works(mappings: dict[str, Mapping]) -> dict[str, Work]:
    """Every work that may be large, by its name."""
    return {
        **{landing_work(mapping): partial(landed, mapping=mapping) for mapping in mappings.values()},
        **{step.name: partial(make_tables, step=step) for step in _steps(mappings)},
        SOURCES_WORK: measured_sources,
        METRICS_WORK: measured_entities,
        CATALOG_WORK: replaced_catalog,
    }


def early_works(mappings: dict[str, Mapping]) -> dict[str, Early]:
    """Works that may be begun ahead of their turn.

    Some read nothing but exports and landed tables; some may be done while a step writes, where there is
    memory.
    """

    landing_bytes: dict[str, int] = {}

    def lands_much(night: Night, mapping: Mapping) -> bool:
        if not landing_bytes:  # one look at the landing folder tells of every source
            landing_bytes.update(new_bytes(night))
        return is_large(landing_bytes[mapping.source])

    def has_much_to_do(night: Night, step: Step) -> bool:
        is_current = step.is_current(night, step.inputs(night))
        return not is_current and is_large(stored_bytes(night, step.all_reads))

    def is_worth_its_room(night: Night, step: Step) -> bool:
        return has_much_to_do(night, step) and _has_room(night, step)

    found = [
        (
            landing_turn(mapping),
            landing_work(mapping),
            Early(frozenset(), partial(lands_much, mapping=mapping)),
        )
        for mapping in mappings.values()
    ]
    found += [
        (step.turn, step.name, Early(frozenset(step.all_reads), partial(has_much_to_do, step=step)))
        for step in conformed_steps(mappings)
    ]
    steps = _steps(mappings)
    published = {table for step in steps for table in step.tables}
    found += [
        (
            step.turn,
            step.name,
            Early(
                frozenset([*published.intersection(step.reads), is_made(step.beside)]),
                partial(is_worth_its_room, step=step),
                beside=step.beside,
            ),
        )
        for step in steps
        if step.beside is not None
    ]
    found.sort(key=lambda work: -work[0])  # as their turns come
    return {name: early for _, name, early in found}


def _has_room(night: Night, step: Step) -> bool:
    """Whether memory is left for a step and as much again for the one beside it."""
    free = free_bytes()
    return free is not None and 2 * _HELD_OF_STORED * stored_bytes(night, step.reads) <= free


@lru_cache(maxsize=1)
def _works(config_path: str | None) -> dict[str, Work]:
    return works(mappings_of(load_config(Path(config_path) if config_path else None)))


def prepare(config_path: str | None) -> None:
    """Import and read what every work needs."""
    _works(config_path)
    prepare_gates()


class _Handing(logging.Handler):
    """Hands what is logged to the process of the night."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        tell_master((self._kind, (record.levelno, text) if self._kind == LOG else text))


@contextmanager
def _progress_told() -> Iterator[None]:
    handler = _Handing(TELL)
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _log() -> logging.Logger:
    logger = logging.Logger("crm_hygiene.work", logging.INFO)
    logger.addHandler(_Handing(LOG))
    return logger


def _as_sent(error: BaseException) -> Exception:
    """The error, its traceback as a note; in words where it is no Exception or cannot be handed over."""
    sent: Exception = HygieneError(f"{type(error).__name__}: {error}")
    # Not every class can be made again of what it tells pickle.
    with suppress(Exception):
        sent = pickle.loads(pickle.dumps(error)) if isinstance(error, Exception) else sent
    sent.add_note("in a process of its own:\n" + "".join(traceback.format_exception(error)))
    return sent


def _check_result(fields: dict[str, Any]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(**fields)


# A named tuple that takes its fields by name only, which pickle does not know.
copyreg.pickle(dg.AssetCheckResult, lambda result: (_check_result, (result._asdict(),)))


def perform(run: Run, name: str) -> None:
    """Do a work of a run and tell what comes of it, an error included."""
    OPEN_TABLES.ask_again()  # other processes have written since this one did its last
    with _progress_told():
        try:
            for result in _works(run.config_path)[name](run.night(), _log()):
                tell_master((RESULT, result))
        except BaseException as error:  # a panic of Polars is no Exception
            tell_master((ERROR, _as_sent(error)))
