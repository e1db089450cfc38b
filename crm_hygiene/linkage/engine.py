"""Engines: who counts, proposes and scores pairs. Everything else of linkage is the same on each.

The rules, the frozen model and the shape of the outcome are the same, and so are the scores: which engine
ran is no part of any fingerprint, and weights of one are kept by the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import duckdb
import polars as pl

from crm_hygiene.config import Config
from crm_hygiene.linkage.blocking import Blocking, blocking
from crm_hygiene.linkage.candidates import candidate_pairs
from crm_hygiene.linkage.model import FrozenModel
from crm_hygiene.linkage.scoring import score
from crm_hygiene.linkage.settings import Comparison, EntityKind, LinkageSettings


class Engine(Protocol):
    """What an engine does for linkage."""

    def blocking(self, kind: EntityKind, frame: pl.DataFrame, settings: LinkageSettings) -> Blocking:
        """Choose the blocking rules that fit their budget and compute their keys.

        Parameters
        ----------
        frame
            comparable columns with block columns, sorted by `unique_id`.
        """
        ...

    def score(
        self,
        frame: pl.DataFrame,
        blocks: Blocking,
        touched: pl.Series,
        comparisons: list[Comparison],
        model: FrozenModel,
        settings: LinkageSettings,
    ) -> tuple[int, pl.DataFrame]:
        """Propose the pairs that touch a touched record and score them.

        Parameters
        ----------
        touched
            Int64 per record, the rules under which its pairs are wanted, as bits.
        comparisons
            of `known_comparisons`.

        Returns
        -------
        tuple
            number of pairs scored; those at or above `review_low` as `scoring.score` gives them.
        """
        ...


@dataclass(frozen=True)
class DuckDBEngine:
    """Pairs on this machine, in the connection that linkage has open."""

    con: duckdb.DuckDBPyConnection

    def blocking(self, kind: EntityKind, frame: pl.DataFrame, settings: LinkageSettings) -> Blocking:
        """See `Engine.blocking`."""
        return blocking(kind, frame, settings)

    def score(
        self,
        frame: pl.DataFrame,
        blocks: Blocking,
        touched: pl.Series,
        comparisons: list[Comparison],
        model: FrozenModel,
        settings: LinkageSettings,
    ) -> tuple[int, pl.DataFrame]:
        """See `Engine.score`."""
        candidates = candidate_pairs(blocks, touched)
        count = len(candidates)
        return count, score(self.con, frame, candidates, comparisons, blocks.names, model, settings)


@contextmanager
def engine_of(config: Config) -> Iterator[Engine | None]:
    """The engine that hygiene.yaml names; None for DuckDB, which needs nothing started."""
    if config.engine == "duckdb":
        yield None
        return
    from crm_hygiene.linkage.spark import spark_engine

    with spark_engine(config) as engine:
        yield engine
