"""Errands begin when all they read is published, and are done once, here or there."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from assets.errands import Errands, done_ahead, running_errands, table_is_live
from crm_hygiene.beside import NotDoneBesideError

READS = {"link": frozenset({"people", "organisations"}), "post": frozenset({"payments"})}


class Elsewhere:
    """Begins errands and keeps their futures, for the test to end."""

    def __init__(self) -> None:
        self.begun: dict[str, Future[Any]] = {}

    def __call__(self, name: str) -> Future[Any]:
        return self.begun.setdefault(name, Future())


@pytest.fixture
def elsewhere() -> Elsewhere:
    return Elsewhere()


def test_an_errand_begins_with_the_last_table_it_reads(elsewhere: Elsewhere) -> None:
    errands = Errands(READS, elsewhere)
    errands.published("people")
    errands.published("people")
    assert not elsewhere.begun
    errands.published("organisations")
    errands.published("organisations")
    assert list(elsewhere.begun) == ["link"]


def test_a_step_gets_what_was_done_ahead_of_it_once(elsewhere: Elsewhere) -> None:
    errands = Errands(READS, elsewhere)
    errands.published("payments")
    elsewhere.begun["post"].set_running_or_notify_cancel()
    elsewhere.begun["post"].set_result("posted")
    assert errands.take("post") == "posted"
    assert errands.take("post") is None  # a step that is tried again works for itself


def test_a_step_whose_turn_comes_first_does_its_work_itself_and_nobody_else_does(
    elsewhere: Elsewhere,
) -> None:
    errands = Errands(READS, elsewhere)
    assert errands.take("post") is None
    errands.published("payments")
    assert not elsewhere.begun
    for table in ("people", "organisations"):
        errands.published(table)
    assert errands.take("link") is None
    assert elsewhere.begun["link"].cancelled()


def test_what_failed_elsewhere_is_left_to_the_step(elsewhere: Elsewhere) -> None:
    errands = Errands(READS, elsewhere)
    errands.published("payments")
    elsewhere.begun["post"].set_running_or_notify_cancel()
    elsewhere.begun["post"].set_exception(NotDoneBesideError("the process has ended"))
    assert errands.take("post") is None


def test_without_errands_nothing_is_done_ahead(elsewhere: Elsewhere) -> None:
    table_is_live("payments")
    assert done_ahead("post") is None
    with running_errands(Errands(READS, elsewhere)):
        table_is_live("payments")
    assert list(elsewhere.begun) == ["post"]
    assert done_ahead("post") is None
