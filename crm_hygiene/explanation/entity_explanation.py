"""Explanation of an entity: its records, the links that hold it together, its past and what is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.explanation.identity_story import IdentityStory, link_of
from crm_hygiene.explanation.link_reasons import LinkReasons
from crm_hygiene.explanation.link_tree import Link, LinkTree, link_tree
from crm_hygiene.explanation.selection import similar_ids
from crm_hygiene.explanation.wording import decision_in_words, event_in_words, question_in_words
from crm_hygiene.linkage.night_settings import settings_of
from crm_hygiene.linkage.records import NOUNS, Record, written
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night

MOST_LINES = 60


class UnknownEntity(ConfigurationError):  # noqa: N818 - named as what it is about
    """An id that was never published."""


@dataclass(frozen=True)
class EntityExplanation:
    """An id and what became of it.

    `asked` is the id asked for; the rest speaks of `entity_id`, the live entity it stands for, or
    the tombstone itself. `status` is that of the id asked for: live, alias or tombstone.
    """

    kind: EntityKind
    asked: str
    status: str
    entity_id: str
    row: dict[str, Any]
    aliases: list[str]
    records: list[Record]
    labels: dict[Record, str]
    tree: LinkTree
    link_count: int
    history: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    questions: list[dict[str, Any]]
    reasons: LinkReasons

    @property
    def root(self) -> Record:
        """Where the tree starts: the founding record if it is still a member, else the first."""
        founding = (self.row["founding_source"], self.row["founding_record_id"])
        return founding if founding in self.records else self.records[0]

    def lines(self) -> list[str]:
        """The explanation in words."""
        found = self._state()
        if self.records:
            found += ["", "How its records hang together", *_indented(self._tree())]
            found += self._weakest()
        for title, rows in (
            ("What happened", [event_in_words(event, self.entity_id) for event in self.history]),
            ("What stewards decided", [decision_in_words(row) for row in self.decisions]),
            ("Open questions", [question_in_words(row) for row in self.questions]),
        ):
            if rows:
                found += ["", title, *_indented(rows)]
        return found

    def _state(self) -> list[str]:
        one, many = NOUNS[self.kind]
        founding = f"{self.row['founding_source']}:{self.row['founding_record_id']}"
        since = f"{self.row['founded_at']:%Y-%m-%d}"
        found = []
        if self.status == "alias":
            found.append(f"{self.asked} is a former id; it stands for {self.entity_id} now.")
        if self.status == "tombstone":
            found.append(
                f"{self.asked} is retired: none of its records is left. It was founded on {founding}, "
                f"{since}."
            )
        else:
            count, sources = len(self.records), sorted({source for source, _ in self.records})
            records = f"{count:,} record{'s' if count != 1 else ''}"
            found.append(
                f"{self.entity_id} is one {one} with {records} from {', '.join(sources)}, "
                f"known since {since} (founded on {founding})."
            )
        if self.aliases:
            found.append(f"Former ids that stand for it: {', '.join(self.aliases)}.")
        if len(self.tree.trees) > 1:
            found.append(
                f"Its links alone would leave {len(self.tree.trees)} {many}: it is a suspect cluster that "
                "keeps its last good state until a steward decides."
            )
        return found

    def _tree(self) -> list[str]:
        rows: list[str] = []
        for tree in self.tree.trees:
            root = self.root if self.root in tree else tree[0]
            for depth, record, link in self.tree.walk(root):
                said = f"{written(record)}  {self.labels.get(record, '')}".rstrip()
                if link is None:
                    rows.append(said)
                else:
                    rows.append(f"{'   ' * (depth - 1)}└─ {said}")
                    rows.append(f"{'   ' * depth}   {self.reasons.phrase(link)}")
        return rows

    def _weakest(self) -> list[str]:
        link = self.tree.weakest
        if link is None or len(self.records) < 3:
            return []
        left, right = self.tree.without(link)
        smaller, at = min((left, link.record_l), (right, link.record_r), key=lambda side: len(side[0]))
        count = len(smaller)
        lone = written(at) if count == 1 else f"{count} records around {written(at)}"
        return [
            f"The weakest link is {written(link.record_l)} to {written(link.record_r)}: "
            f"{self.reasons.phrase(link)}.",
            f"No other path is stronger: without it {lone} would stand apart.",
        ]

    def as_json(self) -> dict[str, Any]:
        """The explanation as plain data."""
        weakest = self.tree.weakest
        return {
            "target": "entity",
            "kind": self.kind,
            "asked": self.asked,
            "status": self.status,
            "entity_id": self.entity_id,
            "founded_at": self.row["founded_at"],
            "founding_record": {
                "source": self.row["founding_source"],
                "record_id": self.row["founding_record_id"],
            },
            "aliases": self.aliases,
            "records": [
                {"source": source, "record_id": record_id, "label": self.labels.get((source, record_id))}
                for source, record_id in self.records
            ],
            "link_count": self.link_count,
            "tree": [self._link_json(link) for link in self.tree.links],
            "tree_count": len(self.tree.trees),
            "weakest": None if weakest is None else self._link_json(weakest),
            "history": self.history,
            "decisions": self.decisions,
            "questions": self.questions,
            "in_words": self.lines(),
        }

    def _link_json(self, link: Link) -> dict[str, Any]:
        pair = self.reasons.of(link.record_l, link.record_r)
        return {
            **{k: v for k, v in vars(link).items() if not k.startswith("record")},
            "record_l": written(link.record_l),
            "record_r": written(link.record_r),
            "steps": None if pair is None else [dict(vars(step)) for step in pair.steps],
        }


def _indented(rows: list[str]) -> list[str]:
    more = len(rows) - MOST_LINES
    shown = [f"  {row}" for row in rows[:MOST_LINES]]
    return shown + ([f"  … and {more:,} more lines; --json has all of them"] if more > 0 else [])


def explain_entity(night: Night, kind: EntityKind, entity_id: str) -> EntityExplanation:
    """Explain an id: live, alias or tombstone.

    Raises
    ------
    UnknownEntity
        if the id was never published; the message names the ids most like it.
    """
    story = IdentityStory(night, kind)
    asked = story.entity(entity_id)
    if asked is None:
        likely = similar_ids(story.entity_ids(), entity_id, settings_of(night))
        said = f"the ids most like it: {', '.join(likely)}" if likely else "none was published yet"
        raise UnknownEntity(f"no {NOUNS[kind][0]} has or ever had the id {entity_id}; {said}")
    live_id = asked["resolves_to"] or entity_id
    row = story.entity(live_id) or asked
    records = story.records(live_id)
    links = [link_of(pair) for pair in story.pairs(records).iter_rows(named=True) if pair["is_link"]]
    tree = link_tree(records, links)
    aliases = story.aliases(live_id)
    return EntityExplanation(
        kind=kind,
        asked=entity_id,
        status=asked["status"],
        entity_id=live_id,
        row=row,
        aliases=aliases,
        records=records,
        labels=story.labels(records),
        tree=tree,
        link_count=len(links),
        history=story.history([live_id, *aliases]),
        decisions=story.decisions(records),
        questions=story.questions(records),
        reasons=LinkReasons(night, kind, [(link.record_l, link.record_r) for link in tree.links]),
    )
