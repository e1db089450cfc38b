"""The lake: Delta tables by name. The only module that imports deltalake.

`golden.contacts` is the Delta table `<lake>/golden/contacts`. What does not belong here: what a
table means (`crm_hygiene.contract`), whether it is good enough to publish (`expectations.gate`).

One publication is one Delta commit. A commit carries the run, the rule-set fingerprint, the
fingerprint of its inputs and of its content; content that is already live is not written again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Schema,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler

from crm_hygiene.contract import Contract
from crm_hygiene.errors import LakeError
from crm_hygiene.fingerprint import Content, content_of
from crm_hygiene.key_order import in_key_order
from crm_hygiene.lake_batches import as_reader, batches_of, delta_schema, made_apart
from crm_hygiene.lake_constraints import outdated
from crm_hygiene.lake_errors import in_short
from crm_hygiene.lake_files import StoreFiles
from crm_hygiene.lake_tables import OPEN_TABLES, OpenTable, is_folder
from crm_hygiene.lake_tidying import LOG_PROPERTIES, Tidying
from crm_hygiene.lake_versions import (
    COMMIT_TEXTS,
    CONTENT_OF,
    Publication,
    Snapshot,
    Statistics,
    TableVersion,
    row_versions,
    state_of,
)
from crm_hygiene.lease import LeaseTable, check_held

__all__ = ["Lake", "Publication", "Snapshot", "Statistics", "TableVersion", "Tidying"]

# Tries of a write that others keep overtaking; with the night's lock, none ever does.
_ATTEMPTS = 20

# Upkeep knows of files that went out of use as long as checkpoints name them.
_TABLE_PROPERTIES = {
    "delta.logRetentionDuration": "interval 30 days",
    "delta.deletedFileRetentionDuration": "interval 30 days",
    **LOG_PROPERTIES,
}

# How every Parquet file is written, also where upkeep writes it anew; what it brings: docs/performance.md.
_PARQUET = WriterProperties(
    compression="ZSTD",
    compression_level=1,
    # Readers decode row groups side by side. Two of DuckDB's own: others leave it with broken ones.
    max_row_group_size=2 * 122_880,
)


class OvertakenError(LakeError):
    """Another process committed first, and Delta lets this commit not follow as if nothing had happened."""


_Done = TypeVar("_Done")


def _one_after_another(write: Callable[[], _Done]) -> _Done:
    """Look and write; where another process came between, look again."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return write()
        except OvertakenError:
            OPEN_TABLES.ask_again()
    return write()


def _collected(contract: Contract, rows: pl.LazyFrame) -> pl.DataFrame:
    try:
        return rows.collect()
    except OSError as error:
        raise LakeError(f"{contract.table}: the lake cannot be read: {in_short(error)}") from error


