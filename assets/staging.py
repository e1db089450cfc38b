"""What a small night does ahead of its steps in a process beside it: their tables, and the charts.

What is here reads published tables and writes none. The functions are called in the other process.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import polars as pl

from assets.apart import is_large, stored_bytes
from assets.charts import CHARTS, CHARTS_READ, Drawn, draw_both
from assets.conformed import conformed_steps
from assets.golden import TABLES as GOLDEN
from assets.golden import golden_step
from assets.linked import linked_steps
from assets.orders import order_steps
from assets.publication import Staged, Step, Table
from assets.reconciled import reconciled_steps
from assets.resources import Run
from assets.signals import signals_steps
from crm_hygiene.config import load_config
from crm_hygiene.lake_tables import OPEN_TABLES
from crm_hygiene.mapping import Mapping
from crm_hygiene.night import mappings_of
from crm_hygiene.revision import Revision, StreamedRevision


def steps_ahead(mappings: dict[str, Mapping]) -> dict[str, Step]:
    """Steps whose computation only reads the lake, by name."""
    steps = [
        *conformed_steps(mappings),
        *linked_steps(),
        golden_step(),
        *order_steps(),
        *reconciled_steps(),
        *signals_steps(),
    ]
    return {step.name: step for step in steps}


def reads_of_errands(mappings: dict[str, Mapping], published: frozenset[str]) -> dict[str, frozenset[str]]:
    """What can be done ahead, and which of the tables that the night publishes it reads."""
    read = {name: step.all_reads for name, step in steps_ahead(mappings).items()}
    # Nobody waits for charts, so that they do not stand before golden tables.
    read[CHARTS] = (*CHARTS_READ, *GOLDEN)
    return {name: published.intersection(tables) for name, tables in read.items()}


@lru_cache(maxsize=1)
def _steps(config_path: str | None) -> dict[str, Step]:
    return steps_ahead(mappings_of(load_config(Path(config_path) if config_path else None)))


def prepare(config_path: str | None) -> None:
    """Import and read what every errand needs."""
    _steps(config_path)


def stage(run: Run, name: str) -> Staged | None:
    """Compute the tables of a step; None where it need not run, or where it reads much."""
    OPEN_TABLES.ask_again()  # the night's process has published since this one did its last
    night = run.night()
    step = _steps(run.config_path)[name]
    inputs = step.inputs(night)
    if step.is_current(night, inputs) or is_large(stored_bytes(night, step.all_reads)):
        return None
    noted = len(night.notes)
    held = {table: _held(rows) for table, rows in step.compute(night).items()}
    return Staged(inputs, held, night.notes[noted:])


def _held(table: Table) -> Table:
    """The table with its parts, if it comes in some, made and held."""
    if isinstance(table, pl.DataFrame | Revision):
        return table
    if isinstance(table, StreamedRevision):
        return StreamedRevision(list(table.kept), list(table.fresh), table.gone)
    return list(table)


def draw(run: Run) -> Drawn:
    """Draw the charts of both kinds."""
    OPEN_TABLES.ask_again()
    return draw_both(run.night())
