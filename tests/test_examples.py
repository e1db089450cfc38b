"""Every property test draws by the profile in force: none names its number outright."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from examples import FEWEST, USUAL, examples
from hypothesis import settings

OUTRIGHT = re.compile(r"max_examples=\d")


@pytest.mark.parametrize(
    ("thoroughly", "usually", "quickly"),
    [(3, 3, 3), (8, FEWEST, FEWEST), (40, 10, 5), (100, 25, 12), (300, 75, 36)],
)
def test_a_number_keeps_its_share_of_the_profile(thoroughly: int, usually: int, quickly: int) -> None:
    in_force = settings.get_current_profile_name()
    drawn = {}
    try:
        for name in ("quick", "usual", "thorough"):
            settings.load_profile(name)
            drawn[name] = examples(thoroughly)
    finally:
        settings.load_profile(in_force)
    assert drawn == {"quick": quickly, "usual": usually, "thorough": thoroughly}
    assert settings.get_profile("thorough").max_examples == USUAL


def test_no_test_names_a_number_outright() -> None:
    here = Path(__file__)
    files = [path for path in here.parent.rglob("*.py") if path != here]
    assert [path.name for path in files if OUTRIGHT.search(path.read_text(encoding="utf-8"))] == []
