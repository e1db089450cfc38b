"""Landing: files become rows of text, once, with where they came from.

A file's content lands in one commit or not at all. A file already landed adds nothing. Reading a
format belongs to `crm_hygiene.readers`, giving columns a meaning to `crm_hygiene.conform`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path

import polars as pl

from crm_hygiene.config import Config
from crm_hygiene.contract import Column, Contract, contract_of
from crm_hygiene.errors import FileRefused
from crm_hygiene.mapping import Mapping
from crm_hygiene.night import Night
from crm_hygiene.progress import counted
from crm_hygiene.readers import read_file

# Columns that landing adds; the underscore keeps them apart from any vendor's names.
META_COLUMNS = (
    Column(name="_file", type="string", meaning="Path of the file, relative to the landing folder."),
    Column(name="_file_hash", type="string", meaning="SHA-256 of the file's bytes."),
    Column(
        name="_row_number", type="integer", meaning="Ordinal of the record; 1 is the first after the header."
    ),
    Column(name="_run_id", type="string", meaning="Run that landed the row."),
    Column(name="_landed_at", type="timestamp", meaning="When the file landed."),
    Column(name="_extra", type="string", meaning="Cells that the mapping does not use, as JSON."),
)


UNREADABLE = "unreadable"


def landing_column(vendor_column: str) -> str:
    """Name of a vendor's column in the landing table: Delta allows letters, digits and underscores."""
    return re.sub(r"[^0-9A-Za-z_]", "_", vendor_column)


def landing_contract(mapping: Mapping) -> Contract:
    """The contract of `landing.<source>`, derived from the source's mapping: all vendor columns as text."""
    vendor = tuple(
        Column(
            name=landing_column(name),
            type="string",
            meaning=f"'{name}' as {mapping.source} gave it.",
            pii=True,
        )
        for name in mapping.vendor_columns
    )
    return Contract(
        table=f"landing.{mapping.source}",
        meaning=f"{mapping.object} rows of {mapping.system} as they came, text only. Append-only.",
        grain="one row per record of a file",
        owner="operator",
        key=("_file_hash", "_row_number"),
        required=("_file", "_run_id", "_landed_at"),
        columns=(*META_COLUMNS, *vendor),
    )


@dataclass(frozen=True)
class Discovery:
    """Files of the landing folder by the source that claims them, and those that nobody claims."""

    claimed: dict[str, list[Path]]
    unclaimed: list[Path]
    contested: dict[Path, list[str]]


def file_name(config: Config, path: Path) -> str:
    """A landed file as tables and people are told of it: its path below the landing folder.

    A name that is no UTF-8, as an old share brings, has its odd bytes as `\\xfc`.
    """
    relative = path.relative_to(config.landing_folder).as_posix()
    return os.fsencode(relative).decode("utf-8", "backslashreplace")


