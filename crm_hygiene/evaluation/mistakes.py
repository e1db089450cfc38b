"""The costliest mistakes of a night against a truth file, each with the pair that explains it.

A mistake is about an entity or a true cluster, not about a pair: one entity that holds records of
several clusters (merged), or one cluster whose records are in several entities (torn). Its cost is
the pairs that are wrong because of it: joining a and b records that belong apart costs a times b.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations, islice, product
from typing import Any, Literal

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.evaluation.accuracy import contingency, labelled
from crm_hygiene.evaluation.mistake_reasons import FoundMistake, why_merged, why_torn
from crm_hygiene.explanation.explain import explain_pairs
from crm_hygiene.explanation.pair_explanation import PairExplanation
from crm_hygiene.linkage.records import NOUNS, Record
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night

# Pairs of one torn cluster that are looked at where the night kept none: enough to find the nearest,
# and few enough that twenty mistakes take a second.
_LOOKED_AT = 25
_STRENGTH = {"model": 0, "key": 1, "decision": 2}


@dataclass(frozen=True)
class Mistake:
    """One entity that is too large, or one cluster in pieces.

    Attributes
    ----------
    what
        `merged`: an entity with records of several true clusters; `torn`: a cluster in several entities.
    wrong_pairs
        false pairs of a merged entity, missed pairs of a torn cluster.
    entity_ids, cluster_ids
        one entity and its clusters, or one cluster and its entities, largest part first; a record
        that no entity has is no entity here.
    part_sizes
        records of each part, largest first; all records of the truth, with an entity or without.
    reason
        why it came about, in one sentence.
    explanation
        the weakest link across clusters, or the strongest pair across entities; None where there is
        no such pair.
    """

    kind: EntityKind
    what: Literal["merged", "torn"]
    wrong_pairs: int
    entity_ids: tuple[str, ...]
    cluster_ids: tuple[str, ...]
    part_sizes: tuple[int, ...]
    reason: str
    explanation: PairExplanation | None

    def headline(self) -> str:
        """What is wrong and what it costs."""
        shown = " + ".join(str(n) for n in self.part_sizes[:8])
        sizes = f"{shown}{' + ...' if len(self.part_sizes) > 8 else ''} records"
        pairs = f"{self.wrong_pairs:,} {'false' if self.what == 'merged' else 'missed'} pair"
        pairs += "" if self.wrong_pairs == 1 else "s"
        if self.what == "merged":
            return (
                f"entity {self.entity_ids[0]} holds records of {len(self.cluster_ids)} true clusters "
                f"({sizes}, {pairs}): {_some(self.cluster_ids)}"
            )
        many = NOUNS[self.kind][1]
        without = len(self.part_sizes) - len(self.entity_ids)
        where = f"{len(self.entity_ids)} {many if len(self.entity_ids) != 1 else NOUNS[self.kind][0]}"
        alone = f" and {without} record{'s' if without > 1 else ''} without one" if without else ""
        entities = f": {_some(self.entity_ids)}" if self.entity_ids else ""
        return f"true cluster {self.cluster_ids[0]} is torn into {where}{alone} ({sizes}, {pairs}){entities}"

    def lines(self) -> list[str]:
        """The mistake in words: what, why, and the explanation of its pair."""
        told = self.explanation.lines() if self.explanation else []
        return [self.headline(), self.reason, *told]

    def as_json(self) -> dict[str, Any]:
        """The mistake as plain data."""
        return {
            "what": self.what,
            "wrong_pairs": self.wrong_pairs,
            "entity_ids": list(self.entity_ids),
            "cluster_ids": list(self.cluster_ids),
            "part_sizes": list(self.part_sizes),
            "headline": self.headline(),
            "reason": self.reason,
            "explanation": self.explanation.as_json() if self.explanation else None,
        }


def _some(names: tuple[str, ...], limit: int = 4) -> str:
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def _costs(both: pl.DataFrame, side: str, what: str) -> pl.DataFrame:
    """`name`, `what`, `wrong` of every entity (side `predicted`) or cluster (`actual`) in several parts."""
    size, part = pl.col("both").sum(), pl.col("both")
    return (
        both.group_by(pl.col(side).alias("name"))
        .agg(wrong=size * (size - 1) // 2 - (part * (part - 1) // 2).sum())
        .filter(pl.col("wrong") > 0)
        .select("name", pl.lit(what).alias("what"), "wrong")
    )


def costliest_mistakes(
    night: Night, kind: EntityKind, members: pl.DataFrame, truth: pl.DataFrame, limit: int
) -> list[Mistake]:
    """The `limit` mistakes with the most wrong pairs, costliest first.

    Parameters
    ----------
    members
        `source`, `record_id`, `entity_id`: who is who now.
    truth
        `CLUSTER_ID`, `RECORD_ID`, `DATA_SOURCE`.
    """
    records = labelled(members, truth)
    both = contingency(records)
    worst = (
        pl.concat([_costs(both, "predicted", "merged"), _costs(both, "actual", "torn")])
        .sort("wrong", "what", "name", descending=[True, False, False])
        .head(limit)
    )
    if worst.is_empty():
        return []
    entities = worst.filter(pl.col("what") == "merged")["name"]
    clusters = worst.filter(pl.col("what") == "torn")["name"]
    inside = members.filter(pl.col("entity_id").is_in(entities.implode())).join(
        records.select("source", "record_id", "actual"), on=["source", "record_id"], how="left"
    )
    torn = records.filter(pl.col("actual").is_in(clusters.implode()))
    ids = pl.concat([inside["record_id"], torn["record_id"]]).unique().implode()
    stored = (
        night.lake.scan(contract_of(f"linked.{kind}_pairs"))
        .filter(pl.col("record_id_l").is_in(ids) & pl.col("record_id_r").is_in(ids))
        .collect()
    )
    joined = _across(stored, inside, "entity_id").filter("is_link")
    apart = _across(stored, torn, "actual").filter(pl.col("predicted_l") != pl.col("predicted_r"))
    found = [
        _merged(name, wrong, both, joined)
        if what == "merged"
        else _torn(name, wrong, torn.filter(pl.col("actual") == name), apart)
        for name, what, wrong in worst.iter_rows()
    ]
    asked = sorted({pair for mistake in found for pair in mistake.pairs})
    told = dict(zip(asked, explain_pairs(night, kind, asked), strict=True))
    return [_explained(kind, mistake, told) for mistake in found]


def _across(stored: pl.DataFrame, records: pl.DataFrame, side: str) -> pl.DataFrame:
    """Stored pairs with both ends among `records` and one `side`; columns of both with _l and _r."""
    for end in ("l", "r"):
        stored = stored.join(
            records.select(pl.all().name.suffix(f"_{end}")),
            on=[f"source_{end}", f"record_id_{end}"],
            how="inner",
            maintain_order="left",
        )
    return stored.filter(pl.col(f"{side}_l") == pl.col(f"{side}_r"))


def _merged(entity: str, wrong: int, both: pl.DataFrame, joined: pl.DataFrame) -> FoundMistake:
    parts = both.filter(pl.col("predicted") == entity).sort("both", "actual", descending=[True, False])
    links = joined.filter(pl.col("entity_id_l") == entity)
    across = links.filter(pl.col("actual_l") != pl.col("actual_r"))
    unlabelled = links.filter(pl.col("actual_l").is_null() | pl.col("actual_r").is_null())
    chosen = across if across.height else unlabelled
    weakest = chosen.sort(
        pl.col("method").replace_strict(_STRENGTH, default=0, return_dtype=pl.Int64),
        "match_weight",
        "source_l",
        "record_id_l",
        "source_r",
        "record_id_r",
    ).head(1)
    return FoundMistake(
        "merged",
        wrong,
        (entity,),
        tuple(parts["actual"]),
        tuple(parts["both"]),
        tuple(_ends(weakest)),
        chosen.height,
        is_through_unlabelled=across.is_empty() and not unlabelled.is_empty(),
    )


def _ends(pairs: pl.DataFrame) -> list[tuple[Record, Record]]:
    ends = pairs.select("source_l", "record_id_l", "source_r", "record_id_r")
    return [((a, b), (c, d)) for a, b, c, d in ends.iter_rows()]


def _torn(cluster: str, wrong: int, records: pl.DataFrame, apart: pl.DataFrame) -> FoundMistake:
    parts = (
        records.group_by("predicted")
        .agg(pl.struct("source", "record_id").sort(), entity=pl.col("entity_id").first(), n=pl.len())
        .sort("n", "predicted", descending=[True, False])
    )
    entities = tuple(e for e in parts["entity"] if e is not None)
    kept = apart.filter(pl.col("actual_l") == cluster).sort(
        "match_probability",
        "source_l",
        "record_id_l",
        "source_r",
        "record_id_r",
        descending=[True, False, False, False, False],
        nulls_last=True,
    )
    pairs = _ends(kept.head(1))
    if not pairs:
        held = parts.filter(pl.col("entity").is_not_null())["source"].to_list()
        groups = [[(r["source"], r["record_id"]) for r in group] for group in held]
        pairs = _sampled(groups)
    return FoundMistake("torn", wrong, entities, (cluster,), tuple(parts["n"]), tuple(pairs))


def _sampled(groups: list[list[Record]]) -> list[tuple[Record, Record]]:
    """Some pairs across the parts of a cluster, of as many parts as there is room for."""
    across = [product(a, b) for a, b in islice(combinations(groups, 2), _LOOKED_AT)]
    each = max(1, _LOOKED_AT // max(1, len(across)))
    found: Iterable[tuple[Record, Record]] = (pair for pairs in across for pair in islice(pairs, each))
    return [(min(a, b), max(a, b)) for a, b in found]


def _explained(
    kind: EntityKind, found: FoundMistake, told: dict[tuple[Record, Record], PairExplanation]
) -> Mistake:
    candidates = [told[pair] for pair in found.pairs]
    nearest = max(
        candidates,
        key=lambda e: float("-inf") if e.match_weight is None else e.match_weight,
        default=None,
    )
    reason = why_merged(found, nearest) if found.what == "merged" else why_torn(found, nearest)
    return Mistake(
        kind,
        found.what,
        found.wrong_pairs,
        found.entity_ids,
        found.cluster_ids,
        found.part_sizes,
        reason,
        nearest,
    )
