"""Explanation of a record: whose it is, since when, by which links; what comes near and what was decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crm_hygiene.explanation.explain import promoted_model
from crm_hygiene.explanation.identity_story import IdentityStory, link_of
from crm_hygiene.explanation.link_reasons import LinkReasons
from crm_hygiene.explanation.link_tree import Link, link_tree
from crm_hygiene.explanation.selection import find_records
from crm_hygiene.explanation.wording import decision_in_words, event_in_words, question_in_words
from crm_hygiene.linkage.night_settings import settings_of
from crm_hygiene.linkage.records import NOUNS, Record, written
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night

MOST_LINKS = 8
MOST_NEAR = 5


@dataclass(frozen=True)
class RecordExplanation:
    """A record and its place.

    `links` are the record's own, strongest first; `path` leads from it to the founding record of its
    entity, null where no links do; `near` are the pairs with other entities that the night kept, most
    alike first.
    """

    kind: EntityKind
    record: Record
    entity_id: str | None
    since: datetime | None
    record_count: int
    founding: Record | None
    labels: dict[Record, str]
    values: dict[str, Any]
    links: list[Link]
    path: list[Link] | None
    near: list[Link]
    entity_of: dict[Record, str]
    history: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    questions: list[dict[str, Any]]
    reasons: LinkReasons
    review_low: float

    @property
    def shown_links(self) -> list[Link]:
        """The pairs the explanation speaks of: the record's links, then the nearest of other entities."""
        return [*self.links[:MOST_LINKS], *self.near[:MOST_NEAR]]

    def lines(self) -> list[str]:
        """The explanation in words."""
        found = self._place()
        for title, rows in (
            ("Linked directly to", self._links(self.links, MOST_LINKS)),
            ("The way to the founding record", self._way()),
            (f"Nearest records of other {NOUNS[self.kind][1]}", self._near()),
            ("What happened to the record", [event_in_words(e, self.entity_id or "") for e in self.history]),
            ("What stewards decided", [decision_in_words(row) for row in self.decisions]),
            ("Open questions", [question_in_words(row) for row in self.questions]),
        ):
            if rows:
                found += ["", title, *(f"  {row}" for row in rows)]
        return found

    def _named(self, record: Record) -> str:
        label = self.labels.get(record)
        return f"{written(record)} ({label})" if label else written(record)

    def _place(self) -> list[str]:
        one = NOUNS[self.kind][0]
        if self.entity_id is None:
            return [
                f"{self._named(self.record)} is not placed yet: the next night decides which {one} it is."
            ]
        others = self.record_count - 1
        company = f"with {others:,} other record{'s' if others != 1 else ''}" if others else "alone"
        since = f" since {self.since:%Y-%m-%d}" if self.since else ""
        said = [f"{self._named(self.record)} belongs to {one} {self.entity_id}{since}, {company}."]
        if others and not self.links:
            said.append("No link of its own leads into it: it is held there by its last good state.")
        return said

    def _links(self, links: list[Link], most: int) -> list[str]:
        rows = []
        for link in links[:most]:
            rows.append(self._named(link.other(self.record)))
            rows.append(f"   {self.reasons.phrase(link)}")
        if len(links) > most:
            rows.append(f"and {len(links) - most:,} more")
        return rows

    def _way(self) -> list[str]:
        """The path, where no link of the record's own leads there."""
        if self.path is None or len(self.path) < 2:
            return []
        if any(link.other(self.record) == self.founding for link in self.links):
            return []
        rows, at = [written(self.record)], self.record
        for link in self.path:
            at = link.other(at)
            rows.append(f"→ {self._named(at)}")
            rows.append(f"   {self.reasons.phrase(link)}")
        return rows

    def _near(self) -> list[str]:
        if not self.near:
            return [f"none: no pair with one reached probability {self.review_low}"]
        rows = []
        for link in self.near[:MOST_NEAR]:
            other = link.other(self.record)
            pair = self.reasons.of(link.record_l, link.record_r)
            rows.append(f"{self._named(other)} of {self.entity_of.get(other, 'no entity yet')}")
            judged = "; a steward called them different" if pair and pair.judgement == "different" else ""
            rows.append(f"   {self.reasons.weighed(link)}{judged}")
        return rows

    def as_json(self) -> dict[str, Any]:
        """The explanation as plain data."""

        def plain_link(link: Link) -> dict[str, Any]:
            other = link.other(self.record) if self.record in (link.record_l, link.record_r) else None
            return {
                **{k: v for k, v in vars(link).items() if not k.startswith("record")},
                "record_l": written(link.record_l),
                "record_r": written(link.record_r),
                "other_entity_id": self.entity_of.get(other) if other else None,
            }

        return {
            "target": "record",
            "kind": self.kind,
            "source": self.record[0],
            "record_id": self.record[1],
            "values": self.values,
            "entity_id": self.entity_id,
            "since": self.since,
            "record_count": self.record_count,
            "links": [plain_link(link) for link in self.links],
            "path": None if self.path is None else [plain_link(link) for link in self.path],
            "near": [plain_link(link) for link in self.near],
            "history": self.history,
            "decisions": self.decisions,
            "questions": self.questions,
            "in_words": self.lines(),
        }


