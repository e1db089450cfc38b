"""What Splink is told of levels makes the SQL that it would find by itself."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest

from crm_hygiene.linkage import LinkageSettings
from crm_hygiene.linkage.connection import quiet_splink
from crm_hygiene.linkage.recipe import default_numbers, splink_settings
from crm_hygiene.linkage.settings import Comparison, EntityKind

TOLD = "disable_tf_exact_match_detection"


def _adjusted(comparisons: Sequence[Comparison], forget: bool) -> tuple[list[str], int]:
    """Splink's adjustment for frequencies, level by level, and how many levels it was told of."""
    creator: Any = splink_settings(comparisons, default_numbers(comparisons), 1e-4, True)
    told = 0
    for comparison in creator.comparisons:
        for level in comparison["comparison_levels"]:
            is_own = level.get("tf_minimum_u_value") == level.get("u_probability")
            told += TOLD in level and not is_own
            if forget and not is_own:
                level.pop(TOLD, None)
    made = creator.get_settings("duckdb").core_model_settings.comparisons
    levels = [(level, c.comparison_levels) for c in made for level in c.comparison_levels]
    return [level._tf_adjustment_sql("gamma", others) for level, others in levels], told


@pytest.mark.parametrize("kind", ["person", "organisation"])
def test_base_frequencies_are_those_of_the_level_of_equality(kind: EntityKind) -> None:
    comparisons = LinkageSettings().rules_of(kind).comparisons
    found, told = _adjusted(comparisons, forget=False)
    assert told
    assert (found, told) == _adjusted(comparisons, forget=True)
    assert any("log2" in sql or "tf_" in sql for sql in found)


def test_splink_is_quiet_until_the_last_leaves() -> None:
    import splink  # noqa: F401 - its import sets a level

    logger = logging.getLogger("splink")
    before = logger.level
    first, second = quiet_splink(), quiet_splink()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert logger.level == logging.CRITICAL
    second.__exit__(None, None, None)
    assert logger.level == before
