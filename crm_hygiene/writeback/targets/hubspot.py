"""HubSpot through its official client: the CRM v3 objects, v4 associations, v4 opt-outs.

HubSpot has no precondition. Right before a write the records are read and compared field by field with
what the plan read; what remains is the time between that answer and the write's arrival, one round trip,
in which a change of a user's can be overwritten. HubSpot keeps it in the property's history.

What does not belong here: the kinds of operation (`hubspot_writes`, `hubspot_creates`, `hubspot_merges`),
what an answer means (`hubspot_answers`), names and values (`hubspot_properties`), pacing and repeating
(`delivery`): the client's own repeats are switched off.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crm_hygiene.writeback.operations import Answer, Held, Operation, OperationKind, Outcome
from crm_hygiene.writeback.target import (
    AnswerLost,
    SessionExpired,
    SignInRefused,
    TargetError,
    TargetUnavailable,
)
from crm_hygiene.writeback.targets.hubspot_answers import ContentRefused
from crm_hygiene.writeback.targets.hubspot_comparison import Comparison
from crm_hygiene.writeback.targets.hubspot_creates import Creates
from crm_hygiene.writeback.targets.hubspot_merges import Merges
from crm_hygiene.writeback.targets.hubspot_records import BATCH, Records
from crm_hygiene.writeback.targets.hubspot_sending import Sending
from crm_hygiene.writeback.targets.hubspot_session import Session
from crm_hygiene.writeback.targets.hubspot_writes import Writes

if TYPE_CHECKING:
    from crm_hygiene.writeback.policy import TargetPolicy


def open_target(policy: TargetPolicy, secrets: Mapping[str, str], folder: Path) -> HubSpotTarget:
    """The target of a policy with `connector: hubspot`; nothing is sent before `connect`.

    Parameters
    ----------
    secrets
        `access_token` of a private app, or `client_id`, `client_secret` and `refresh_token`.
    folder
        of the project; not used.

    Raises
    ------
    ConfigurationError
        if no secret is named, the address is not TLS, or a time-out is no number.
    """
    return HubSpotTarget(policy, secrets)


class HubSpotTarget:
    """`Target` for HubSpot; `policy.connection` may hold `host`, `ca_file` and the two time-outs."""

    # A merge of HubSpot's cannot be taken back: there is no `unmerge`.
    kinds: Collection[OperationKind] = ("write", "create", "merge", "delete")
    is_live = True

    def __init__(self, policy: TargetPolicy, secrets: Mapping[str, str]) -> None:
        self._session = Session(policy, secrets)
        self._records = Records(self._session, policy)
        self._objects = sorted(policy.objects)
        self.batch_size = min(BATCH, policy.pace.batch)
        self._sending = Sending(self._session, self._records)
        comparison = Comparison(self._records)
        self._writes = Writes(self._sending, comparison)
        self._creates = Creates(self._sending, comparison)
        self._merges = Merges(self._sending, comparison, self._writes)

    def connect(self) -> None:
        """Sign in and read the properties of the policy's objects, which shows that the token works."""
        self._records.forget()
        try:
            self._session.open()
            for name in self._objects:
                self._records.properties_of(name)
        except SessionExpired as error:
            self.close()
            raise SignInRefused(
                "HubSpot: the access token has expired; put a new one in its place"
            ) from error
        except ContentRefused as error:
            self.close()
            raise SignInRefused(f"HubSpot refuses the sign-in or an object's name: {error}") from error

    def session_secrets(self) -> Collection[str]:
        """The access token that a refresh token gave."""
        return self._session.secrets()

    def close(self) -> None:
        """Forget the session; HubSpot keeps none."""
        self._session.close()
        self._records.forget()

    def normalise(self, object_name: str, values: Mapping[str, str | None]) -> dict[str, str | None]:
        """Values as HubSpot gives them back, by the property's kind; an unknown field is only trimmed."""
        return self._records.normalise(object_name, values)

    def read(self, object_name: str, record_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Held]:
        """Records by the id asked for. One merged into another shows that other's values, `is_deleted`.

        An archived record is `is_deleted` with its last values; an unknown field is an empty one.
        """
        return self._records.read(object_name, record_ids, fields)

    def expect(self, object_name: str, survivors: Collection[str]) -> None:
        """Ids that others were merged into by an apply before: they live on under the merged record's id."""
        for record_id in survivors:
            self._records.keep(object_name, record_id)

    def find(self, object_name: str, key_field: str, keys: Sequence[str]) -> dict[str, str]:
        """Record ids by the value of a unique property; a merged record gives the one that remains."""
        return self._records.find(object_name, key_field, keys)

    def send(self, operations: Sequence[Operation]) -> list[Answer]:
        """Read, compare, write. A batch refused as a whole is halved until the refused records stand alone.

        When the target fails after a part was taken, the rest is RETRY (not sent) or UNCERTAIN (sent, or in
        part taken); when nothing was taken the failure is raised.
        """
        self._sending.begin()
        answers: dict[str, Answer] = {}
        kinds: dict[str, Callable[[Sequence[Operation], dict[str, Answer]], None]] = {
            "write": self._writes.write,
            "create": self._creates.create,
            "merge": self._merges.merge,
            "delete": self._writes.archive,
        }
        try:
            if operations:
                how = kinds.get(operations[0].kind)
                if how is None:
                    words = "HubSpot cannot take a merge back"
                    return [Answer(o.operation_id, Outcome.REFUSED, words, code="KIND") for o in operations]
                how(operations, answers)
        except ContentRefused as error:
            # While reading what is there now: nothing of this was sent.
            if not self._sending.taken:
                raise TargetUnavailable(f"HubSpot refuses to read: {error}") from error
            self._sending.close_rest(operations, answers, "READ_REFUSED", is_lost=False)
        except TargetError as error:
            if not self._sending.taken:
                raise
            self._sending.close_rest(
                operations, answers, type(error).__name__, is_lost=isinstance(error, AnswerLost)
            )
        return [answers[o.operation_id] for o in operations]
