"""Whether the policies fit the source mappings: every field they name is one that a mapping writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crm_hygiene.config import Config
from crm_hygiene.contract import nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.mapping import Mapping as SourceMapping
from crm_hygiene.writeback.connector_kinds import check_kinds
from crm_hygiene.writeback.mapped_object import MappedObject, check_distinct, mapped_objects
from crm_hygiene.writeback.planning.merges import child_columns
from crm_hygiene.writeback.policy import TargetPolicy, target_policies


def check_policies(config: Config, mappings: Mapping[str, SourceMapping]) -> None:
    """Read every policy in use, so that a mistake in one is told before anything runs.

    Raises
    ------
    ConfigurationError
        if a policy file is wrong, asks for what its connector cannot do, or names a field that no source
        mapping writes or reads.
    """
    policies = target_policies(config)
    for policy in policies.values():
        check_kinds(policy)
    objects = mapped_objects(mappings, config.targets)
    check_distinct(objects)
    check_fields(objects, policies)
    child_columns(mappings, policies, objects)


def check_fields(objects: Sequence[MappedObject], policies: Mapping[str, TargetPolicy]) -> None:
    """Refuse fields in a policy that nothing writes, and objects that look misspelt.

    Raises
    ------
    ConfigurationError
        naming target, object, field and the nearest right one.
    """
    for target, policy in sorted(policies.items()):
        mapped = {m.object for m in objects if m.target == target}
        for name, allowed in sorted(policy.objects.items()):
            where = f"target {target}: objects.{name}"
            if name not in mapped:
                # A source that is switched off is no mistake; a name that is nearly another's is.
                if hint := nearest(name, sorted(mapped - set(policy.objects))):
                    raise ConfigurationError(f"{where}: no source mapping writes it{hint}")
                continue
            own = [m for m in objects if m.target == target and m.object == name]
            written = {f for m in own for f in m.columns.values()}
            special = {f for f in (allowed.links, allowed.owner, allowed.external_id) if f}
            for field in (*allowed.fields, *allowed.needs):
                if field not in written | special:
                    hint = nearest(field, sorted(written | special))
                    raise ConfigurationError(f"{where}: no source mapping writes '{field}'{hint}")
            both = sorted(special & (written | {f for m in own for f in m.consent.values()}))
            if both:
                raise ConfigurationError(
                    f"{where}: '{both[0]}' is written by the source mapping, too; it cannot also hold an "
                    "account, an owner or our id"
                )
