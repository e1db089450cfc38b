"""A night that dies between any two commits; the next one reaches what an undisturbed one reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crm_hygiene.lake import Lake

from .project import OUTCOME, Project


class Kill(BaseException):
    """The process is gone: whatever would still be written is not."""


class _Mortal:
    """Lets `writes` commits through, then nothing ever again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
        self.left = writes
        write, ensure = Lake._write, Lake._ensure

        def mortal_write(lake: Lake, *args: Any, **options: Any) -> None:
            if self.left <= 0:
                raise Kill
            self.left -= 1
            write(lake, *args, **options)

        def mortal_ensure(lake: Lake, *args: Any) -> Any:
            if self.left <= 0:
                raise Kill
            return ensure(lake, *args)

        monkeypatch.setattr(Lake, "_write", mortal_write)
        monkeypatch.setattr(Lake, "_ensure", mortal_ensure)


# A first night of the sample commits about a hundred times: landing, gates, linking, golden, cash. Each
# number is how many commits a night is let, so that nights die while landing, between the tables of one
# step, between a gate's record and its table.
_COMMITS = (3, 55, 9, 6, 11, 4)


@pytest.mark.long
def test_nights_killed_over_and_over_reach_the_undisturbed_tables(
    undisturbed: Project, tmp_path: Path
) -> None:
    project = undisturbed.exports(tmp_path)
    for commits in _COMMITS:
        with pytest.MonkeyPatch.context() as patch:
            mortal = _Mortal(patch, commits)
            with pytest.raises(Kill):
                project.night()
        assert mortal.left == 0
    outcome = project.night()
    assert outcome.is_success, outcome.failures
    assert project.contents(OUTCOME) == undisturbed.contents(OUTCOME)
