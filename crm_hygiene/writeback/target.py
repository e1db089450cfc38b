"""The target: the small protocol that every system we write to is spoken with; a new one is one file.

What does not belong here: pacing, retries, the outbox (`delivery`): a target sends once and tells what
happened.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

from crm_hygiene.writeback.operations import Answer, Held, Operation, OperationKind


class TargetError(Exception):
    """The target as a whole did not answer as it should; nothing is known of single operations."""


class TargetUnavailable(TargetError):  # noqa: N818 - named as what happened
    """Down, refused the connection, or answered 5xx before anything was taken."""


class AnswerLost(TargetError):  # noqa: N818 - named as what happened
    """The request went out and no answer came back: what was sent may have been taken."""


class RateLimited(TargetError):  # noqa: N818 - named as what happened
    """Too many requests; `retry_after` seconds as the target says, or None. Nothing was taken."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SessionExpired(TargetError):  # noqa: N818 - named as what happened
    """The session ended; `connect` again and repeat. Nothing was taken."""


class SignInRefused(TargetError):  # noqa: N818 - named as what happened
    """The target refuses the credentials: no retry helps."""


class Target(Protocol):
    """One system. Implementations are single-threaded, keep no queue, never retry and never sleep.

    Every method may raise a `TargetError`. Values are the vendor's text: the target converts to and from its
    own types so that a value read back after it was written compares equal (`normalise`).
    """

    #: What it can do; an operation of another kind is refused before anything is sent.
    kinds: Collection[OperationKind]

    #: Most operations `send` takes at once.
    batch_size: int

    #: False for files: nothing can be read back before the next export.
    is_live: bool

    def connect(self) -> None:
        """Sign in, anew if it was signed in before."""

    def read(self, object_name: str, record_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Held]:
        """Records as they are now, by id; an unknown id is left out."""

    def find(self, object_name: str, key_field: str, keys: Sequence[str]) -> dict[str, str]:
        """Record ids of creates that arrived, by external id."""

    def send(self, operations: Sequence[Operation]) -> list[Answer]:
        """Send operations of one kind and one object, in order; one answer each, in the same order.

        A write carries its precondition where the API has one: `version`, or compare and write in one
        transaction; a record that changed gives CONFLICT.
        """

    def normalise(self, object_name: str, values: Mapping[str, str | None]) -> dict[str, str | None]:
        """Values as the target would give them back (case, trimmed blanks, booleans, numbers)."""

    def close(self) -> None:
        """End the session."""


@runtime_checkable
class HoldsSecrets(Protocol):
    """What a target adds that is given further secrets when it signs in."""

    def session_secrets(self) -> Collection[str]:
        """Tokens and session keys it holds now, to be kept out of logs, tables and messages."""


@runtime_checkable
class RenamesSurvivors(Protocol):
    """What a target adds where the record that survives a merge gets a new id."""

    def expect(self, object_name: str, survivors: Collection[str]) -> None:
        """Ids that others were, or may have been, merged into by us: under a new id these are not gone."""


@runtime_checkable
class CollectsLater(Protocol):
    """What a target adds whose answers come later than `send`, as files of results do."""

    def collect(self) -> list[Answer]:
        """Answers to operations sent earlier, in whatever session; each may be told again and again.

        `send` of such a target answers DONE once an operation is safely written down. Told the same
        operations again after a crash it replaces what it wrote, so that nothing is written down twice.
        """
