"""What Dagster hands to every step: the night."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import dagster as dg

from crm_hygiene.config import load_config
from crm_hygiene.lake_options import storage_options
from crm_hygiene.night import Night
from crm_hygiene.night_lock import night_lock

# Starts of the runs that this process has asked its history for; it runs one night, or a few in turn.
_KEPT = 4
_starts: dict[str, datetime] = {}


@lru_cache(maxsize=_KEPT)
def started_night(config_path: str | None, run_id: str, started_at: datetime) -> Night:
    """The night of a run that started at `started_at`, opened once."""
    night = Night.open(load_config(Path(config_path) if config_path else None), run_id)
    night.started_at = started_at
    return night


@dataclass(frozen=True)
class Run:
    """What makes a night of a run the same in another process."""

    config_path: str | None
    run_id: str
    started_at: datetime

    @classmethod
    def of(cls, night: Night, config_path: str | None) -> "Run":
        """The run of a night that was opened from `config_path`."""
        return cls(config_path, night.run_id, night.started_at)

    def night(self) -> Night:
        """The night, opened once in a process."""
        return started_night(self.config_path, self.run_id, self.started_at)


def night_of_run(instance: dg.DagsterInstance, run_id: str, config_path: Path | None) -> Night:
    """The night of a run; it started when the run was created, the same in every process."""
    if run_id not in _starts:
        record = instance.get_run_record_by_id(run_id)
        started = record.create_timestamp if record else datetime.now(UTC)
        if started.tzinfo is None:
            started = started.replace(tzinfo=UTC)
        _starts[run_id] = started.replace(microsecond=0)
        while len(_starts) > _KEPT:
            del _starts[next(iter(_starts))]
    return started_night(str(config_path) if config_path else None, run_id, _starts[run_id])


class NightResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Opens the night of a run from a hygiene.yaml; every step of the run shares it.

    The run holds the lake from its first step to its last, whoever started it (the daemon, a button of the
    UI), unless `is_held`: then whoever runs it in this process holds the lake already.
    """

    config_path: str | None = None
    is_held: bool = False

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["NightResource"]:
        """The resource while the lake is held; LakeError, and no step runs, if another night holds it."""
        if self.is_held:
            yield self
            return
        config = load_config(Path(self.config_path) if self.config_path else None)
        with night_lock(config.lake_uri, storage_options(config)):
            yield self

    def of(self, context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Night:
        """The night of the run that `context` belongs to."""
        return night_of_run(
            context.instance, context.run.run_id, Path(self.config_path) if self.config_path else None
        )
