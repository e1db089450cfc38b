"""Settings for all tests: what is long, how many examples are drawn, who runs what.

Three profiles of Hypothesis: `quick`, the one in force, draws an eighth of the examples of `thorough`
(`make test-thorough`), `usual` a quarter (`make test-all`, and so CI); tests with a number of their own take
it from `examples`. All search anew on each run, but not in CI, where a red must repeat. Tests marked `long`
are whole nights, clusters, faults at every step and scale, whose cost cannot go; `make test` leaves them out
and says so, `make test-all` runs them.

Tests are handed out file by file (`--dist loadfile`), to one worker more than there are cores. Files that
take long come first, so that no worker is left with one when the others are done; what takes long to make is
made once for all workers.
"""

from __future__ import annotations

import fcntl
import gc
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from examples import USUAL
from hypothesis import settings

from crm_hygiene.cli.main import main

# Tests make next to no garbage that refers to itself; Python would look for it after every 700 objects.
gc.set_threshold(500_000)

_IN_CI = bool(os.environ.get("CI"))
settings.register_profile("thorough", max_examples=USUAL, derandomize=_IN_CI, deadline=None)
settings.register_profile("usual", max_examples=USUAL // 4, derandomize=_IN_CI, deadline=None)
settings.register_profile("quick", max_examples=USUAL // 8, derandomize=_IN_CI, deadline=None)
settings.load_profile("quick")

FrontDoor = Callable[..., tuple[int, str, str]]
_LEFT_OUT: pytest.StashKey[int] = pytest.StashKey()
MadeOnce = Callable[[str, Callable[[Path], Any]], Any]

# From seven CPU seconds on, about the longest first, whatever is left out; but two that wait for the same
# night do not begin together.
_FIRST = (
    "night/test_incremental_night.py",
    "night/test_side_work.py",
    "object_store/test_whole_nights.py",
    "golden/test_golden_invariants.py",
    "spark/test_cluster.py",
    "night/test_model_life_cycle.py",
    "golden/test_revise.py",
    "night/test_killed_night.py",
    "spark/test_engine.py",
    "night/test_stopped_night.py",
    "night/test_cash_night.py",
    "night/test_bad_files.py",
    "cash/test_conservation.py",
    "test_upkeep.py",
    "night/test_delivered_night.py",
    "linkage/test_thirty_nights.py",
    "object_store/test_concurrent_writers.py",
    "night/test_decided_night.py",
    "benchmarks/test_determinism.py",
    "conform/test_increment.py",
    "conform/test_parts.py",
    "night/test_undisturbed_night.py",
    "night/test_lineage_night.py",
    "night/test_leads_and_contacts_that_change.py",
    "explanation/test_entity_explanation.py",
    "linkage/test_guards.py",
    "quality/test_measuring.py",
    "cli/test_explain.py",
    "cash/orders/test_inventory.py",
    "test_catalog_moves.py",
    "explanation/test_explanation.py",
    "night/test_imports.py",
    "golden/test_consent_properties.py",
    "linkage/test_incremental.py",
    "explanation/test_charts.py",
    "benchmarks/test_cash_benchmark.py",
    "writeback/delivery/test_faults.py",
    "writeback/test_plan.py",
    "linkage/test_linking.py",
    "golden/test_activities.py",
    "expectations/test_gate.py",
    "evaluation/test_mistakes.py",
    "assets/test_history.py",
    "golden/test_consent.py",
    "cash_desk/test_review_cash_command.py",
    "test_catalog_history.py",
    "linkage/test_organisations.py",
    "survivorship/test_pinning.py",
    "expectations/test_engine.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores: some tests wait for servers, processes and clocks."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take long before all others, each in one piece."""
    here = Path(__file__).parent
    place = {here / name: number for number, name in enumerate(_FIRST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count the long tests that `-m` leaves out: nothing is left out silently."""
    if not items:
        return
    long = sum(item.get_closest_marker("long") is not None for item in items)
    config = items[0].config
    config.stash[_LEFT_OUT] = config.stash.get(_LEFT_OUT, 0) + long
    if (told := getattr(config, "workeroutput", None)) is not None:
        told["left_out"] = config.stash[_LEFT_OUT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """Every worker of pytest-xdist collects the same tests: what one leaves out all do."""
    told = getattr(node, "workeroutput", None) or {}
    node.config.stash[_LEFT_OUT] = max(node.config.stash.get(_LEFT_OUT, 0), told.get("left_out", 0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many tests are left out, and what runs them."""
    left_out = config.stash.get(_LEFT_OUT, 0)
    if left_out:
        terminalreporter.write_line(
            f"{left_out} long tests left out (whole nights, clusters, faults, scale); "
            "`make test-all` runs them",
            yellow=True,
        )


def pytest_collection_finish() -> None:
    """Modules and tests are no garbage: Python need not look for it among them again and again."""
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let modules go as the interpreter ends: bindings to C++ complain of what stays."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _one_process() -> Iterator[None]:
    """Nights in this process have none beside them: what those would import is there already."""
    from assets import beginning

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beginning, "MOST_LANDED_BYTES", -1)
        patch.setattr(beginning, "begin", lambda _: None)
        yield


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Makes a folder by name with the function given, in the first worker that asks; gives its result to all.

    The others wait for it. The result is pickled; the folder is for reading, whoever changes it takes a copy.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made-once"
    shared.mkdir(exist_ok=True)

    def made(name: str, make: Callable[[Path], Any]) -> Any:
        result = shared / f"{name}.pickle"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not result.exists():
                folder = tmp_path_factory.mktemp(name)
                result.write_bytes(pickle.dumps(make(folder)))
            return pickle.loads(result.read_bytes())

    return made


@pytest.fixture
def front_door(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> FrontDoor:
    """Calls `crm-hygiene` in this process as typed: exit code, standard output, standard error."""

    def call(*arguments: str, folder: Path | None = None) -> tuple[int, str, str]:
        if folder is not None:
            monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["crm-hygiene", *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return code, printed.out, printed.err

    return call


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses of the lake's tables, as they are opened."""
    from crm_hygiene import lake

    found: list[str] = []

    class Counted(lake._Table):
        def __init__(self, table_uri: Any, *args: Any, **options: Any) -> None:
            found.append(str(table_uri))
            super().__init__(table_uri, *args, **options)

    monkeypatch.setattr(lake, "_Table", Counted)
    return found
