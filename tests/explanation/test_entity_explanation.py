"""What is told of an entity and of a record: members, tree, weakest link, past, judgements, questions."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from linkage.explained_lake import FIRST, SECOND, ExplainedLake

from crm_hygiene.cli.json_output import as_json
from crm_hygiene.contract import contract_of
from crm_hygiene.explanation.entity_explanation import UnknownEntity, explain_entity
from crm_hygiene.explanation.nearest_pair import nearest_pair
from crm_hygiene.explanation.record_explanation import explain_record
from crm_hygiene.explanation.selection import UnknownRecord
from crm_hygiene.explanation.wording import event_in_words


def text_of(lines: list[str]) -> str:
    return "\n".join(lines)


def test_a_live_entity_names_its_records_and_the_links_between_them(explained: ExplainedLake) -> None:
    largest = explained.read("linked.person_entities").sort("record_count", "entity_id")["entity_id"][-1]
    found = explain_entity(explained.night(), "person", largest)
    members = explained.read("linked.person_members").filter(pl.col("entity_id") == largest)
    assert found.records == sorted(members.select("source", "record_id").iter_rows())
    assert len(found.tree.trees) == 1
    assert len(found.tree.links) == len(found.records) - 1
    text = text_of(found.lines())
    for source, record_id in found.records:
        assert f"{source}:{record_id}" in text
    assert "first seen" in text
    assert json.loads(json.dumps(as_json(found.as_json())))["entity_id"] == largest


def test_every_entity_hangs_together_by_its_links(explained: ExplainedLake) -> None:
    several = explained.read("linked.person_entities").filter(pl.col("record_count") > 1).sort("entity_id")
    for entity_id in several["entity_id"][:2]:
        found = explain_entity(explained.night(), "person", entity_id)
        assert len(found.tree.trees) == 1
        assert found.tree.weakest is not None
        stored = {(x.record_l, x.record_r): x for x in found.tree.links}
        assert found.reasons.of(*next(iter(stored))) is not None


def test_a_merged_id_tells_what_it_stands_for(explained: ExplainedLake) -> None:
    found = explain_entity(explained.night(), "person", explained.merged)
    assert (found.status, found.entity_id) == ("alias", explained.survivor)
    text = text_of(found.lines())
    assert f"{explained.merged} is a former id; it stands for {explained.survivor} now" in text
    assert f"{explained.merged}: merged into this one" in text
    assert "maria" in text
    assert "I know them" in text
    assert "a steward decided" in text
    assert found.aliases == [explained.merged]


def test_a_retired_id_tells_so_and_keeps_its_past(explained: ExplainedLake) -> None:
    found = explain_entity(explained.night(), "person", explained.retired)
    assert found.status == "tombstone"
    assert found.records == []
    text = text_of(found.lines())
    assert "is retired: none of its records is left" in text
    assert f"{SECOND:%Y-%m-%d}  retired" in text


def test_an_unknown_id_is_refused_with_those_like_it(explained: ExplainedLake) -> None:
    wrong = explained.survivor[:-1] + ("0" if explained.survivor[-1] != "0" else "1")
    with pytest.raises(UnknownEntity, match=explained.survivor):
        explain_entity(explained.night(), "person", wrong)


def test_a_record_names_its_entity_since_when_and_by_which_links(explained: ExplainedLake) -> None:
    record = explained.judged[1]
    found = explain_record(explained.night(), "person", record)
    assert found.entity_id == explained.survivor
    assert found.record_count == 2
    assert found.since in (FIRST, SECOND)
    text = text_of(found.lines())
    assert f"belongs to person {explained.survivor} since {found.since:%Y-%m-%d}, with 1 other record" in text
    assert "a steward decided that they are the same person" in text
    assert "maria" in text
    assert json.dumps(as_json(found.as_json()))


def test_a_record_s_nearest_others_are_those_the_night_kept_apart(explained: ExplainedLake) -> None:
    left, right = explained.parted
    found = explain_record(explained.night(), "person", left)
    assert [(link.record_l, link.record_r) for link in found.near] == [(min(left, right), max(left, right))]
    text = text_of(found.lines())
    assert "Nearest records of other people" in text
    assert f"{right[0]}:{right[1]}" in text
    assert "a steward called them different" in text
    assert found.entity_of[right] != found.entity_id


def test_a_parted_entity_tells_of_the_split(explained: ExplainedLake) -> None:
    entity = explain_record(explained.night(), "person", explained.parted[0]).entity_id
    assert entity is not None
    found = explain_entity(explained.night(), "person", entity)
    assert "split off" in text_of(found.lines())
    assert "different (I know them)" in text_of(found.lines())


def test_an_unknown_record_is_refused(explained: ExplainedLake) -> None:
    with pytest.raises(UnknownRecord, match="ids most like it"):
        explain_record(explained.night(), "person", ("crm_contacts", "nobody"))


def test_the_nearest_pair_of_two_entities_is_the_heaviest(explained: ExplainedLake) -> None:
    several = explained.read("linked.person_entities").filter(pl.col("record_count") > 1).sort("entity_id")
    night = explained.night()
    left, right = (explain_entity(night, "person", e).records for e in several["entity_id"][:2])
    best = nearest_pair(night, "person", left, right)
    assert best.record_l in left
    assert best.record_r in right
    again = nearest_pair(night, "person", right, left)
    assert again.match_weight == best.match_weight


@pytest.mark.parametrize(
    ("event", "related", "expected"),
    [
        ("created", None, "first seen, founded on crm:1"),
        ("merged", "P-b", "merged into P-b"),
        ("split", "P-b", "P-b was split off"),
        ("joined", None, "crm:1 joined"),
        ("joined", "P-b", "crm:1 joined, coming from P-b"),
        ("left", "P-b", "crm:1 left and went to P-b"),
        ("left", None, "crm:1 left: it is gone from its source"),
        ("retired", None, "retired"),
        ("revived", None, "live again"),
    ],
)
def test_every_event_has_words(event: str, related: str | None, expected: str) -> None:
    row = {
        "entity_id": "P-a", "event": event, "related_entity_id": related, "source": "crm", "record_id": "1",
        "event_at": FIRST,
    }  # fmt: skip
    assert expected in event_in_words(row, "P-a")


def test_records_without_links_are_called_a_suspect_cluster(explained: ExplainedLake, tmp_path: Path) -> None:
    night = explained.copy(tmp_path / "copy").night()
    contract = contract_of("linked.person_pairs")
    night.lake.publish(contract, contract.empty(), {})
    found = explain_entity(night, "person", explained.survivor)
    assert len(found.tree.trees) == 2
    assert "suspect cluster" in text_of(found.lines())
    record = explain_record(night, "person", explained.judged[0])
    assert record.path is None or record.path == []
    assert "last good state" in text_of(record.lines())
