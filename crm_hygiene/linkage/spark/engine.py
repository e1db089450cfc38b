"""The Spark engine: counting, proposing and scoring pairs on a session that starts when first needed.

Tables go to the workers and come back as Parquet in a work folder that both sides see under one path. What
linkage compares is computed from the lake by Polars and stands in no table of the lake, so the lake's own
files are not what the workers read.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from crm_hygiene.config import Config, SparkConfig
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.blocking import Blocking, blocking, reached
from crm_hygiene.linkage.model import FrozenModel
from crm_hygiene.linkage.scoring import SCORES_SCHEMA
from crm_hygiene.linkage.settings import Comparison, EntityKind, LinkageSettings
from crm_hygiene.linkage.spark.pairs import count_blocks, propose
from crm_hygiene.linkage.spark.scoring import score_on_spark
from crm_hygiene.linkage.spark.session import session


class SparkEngine:
    """`crm_hygiene.linkage.engine.Engine` on Spark; made by `spark_engine`, which also ends it."""

    def __init__(self, config: SparkConfig, work_folder: Path | None, ending: ExitStack) -> None:
        self._config = config
        self._work_folder = work_folder
        self._ending = ending
        self._session: Any = None

    @property
    def session(self) -> Any:
        """The pyspark session, started on first use."""
        if self._session is None:
            self._session = self._ending.enter_context(session(self._config))
        return self._session

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        """A folder of one step, removed after it."""
        folder = Path(tempfile.mkdtemp(prefix="linkage-", dir=self._work_folder))
        # Workers write here too, as whoever they run as within the group.
        folder.chmod(0o770)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def blocking(self, kind: EntityKind, frame: pl.DataFrame, settings: LinkageSettings) -> Blocking:
        """Choose the rules that fit their budget; the workers count the blocks."""
        with self._folder() as folder:
            counted = count_blocks(self.session, frame, settings.rules_of(kind).blocking, folder)
        sizes = counted.partition_by("rule", as_dict=True, include_key=False)
        none = counted.clear().drop("rule")
        return blocking(kind, frame, settings, lambda number, _: sizes.get((number,), none))

    def score(
        self,
        frame: pl.DataFrame,
        blocks: Blocking,
        touched: pl.Series,
        comparisons: list[Comparison],
        model: FrozenModel,
        settings: LinkageSettings,
    ) -> tuple[int, pl.DataFrame]:
        """Propose and score the wanted pairs on the workers."""
        empty = pl.DataFrame(schema=SCORES_SCHEMA)
        records = reached(blocks, touched) if blocks.rules else pl.DataFrame()
        if records.is_empty():
            return 0, empty
        with self._folder() as folder:
            count = propose(self.session, blocks, records, folder)
            if not comparisons or not count:
                return count, empty
            compared = frame[records["row_number"]]
            scores = score_on_spark(
                self.session, compared, comparisons, blocks.names, model, settings, folder, count
            )
            return count, scores


@contextmanager
def spark_engine(config: Config) -> Iterator[SparkEngine]:
    """The Spark engine for a configuration; the session, if one was needed, ends with it.

    Raises
    ------
    ConfigurationError
        if the master is a cluster and no work folder is named, or it cannot be made.
    """
    named = config.spark.work_folder
    if named is None and not config.spark.is_local:
        raise ConfigurationError(
            f"spark.work_folder: {config.spark.master} needs a folder that this machine and the workers see "
            "under one path"
        )
    folder = config.resolve(named).resolve() if named else None
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"spark.work_folder: {error}") from error
    with ExitStack() as ending:
        yield SparkEngine(config.spark, folder, ending)
