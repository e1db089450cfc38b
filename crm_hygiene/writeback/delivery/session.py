"""A session: one target opened for one apply, undo or look, with its lock, its secrets and its log.

Also what the night does of delivery by itself: confirming by what has landed. What does not belong here:
the command line, and what is sent (`apply`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import polars as pl

from crm_hygiene.contract import contract_of, nearest
from crm_hygiene.errors import ConfigurationError, HygieneError, LakeError
from crm_hygiene.night import Night
from crm_hygiene.writeback.delivery.apply import Delivery
from crm_hygiene.writeback.delivery.apply_lock import apply_lock
from crm_hygiene.writeback.delivery.connectors import open_target
from crm_hygiene.writeback.delivery.convergence import (
    Convergence,
    concerned,
    landed_record,
    landed_sources,
    settle,
)
from crm_hygiene.writeback.delivery.delivery_log import DeliveryLog
from crm_hygiene.writeback.delivery.dispatch import Watcher, say_nothing
from crm_hygiene.writeback.delivery.outbox import Entry
from crm_hygiene.writeback.delivery.report import Report
from crm_hygiene.writeback.delivery.secrets import Redactor, load_secrets, redacted_logs
from crm_hygiene.writeback.mapped_object import mapped_objects
from crm_hygiene.writeback.operations import Held
from crm_hygiene.writeback.planning.population import populations
from crm_hygiene.writeback.policy import TargetPolicy, target_policies
from crm_hygiene.writeback.target import Target, TargetError

CHANGES = "writeback.changes"


class DeliveryFailed(HygieneError):  # noqa: N818 - named as what happened
    """The connector failed in a way it does not know; what was sent is looked up by the next apply."""


def new_apply_id(prefix: str = "A") -> str:
    """An id of an apply (`A-`), undo (`U-`) or of the night's confirmation (`C-`)."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def policy_of(night: Night, target: str) -> TargetPolicy:
    """The policy of one of the targets that hygiene.yaml lists.

    Raises
    ------
    ConfigurationError
        naming the nearest target where there is none of that name.
    """
    policies = target_policies(night.config)
    if target not in policies:
        raise ConfigurationError(f"no target '{target}'{nearest(target, [*policies])}")
    return policies[target]


def sendable_targets(night: Night) -> list[str]:
    """The targets that can be sent to: those whose policy names a connector."""
    return [name for name, policy in target_policies(night.config).items() if policy.connector != "none"]


def read_changes(night: Night, target: str) -> pl.DataFrame:
    """The plan for one target."""
    return night.lake.scan(contract_of(CHANGES)).filter(pl.col("target") == target).collect()


def population_of(night: Night, target: str) -> int:
    """Live records of a target, as far as they have landed."""
    return populations(night.lake, mapped_objects(night.mappings, [target])).get(target, 0)


def read_log(night: Night, policy: TargetPolicy) -> DeliveryLog:
    """Outbox and deliveries of one target as they stand."""
    return DeliveryLog(night.lake, policy, night.metadata())


@contextmanager
def locked_log(night: Night, target: str) -> Iterator[DeliveryLog]:
    """Outbox and deliveries of one target, to be added to without asking the target.

    Raises
    ------
    LakeError
        if an apply holds the target.
    ConfigurationError
        if there is no such target.
    """
    policy = policy_of(night, target)
    with apply_lock(night.config.lake_uri, night.config.base, target, night.lake.storage_options):
        yield read_log(night, policy)


@contextmanager
def open_delivery(
    night: Night, target: str, apply_id: str, watch: Watcher = say_nothing
) -> Iterator[Delivery]:
    """A target for one apply or undo: locked, its log confirmed by what has landed, its secrets kept.

    Raises
    ------
    LakeError
        if another apply holds the target.
    ConfigurationError
        if the target only plans, is unknown, or a secret is missing.
    DeliveryFailed
        for what the connector throws and should not; the message holds no secret.
    """
    policy = policy_of(night, target)
    secrets = load_secrets(policy.secrets, night.config.base, _secrets_file(night))
    redact = Redactor(secrets.values())
    with (
        apply_lock(night.config.lake_uri, night.config.base, target, night.lake.storage_options),
        redacted_logs(redact),
    ):
        opened = None
        try:
            opened = open_target(policy, secrets, night.config.base)
            log = read_log(night, policy)
            sources = landed_sources(night.lake, night.mappings, concerned(log), log)
            settle(log, sources, apply_id, datetime.now(UTC))

            def landed(entry: Entry) -> Held | None:
                return _held(night, log, entry)

            yield Delivery(
                night.lake,
                policy,
                opened,
                log,
                apply_id,
                night.metadata(),
                redact=redact,
                landed=landed,
                watch=watch,
            )
        except HygieneError as error:
            if redact(str(error)) == str(error):
                raise
            raise type(error)(redact(str(error))) from None
        except Exception as error:
            # A traceback would print what the vendor's client put into its message.
            words = redact(f"{type(error).__name__}: {error}")
            raise DeliveryFailed(
                f"{target}: {words}; what was sent is looked up before it is sent again"
            ) from (error if not _tells(error, redact) else None)
        finally:
            if opened is not None:
                with suppress(TargetError):
                    opened.close()


def preview(night: Night, target: str) -> Report:
    """What an apply would send now; takes no lock, no secret, asks no target and writes nothing."""
    policy = policy_of(night, target)
    # A preview never speaks with the target.
    nobody = cast(Target, None)
    delivery = Delivery(night.lake, policy, nobody, read_log(night, policy), new_apply_id())
    return delivery.preview(read_changes(night, target), population_of(night, target))


def _tells(error: BaseException | None, redact: Redactor) -> bool:
    """Whether a secret is in the message of an error or of one that led to it."""
    while error is not None:
        if redact(str(error)) != str(error) or redact(repr(error)) != repr(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _secrets_file(night: Night) -> Path | None:
    own = night.config.secrets_file
    return None if own is None else night.config.resolve(own.expanduser())


def _held(night: Night, log: DeliveryLog, entry: Entry) -> Held | None:
    """The record of an undo as the last landing has it, if that is later than what is undone."""
    done = log.entries[entry.undoes or ""]
    known = log.standings[done.operation_id]
    source = landed_sources(night.lake, night.mappings, [done], log).get(done.source or "")
    record = landed_record(done, known, source) if source is not None else None
    if record is None or known.answered_at is None or record.landed_at <= known.answered_at:
        return None
    return Held(record.values, is_deleted=record.is_deleted)


def confirm_deliveries(night: Night) -> dict[str, Convergence]:
    """Confirm or reopen the deliveries of every target by what has landed; for the night, before the plan.

    A target that an apply holds right now is left for the next night.
    """
    found: dict[str, Convergence] = {}
    for name, policy in target_policies(night.config).items():
        if not read_log(night, policy).entries:
            continue
        with suppress(LakeError), locked_log(night, name) as log:
            sources = landed_sources(night.lake, night.mappings, concerned(log), log)
            found[name] = settle(log, sources, new_apply_id("C"), datetime.now(UTC))
    return found