def _since(
    story: IdentityStory, record: Record, entity_id: str, history: list[dict[str, Any]]
) -> datetime | None:
    """When the record last came to the entity; without such an event it was there from the first."""
    joined: list[datetime] = [
        event["event_at"]
        for event in history
        if event["event"] == "joined"
        and event["entity_id"] == entity_id
        and (event["source"], event["record_id"]) == record
    ]
    if joined:
        return max(joined)
    entity = story.entity(entity_id)
    founded: datetime | None = None if entity is None else entity["founded_at"]
    return founded


def explain_record(night: Night, kind: EntityKind, record: Record) -> RecordExplanation:
    """Explain one record.

    Raises
    ------
    UnknownRecord
        if linkage does not look at the record; the message says why and names ids like it.
    """
    settings = settings_of(night)
    promoted_model(night, kind)
    values = find_records(night, kind, [record], settings).row(0, named=True)
    story = IdentityStory(night, kind)
    entity_id = story.entity_of(record)
    members = story.records(entity_id) if entity_id else [record]
    inside = set(members)
    pairs = list(story.pairs(members).iter_rows(named=True))
    all_links = [link_of(row) for row in pairs if row["is_link"]]
    links = sorted((x for x in all_links if record in (x.record_l, x.record_r)), key=lambda link: link.order)
    near = sorted(
        (
            link
            for link in (link_of(row) for row in pairs if not row["is_link"])
            if record in (link.record_l, link.record_r) and link.other(record) not in inside
        ),
        key=lambda link: (-(link.match_weight or 0.0), link.record_l, link.record_r),
    )
    row = story.entity(entity_id) if entity_id else None
    founding = (row["founding_source"], row["founding_record_id"]) if row else None
    path = link_tree(members, all_links).path(record, founding) if founding in inside and founding else None
    shown = [*links[:MOST_LINKS], *(path or []), *near[:MOST_NEAR]]
    named = sorted({end for link in [*links, *(path or []), *near] for end in (link.record_l, link.record_r)})
    history = story.history([], [record])
    return RecordExplanation(
        kind=kind,
        record=record,
        entity_id=entity_id,
        since=_since(story, record, entity_id, history) if entity_id else None,
        record_count=len(members),
        founding=founding,
        labels=story.labels([record, *named]),
        values={k: v for k, v in values.items() if v is not None},
        links=links,
        path=path,
        near=near,
        entity_of=story.entities_of([record, *named]),
        history=history,
        decisions=story.decisions([record]),
        questions=story.questions([record]),
        reasons=LinkReasons(night, kind, [(link.record_l, link.record_r) for link in shown]),
        review_low=settings.review_low,
    )
