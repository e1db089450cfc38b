from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import polars as pl
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.linkage.clustering import (
    KEY,
    LINKS_SCHEMA,
    MODEL,
    PAIR_SCHEMA,
    SAME,
    STATED,
    Clusters,
    cluster,
)
from crm_hygiene.linkage.identifiers import BIRTH, IDENTIFIERS_SCHEMA, near

COUNT = 8
Edge = tuple[int, float, int, int]

nodes = st.integers(0, COUNT - 1)
pair = st.tuples(nodes, nodes).filter(lambda p: p[0] < p[1])
strengths = st.sampled_from([MODEL, KEY, STATED, SAME])
edges = st.lists(
    st.tuples(strengths, st.integers(0, 9).map(float), pair).map(lambda e: (e[0], e[1], *e[2])),
    max_size=14,
    unique_by=lambda e: e[2:],
)
pairs = st.lists(pair, max_size=4, unique=True)
before = st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=COUNT, max_size=COUNT)
identifiers = st.lists(
    st.tuples(nodes, st.sampled_from(["tax DE", BIRTH]), st.sampled_from(["19800101", "20111231"])).map(
        lambda i: (*i, i[1] != BIRTH)
    ),
    max_size=6,
)


def clustered(
    count: int,
    links: Sequence[Edge],
    different: Sequence[tuple[int, int]] = (),
    previous: Sequence[int | None] = (),
    most: int = 100,
    carried: Sequence[tuple[int, str, str, bool]] = (),
) -> Clusters:
    frame = pl.DataFrame(
        [(left, right, strength, weight) for strength, weight, left, right in links],
        schema=LINKS_SCHEMA,
        orient="row",
    )
    return cluster(
        count,
        frame,
        pl.DataFrame(list(different), schema=PAIR_SCHEMA, orient="row"),
        pl.Series(list(previous) or [None] * count, dtype=pl.Int64),
        most,
        pl.DataFrame(list(carried), schema=IDENTIFIERS_SCHEMA, orient="row"),
    )


def plain_components(count: int, links: Sequence[Edge]) -> list[int]:
    """The slow and obvious way."""
    of = list(range(count))
    for _ in range(count):
        for _, _, a, b in links:
            of[a] = of[b] = min(of[a], of[b])
    return of


@given(edges, pairs, before, st.integers(2, COUNT), identifiers)
def test_different_always_holds_and_order_never_matters(
    links: list[Edge],
    different: list[tuple[int, int]],
    previous: list[int | None],
    most: int,
    carried: list[tuple[int, str, str, bool]],
) -> None:
    found = clustered(COUNT, links, different, previous, most, carried)
    assert all(found.of[a] != found.of[b] for a, b in different)
    assert all(found.of[root] == root <= node for node, root in enumerate(found.of))
    assert clustered(COUNT, links[::-1], different[::-1], previous, most, carried[::-1]) == found


@given(edges)
def test_without_judgements_clusters_are_the_connected_components(links: list[Edge]) -> None:
    found = clustered(COUNT, links)
    assert found.of == plain_components(COUNT, links)
    assert not found.refused
    assert not found.suspects


@given(edges, pairs)
def test_every_link_holds_or_is_refused(links: list[Edge], different: list[tuple[int, int]]) -> None:
    found = clustered(COUNT, links, different)
    for _, _, a, b in links:
        assert found.of[a] == found.of[b] or (a, b) in found.refused


@given(pairs, pairs)
def test_same_holds_unless_different_forbids_it(
    same: list[tuple[int, int]], different: list[tuple[int, int]]
) -> None:
    links = [(SAME, float(i), a, b) for i, (a, b) in enumerate(same)]
    found = clustered(COUNT, links, different)
    whole = plain_components(COUNT, links)
    torn = {whole[a] for a, b in different if whole[a] == whole[b]}
    for a, b in same:
        if whole[a] not in torn:
            assert found.of[a] == found.of[b]
    for a, b in found.refused:
        joined = {found.of[a], found.of[b]}
        assert any({found.of[x], found.of[y]} == joined for x, y in different)


