"""What Dagster hands to every step: the night."""

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import dagster as dg

from crm_hygiene.config import load_config
from crm_hygiene.night import Night


@lru_cache(maxsize=4)
def _night(config_path: str | None, run_id: str, started_at: datetime) -> Night:
    night = Night.open(load_config(Path(config_path) if config_path else None), run_id)
    night.started_at = started_at
    return night


class NightResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Opens the night of a run from a hygiene.yaml; every step of the run shares it."""

    config_path: str | None = None

    def of(self, context: dg.AssetExecutionContext) -> Night:
        """The night of the run that `context` belongs to."""
        record = context.instance.get_run_record_by_id(context.run.run_id)
        # The run's own creation time is the same in every process of the run.
        started = record.create_timestamp if record else datetime.now(UTC)
        if started.tzinfo is None:
            started = started.replace(tzinfo=UTC)
        return _night(self.config_path, context.run.run_id, started.replace(microsecond=0))
