"""The cluster that evidence would make around one record, whether or not the night formed it."""

from __future__ import annotations

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.lake import Lake
from crm_hygiene.linkage.records import Record
from crm_hygiene.linkage.settings import EntityKind

MOST_RECORDS = 5_000


def cluster_around(lake: Lake, kind: EntityKind, record: Record, threshold: float) -> list[Record]:
    """Records joined to `record` by keys, judgements, model links or their present entity, sorted.

    A suspect cluster is held back, so no entity lists its records; they are found again by following the
    links from pair to pair. Links that a judgement refuses are followed too: the steward should see what
    hangs together.

    Parameters
    ----------
    threshold
        match probability from which a pair counts as a link.

    Raises
    ------
    ConfigurationError
        beyond 5,000 records: that is no cluster a person can judge as a whole.
    """
    pairs = (
        lake.scan(contract_of(f"linked.{kind}_pairs"))
        .filter(
            pl.col("is_link") | pl.col("match_key").is_not_null() | (pl.col("match_probability") >= threshold)
        )
        .select("source_l", "record_id_l", "source_r", "record_id_r")
        .collect()
    )
    ends = ["source", "record_id"]
    left = pairs.rename({"source_l": "source", "record_id_l": "record_id"})
    right = pairs.rename({"source_r": "source", "record_id_r": "record_id"})
    far = {
        "left": [pl.col(f"{c}_r").alias(c) for c in ends],
        "right": [pl.col(f"{c}_l").alias(c) for c in ends],
    }
    members = lake.read(contract_of(f"linked.{kind}_members"))
    found = pl.DataFrame([record], schema=dict.fromkeys(ends, pl.String), orient="row")
    front = found
    while not front.is_empty():
        entities = members.join(front, on=ends, how="semi").select("entity_id").unique()
        reached = pl.concat(
            [
                left.join(front, on=ends, how="semi").select(far["left"]),
                right.join(front, on=ends, how="semi").select(far["right"]),
                members.join(entities, on="entity_id", how="semi").select(ends),
            ]
        ).unique()
        front = reached.join(found, on=ends, how="anti")
        found = pl.concat([found, front])
        if found.height > MOST_RECORDS:
            raise ConfigurationError(
                f"more than {MOST_RECORDS:,} records hang together here; that is no cluster to confirm as a "
                "whole: keep apart what does not belong, record by record, and look again tomorrow"
            )
    return sorted(found.join(members, on=ends, how="semi").iter_rows())
