"""What the lake knows of a record or an entity: members, links, events, judgements, questions.

Only rows that concern the entities asked for are read. What does not belong here: words
(`entity_explanation`, `record_explanation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.explanation.link_tree import Link, Record
from crm_hygiene.linkage.records import TABLES
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night

_NAMES: dict[EntityKind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "person": (("full_name", "given_name", "family_name"), ("email", "phone", "organisation_name")),
    "organisation": (("organisation_name",), ("website_domain", "city", "country_code")),
}


@dataclass(frozen=True)
class IdentityStory:
    """The tables of one kind, read only where they concern some records or entities."""

    night: Night
    kind: EntityKind

    def _scan(self, name: str) -> pl.LazyFrame:
        return self.night.lake.scan(contract_of(name))

    def entity_of(self, record: Record) -> str | None:
        """The entity a record belongs to."""
        at = (pl.col("source") == record[0]) & (pl.col("record_id") == record[1])
        found = self._scan(f"linked.{self.kind}_members").filter(at).select("entity_id").collect()
        return None if found.is_empty() else str(found.item(0, 0))

    def entity(self, entity_id: str) -> dict[str, Any] | None:
        """The register's row of an id: status, resolves_to, founding record, founded_at, record_count."""
        found = self._scan(f"linked.{self.kind}_entities").filter(pl.col("entity_id") == entity_id).collect()
        return None if found.is_empty() else found.row(0, named=True)

    def entity_ids(self) -> pl.DataFrame:
        """Every id ever published: `entity_id`."""
        return self._scan(f"linked.{self.kind}_entities").select("entity_id").collect()

    def aliases(self, entity_id: str) -> list[str]:
        """Former ids that now stand for the entity."""
        rows = self._scan(f"linked.{self.kind}_entities").filter(pl.col("resolves_to") == entity_id)
        return rows.select("entity_id").collect()["entity_id"].sort().to_list()

    def records(self, entity_id: str) -> list[Record]:
        """The entity's records, sorted."""
        rows = self._scan(f"linked.{self.kind}_members").filter(pl.col("entity_id") == entity_id)
        return sorted(rows.select("source", "record_id").collect().iter_rows())

    def entities_of(self, records: Sequence[Record]) -> dict[Record, str]:
        """The entity of each record that has one."""
        ids = pl.Series([record_id for _, record_id in records], dtype=pl.String).implode()
        rows = self._scan(f"linked.{self.kind}_members").filter(pl.col("record_id").is_in(ids)).collect()
        wanted = set(records)
        return {
            (source, record_id): entity
            for source, record_id, entity in rows.select("source", "record_id", "entity_id").iter_rows()
            if (source, record_id) in wanted
        }

    def labels(self, records: Sequence[Record]) -> dict[Record, str]:
        """A name and a contact per record, as the conformed table has them."""
        if not records:
            return {}
        names, contacts = _NAMES[self.kind]
        ids = pl.Series([record_id for _, record_id in records], dtype=pl.String).implode()
        rows = self._scan(TABLES[self.kind]).filter(pl.col("record_id").is_in(ids))
        found = rows.select("source", "record_id", *names, *contacts).collect()
        wanted = set(records)
        labels = {}
        for row in found.iter_rows(named=True):
            record = (row["source"], row["record_id"])
            if record not in wanted:
                continue
            name = row[names[0]] or " ".join(row[c] for c in names[1:] if row[c])
            contact = next((row[c] for c in contacts if row[c]), "")
            labels[record] = ", ".join(text for text in (name, contact) if text) or "no name"
        return labels

    def pairs(self, records: Sequence[Record]) -> pl.DataFrame:
        """Stored pairs that touch any of the records, sorted by key; all columns of linked.*_pairs."""
        ids = pl.Series([record_id for _, record_id in records], dtype=pl.String).implode()
        rows = self._scan(f"linked.{self.kind}_pairs").filter(
            pl.col("record_id_l").is_in(ids) | pl.col("record_id_r").is_in(ids)
        )
        return self._touching(rows.collect(), records).sort(
            "source_l", "record_id_l", "source_r", "record_id_r"
        )

    def _touching(self, rows: pl.DataFrame, records: Sequence[Record]) -> pl.DataFrame:
        """Rows with a left or right record among `records`."""
        wanted = pl.DataFrame(
            sorted(set(records)), schema={"source": pl.String, "record_id": pl.String}, orient="row"
        ).with_columns(hit=pl.lit(True))
        for side in ("l", "r"):
            rows = rows.join(
                wanted.rename({"hit": f"hit_{side}"}),
                left_on=[f"source_{side}", f"record_id_{side}"],
                right_on=["source", "record_id"],
                how="left",
            )
        hit = pl.col("hit_l").fill_null(False) | pl.col("hit_r").fill_null(False)
        return rows.filter(hit).drop("hit_l", "hit_r")

    def history(self, entity_ids: Sequence[str], records: Sequence[Record] = ()) -> list[dict[str, Any]]:
        """Events of some entities, and of some records wherever they were, oldest first."""
        at = pl.col("entity_id").is_in(list(entity_ids)) | pl.col("related_entity_id").is_in(list(entity_ids))
        for source, record_id in records:
            at |= (pl.col("source") == source) & (pl.col("record_id") == record_id)
        rows = self._scan(f"linked.{self.kind}_history").filter(at).collect()
        return rows.sort("event_at", "event", "entity_id", "event_id").to_dicts()

    def decisions(self, records: Sequence[Record]) -> list[dict[str, Any]]:
        """Judgements on pairs that touch any of the records, oldest first, with `is_revoked`."""
        rows = self._scan("stewardship.decisions").filter(pl.col("entity_kind") == self.kind).collect()
        revoked = rows["revokes"].drop_nulls().implode()
        judged = rows.filter(pl.col("revokes").is_null()).with_columns(
            is_revoked=pl.col("decision_id").is_in(revoked)
        )
        return self._touching(judged, records).sort("decided_at", "decision_id").to_dicts()

    def questions(self, records: Sequence[Record]) -> list[dict[str, Any]]:
        """Open questions that touch any of the records, the most valuable first."""
        rows = self._scan("stewardship.review_queue").filter(pl.col("entity_kind") == self.kind).collect()
        return (
            self._touching(rows, records).sort(["priority", "review_id"], descending=[True, False]).to_dicts()
        )


def link_of(row: dict[str, Any]) -> Link:
    """A row of linked.*_pairs as a link."""
    return Link(
        (row["source_l"], row["record_id_l"]),
        (row["source_r"], row["record_id_r"]),
        row["method"],
        row["match_key"],
        row["match_weight"],
        row["match_probability"],
    )