@dataclass
class Lake:
    """Tables below one address (path or object-store URI)."""

    uri: str
    storage_options: dict[str, str] = field(default_factory=dict, repr=False)  # may hold secrets

    def table_uri(self, table: str) -> str:
        """Address of a table: its layer is a folder, its name the folder below."""
        return f"{self.uri.rstrip('/')}/{table.replace('.', '/')}"

    def _key(self, table: str, version: int | None) -> tuple[str, tuple[tuple[str, str], ...], int | None]:
        return self.table_uri(table), tuple(sorted(self.storage_options.items())), version

    def _fresh(self, table: str, version: int | None = None) -> DeltaTable | None:
        """The table opened just now, for one that writes to it."""
        address = self.table_uri(table)
        if is_folder(address) and not Path(address, "_delta_log").is_dir():
            return None
        try:
            return _Table(address, version=version, storage_options=self.storage_options or None)
        except TableNotFoundError:
            # Also said of a version whose commits are no longer in the log; that is no empty table.
            if version is not None and self._fresh(table) is not None:
                raise LakeError(f"{table}: version {version} is no longer in the lake") from None
            return None
        except (DeltaError, OSError) as error:
            raise LakeError(f"{table}: the lake cannot be read: {in_short(error)}") from error

    def _to_write(self, table: str) -> DeltaTable | None:
        """As `_fresh`; the table that this process wrote to last is caught up with where nobody reads it."""
        taken = OPEN_TABLES.take(self._key(table, None))
        try:
            delta = None if taken is None else taken.caught_up()
        except (DeltaError, OSError):
            delta = None  # what is the matter is told by who opens it
        return self._fresh(table) if delta is None else delta

    def _written(self, table: str, delta: DeltaTable) -> None:
        """Keep open what was just written through."""
        OPEN_TABLES.put(self._key(table, None), OpenTable(self.table_uri(table), delta), is_written=True)

    def _open(
        self, table: str, version: int | None = None, within: float | None = None, is_read: bool = True
    ) -> OpenTable | None:
        def opened() -> OpenTable | None:
            delta = self._fresh(table, version)
            return None if delta is None else OpenTable(self.table_uri(table), delta)

        try:
            return OPEN_TABLES.get(self._key(table, version), opened, within, is_read)
        except (DeltaError, OSError) as error:
            raise LakeError(f"{table}: the lake cannot be read: {in_short(error)}") from error

    def exists(self, table: str) -> bool:
        """Whether the table has been published at least once."""
        return self._open(table, is_read=False) is not None

    def version(self, table: str, within: float | None = None) -> int | None:
        """Live Delta version, or None; `within` is how many seconds old an object store's answer may be."""
        found = self._open(table, within=within, is_read=False)
        return None if found is None else found.version

    def metadata(self, table: str, version: int | None = None) -> dict[str, Any]:
        """What a commit, by default the last, says of itself: run, rules, inputs, content; empty if none."""
        found = self._open(table, version)
        if found is None:
            return {}
        return {k: v for k, v in found.last_commit.items() if k in COMMIT_TEXTS}

    def state(self, table: str) -> str:
        """A text that changes exactly when the table's content does."""
        found = self._open(table)
        return "absent" if found is None else state_of(found.last_commit)

    def snapshot(self, table: str) -> Snapshot | None:
        """The live version with its state and files, read at one moment; None if there is no table."""
        found = self._open(table)
        if found is None:
            return None
        return Snapshot(found.version, state_of(found.last_commit), tuple(found.delta.file_uris()))

    def is_current(self, table: str, inputs: str) -> bool:
        """Whether the live version was made from exactly these inputs."""
        return self.metadata(table).get("inputs") == inputs

    def versions(self, table: str) -> list[TableVersion]:
        """The commits that changed rows, as far back as the log goes, oldest first."""
        found = self._open(table)
        return [] if found is None else row_versions(reversed(found.commits()))

    def statistics(self, table: str) -> Statistics | None:
        """Rows, bytes, files and nulls of the live version, from the log alone; None if there is none."""
        found = self._open(table)
        return None if found is None else found.statistics

    def file_uris(self, table: str, version: int | None = None) -> list[str]:
        """Parquet files of a version, by default the live one."""
        found = self._open(table, version)
        return [] if found is None else list(found.delta.file_uris())

    def scan(self, contract: Contract, version: int | None = None) -> pl.LazyFrame:
        """The table as a lazy frame of the contract's schema; no rows if it was never published."""
        found = self._open(contract.table, version)
        if found is None:
            return contract.empty().lazy()
        frame = pl.scan_delta(found.delta)
        have = set(frame.collect_schema().names())
        return frame.select(
            pl.col(c.name).cast(c.polars_type)
            if c.name in have
            else pl.lit(None, dtype=c.polars_type).alias(c.name)
            for c in contract.columns
        )

    def scan_often(self, contract: Contract, few_rows: int) -> pl.LazyFrame:
        """As `scan`, to be asked many times: a table of no more than `few_rows` is read whole, once.

        A column of few rows costs nearly as much to read as all of them.
        """
        rows = self.scan(contract)
        found = self.statistics(contract.table)
        is_small = found is not None and found.row_count <= few_rows
        return _collected(contract, rows).lazy() if is_small else rows

    def read(self, contract: Contract, version: int | None = None) -> pl.DataFrame:
        """The whole table, sorted by its key."""
        return in_key_order(_collected(contract, self.scan(contract, version)), contract.key)

    def _properties(
        self, metadata: dict[str, str], transactions: list[Transaction] | None = None
    ) -> CommitProperties:
        return CommitProperties(custom_metadata=metadata, app_transactions=transactions)

    def _ensure(self, contract: Contract, metadata: dict[str, str]) -> DeltaTable:
        """The table as it stands now, opened to be written, made with its constraints where it is missing."""
        return _one_after_another(lambda: self._ensured(contract, metadata))

    def _ensured(self, contract: Contract, metadata: dict[str, str]) -> DeltaTable:
        """`_ensure`, but for an `OvertakenError` where another process makes the table at the same time.

        Delta takes no constraints in the commit that creates a table.
        """
        delta = self._to_write(contract.table)
        found = None if delta is None else delta.version()
        address = self.table_uri(contract.table)
        constraints = contract.constraints()
        try:
            if delta is None:
                if is_folder(address):
                    Path(address).mkdir(parents=True, exist_ok=True)
                delta = _Table.create(
                    address,
                    schema=delta_schema(contract.empty()),
                    name=contract.table,
                    description=contract.meaning,
                    configuration=_TABLE_PROPERTIES,
                    storage_options=self.storage_options or None,
                    # Tried again, Delta would make the table a second time, after its first rows.
                    commit_properties=CommitProperties(
                        custom_metadata={k: v for k, v in metadata.items() if k == "run_id"},
                        max_commit_retries=0,
                    ),
                )
            # Version 0 is a table that a kill left without its constraints; later ones have them.
            if constraints and delta.version() == 0:
                delta.alter.add_constraint(dict(sorted(constraints.items())))
            for name in outdated(delta.metadata().configuration, constraints):
                delta.alter.drop_constraint(name)
        except (DeltaError, OSError) as error:
            now = self._fresh(contract.table)
            is_overtaken = now is not None and now.version() != found
            kind = OvertakenError if is_overtaken else LakeError
            raise kind(f"{contract.table}: cannot be made in the lake: {in_short(error)}") from error
        return delta

    def _stream(
        self,
        contract: Contract,
        delta: DeltaTable,
        parts: Iterable[pl.DataFrame],
        mode: str,
        content: Content | None = None,
        **options: Any,
    ) -> int:
        """Write parts as they come, in one commit; an error in making a part surfaces as itself.

        Every part counts in `content`. Returns how many rows there were.
        """
        rows = 0
        failures: list[BaseException] = []

        def batches() -> Iterator[pa.RecordBatch]:
            nonlocal rows
            try:
                for part in made_apart(parts):
                    shaped = contract.shape(part)
                    rows += shaped.height
                    if content is not None:
                        content.add(shaped)
                    yield from batches_of(shaped)
            except BaseException as error:
                failures.append(error)
                raise

        reader = pa.RecordBatchReader.from_batches(delta_schema(contract.empty()), batches())
        try:
            self._write(contract, delta, reader, mode, **options)
        except Exception:
            # What Arrow makes of an error in a part depends on its kind; the error itself says more.
            if failures:
                raise failures[0] from None
            raise
        return rows

    def _write(
        self,
        contract: Contract,
        delta: DeltaTable,
        data: pa.RecordBatchReader,
        mode: str,
        **options: Any,
    ) -> None:
        """One commit through `delta`, which is at the new version then.

        Raises `OvertakenError` where another process committed something that this must not pass over.
        """
        check_held(self.uri)
        write: Any = write_deltalake  # its overloads tell modes apart, ours is a variable
        try:
            write(delta, data, mode=mode, writer_properties=_PARQUET, **options)
        except CommitFailedError as error:
            raise OvertakenError(
                f"{contract.table}: not written, another process wrote to it at the same time; run again"
            ) from error
        except (DeltaError, OSError) as error:
            message = in_short(error)
            # A constraint's message prints the rejected rows; they may be personal data.
            if any(word in message.lower() for word in ("constraint", "invariant", "validation check")):
                message = "a row breaks a constraint of the contract"
            raise LakeError(
                f"{contract.table}: not written, the last good version stays: {message}"
            ) from error
        self._written(contract.table, delta)

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
        frame = in_key_order(contract.shape(frame), contract.key)
        content = content_of(frame)

        def once() -> Publication:
            live = self.metadata(contract.table)
            version = self.version(contract.table)
            is_changed = live.get("content") != content
            if is_changed or live.get("inputs") != metadata.get("inputs"):
                delta = self._ensure(contract, metadata)
                said = {"content": content, "rows": str(frame.height), "is_changed": str(is_changed)}
                texts = {**metadata, **said}
                same_columns = delta.schema() == Schema.from_arrow(delta_schema(frame))
                if is_changed or delta.version() != version or not same_columns:
                    self._write(
                        contract,
                        delta,
                        as_reader(frame),
                        "overwrite",
                        schema_mode="overwrite",
                        commit_properties=self._properties(texts),
                    )
                else:  # only what the rows were made from is another
                    self._note(contract, delta, texts)
            return Publication(contract.table, self.version(contract.table) or 0, frame.height, is_changed)

        return _one_after_another(once)

    def publish_parts(
        self,
        contract: Contract,
        parts: Iterable[pl.DataFrame],
        metadata: dict[str, str],
        tells_content: bool = False,
    ) -> Publication:
        """As `publish`, for a table too large to hold: its parts stream into one commit.

        The content is known only when the last part is written, so the rows are written even if they are
        live already, and the commit does not carry it. With `tells_content` a second commit, which changes
        no row, does; between the two, or without it, the rows count as changed. Parts come once, so a
        process that writes to the table meanwhile is an error, and the last good version stays.
        """
        delta = self._ensure(contract, metadata)
        live = self.metadata(contract.table)
        content = Content() if tells_content else None
        options = {"schema_mode": "overwrite", "commit_properties": self._properties(metadata)}
        rows = self._stream(contract, delta, parts, "overwrite", content, **options)
        version = int(delta.version())
        if content is None:
            return Publication(contract.table, version, rows, True)
        is_changed = live.get("content") != content.text
        said = {"content": content.text, "rows": str(rows), "is_changed": str(is_changed)}
        self._note(contract, delta, {**metadata, **said, CONTENT_OF: str(version)})
        return Publication(contract.table, version, rows, is_changed)

    def _note(self, contract: Contract, delta: DeltaTable, texts: dict[str, str]) -> None:
        """A commit of texts only, through `delta`, which is at the new version then.

        Raises `OvertakenError` where another process committed: what is told are the rows that `delta` has.
        """
        check_held(self.uri)
        # Delta would take a commit without rows after any other.
        told = CommitProperties(custom_metadata=texts, max_commit_retries=0)
        try:
            delta.create_write_transaction([], "append", delta.schema(), commit_properties=told)
            delta.update_incremental()
        except CommitFailedError as error:
            raise OvertakenError(
                f"{contract.table}: its content is not told, another process wrote to it at the same time"
            ) from error
        except (DeltaError, OSError) as error:
            raise LakeError(f"{contract.table}: its content is not told: {in_short(error)}") from error
        self._written(contract.table, delta)

    def append(
        self,
        contract: Contract,
        parts: Iterable[pl.DataFrame],
        metadata: dict[str, str],
        once: str | None = None,
    ) -> bool:
        """Add rows in one commit; with `once`, a second call with the same text adds nothing.

        `once` is kept as a Delta application transaction. Delta records it without enforcing it,
        so it is looked up first; of two processes that append the same at once, Delta lets one through.
        Returns whether rows were added.
        """
        delta = self._ensure(contract, metadata)
        if once is not None and delta.transaction_version(once) is not None:
            return False
        transactions = [Transaction(app_id=once, version=1)] if once is not None else None
        try:
            self._stream(
                contract,
                delta,
                parts,
                "append",
                schema_mode="merge",
                commit_properties=self._properties(metadata, transactions),
            )
        except OvertakenError:
            now = self._fresh(contract.table)
            if once is not None and now is not None and now.transaction_version(once) is not None:
                return False
            raise
        return True

    def append_each(
        self,
        contract: Contract,
        frames: Mapping[str, pl.DataFrame],
        metadata: dict[str, str],
        absent_at: int | None = None,
    ) -> set[str]:
        """Add frames in one commit, each once under its text, as `append` does; the texts that were added.

        `absent_at` is a version of which the caller knows that it has none of the texts. While it is the last
        one they are not looked up, which replays the log for every text.
        """

        def once() -> set[str]:
            delta = self._ensure(contract, metadata)
            new = dict(frames)
            if delta.version() != absent_at:
                new = {text: frame for text, frame in new.items() if delta.transaction_version(text) is None}
            if new:
                transactions = [Transaction(app_id=text, version=1) for text in new]
                said = self._properties(metadata, transactions)
                self._stream(
                    contract, delta, new.values(), "append", schema_mode="merge", commit_properties=said
                )
            return set(new)

        return _one_after_another(once)

    def replace_rows(
        self, contract: Contract, frame: pl.DataFrame, column: str, value: str, metadata: dict[str, str]
    ) -> bool:
        """Replace the rows whose `column` equals `value` by `frame`; nothing is written if they are equal."""
        new = contract.shape(frame).sort(contract.key)
        quoted = value.replace("'", "''")

        def once() -> bool:
            old = self.scan(contract).filter(pl.col(column) == value).collect().sort(contract.key)
            if new.equals(old):
                return False
            self._write(
                contract,
                self._ensure(contract, metadata),
                as_reader(new),
                "overwrite",
                predicate=f"{column} = '{quoted}'",
                commit_properties=self._properties(metadata),
            )
            return True

        return _one_after_another(once)

    def tables(self) -> list[str]:
        """Every table of the lake, by name."""
        if is_folder(self.uri):
            root = Path(self.uri)
            logs = (log for log in root.glob("*/*/_delta_log") if log.is_dir())
            return sorted(f"{log.parent.parent.name}.{log.parent.name}" for log in logs)
        try:
            files = self.files()
            layers = [name for name in files.folders() if not name.startswith(("_", "."))]
            return sorted(
                f"{layer}.{name}"
                for layer in layers
                for name in files.folders(layer)
                if "_delta_log" in files.folders(f"{layer}/{name}")
            )
        except OSError as error:
            raise LakeError(f"{self.uri}: the lake cannot be read: {in_short(error)}") from error

    def stored(self, table: str) -> dict[str, int]:
        """Bytes of every file of a table, past versions and log included, by name below the table."""
        root = Path(self.table_uri(table))
        try:
            if is_folder(self.uri):
                paths = (path for path in root.rglob("*") if path.is_file())
                return {path.relative_to(root).as_posix(): path.stat().st_size for path in paths}
            handler = DeltaStorageHandler(self.table_uri(table), self.storage_options or None)
            return StoreFiles(handler).files()
        except OSError as error:
            raise LakeError(f"{table}: the lake cannot be read: {in_short(error)}") from error

    def tidying(self, table: str) -> Tidying:
        """The table opened to be tidied; its rows and its state stay as they are."""
        check_held(self.uri)
        delta = self._fresh(table)
        if delta is None:
            raise LakeError(f"{table}: there is no such table to tidy")
        opened = OpenTable(self.table_uri(table), delta)
        last = opened.last_commit
        texts = {name: last[name] for name in COMMIT_TEXTS if name in last} | {"content": state_of(last)}

        def commit_options(more: Mapping[str, str]) -> dict[str, Any]:
            # A commit that tidies leaves the log alone: what may go of it is decided with what is needed.
            return {
                "commit_properties": self._properties({**texts, **more}),
                "post_commithook_properties": PostCommitHookProperties(cleanup_expired_logs=False),
            }

        return Tidying(table, opened, commit_options, _PARQUET, lambda: self.stored(table))

    def files(self) -> StoreFiles:
        """Plain files in the lake's object store."""
        return StoreFiles(DeltaStorageHandler(self.uri, self.storage_options or None))

    def has_files_of(self, table: str, version: int) -> bool:
        """Whether a past version can still be read: a vacuum may have taken its files."""
        try:
            found = self._open(table, version)
            if found is None:
                return False
            paths = found.delta.file_uris()
            if is_folder(self.uri):
                return all(Path(path).exists() for path in paths)
            root = f"{self.table_uri(table)}/"
            inside = DeltaStorageHandler(self.table_uri(table), self.storage_options or None)
            return StoreFiles(inside).exists(*(path.removeprefix(root) for path in paths))
        except (LakeError, OSError):
            return False

    def lease(self, name: str) -> LeaseTable:
        """The commits that keep a lease on this lake."""
        return _LeaseTable(f"{self.uri.rstrip('/')}/_leases/{name}", self.storage_options)


