"""Connectors: which module speaks with a target; its vendor's client is imported only when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import cast

from crm_hygiene.contract import nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.connector_kinds import CONNECTOR_KINDS
from crm_hygiene.writeback.delivery.secrets import Secret
from crm_hygiene.writeback.policy import TargetPolicy
from crm_hygiene.writeback.target import Target

#: Modules of `crm_hygiene.writeback.targets`, each with `open_target(policy, secrets, folder) -> Target`.
CONNECTORS = tuple(CONNECTOR_KINDS)


def open_target(policy: TargetPolicy, secrets: Mapping[str, Secret], folder: Path) -> Target:
    """The target of a policy, not yet signed in.

    Parameters
    ----------
    policy
        `connector` names the module, `connection` says where the system is.
    secrets
        by connection key, as `load_secrets` gives them.
    folder
        the project's folder: relative paths of `connection` are taken from it.

    Raises
    ------
    ConfigurationError
        if the policy only plans, its connector is unknown, or its connection is wrong.
    """
    name = policy.connector
    if name == "none":
        raise ConfigurationError(
            f"target {policy.target}: its policy says connector: none, which only plans; name one of "
            f"{', '.join(CONNECTORS)} in a policy of your own under target_files"
        )
    if name not in CONNECTORS:
        raise ConfigurationError(
            f"target {policy.target}: no connector '{name}'{nearest(name, [*CONNECTORS])}"
        )
    # The vendors' clients format secrets into headers and addresses, where a masked one would go out masked.
    revealed = {key: secret.reveal() for key, secret in secrets.items()}
    module = import_module(f"crm_hygiene.writeback.targets.{name}")
    return cast(Target, module.open_target(policy, revealed, folder))
