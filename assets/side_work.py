"""The processes beside a small night: gates run in one, steps are computed ahead of their turn in another.

Of a small night most seconds are Python's: imports, Great Expectations, Dagster's events. One process keeps
one core busy with them. A large night's seconds are those of Polars, DuckDB and Splink, which use all cores,
and its tables would be copied from process to process; it has none beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assets.beginning import IMPORTED_ONCE, has_side_work
from assets.charts import CHARTS
from assets.errands import Errands, running_errands
from assets.gating import gates_beside
from assets.publication import with_gates
from assets.resources import Run
from assets.staging import draw, prepare, reads_of_errands, stage
from crm_hygiene.beside import Beside, import_once
from crm_hygiene.config import Config
from crm_hygiene.night import Night, mappings_of
from expectations.engine import prepare_gates

# They yield to the process that waits for them only when both cores are busy.
_NICENESS = 5


class SideWork:
    """Two processes that import what they will need while the night begins."""

    def __init__(self, config: Config, config_path: Path | None) -> None:
        self._config = config
        self._config_path = str(config_path) if config_path else None
        import_once(IMPORTED_ONCE)
        self._gates, self._steps = Beside(_NICENESS), Beside(_NICENESS)
        self._gates.call(prepare_gates)
        self._steps.call(prepare, self._config_path)

    @contextmanager
    def of(self, night: Callable[[], Night], tables: frozenset[str]) -> Iterator[None]:
        """Within the block, steps of this process find done what can be done ahead of them.

        `night` gives the night once its run has begun, `tables` are all that it publishes.
        """

        def begin(name: str) -> Future[Any]:
            tonight = night()
            run = Run.of(tonight, self._config_path)
            if name == CHARTS:
                return self._steps.call(draw, run)
            return self._steps.call_then(lambda staged: with_gates(tonight, staged), stage, run, name)

        errands = Errands(reads_of_errands(mappings_of(self._config), tables), begin)
        with gates_beside(self._gates), running_errands(errands):
            yield

    def close(self) -> None:
        """End the processes."""
        for process in (self._steps, self._gates):
            process.close()


@contextmanager
def side_work(config: Config, config_path: Path | None) -> Iterator[SideWork | None]:
    """The processes beside a night; None for one that would gain nothing by them."""
    work = _begun(config, config_path) if has_side_work(config) else None
    try:
        yield work
    finally:
        if work is not None:
            work.close()


def _begun(config: Config, config_path: Path | None) -> SideWork | None:
    try:
        return SideWork(config, config_path)
    except OSError:  # no memory for another process, say: the night goes on alone
        return None