@given(pairs, pairs)
def test_the_newest_same_binds_first(same: list[tuple[int, int]], different: list[tuple[int, int]]) -> None:
    found = clustered(COUNT, [(SAME, float(i), a, b) for i, (a, b) in enumerate(same)], different)
    newest = next(((a, b) for a, b in reversed(same)), None)
    if newest is not None and newest not in different:
        assert found.of[newest[0]] == found.of[newest[1]]


@settings(max_examples=examples(50))
@given(edges, pairs, identifiers)
def test_no_link_but_a_decision_or_statement_joins_strict_identifiers(
    links: list[Edge], different: list[tuple[int, int]], carried: list[tuple[int, str, str, bool]]
) -> None:
    carried = list({i[:2]: i for i in carried}.values())
    weak = [edge for edge in links if edge[0] <= KEY]
    found = clustered(COUNT, weak, different, carried=carried)
    for (a, kind_a, x, strict), (b, kind_b, y, _) in combinations(carried, 2):
        if strict and kind_a == kind_b and x != y:
            assert found.of[a] != found.of[b]


def test_the_weakest_path_is_cut_and_the_bridge_stays_on_its_closer_side() -> None:
    found = clustered(3, [(MODEL, 5.0, 0, 2), (MODEL, 9.0, 1, 2)], [(0, 1)])
    assert found.of == [0, 1, 1]
    assert found.refused == [(0, 2)]


def test_a_large_cluster_of_model_links_goes_back_to_its_last_good_state() -> None:
    chain = [(MODEL, 9.0, i, i + 1) for i in range(4)]
    found = clustered(5, chain, previous=[1, 1, None, 2, 2], most=3)
    assert found.of == [0, 0, 2, 3, 3]
    assert found.suspects == [[0, 1, 2, 3, 4]]


def test_a_large_cluster_by_keys_alone_is_not_suspect() -> None:
    found = clustered(5, [(KEY, 0.0, 0, i) for i in range(1, 5)], most=3)
    assert found.of == [0] * 5
    assert found.suspects == []


def test_other_clusters_publish_while_one_is_held_back() -> None:
    links = [(MODEL, 9.0, i, i + 1) for i in range(4)] + [(MODEL, 9.0, 5, 6)]
    assert clustered(7, links, most=3).of == [0, 1, 2, 3, 4, 5, 5]


def test_model_links_never_join_contradicting_identifiers() -> None:
    carried = [(0, "tax DE11", "DE111111111", True), (1, "tax DE11", "DE222222222", True)]
    links = [(MODEL, 9.0, 0, 1), (MODEL, 8.0, 0, 2)]
    found = clustered(3, links, carried=carried)
    assert found.of == [0, 1, 0]
    assert found.refused == [(0, 1)]


def test_a_third_record_does_not_join_two_birth_dates() -> None:
    carried = [(0, BIRTH, "19800214", False), (1, BIRTH, "19951130", False)]
    assert clustered(3, [(MODEL, 9.0, 0, 2), (MODEL, 8.0, 1, 2)], carried=carried).of == [0, 1, 0]


def test_a_model_that_saw_both_birth_dates_has_weighed_them_a_key_has_not() -> None:
    carried = [(0, BIRTH, "19800214", False), (1, BIRTH, "19951130", False)]
    assert clustered(2, [(MODEL, 9.0, 0, 1)], carried=carried).of == [0, 0]
    assert clustered(2, [(KEY, 0.0, 0, 1)], carried=carried).of == [0, 1]
    assert clustered(2, [(STATED, 0.0, 0, 1)], carried=carried).of == [0, 0]


def test_typing_errors_of_a_birth_date_do_not_contradict() -> None:
    assert near(BIRTH, "19800214", "19800215")
    assert near(BIRTH, "19801102", "19800211")
    assert near(BIRTH, "19800101", "19801231")
    assert not near(BIRTH, "19800214", "19951130")
