"""Patience: asking one target again after failures of the whole of it, as long as its policy allows.

What does not belong here: how long a single wait is (`backoff`), when nothing may be asked (`breaker`), and
single operations that were not taken (`exchange`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from crm_hygiene.writeback.delivery.backoff import Backoff
from crm_hygiene.writeback.delivery.breaker import Breaker, CallKind
from crm_hygiene.writeback.delivery.delivery_log import LONGEST_ANSWER
from crm_hygiene.writeback.delivery.pacing import Clock, Pace
from crm_hygiene.writeback.delivery.secrets import Redactor
from crm_hygiene.writeback.delivery.stopping import Stopped
from crm_hygiene.writeback.policy import TargetPolicy
from crm_hygiene.writeback.target import (
    AnswerLost,
    HoldsSecrets,
    RateLimited,
    SessionExpired,
    SignInRefused,
    Target,
    TargetError,
    TargetUnavailable,
)

T = TypeVar("T")


@dataclass
class Patience:
    """One apply's patience with one target; every request of the apply goes through `ask`."""

    target: Target
    policy: TargetPolicy
    pace: Pace
    backoff: Backoff
    breaker: Breaker
    clock: Clock
    redact: Redactor

    def connect(self) -> None:
        """Sign in.

        Raises
        ------
        Stopped
            if the target refuses the credentials, or is down for longer than the breaker's patience.
        """
        self.ask(self._sign_in, "connect")

    def _sign_in(self) -> None:
        self.target.connect()
        if isinstance(self.target, HoldsSecrets):
            self.redact.learn(*self.target.session_secrets())

    def ask(self, call: Callable[[], T], kind: CallKind = "read") -> T:
        """What `call` gives; asked again after failures of the whole target, as long as the policy allows.

        Raises
        ------
        AnswerLost
            of a sending only: what was sent has to be read first.
        Stopped
            when patience ends; nothing was taken then.
        """
        limited = failed = 0
        is_renewed = False
        while True:
            self.pace.before_request()
            try:
                got = call()
            except SignInRefused as error:
                raise Stopped(
                    "sign_in", f"the target refuses the sign-in: {self.redact(str(error))}"
                ) from None
            except RateLimited as error:
                limited += 1
                self._wait_for_allowance(limited, error.retry_after)
            except SessionExpired as error:
                # A session that ends right after signing in is a failure like any other.
                if is_renewed or kind == "connect":
                    failed += 1
                    self.bear(error, failed, kind)
                if kind != "connect":
                    self.ask(self._sign_in, "connect")
                    is_renewed = True
            except TargetUnavailable as error:
                failed += 1
                self.bear(error, failed, kind)
            except TargetError as error:
                if kind == "send":
                    raise AnswerLost(str(error)) from error
                failed += 1
                self.bear(error, failed, kind)
            else:
                self.breaker.succeed(kind)
                return got

    def _wait_for_allowance(self, times: int, retry_after: float | None) -> None:
        if self.backoff.is_too_long(retry_after):
            raise Stopped(
                "rate_limit", f"the target asks to wait {retry_after:.0f} seconds; apply again then"
            )
        if times >= self.policy.retry.attempts:
            raise Stopped("rate_limit", f"the target has answered {times} times that it is asked too often")
        self.clock.sleep(self.backoff.seconds(times, retry_after))

    def bear(self, error: Exception, times: int, kind: CallKind) -> None:
        """Wait after the `times`-th failure of the whole target in a row.

        Raises
        ------
        Stopped
            if the breaker's probe failed too.
        """
        was_probe = self.breaker.state == "half_open"
        self.breaker.fail(kind)
        if was_probe:
            words = self.redact(str(error))[:LONGEST_ANSWER]
            raise Stopped("breaker", f"the target does not answer: {words or type(error).__name__}")
        if self.breaker.state == "open":
            self.clock.sleep(self.policy.breaker.pause_seconds)
            self.breaker.probe()
        else:
            self.clock.sleep(self.backoff.seconds(times))