def discover(config: Config, mappings: dict[str, Mapping]) -> Discovery:
    """Which file belongs to which source, by the globs of the mappings, in the order of their paths.

    Hidden, partial and ignored files are passed over. A file that two sources claim goes to
    neither. The landing folder may be missing: then nothing is claimed.
    """
    folder = config.landing_folder
    claimed: dict[str, list[Path]] = {name: [] for name in mappings}
    unclaimed: list[Path] = []
    contested: dict[Path, list[str]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else []:
        relative = file_name(config, path)
        if any(fnmatch(relative, g) or fnmatch(path.name, g) for g in config.landing.ignore):
            continue
        owners = [name for name, mapping in mappings.items() if mapping.claims(relative)]
        if len(owners) == 1:
            claimed[owners[0]].append(path)
        elif owners:
            contested[path] = owners
        else:
            unclaimed.append(path)
    return Discovery(claimed, unclaimed, contested)


@dataclass
class LandedSource:
    """What landing one source did: files, rows, and what was refused, for the summary."""

    source: str
    landed: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    row_count: int = 0
    refused_rows: int = 0


def _hash_file(path: Path) -> str:
    """SHA-256 of the content; FileRefused if it cannot be read (gone since it was found, no permission)."""
    digest = sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise FileRefused(f"{path}: cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()


def content_hash(path: Path) -> str:
    """SHA-256 of a file's content as the ledger has it; `unreadable` for a file that cannot be read."""
    try:
        return _hash_file(path)
    except FileRefused:
        return UNREADABLE


def _quarantine_row(
    table: str, source: str, file: str, row_number: int | None, reasons: list[str], row: str | None
) -> dict[str, object]:
    # A file refused as a whole has no row to tell it by, and may be refused again for another reason.
    identity = json.dumps([table, source, file, row_number, row] + (reasons if row_number is None else []))
    return {
        "quarantine_id": sha256(identity.encode("utf-8", "replace")).hexdigest()[:32],
        "table_name": table,
        "source": source,
        "record_id": None,
        "file": file,
        "row_number": row_number,
        "reasons": reasons,
        "row": row,
    }


def _add_to_quarantine(night: Night, rows: list[dict[str, object]]) -> None:
    """Append rows that are not there yet; their ids are hashes, so a repeated night adds nothing."""
    if not rows:
        return
    contract = contract_of("quality.quarantine")
    frame = pl.DataFrame(rows, schema=contract.schema).unique("quarantine_id", maintain_order=True)
    known = night.lake.scan(contract).select("quarantine_id").collect()
    new = frame.join(known, on="quarantine_id", how="anti")
    if new.height:
        night.lake.append(contract, [new], night.metadata())


def _is_known(night: Night, mapping: Mapping, ledger: pl.DataFrame, file: str, file_hash: str) -> bool:
    """Whether this content has landed or was refused before.

    A source that delivers snapshots may deliver an older state again, so there only the newest
    landed content counts as known; refusals count as long as the mapping is the same.
    """
    same = ledger.filter((pl.col("file_hash") == file_hash) & (pl.col("status") == "landed"))
    if mapping.delivery == "snapshot":
        newest = (
            ledger.filter((pl.col("file") == file) & (pl.col("status") == "landed")).sort("landed_at").tail(1)
        )
        return newest.height == 1 and newest["file_hash"][0] == file_hash
    return same.height > 0


def land_source(night: Night, mapping: Mapping, paths: list[Path]) -> LandedSource:
    """Land the new files of one source; a refused file stops nobody else.

    Each file is one append with its hash as the Delta transaction, so a kill between the append
    and the ledger is made good by the next run without landing the rows twice.
    """
    outcome = LandedSource(mapping.source)
    files = contract_of("landing.files")
    ledger = night.lake.scan(files).filter(pl.col("source") == mapping.source).collect()
    for path in paths:
        file = file_name(night.config, path)
        try:
            _land_file(night, mapping, path, file, ledger, outcome)
        except FileRefused as error:
            # The message is kept: it must name the file as users know it, not this machine's path.
            _refuse(
                night,
                mapping,
                path,
                file,
                ledger,
                str(error).replace(str(path), file).removeprefix(f"{file}: "),
                outcome,
            )
    return outcome


def _land_file(
    night: Night, mapping: Mapping, path: Path, file: str, ledger: pl.DataFrame, outcome: LandedSource
) -> None:
    if _is_known(night, mapping, ledger, file, _hash_file(path)):
        outcome.known.append(file)
        return
    landed = read_file(path, mapping)
    contract = landing_contract(mapping)
    row_count = 0

    def parts() -> Iterator[pl.DataFrame]:
        nonlocal row_count
        for chunk in counted(landed.chunks, f"reading {file}", unit="rows", size=pl.DataFrame.__len__):
            row_count += chunk.height
            yield chunk.rename(
                {"row_number": "_row_number", "extra": "_extra"}
                | {
                    name: landing_column(name)
                    for name in chunk.columns
                    if name not in ("row_number", "extra")
                }
            ).with_columns(
                _file=pl.lit(file),
                _file_hash=pl.lit(landed.file_hash),
                _run_id=pl.lit(night.run_id),
                _landed_at=pl.lit(night.started_at),
            )

    # A snapshot may bring an old content back, which then has to land again under its new time.
    once = landed.file_hash if mapping.delivery == "changes" else f"{landed.file_hash}/{night.run_id}"
    if not night.lake.append(contract, parts(), night.metadata(), once=once):
        rows = night.lake.scan(contract).filter(pl.col("_file_hash") == landed.file_hash)
        row_count = rows.select(pl.len()).collect().item()
        for _ in landed.chunks:  # refused rows are known only when the file has been read through
            pass
    table = contract.table
    _add_to_quarantine(
        night,
        [
            _quarantine_row(table, mapping.source, file, r.row_number, list(r.reasons), r.row_text)
            for r in landed.refused
        ],
    )
    _enter(
        night,
        {
            "source": mapping.source,
            "file": file,
            "file_hash": landed.file_hash,
            "byte_count": landed.byte_count,
            "row_count": row_count,
            "refused_count": len(landed.refused),
            "encoding": landed.encoding,
            "header": list(landed.header),
            "warnings": list(landed.warnings),
            "status": "landed",
            "reason": None,
            "run_id": night.run_id,
            "landed_at": night.started_at,
        },
    )
    outcome.landed.append(file)
    outcome.row_count += row_count
    outcome.refused_rows += len(landed.refused)
    outcome.warnings += [f"{file}: {warning}" for warning in landed.warnings]


def _enter(night: Night, entry: dict[str, object]) -> None:
    contract = contract_of("landing.files")
    night.lake.append(contract, [pl.DataFrame([entry], schema=contract.schema)], night.metadata())


def _refuse(
    night: Night,
    mapping: Mapping,
    path: Path,
    file: str,
    ledger: pl.DataFrame,
    reason: str,
    outcome: LandedSource,
) -> None:
    """Record a refused file once per content and reason; it is tried again on every night."""
    outcome.refused[file] = reason
    file_hash = content_hash(path)
    byte_count = path.stat().st_size if path.is_file() else 0
    seen = ledger.filter(
        (pl.col("file") == file)
        & (pl.col("file_hash") == file_hash)
        & (pl.col("status") == "refused")
        & (pl.col("reason") == reason)
    )
    _add_to_quarantine(
        night, [_quarantine_row(f"landing.{mapping.source}", mapping.source, file, None, [reason], None)]
    )
    if seen.height == 0:
        _enter(
            night,
            {
                "source": mapping.source,
                "file": file,
                "file_hash": file_hash,
                "byte_count": byte_count,
                "row_count": 0,
                "refused_count": 0,
                "encoding": None,
                "header": [],
                "warnings": [],
                "status": "refused",
                "reason": reason,
                "run_id": night.run_id,
                "landed_at": night.started_at,
            },
        )
