"""The sample as a whole: the same bytes for the same seed, every size, counts that hold."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.sample import SampleCounts, generate


def digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    first = generate(tmp_path / "a", people=300, seed=3)
    second = generate(tmp_path / "b", people=300, seed=3)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert first == second


def test_another_seed_gives_other_bytes_in_every_file(tmp_path: Path) -> None:
    generate(tmp_path / "a", people=300, seed=3)
    generate(tmp_path / "b", people=300, seed=4)
    left, right = digests(tmp_path / "a"), digests(tmp_path / "b")
    assert left.keys() == right.keys()
    assert all(left[name] != right[name] for name in left)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_number_of_threads_does_not_matter(tmp_path: Path, threads: str) -> None:
    generate(tmp_path / "here", people=800, seed=5)
    call = "generate(pathlib.Path(sys.argv[1]), 800, 5)"
    code = f"import sys, pathlib; from crm_hygiene.sample import generate; {call}"
    environment = {**os.environ, "POLARS_MAX_THREADS": threads}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], check=True, env=environment)
    assert digests(tmp_path / "here") == digests(tmp_path / "there")


def test_events_leave_the_other_files_alone(tmp_path: Path) -> None:
    generate(tmp_path / "a", people=60, seed=3)
    generate(tmp_path / "b", people=60, seed=3, events_per_person=9)
    left, right = digests(tmp_path / "a"), digests(tmp_path / "b")
    changed = {name for name in left if left[name] != right[name]}
    assert changed == {"landing/marketing/events.jsonl", "landing/marketing/events.csv"}


def rows_of(path: Path) -> int:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            delimiter = ";" if path.name == "Account.csv" else ","
            return sum(1 for _ in csv.reader(file, delimiter=delimiter)) - 1
    if path.suffix == ".jsonl":
        return len([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])
    if path.suffix == ".json":
        document = json.loads(path.read_text(encoding="utf-8"))
        return len(document["records" if "records" in document else "results"])
    return path.read_bytes().count(b":61:" if path.suffix == ".sta" else b"<Ntry>")


def check_counts(out: Path, counts: SampleCounts) -> None:
    assert {name: rows_of(out / name) for name in digests(out)} == counts.rows
    assert counts.total == sum(counts.rows.values())


@pytest.mark.parametrize("people", [1, 2, 10, 250])
def test_any_size_has_every_file_with_the_rows_it_counts(tmp_path: Path, people: int) -> None:
    counts = generate(tmp_path, people=people, seed=7)
    assert len(counts.rows) == 32
    check_counts(tmp_path, counts)


@settings(max_examples=examples(12), deadline=None)
@given(people=st.integers(1, 40), seed=st.integers(0, 2**40), events=st.sampled_from([0.0, 0.4, 3.0]))
def test_small_worlds_hold_together(people: int, seed: int, events: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_counts(Path(folder), generate(Path(folder), people=people, seed=seed, events_per_person=events))


def test_shape_of_the_world(sample: Path) -> None:
    with (sample / "truth/people.csv").open(encoding="utf-8") as file:
        truth = list(csv.DictReader(file))
    people = {row["CLUSTER_ID"] for row in truth}
    assert 1490 <= len(people) <= 1500
    assert 1.5 <= len(truth) / len(people) <= 1.7


@pytest.mark.parametrize("wrong", [{"people": 0}, {"seed": -1}, {"events_per_person": -0.5}])
def test_nonsense_is_refused(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        generate(tmp_path, **wrong)  # type: ignore[arg-type]
