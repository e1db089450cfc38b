from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.linkage.clustering import KEY, cluster

nodes = st.integers(0, 7)
edges = st.lists(
    st.tuples(st.sampled_from([0, 2, 4]), st.integers(0, 9).map(float), nodes, nodes), max_size=14
)
pairs = st.lists(st.tuples(nodes, nodes).filter(lambda p: p[0] != p[1]), max_size=4)
before = st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=8, max_size=8)


@given(edges, pairs, before, st.integers(2, 8))
def test_different_always_holds_and_order_never_matters(
    links: list[tuple[int, float, int, int]],
    different: list[tuple[int, int]],
    previous: list[int | None],
    most: int,
) -> None:
    found = cluster(8, links, different, previous, most)
    assert all(found.of[a] != found.of[b] for a, b in different)
    assert all(found.of[root] == root <= node for node, root in enumerate(found.of))
    assert cluster(8, links[::-1], different[::-1], previous, most) == found


def test_the_weakest_path_is_cut_and_the_bridge_stays_on_its_closer_side() -> None:
    found = cluster(3, [(0, 5.0, 0, 2), (0, 9.0, 1, 2)], [(0, 1)], [None] * 3, 10)
    assert found.of == [0, 1, 1]
    assert found.refused == [(0, 2)]


def test_a_large_cluster_of_model_links_goes_back_to_its_last_good_state() -> None:
    chain = [(0, 9.0, i, i + 1) for i in range(4)]
    found = cluster(5, chain, [], [1, 1, None, 2, 2], 3)
    assert found.of == [0, 0, 2, 3, 3]
    assert found.suspects == [[0, 1, 2, 3, 4]]


def test_a_large_cluster_by_keys_alone_is_not_suspect() -> None:
    found = cluster(5, [(KEY, 0.0, 0, i) for i in range(1, 5)], [], [None] * 5, 3)
    assert found.of == [0] * 5
    assert found.suspects == []


def test_model_links_never_join_contradicting_identifiers() -> None:
    ids = ["DE111111111", "DE222222222", "FR33333333333"]
    found = cluster(3, [(0, 9.0, 0, 1), (0, 8.0, 0, 2)], [], [None] * 3, 10, ids)
    assert found.of == [0, 1, 0]
