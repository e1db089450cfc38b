"""Nights that work on what changed leave the lake that nights working on everything leave."""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest import mock

import pytest

from assets import golden
from crm_hygiene.golden import revise
from crm_hygiene.linkage.store import load_night_before

from .project import OUTCOME, Project, export_again

LINKED = tuple(
    f"linked.{kind}_{name}"
    for kind in ("person", "organisation")
    for name in ("pairs", "fingerprints", "history")
)
CONSENT = ("golden.consents", "golden.consent_events")


def _forget(project: Project) -> None:
    for kind in ("person", "organisation"):
        shutil.rmtree(Path(project.config.lake_uri) / "linked" / f"{kind}_fingerprints")
        assert load_night_before(project.lake, kind).fingerprints.is_empty()  # type: ignore[arg-type]


@pytest.mark.long
def test_incremental_nights_leave_the_lake_of_full_ones(undisturbed: Project, tmp_path: Path) -> None:
    short, long = (undisturbed.copy(tmp_path / name) for name in ("short", "long"))
    for day in (1, 2):
        for project in (short, long):
            export_again(project, day)
        _forget(long)
        with (
            mock.patch.object(golden, "_whole", side_effect=AssertionError("golden was made whole")),
            mock.patch.object(revise, "_are_most", return_value=False),  # of forty people four are many
        ):
            outcome = short.night(day)
        with mock.patch.object(golden, "_revised", return_value=None):
            full = long.night(day)
        assert (outcome.failures, full.failures) == ({}, {})
        assert any("records changed" in note and note.startswith("person") for note in outcome.notes)
        assert any("candidate pairs of" in note and note.startswith("person: all") for note in full.notes)
        assert not any(note.startswith("person: all") for note in outcome.notes)
    assert short.contents(OUTCOME + LINKED + CONSENT) == long.contents(OUTCOME + LINKED + CONSENT)
    assert short.read("linked.person_members").height > undisturbed.read("linked.person_members").height
