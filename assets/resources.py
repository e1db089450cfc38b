"""What Dagster hands to every step: the night."""

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import dagster as dg

from crm_hygiene.config import load_config
from crm_hygiene.night import Night

# Starts of the runs that this process has asked its history for; it runs one night, or a few in turn.
_KEPT = 4
_starts: dict[str, datetime] = {}


@lru_cache(maxsize=_KEPT)
def _night(config_path: str | None, run_id: str, started_at: datetime) -> Night:
    night = Night.open(load_config(Path(config_path) if config_path else None), run_id)
    night.started_at = started_at
    return night


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
    return _night(str(config_path) if config_path else None, run_id, _starts[run_id])


class NightResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Opens the night of a run from a hygiene.yaml; every step of the run shares it."""

    config_path: str | None = None

    def of(self, context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Night:
        """The night of the run that `context` belongs to."""
        return night_of_run(
            context.instance, context.run.run_id, Path(self.config_path) if self.config_path else None
        )
