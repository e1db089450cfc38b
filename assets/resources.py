"""What Dagster hands to every step: the night."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from crm_hygiene.config import load_config
from crm_hygiene.night import Night

# A process runs one night, or a few in turn.
_KEPT = 4
_opened: dict[tuple[str | None, str], Night] = {}


def night_of_run(instance: dg.DagsterInstance, run_id: str, config_path: Path | None) -> Night:
    """The night of a run; it started when the run was created, the same in every process."""
    path = str(config_path) if config_path else None
    if (path, run_id) not in _opened:
        record = instance.get_run_record_by_id(run_id)
        started = record.create_timestamp if record else datetime.now(UTC)
        if started.tzinfo is None:
            started = started.replace(tzinfo=UTC)
        night = Night.open(load_config(config_path), run_id)
        night.started_at = started.replace(microsecond=0)
        _opened[path, run_id] = night
        while len(_opened) > _KEPT:
            del _opened[next(iter(_opened))]
    return _opened[path, run_id]


class NightResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Opens the night of a run from a hygiene.yaml; every step of the run shares it."""

    config_path: str | None = None

    def of(self, context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Night:
        """The night of the run that `context` belongs to."""
        return night_of_run(
            context.instance, context.run.run_id, Path(self.config_path) if self.config_path else None
        )
