"""The tree that holds an entity together keeps the strongest links and names the weakest it needs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.explanation.link_tree import Link, LinkTree, Record, link_tree


def record(number: int) -> Record:
    return ("crm", f"{number:02}")


def linked(a: int, b: int, weight: float, method: str = "model", key: str | None = None) -> Link:
    return Link(record(min(a, b)), record(max(a, b)), method, key, weight, None)


LINKS = st.lists(
    st.builds(
        linked,
        st.integers(0, 5),
        st.integers(6, 11),
        st.integers(-5, 30).map(float),
        st.sampled_from(["model", "decision"]),
    )
    | st.builds(
        linked, st.integers(0, 11), st.integers(12, 14), st.integers(0, 30).map(float), st.just("model")
    ),
    max_size=30,
    unique_by=lambda link: (link.record_l, link.record_r),
)
RECORDS = [record(i) for i in range(15)]


@given(LINKS)
def test_no_link_left_out_is_stronger_than_the_path_around_it(links: list[Link]) -> None:
    tree = link_tree(RECORDS, links)
    assert len(tree.links) == len(RECORDS) - len(tree.trees)
    for link in links:
        path = tree.path(link.record_l, link.record_r)
        assert path is not None
        assert max(path, key=lambda step: step.order).order <= link.order


@given(LINKS)
def test_trees_are_the_connected_parts_and_a_walk_meets_each_record_once(links: list[Link]) -> None:
    tree = link_tree(RECORDS, links)
    assert sorted(r for part in tree.trees for r in part) == RECORDS
    for part in tree.trees:
        steps = tree.walk(part[0])
        assert sorted(step[1] for step in steps) == list(part)
        assert all((link is None) == (depth == 0) for depth, _, link in steps)
    apart = [part[0] for part in tree.trees]
    assert all(tree.path(a, b) is None for a in apart for b in apart if a != b)


@given(LINKS)
def test_without_its_weakest_link_a_tree_falls_into_two(links: list[Link]) -> None:
    tree = link_tree(RECORDS, links)
    if tree.weakest is None:
        return
    left, right = tree.without(tree.weakest)
    assert tree.weakest.record_l in left
    assert tree.weakest.record_r in right
    assert not left & right
    assert any(set(part) == left | right for part in tree.trees)


@given(LINKS, st.randoms())
def test_the_order_of_links_and_records_does_not_matter(links: list[Link], random: object) -> None:
    shuffled, records = list(links), list(RECORDS)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    random.shuffle(records)  # type: ignore[attr-defined]
    assert link_tree(records, shuffled) == link_tree(RECORDS, links)


def test_decisions_come_before_statements_keys_and_weights() -> None:
    weak = linked(0, 1, -3.0, "decision")
    stated = linked(1, 2, 1.0, "key", "merged_record_ids")
    mailbox = linked(2, 3, 2.0, "key", "email")
    strong = linked(0, 3, 40.0)
    tree = link_tree(RECORDS[:4], [strong, mailbox, stated, weak])
    assert tree.links == (weak, stated, mailbox)
    assert tree.weakest == mailbox


def test_links_to_other_records_are_left_out() -> None:
    tree = link_tree(RECORDS[:2], [linked(0, 1, 1.0), linked(1, 2, 9.0)])
    assert isinstance(tree, LinkTree)
    assert [link.match_weight for link in tree.links] == [1.0]
