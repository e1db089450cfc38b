"""The lake: Delta tables by name. The only module that imports deltalake.

`golden.contacts` is the Delta table `<lake>/golden/contacts`. What does not belong here: what a
table means (`crm_hygiene.contract`), whether it is good enough to publish (`expectations.gate`).

One publication is one Delta commit. A commit carries the run, the rule-set fingerprint, the
fingerprint of its inputs and of its content; content that is already live is not written again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from crm_hygiene.contract import Contract
from crm_hygiene.errors import LakeError
from crm_hygiene.fingerprint import content_of

# Commits that change rows; others make the table, add constraints or tidy its files.
_ROW_OPERATIONS = frozenset({"WRITE", "DELETE", "UPDATE", "MERGE", "RESTORE"})

_QUOTED = re.compile("'([^']*)'")

_TABLE_PROPERTIES = {"delta.logRetentionDuration": "interval 30 days"}


@dataclass(frozen=True)
class Publication:
    """What publishing did: the live version, its rows, and whether a commit was needed."""

    table: str
    version: int
    row_count: int
    is_changed: bool


def _in_short(error: Exception) -> str:
    """The first line of a message, without the pages that object stores attach."""
    return str(error).split("\n")[0][:400]


def _delta_ready(frame: pl.DataFrame) -> pa.Table:
    """Arrow with plain types: views become large strings, which every Delta reader knows."""
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


@dataclass(frozen=True)
class TableVersion:
    """One commit that changed rows: its number, its time, the state it left (see `Lake.state`), its rows."""

    version: int
    published_at: datetime
    state: str
    row_count: int | None


@dataclass(frozen=True)
class Snapshot:
    """A table as it stands: its version, its state (see `Lake.state`), the addresses of its files."""

    version: int
    state: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Statistics:
    """What Delta keeps of a version beside its rows; nulls only of columns it keeps statistics of."""

    version: int
    row_count: int
    byte_count: int
    file_count: int
    null_counts: dict[str, int]


def _outdated(delta: DeltaTable, constraints: dict[str, str]) -> list[str]:
    """Constraints that the contract has dropped since the table was made, or whose values it changed.

    They would refuse rows that are right now. Newer ones are left to the gate: adding one would check
    rows that are about to be replaced.
    """
    prefix = "delta.constraints."
    found = {
        key.removeprefix(prefix): rule
        for key, rule in delta.metadata().configuration.items()
        if key.startswith(prefix)
    }

    def values(rule: str) -> set[str]:
        return set(_QUOTED.findall(rule))  # Delta words a rule in its own way, its values stay

    return sorted(
        name
        for name, rule in found.items()
        if name not in constraints or values(rule) != values(constraints[name])
    )


@dataclass
class Lake:
    """Tables below one address (path or object-store URI)."""

    uri: str
    storage_options: dict[str, str] = field(default_factory=dict)

    def table_uri(self, table: str) -> str:
        """Address of a table: its layer is a folder, its name the folder below."""
        return f"{self.uri.rstrip('/')}/{table.replace('.', '/')}"

    def _open(self, table: str, version: int | None = None) -> DeltaTable | None:
        try:
            return DeltaTable(
                self.table_uri(table), version=version, storage_options=self.storage_options or None
            )
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            raise LakeError(f"{table}: the lake cannot be read: {error}") from error

    def exists(self, table: str) -> bool:
        """Whether the table has been published at least once."""
        return self._open(table) is not None

    def version(self, table: str) -> int | None:
        """Live Delta version, or None."""
        delta = self._open(table)
        return None if delta is None else int(delta.version())

    def metadata(self, table: str) -> dict[str, Any]:
        """What the last commit says of itself: run, rules, inputs, content; empty if there is none."""
        delta = self._open(table)
        if delta is None:
            return {}
        last = delta.history(1)[0]
        return {
            k: v
            for k, v in last.items()
            if k in ("run_id", "rules", "inputs", "content", "rows", "pins", "models", "is_changed")
        }

    def state(self, table: str) -> str:
        """A text that changes exactly when the table's content does."""
        delta = self._open(table)
        if delta is None:
            return "absent"
        last = delta.history(1)[0]
        return str(last.get("content") or f"v{delta.version()}")

    def snapshot(self, table: str) -> Snapshot | None:
        """The live version with its state and files, read at one moment; None if there is no table."""
        delta = self._open(table)
        if delta is None:
            return None
        version = int(delta.version())
        content = delta.history(1)[0].get("content")
        return Snapshot(version, str(content or f"v{version}"), tuple(delta.file_uris()))

    def is_current(self, table: str, inputs: str) -> bool:
        """Whether the live version was made from exactly these inputs."""
        return self.metadata(table).get("inputs") == inputs

    def versions(self, table: str) -> list[TableVersion]:
        """The commits that changed rows, as far back as the log goes, oldest first."""
        delta = self._open(table)
        found = []
        for commit in reversed(delta.history()) if delta is not None else ():
            if commit.get("operation") not in _ROW_OPERATIONS:
                continue
            rows = commit.get("rows")
            found.append(
                TableVersion(
                    version=int(commit["version"]),
                    published_at=datetime.fromtimestamp(commit["timestamp"] / 1000, UTC),
                    state=str(commit.get("content") or f"v{commit['version']}"),
                    row_count=None if rows is None else int(rows),
                )
            )
        return found

    def statistics(self, table: str) -> Statistics | None:
        """Rows, bytes, files and nulls of the live version, from the log alone; None if there is none."""
        delta = self._open(table)
        if delta is None:
            return None
        files: Any = pl.from_arrow(pa.table(delta.get_add_actions(flatten=True)))
        prefix = "null_count."
        nulls = {
            name.removeprefix(prefix): int(files[name].sum())
            for name in files.columns
            # A file without statistics of a column makes the column's sum unknown.
            if name.startswith(prefix) and files[name].dtype.is_integer() and not files[name].null_count()
        }
        return Statistics(
            version=int(delta.version()),
            row_count=int(files["num_records"].sum()) if files.height else 0,
            byte_count=int(files["size_bytes"].sum()) if files.height else 0,
            file_count=files.height,
            null_counts=nulls,
        )

    def file_uris(self, table: str, version: int | None = None) -> list[str]:
        """Parquet files of a version, by default the live one."""
        delta = self._open(table, version)
        return [] if delta is None else list(delta.file_uris())

    def scan(self, contract: Contract, version: int | None = None) -> pl.LazyFrame:
        """The table as a lazy frame of the contract's schema; no rows if it was never published."""
        delta = self._open(contract.table, version)
        if delta is None:
            return contract.empty().lazy()
        frame = pl.scan_delta(delta)
        have = set(frame.collect_schema().names())
        return frame.select(
            pl.col(c.name).cast(c.polars_type)
            if c.name in have
            else pl.lit(None, dtype=c.polars_type).alias(c.name)
            for c in contract.columns
        )

    def read(self, contract: Contract, version: int | None = None) -> pl.DataFrame:
        """The whole table, sorted by its key."""
        try:
            return self.scan(contract, version).collect().sort(contract.key)
        except OSError as error:
            raise LakeError(f"{contract.table}: the lake cannot be read: {error}") from error

    def _properties(
        self, metadata: dict[str, str], transaction: Transaction | None = None
    ) -> CommitProperties:
        return CommitProperties(
            custom_metadata=metadata, app_transactions=[transaction] if transaction else None
        )

    def _ensure(self, contract: Contract, metadata: dict[str, str]) -> DeltaTable:
        """The table, created with its constraints where it is missing."""
        delta = self._open(contract.table)
        address = self.table_uri(contract.table)
        try:
            if delta is None:
                if "://" not in address:
                    Path(address).mkdir(parents=True, exist_ok=True)
                delta = DeltaTable.create(
                    address,
                    schema=_delta_ready(contract.empty()).schema,
                    name=contract.table,
                    description=contract.meaning,
                    configuration=_TABLE_PROPERTIES,
                    storage_options=self.storage_options or None,
                    commit_properties=self._properties({k: v for k, v in metadata.items() if k == "run_id"}),
                )
            # Version 0 is a table that a kill left without its constraints; later ones have them.
            constraints = contract.constraints()
            if constraints and delta.version() == 0:
                delta.alter.add_constraint(dict(sorted(constraints.items())))
            for name in _outdated(delta, constraints):
                delta.alter.drop_constraint(name)
        except (DeltaError, OSError) as error:
            raise LakeError(f"{contract.table}: cannot be made in the lake: {_in_short(error)}") from error
        return delta

    def _stream(self, contract: Contract, parts: Iterable[pl.DataFrame], mode: str, **options: Any) -> int:
        """Write parts as they come, in one commit; an error in making a part surfaces as itself."""
        rows = 0
        failures: list[BaseException] = []

        def batches() -> Iterator[pa.RecordBatch]:
            nonlocal rows
            try:
                for part in parts:
                    rows += part.height
                    yield from _delta_ready(contract.shape(part)).to_batches(max_chunksize=250_000)
            except BaseException as error:
                failures.append(error)
                raise

        reader = pa.RecordBatchReader.from_batches(_delta_ready(contract.empty()).schema, batches())
        try:
            self._write(contract, reader, mode, **options)
        except Exception:
            # What Arrow makes of an error in a part depends on its kind; the error itself says more.
            if failures:
                raise failures[0] from None
            raise
        return rows

    def _write(
        self, contract: Contract, data: pa.Table | pa.RecordBatchReader, mode: str, **options: Any
    ) -> None:
        write: Any = write_deltalake  # its overloads tell modes apart, ours is a variable
        try:
            write(
                self.table_uri(contract.table),
                data,
                mode=mode,
                storage_options=self.storage_options or None,
                **options,
            )
        except (DeltaError, OSError) as error:
            message = _in_short(error)
            # A constraint's message prints the rejected rows; they may be personal data.
            if any(word in message.lower() for word in ("constraint", "invariant", "validation check")):
                message = "a row breaks a constraint of the contract"
            raise LakeError(
                f"{contract.table}: not written, the last good version stays: {message}"
            ) from error

    def publish(self, contract: Contract, frame: pl.DataFrame, metadata: dict[str, str]) -> Publication:
        """Make `frame` the live content in one commit, unless it already is.

        Parameters
        ----------
        frame
            all rows of the table; shaped to the contract and sorted by its key here.
        metadata
            texts for the commit: `run_id`, `rules`, `inputs`.

        Raises
        ------
        LakeError
            if the lake cannot be written; the last good version stays live.
        """
        frame = contract.shape(frame).sort(contract.key)
        content = content_of(frame)
        live = self.metadata(contract.table)
        is_changed = live.get("content") != content
        if is_changed or live.get("inputs") != metadata.get("inputs"):
            self._ensure(contract, metadata)
            self._write(
                contract,
                _delta_ready(frame),
                "overwrite",
                schema_mode="overwrite",
                commit_properties=self._properties(
                    {**metadata, "content": content, "rows": str(frame.height), "is_changed": str(is_changed)}
                ),
            )
        return Publication(contract.table, self.version(contract.table) or 0, frame.height, is_changed)

    def publish_parts(
        self, contract: Contract, parts: Iterable[pl.DataFrame], metadata: dict[str, str]
    ) -> Publication:
        """As `publish`, for a table too large to hold: its parts stream into one commit.

        The content is known only when the last part is written, so the commit does not carry it
        and counts as a change; the caller skips it by the fingerprint of the inputs.
        """
        self._ensure(contract, metadata)
        rows = self._stream(
            contract,
            parts,
            "overwrite",
            schema_mode="overwrite",
            commit_properties=self._properties(metadata),
        )
        return Publication(contract.table, self.version(contract.table) or 0, rows, True)

    def append(
        self,
        contract: Contract,
        parts: Iterable[pl.DataFrame],
        metadata: dict[str, str],
        once: str | None = None,
    ) -> bool:
        """Add rows in one commit; with `once`, a second call with the same text adds nothing.

        `once` is kept as a Delta application transaction. Delta records it without enforcing it,
        so it is looked up first. Returns whether rows were added.
        """
        delta = self._ensure(contract, metadata)
        if once is not None and delta.transaction_version(once) is not None:
            return False
        transaction = Transaction(app_id=once, version=1) if once is not None else None
        self._stream(
            contract,
            parts,
            "append",
            schema_mode="merge",
            commit_properties=self._properties(metadata, transaction),
        )
        return True

    def replace_rows(
        self, contract: Contract, frame: pl.DataFrame, column: str, value: str, metadata: dict[str, str]
    ) -> bool:
        """Replace the rows whose `column` equals `value` by `frame`; nothing is written if they are equal."""
        new = contract.shape(frame).sort(contract.key)
        old = self.scan(contract).filter(pl.col(column) == value).collect().sort(contract.key)
        if new.equals(old):
            return False
        self._ensure(contract, metadata)
        quoted = value.replace("'", "''")
        self._write(
            contract,
            _delta_ready(new),
            "overwrite",
            predicate=f"{column} = '{quoted}'",
            commit_properties=self._properties(metadata),
        )
        return True

    def tables(self) -> list[str]:
        """Every table below the lake's path, by name; for an object store the caller knows the names."""
        if "://" in self.uri:
            return []
        root = Path(self.uri)
        return sorted(
            f"{log.parent.parent.name}.{log.parent.name}"
            for log in root.glob("*/*/_delta_log")
            if log.is_dir()
        )