class _Table(DeltaTable):
    """A table that names its files as they are; Delta names them as in an address, `a%20b` for `a b`."""

    def file_uris(self, *given: Any, **named: Any) -> list[str]:
        return [unquote(path) for path in super().file_uris(*given, **named)]


class _LeaseTable:
    """See `crm_hygiene.lease`: a table without rows whose commits follow each other one by one."""

    def __init__(self, address: str, storage_options: dict[str, str]) -> None:
        self._address = address
        self._options = storage_options or None

    def last(self) -> tuple[int, Mapping[str, Any]]:
        try:
            table = DeltaTable.create(
                self._address,
                pa.schema([("holder", pa.string())]),
                mode="ignore",
                name="lease",
                configuration={"delta.logRetentionDuration": "interval 1 days"},
                storage_options=self._options,
            )
            return int(table.version()), table.history(1)[0]
        except (DeltaError, OSError) as error:
            raise LakeError(f"{self._address}: the lake cannot be locked: {in_short(error)}") from error

    def commit(self, after: int, texts: dict[str, str]) -> bool:
        try:
            table = DeltaTable(self._address, version=after, storage_options=self._options)
            # Without retries the commit is number `after` + 1 or none.
            once = CommitProperties(custom_metadata=texts, max_commit_retries=0)
            table.create_write_transaction([], "append", table.schema(), commit_properties=once)
        except CommitFailedError:
            return False
        except (DeltaError, OSError) as error:
            raise LakeError(f"{self._address}: the lake cannot be locked: {in_short(error)}") from error
        return True
