"""Works begun ahead of their turn: which, when, and what the night sees of them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from test_apart import _has_ended, _prepare, perform

# Found by name as fixtures.
from test_apart import night as night

from assets import apart
from assets.apart import StepProcesses, done, is_begun_ahead, steps_apart
from assets.early import BegunWork, Early, EarlyWorks, is_made
from assets.job import JOB, build_defs
from assets.landing import landing_work
from assets.works import _has_room, _steps, early_works
from crm_hygiene.config import Config
from crm_hygiene.errors import LakeError
from crm_hygiene.night import Night, mappings_of


def _always(_: Night) -> bool:
    return True


class _Work:
    def __init__(self) -> None:
        self.is_under_way = True


def _works(**reads: set[str]) -> tuple[EarlyWorks, dict[str, _Work]]:
    begun: dict[str, _Work] = {}

    def begin(_: Night, name: str) -> Any:
        begun[name] = _Work()
        return begun[name]

    early = {n: Early(frozenset(r), _always) for n, r in reads.items()}
    return EarlyWorks({**early, "here": Early(frozenset({"never"}), _always)}, begin), begun


def test_works_begin_once_what_they_read_is_there_one_ahead_at_a_time(night: Night) -> None:
    works, begun = _works(first=set(), second=set(), people={"a", "b"}, third=set())
    works.begin_next(night, "here")
    works.begin_next(night, "here")
    assert list(begun) == ["first"]
    assert works.take("first") is begun["first"]  # the night waits for it: another one may begin
    works.begin_next(night, "here")
    assert list(begun) == ["first", "second"]
    works.has_come("a")
    works.take("people")
    works.has_come("b")
    begun["second"].is_under_way = False
    works.begin_next(night, "here")
    assert list(begun) == ["first", "second", "third"]  # the turn of people had come
    assert works.is_begun("second")


def test_what_waits_for_a_table_begins_when_it_is_published(night: Night) -> None:
    works, begun = _works(people={"a", "b"})
    for table in ("a", "b"):
        works.begin_next(night, "here")
        assert not begun
        works.has_come(table)
    works.begin_next(night, "here")
    assert list(begun) == ["people"]


def test_some_begin_only_beside_one_step_when_it_is_made(night: Night) -> None:
    begun = []
    works = EarlyWorks(
        {"reconcile": Early(frozenset({"a", is_made("golden")}), _always, beside="golden")},
        lambda _, name: begun.append(name) or _Work(),  # type: ignore[func-returns-value, arg-type]
    )
    works.has_come("a")
    works.begin_next(night, "golden")
    works.has_come(is_made("golden"))
    for step in ("link", "reconcile", "plan_writeback"):
        works.begin_next(night, step)
    assert not begun
    works.begin_next(night, "golden")
    assert begun == ["reconcile"]


def test_a_step_begins_another_while_it_writes(night: Night, log: logging.Logger) -> None:
    early = {"pid": Early(frozenset({is_made("writing")}), _always, beside="writing")}
    processes = StepProcesses("hygiene.yaml", _prepare, perform, early)
    with steps_apart(processes):
        told = done("writing", _here, night, log, lambda: apart.LARGE_BYTES)
        assert next(told) == "first table"
        assert not is_begun_ahead("pid")
        assert next(told) == "second table"
        assert is_begun_ahead("pid")
        told.close()  # type: ignore[attr-defined]
        ((_, pid),) = done("pid", _here, night, log, lambda: 0)
    assert pid != os.getpid()


def test_small_works_and_those_that_cannot_tell_wait_for_their_turn(night: Night) -> None:
    asked = []

    def small(_: Night) -> bool:
        asked.append(True)
        return False

    def unsure(_: Night) -> bool:
        raise LakeError("the lake cannot be read")

    works = EarlyWorks(
        {
            "small": Early(frozenset(), small),
            "unsure": Early(frozenset(), unsure),
            "here": Early(frozenset({"never"}), _always),
        },
        lambda *_: pytest.fail("begun"),
    )
    works.begin_next(night, "here")
    works.begin_next(night, "here")
    assert len(asked) == 1
    assert works.take("small") is None


def _early(*names: str) -> dict[str, Early]:
    return {name: Early(frozenset(), _always) for name in names}


@pytest.fixture
def log() -> logging.Logger:
    return logging.getLogger("test")


def _here(night: Night, log: logging.Logger) -> Iterator[Any]:
    yield dg.MaterializeResult(asset_key=["landing", "here"])


def _begun(processes: StepProcesses, night: Night, log: logging.Logger, name: str) -> BegunWork:
    """A small work has its turn in this process; meanwhile the work `name` is begun."""
    list(done("here", _here, night, log, lambda: 0))
    assert is_begun_ahead(name)
    return processes.early._begun[name]


def test_what_a_work_tells_waits_for_its_turn(
    night: Night, log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    processes = StepProcesses("hygiene.yaml", _prepare, perform, _early("here", "talkative"))
    with caplog.at_level(logging.INFO), steps_apart(processes):
        work = _begun(processes, night, log, "talkative")
        work._listener.join()
        assert not work.is_under_way
        assert "about to read" not in caplog.text
        results = list(done("talkative", _here, night, log, lambda: 0))
        assert not is_begun_ahead("talkative")
    assert [type(result).__name__ for result in results] == ["MaterializeResult", "AssetCheckResult"]
    assert "about to read" in caplog.text
    assert processes.early._come == {"landing.here", "golden.contacts"}


@pytest.mark.parametrize(
    ("name", "kind", "text"), [("raising", LakeError, "disk is full"), ("killed", dg.Failure, "SIGKILL")]
)
def test_what_went_wrong_is_told_in_its_turn_and_not_done_ahead_again(
    night: Night, log: logging.Logger, name: str, kind: type[Exception], text: str
) -> None:
    night.run_id = "lake"
    processes = StepProcesses("hygiene.yaml", _prepare, perform, _early("here", name))
    with steps_apart(processes):
        _begun(processes, night, log, name)
        with pytest.raises(kind, match=text):
            list(done(name, _here, night, log, lambda: 0))
        again = list(done(name, _here, night, log, lambda: 0))  # Dagster tries again
        assert len(again) == 1
        assert not processes.early._begun


def test_the_night_ends_what_is_under_way(night: Night, log: logging.Logger) -> None:
    processes = StepProcesses("hygiene.yaml", _prepare, perform, _early("here", "endless"))
    with steps_apart(processes):
        work = _begun(processes, night, log, "endless")
        deadline = time.monotonic() + 60
        while work._told.empty() and time.monotonic() < deadline:
            time.sleep(0.01)
        (_, (pid, folder)) = work._told.get()
        assert os.path.isdir(folder)  # noqa: PTH112
    assert _has_ended(pid)
    assert not work.is_under_way
    assert not os.path.exists(folder)  # noqa: PTH110
    assert not processes._waiting


def test_whoever_stops_listening_ends_the_work(night: Night, log: logging.Logger) -> None:
    processes = StepProcesses("hygiene.yaml", _prepare, perform, _early("here", "endless"))
    with steps_apart(processes):
        _begun(processes, night, log, "endless")
        results = done("endless", _here, night, log, lambda: 0)
        pid, _ = next(results)
        results.close()  # type: ignore[attr-defined]
        assert _has_ended(pid)


def test_steps_beside_which_memory_is_short_begin_nothing(night: Night, log: logging.Logger) -> None:
    processes = StepProcesses("hygiene.yaml", _prepare, perform, _early("talkative"))
    with steps_apart(processes):
        list(done("link", _here, night, log, lambda: 0))
        list(done("pid", _here, night, log, lambda: apart.LARGE_BYTES))
        assert not processes.early._begun


def test_sources_and_conformed_tables_may_be_early_in_the_order_of_their_turns() -> None:
    mappings = mappings_of(Config())
    early = early_works(mappings)
    nodes = {node.name for node in build_defs(Config()).resolve_job_def(JOB).nodes}
    assert {name.replace(".", "__") for name in early} <= nodes
    landing = [landing_work(mapping) for mapping in mappings.values()]
    first = {landing_work(m) for m in mappings.values() if {"people", "organisations"} & set(m.tables)}
    of_linkage = {"conform_people", "conform_organisations"}
    order = list(early)
    assert set(order[: len(first)]) == first
    assert set(order[len(first) : len(first) + 2]) == of_linkage
    assert set(order[len(first) + 2 : len(landing) + 2]) == set(landing) - first
    assert not any(early[name].after for name in landing)
    beside = {name: work.beside for name, work in early.items() if work.beside is not None}
    assert set(order[-len(beside) :]) == set(beside)
    for name in early.keys() - set(landing) - set(beside):
        assert early[name].after
        assert early[name].after <= set(landing)
    assert "link" not in early
    steps = {step.name: step for step in _steps(mappings)}
    tables = {table for step in steps.values() for table in step.tables}
    for name, other in beside.items():
        assert is_made(other) in early[name].after
        assert early[name].after - {is_made(other)} <= tables & set(steps[name].reads)
        assert steps[other].turn > steps[name].turn  # or its turn would come first
        assert not set(steps[other].reads) & set(steps[name].tables)


def test_a_step_is_done_beside_another_only_where_there_is_memory_for_both(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = next(step for step in _steps(mappings_of(Config())) if step.name == "signal")
    monkeypatch.setattr("assets.works.stored_bytes", lambda *_: 1_000)
    for free, has_room in ((48_000, True), (47_999, False), (None, False)):
        monkeypatch.setattr("assets.works.free_bytes", lambda free=free: free)
        assert _has_room(night, step) is has_room


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ({}, {"landing.bank_ledger", "landing.erp_invoices", "conform_people"}),
        ({"step_keys_to_execute": ["landing__bank_ledger", "link"]}, {"landing.bank_ledger"}),
        ({"asset_selection": {dg.AssetKey(["landing", "bank_ledger"])}}, set()),
        ({"job_name": "upkeep"}, set()),
    ],
)
def test_only_what_has_its_turn_in_a_run_is_begun_ahead(part: dict[str, Any], found: set[str]) -> None:
    from assets.job import _early_works_of

    mappings = mappings_of(Config())
    early = _early_works_of(dg.DagsterRun(**{"job_name": JOB, **part}), mappings)
    assert early.keys() & {"landing.bank_ledger", "landing.erp_invoices", "conform_people"} == found
    assert not _early_works_of(None, mappings)


def test_what_linkage_reads_is_landed_and_conformed_first_the_rest_when_all_has_landed() -> None:
    mappings = mappings_of(Config())
    nodes = {node.name: node for node in build_defs(Config()).resolve_job_def(JOB).nodes}

    def priority(work: str) -> int:
        return int(nodes[work.replace(".", "__")].definition.tags.get("dagster/priority", 0))

    first = {m.source for m in mappings.values() if {"people", "organisations"} & set(m.tables)}
    of_linkage = {priority(landing_work(m)) for m in mappings.values() if m.source in first}
    of_others = {priority(landing_work(m)) for m in mappings.values() if m.source not in first}
    assert min(of_linkage) > priority("conform_people") == priority("conform_organisations")
    assert priority("conform_people") > max(of_others)
    assert min(of_others) > priority("conform_payments")
