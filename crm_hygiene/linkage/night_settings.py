"""Settings of linkage for a night: the built-in rules or the user's, with the night's limits."""

from __future__ import annotations

from crm_hygiene.linkage.settings import LinkageSettings
from crm_hygiene.night import Night


def settings_of(night: Night) -> LinkageSettings:
    """What linkage is told on this night.

    Raises
    ------
    ConfigurationError
        if the rules file that hygiene.yaml names is wrong.
    """
    own = night.config.rules.linkage
    base = LinkageSettings.read(night.config.resolve(own)) if own else LinkageSettings()
    return base.model_copy(
        update={
            "threads": night.config.limits.threads,
            "memory_limit": night.config.limits.memory,
            "systems": night.systems,
        }
    )
