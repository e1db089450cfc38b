"""One table of the lake while it is tidied: Delta's own operations, with what they must carry on.

Made by `Lake.tidying`, which knows Delta. What does not belong here: what may go (`upkeep`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from crm_hygiene.errors import LakeError
from crm_hygiene.lake_errors import in_short
from crm_hygiene.lake_tables import OpenTable

_LOG = "_delta_log/"
_ORDERED_BY = "ordered_by"
_RETENTIONS = ("delta.logRetentionDuration", "delta.deletedFileRetentionDuration")

#: How Delta keeps the log of any table.
LOG_PROPERTIES = {
    # Who opens a table reads every commit since the last checkpoint, in a store by a request each.
    "delta.checkpointInterval": "10",
    # What may go of the log is decided with what is needed, by upkeep.
    "delta.enableExpiredLogCleanup": "false",
}


class Tidying:
    """The operations of upkeep on one table; each raises LakeError where the store refuses."""

    def __init__(
        self,
        table: str,
        opened: OpenTable,
        commit_options: Callable[[Mapping[str, str]], dict[str, Any]],
        parquet: Any,
        stored: Callable[[], dict[str, int]],
    ) -> None:
        self._table = table
        self._delta = opened.delta
        self._commits = {int(commit["version"]): commit for commit in opened.commits()}
        self._live = opened.version
        self._commit_options = commit_options
        self._commit = commit_options({})
        self._parquet = parquet
        self._stored = stored

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            # Delta's errors have classes of their own, which only `lake` knows by name.
            if not isinstance(error, OSError) and type(error).__module__ != "_internal":
                raise
            reason = in_short(error)
            raise LakeError(f"{self._table}: not tidied, its rows are as they were: {reason}") from error

    def file_sizes(self) -> list[int]:
        """Bytes of each file of the live version."""
        return [int(size) for size in self._delta._table.get_add_file_sizes().values()]

    def is_ordered_by(self, columns: Sequence[str]) -> bool:
        """Whether the last commit that touched rows or files was a Z-order by these columns."""
        for commit in self._commits.values():
            operation = str(commit.get("operation", ""))
            if not operation.startswith(("VACUUM", "SET", "ADD", "DROP")):
                return commit.get(_ORDERED_BY) == ",".join(columns)
        return False

    def known_versions(self) -> set[int]:
        """Versions that the log still tells."""
        return set(self._commits)

    def keep_for(self, days: int) -> None:
        """Have Delta keep commits and the memory of files out of use so long; a commit if it did not.

        A table of an older lake is given the log of a new one besides.
        """
        wanted = {**LOG_PROPERTIES, **dict.fromkeys(_RETENTIONS, f"interval {days} days")}
        now = self._delta.metadata().configuration
        if any(now.get(name) != value for name, value in wanted.items()):
            with self._told():
                self._delta.alter.set_table_properties(wanted, **self._commit)

    def compact(self, target_bytes: int) -> None:
        """Write small files into ones of about `target_bytes`, rows in their order."""
        with self._told():
            self._delta.optimize.compact(
                target_size=target_bytes, writer_properties=self._parquet, **self._commit
            )

    def z_order(self, columns: Sequence[str], target_bytes: int) -> None:
        """Write all rows anew, those near each other in `columns` together."""
        with self._told():
            # Delta's own record of the commit does not say the columns.
            options = self._commit_options({_ORDERED_BY: ",".join(columns)})
            self._delta.optimize.z_order(
                list(columns), target_size=target_bytes, writer_properties=self._parquet, **options
            )

    def vacuum(self, keep_hours: int, keep_versions: Sequence[int], is_dry_run: bool) -> int:
        """Delete files that went out of use before `keep_hours` ago and that no kept version has.

        Returns how many there were; a commit is made only if there were any.
        """

        def vacuumed(is_dry: bool) -> int:
            found = self._delta.vacuum(
                retention_hours=keep_hours,
                dry_run=is_dry,
                enforce_retention_duration=False,
                full=True,
                keep_versions=list(keep_versions),
                **self._commit,
            )
            return len(found)

        with self._told():
            count = vacuumed(is_dry=True)
            return count if is_dry_run or not count else vacuumed(is_dry=False)

    def commits_since_checkpoint(self) -> int:
        """Commits that opening the table has to read one by one."""
        names = [name.removeprefix(_LOG) for name in self._stored() if name.startswith(_LOG)]
        checkpoints = [int(name[:20]) for name in names if ".checkpoint" in name and name[:20].isdecimal()]
        return int(self._delta.version()) - max(checkpoints, default=-1)

    def checkpoint(self) -> None:
        """Write the state of the live version into one file."""
        with self._told():
            self._delta.create_checkpoint()

    def are_younger(self, versions: Collection[int], since: datetime) -> bool:
        """Whether known versions were committed at or after a moment, or are the one that was opened."""
        if not versions:
            return True
        oldest = min(versions)
        if oldest == self._live:
            return True
        made = datetime.fromtimestamp(self._commits[oldest]["timestamp"] / 1000, UTC)
        return made >= since

    def clean_log(self) -> int:
        """Delete commits past the log's retention that a checkpoint stands for; returns how many."""
        with self._told():
            before = self._stored()
            self._delta.cleanup_metadata()
            return len(before.keys() - self._stored().keys())
