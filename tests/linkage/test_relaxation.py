"""What a relaxed condition says is never contradicted by the condition itself."""

from __future__ import annotations

import duckdb
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.linkage.relaxation import FALSE, TRUE, cost_of, guarded, parsed, relaxed
from crm_hygiene.linkage.settings import LinkageSettings

# A stands for what is cheap, damerau_levenshtein(x, x) < n for what is not looked at: true, false or null.
_LEAVES = st.sampled_from(
    ["a_l = a_r", "b_l = b_r", "damerau_levenshtein(c_l, c_r) < 2", "damerau_levenshtein(d_l, d_r) < 2"]
)


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, inner).map(lambda p: f"({p[0]} AND {p[1]})"),
        st.tuples(inner, inner).map(lambda p: f"({p[0]} OR {p[1]})"),
        inner.map(lambda p: f"(NOT {p})"),
        inner.map(lambda p: f"coalesce({p}, false)"),
        inner.map(lambda p: f"coalesce({p}, true)"),
        st.tuples(inner, inner, inner).map(lambda p: f"(CASE WHEN {p[0]} THEN {p[1]} ELSE {p[2]} END)"),
        st.tuples(inner, inner).map(lambda p: f"(CASE WHEN {p[0]} THEN {p[1]} END)"),
    )


_CONDITIONS = st.recursive(_LEAVES, _grown, max_leaves=6)
_WORLDS = " CROSS JOIN ".join(
    f"(VALUES ('x', 'x'), ('x', 'yyyy'), (NULL, 'x')) {name}({name}_l, {name}_r)" for name in "abcd"
)


@given(_CONDITIONS)
@settings(max_examples=examples(60), deadline=None)
def test_relaxed_conditions_hold_whatever_the_costly_parts_are(condition: str) -> None:
    found = relaxed(parsed(condition), most=0)
    assert "damerau" not in " ".join(vars(found).values()).lower()
    rows = duckdb.sql(
        f"SELECT ({condition}) IS TRUE, ({condition}) IS FALSE, ({found.may_hold}) IS TRUE, "
        f"({found.must_hold}) IS TRUE, ({found.may_fail}) IS TRUE, ({found.must_fail}) IS TRUE FROM {_WORLDS}"
    ).fetchall()
    for holds, fails, may_hold, must_hold, may_fail, must_fail in rows:
        assert may_hold or not holds
        assert holds or not must_hold
        assert may_fail or not fails
        assert fails or not must_fail


@pytest.mark.parametrize(
    ("condition", "cost"),
    [
        ("given_l = given_r AND length(given_l) > 2", 0),
        ("jaro_winkler_similarity(given_l, given_r) >= 0.9", 1),
        ("levenshtein(email_l, email_r) <= 2", 2),
        ("a_macro_of_somebody(email_l, email_r)", 2),
    ],
)
def test_what_is_not_known_counts_as_costly(condition: str, cost: int) -> None:
    assert cost_of(parsed(condition)) == cost


def test_unknown_functions_may_hold_and_may_fail() -> None:
    found = relaxed(parsed("a_macro_of_somebody(a_l, a_r) > 1"), most=1)
    assert (found.may_hold, found.must_hold, found.may_fail, found.must_fail) == (TRUE, FALSE, TRUE, FALSE)


def test_only_costly_conditions_are_guarded() -> None:
    assert guarded("given_l = given_r") == "given_l = given_r"
    assert "may_be_near" in guarded("levenshtein(email_l, email_r) <= 2").lower()


def test_every_rule_can_be_relaxed() -> None:
    rules = LinkageSettings()
    for kind in (rules.person, rules.organisation):
        for comparison in kind.comparisons:
            for level in comparison.levels[:-1]:
                assert relaxed(parsed(level.when), most=0).may_hold != FALSE
