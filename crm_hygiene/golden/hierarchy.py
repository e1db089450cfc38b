"""Hierarchies of accounts: parent, ultimate parent, depth, and circles cut.

An account has at most one parent, so the links form a functional graph: every walk upwards ends at a top
or goes round in one circle. What does not belong here: which of several stated parents wins
(survivorship).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from crm_hygiene.survivorship.candidates import Candidates
from crm_hygiene.survivorship.choose import choose
from crm_hygiene.survivorship.rules import Rules

_SHOWN = 5

Indices = np.ndarray[Any, np.dtype[np.int64]]


def find_circles(parents: pl.DataFrame) -> pl.DataFrame:
    """Where links have to be cut so that no account is above itself.

    Parameters
    ----------
    parents
        entity_id (unique), parent_entity_id, and `employee_count`, `first_seen_at`, which decide who is
        on top: of every circle the largest account, then the one known longest, then the first by
        entity_id loses its parent. Parents that have no row count as none.

    Returns
    -------
    entity_id, hierarchy_problem; one row per circle, sorted by entity_id.
    """
    frame = parents.sort("entity_id").with_row_index("at")
    up = _links(frame)
    order = frame.sort(
        ["employee_count", "first_seen_at", "entity_id"],
        descending=[True, False, False],
        nulls_last=True,
    )["at"].to_numpy()
    standing = np.empty(len(up), dtype=np.int64)
    standing[order] = np.arange(len(up))
    # After as many steps as there are accounts every walk stands on a circle or at a top; doubling the
    # step gets there in log2(n) rounds, and takes the best standing met on the way along.
    best, far = standing.copy(), up
    for _ in range(len(up).bit_length()):
        best, far = np.minimum(best, best[far]), far[far]
    on_circle = np.zeros(len(up), dtype=bool)
    on_circle[far] = True
    on_circle &= up != np.arange(len(up))
    tops = np.flatnonzero(on_circle & (best == standing))
    ids = frame["entity_id"]
    return pl.DataFrame(
        {
            "entity_id": ids.gather(tops),
            "hierarchy_problem": pl.Series([_words(int(top), up, ids) for top in tops], dtype=pl.String),
        }
    )


def climb(parents: pl.DataFrame) -> pl.DataFrame:
    """Top and depth of every account of a hierarchy without circles.

    Parameters
    ----------
    parents
        entity_id (unique), parent_entity_id; a parent that has no row counts as none.

    Returns
    -------
    entity_id, ultimate_parent_entity_id (its own at the top), hierarchy_depth; sorted by entity_id.
    """
    frame = parents.sort("entity_id").with_row_index("at")
    far = _links(frame)
    depth = (far != np.arange(len(far))).astype(np.int64)
    for _ in range(len(far).bit_length()):
        depth, far = depth + depth[far], far[far]
    return frame.select(
        "entity_id",
        frame["entity_id"].gather(far).alias("ultimate_parent_entity_id"),
        pl.Series("hierarchy_depth", depth, dtype=pl.Int64),
    )


@dataclass(frozen=True)
class Hierarchy:
    """Where every account stands.

    Attributes
    ----------
    places
        entity_id, ultimate_parent_entity_id, hierarchy_depth, hierarchy_problem; sorted by entity_id.
    cut
        ids of accounts that keep no parent, so that none is above itself.
    """

    places: pl.DataFrame
    cut: pl.Series


def hierarchy_of(
    candidates: Candidates, rules: Rules, as_of: datetime, pins: pl.DataFrame | None = None
) -> Hierarchy:
    """The hierarchy that the chosen parents of `candidates` form, circles cut (`find_circles`).

    The account a circle is cut at keeps no parent at all: another record's second choice could close the
    next circle. It is cut among the records, before the choice, so that no provenance tells of a parent
    that golden does not have. `candidates` hold whole hierarchies.
    """
    records = candidates.records
    chosen = _parents(candidates, rules, as_of, pins)
    facts = records.group_by("entity", maintain_order=True).agg(
        pl.col("employee_count").max(),
        first_seen_at=pl.min_horizontal("created_at", "observed_at").min(),
    )
    circles = find_circles(chosen.hstack(facts.select("employee_count", "first_seen_at")))
    cut = circles["entity_id"]
    if cut.len():
        is_cut = pl.col("entity_id").is_in(cut.implode())
        cleared = records.with_columns(parent_entity_id=pl.when(~is_cut).then("parent_entity_id"))
        chosen = _parents(replace(candidates, records=cleared), rules, as_of, pins)
    return Hierarchy(climb(chosen).join(circles, on="entity_id", how="left", maintain_order="left"), cut)


def _parents(
    candidates: Candidates, rules: Rules, as_of: datetime, pins: pl.DataFrame | None
) -> pl.DataFrame:
    """entity_id, parent_entity_id as chosen."""
    rule = rules.accounts.all_rules["parent_entity_id"]
    chosen = choose(candidates, "accounts", "parent_entity_id", rule, rules, as_of, pins).golden()
    return pl.DataFrame({"entity_id": candidates.entities}).hstack(chosen.select("parent_entity_id"))


def _links(frame: pl.DataFrame) -> Indices:
    """Position of every row's parent in `frame` (sorted, with `at`); its own where it has none."""
    found = frame.select("at", "parent_entity_id").join(
        frame.select(parent_entity_id="entity_id", up="at"),
        on="parent_entity_id",
        how="left",
        maintain_order="left",
    )
    return found.select(pl.coalesce("up", "at").cast(pl.Int64)).to_series().to_numpy()


def _words(top: int, up: Indices, ids: pl.Series) -> str:
    circle = [top]
    while up[circle[-1]] != top:
        circle.append(int(up[circle[-1]]))
    shown = [str(ids[at]) for at in circle[:_SHOWN]]
    more = f" and {len(circle) - _SHOWN} more" if len(circle) > _SHOWN else ""
    round_trip = f"{' under '.join(shown)}{more} under {shown[0]}"
    return f"the stated parents go round: {round_trip}; {shown[0]} is taken as the top"
