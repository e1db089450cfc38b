"""What is tried again, what is not, and that a run that is told to end ends."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from assets import retries
from assets.retries import MOST_RETRIES, tried_again
from crm_hygiene.errors import ConfigurationError, LakeError


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0)


def _run(step: Callable[[int], None]) -> tuple[bool, int, bool, Any]:
    """Whether a run with `step` succeeds, how often it was tried, whether the other step ran, its failure.

    `step` is given how often it was tried before.
    """
    tries: list[int] = []
    others: list[bool] = []

    @dg.asset(name="a_step")
    def first(context: dg.AssetExecutionContext) -> Iterator[Any]:
        with tried_again(context):
            tries.append(context.retry_number)
            step(context.retry_number)
            yield dg.MaterializeResult()

    @dg.asset(name="other_step")
    def other() -> None:
        others.append(True)

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([first, other], instance=instance, raise_on_error=False)
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert tries == list(range(len(tries)))
    return result.success, len(tries), bool(others), failures[0] if failures else None


def _raising(error: Exception, times: int) -> Callable[[int], None]:
    def step(tried: int) -> None:
        if tried < times:
            raise error

    return step


@pytest.mark.parametrize(
    "error", [LakeError("disk full"), OSError("lost"), dg.Failure("may pass")], ids=lambda e: type(e).__name__
)
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    assert _run(_raising(error, MOST_RETRIES))[:3] == (True, MOST_RETRIES + 1, True)
    is_success, tries, is_other_run, failure = _run(_raising(error, MOST_RETRIES + 1))
    assert (is_success, tries, is_other_run) == (False, MOST_RETRIES + 1, True)
    assert failure.error.cause is not None  # what a person is told is the reason, not the number of tries
    assert str(error) in failure.error.cause.message or "may pass" in failure.user_failure_data.description


@pytest.mark.parametrize(
    "error", [ConfigurationError("no such column"), dg.Failure("a gate", allow_retries=False)]
)
def test_what_a_person_has_to_mend_is_not(error: Exception) -> None:
    is_success, tries, is_other_run, failure = _run(_raising(error, 1))
    assert (is_success, tries, is_other_run) == (False, 1, True)
    assert failure.user_failure_data.description == (getattr(error, "description", None) or str(error))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_end_ends(number: signal.Signals) -> None:
    def told(_: int) -> None:
        os.kill(os.getpid(), number)
        for _ in range(1000):
            pass  # the handler runs between two steps of Python

    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert _run(told)[:3] == (False, 1, False)
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)
