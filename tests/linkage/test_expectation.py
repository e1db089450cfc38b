from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from crm_hygiene.linkage.expectation import Patterns, learn_matches, learn_non_matches
from crm_hygiene.linkage.recipe import Numbers, default_numbers
from crm_hygiene.linkage.settings import Comparison, Level

COMPARISONS = [
    Comparison(
        name=name,
        columns=(name,),
        levels=(
            Level(name="missing", when=f"{name}_l IS NULL", is_null=True),
            Level(name="exact", when=f"{name}_l = {name}_r", m=0.7, u=0.1),
            Level(name="other", when="ELSE", m=0.3, u=0.9),
        ),
    )
    for name in ("a", "b", "c")
]
TRUE: Numbers = {n: {"exact": (m, u), "other": (1 - m, 1 - u)} for n, m, u in
                 (("a", 0.9, 0.05), ("b", 0.8, 0.02), ("c", 0.6, 0.1))}  # fmt: skip


def mixture(share: float, total: float) -> Patterns:
    """Expected counts of all patterns under `TRUE`."""
    rows = []
    for levels in np.ndindex(2, 2, 2):
        chance = [1.0, 1.0]
        for comparison, level in zip(COMPARISONS, levels, strict=True):
            pair = TRUE[comparison.name][comparison.scored[level].name]
            chance = [chance[i] * pair[i] for i in (0, 1)]
        rows.append((*levels, total * (share * chance[0] + (1 - share) * chance[1])))
    return Patterns.of(pl.DataFrame(rows, schema=["a", "b", "c", "pairs"], orient="row"), COMPARISONS)


def test_the_shares_of_a_mixture_are_found_again() -> None:
    start = {n: {k: (0.5, u) for k, (_, u) in v.items()} for n, v in TRUE.items()}
    found, seen, matches = learn_matches(mixture(0.3, 1e6), COMPARISONS, start, TRUE, [])
    assert matches == pytest.approx(3e5, rel=0.02)
    for name in ("a", "b", "c"):
        assert found[name]["exact"] == pytest.approx(TRUE[name]["exact"][0], abs=0.01)
        assert seen[name] == pytest.approx(3e5, rel=0.02)


def test_what_the_pairs_were_chosen_by_is_not_learned() -> None:
    found, seen, _ = learn_matches(mixture(0.3, 1e4), COMPARISONS, TRUE, TRUE, ["a"])
    assert set(found) == set(seen) == {"b", "c"}


def test_true_pairs_among_random_pairs_do_not_make_agreement_look_common() -> None:
    drawn = mixture(0.2, 1e6)
    raw = learn_non_matches(drawn, COMPARISONS, TRUE, TRUE, None)
    cleaned = learn_non_matches(drawn, COMPARISONS, TRUE, TRUE, 0.2)
    assert raw["b"]["exact"] > 0.15
    assert cleaned["b"]["exact"] == pytest.approx(0.02, rel=0.02)


def test_a_level_nobody_reached_keeps_a_share_of_its_default() -> None:
    only = Patterns(levels=np.array([[0, 0, -1]]), counts=np.array([500.0]))
    defaults = default_numbers(COMPARISONS)
    found, seen, _ = learn_matches(only, COMPARISONS, defaults, defaults, [])
    assert 0 < found["a"]["other"] < 0.02
    assert seen["c"] == 0
    assert found["c"]["exact"] == pytest.approx(0.7)
    assert learn_non_matches(only, COMPARISONS, defaults, defaults, None)["c"]["exact"] == pytest.approx(0.1)
