"""Judgements from a CSV file: the worksheet filled in, or a plain list of pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from crm_hygiene.contract import contract_of, nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.records import KINDS, Record
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night
from crm_hygiene.stewardship.act import JUDGEMENTS, Act, Judged, Judgement, decide
from crm_hygiene.stewardship.log import Pair, digest
from crm_hygiene.stewardship.spreadsheet import Line, read_csv
from crm_hygiene.stewardship.targets import QUEUE, common_kind, kinds_of, missing, parse_record

_COLUMNS = (
    "judgement", "why", "review_id", "record_l", "record_r", "entity_kind",
    "source_l", "record_id_l", "source_r", "record_id_r",
)  # fmt: skip
# Looking for the nearest id reads all ids of a source; beyond these lines the reason alone must do.
_LINES_WITH_SUGGESTION = 10


@dataclass(frozen=True)
class RefusedLine:
    """A line that was not taken: its number in the file (1 is the first line) and why."""

    number: int
    reason: str


@dataclass(frozen=True)
class Import:
    """What an import came to; `blank` lines had no judgement. `act` is None where nothing was tried."""

    act: Act | None
    refused: tuple[RefusedLine, ...]
    blank: int


@dataclass(frozen=True)
class _Claim:
    """A line with a judgement on two records."""

    number: int
    left: Record
    right: Record
    judgement: Judgement
    why: str | None
    kind: EntityKind | None


def _judgement(cell: str) -> Judgement:
    text = cell.strip().casefold()
    for judgement in JUDGEMENTS:
        if text == judgement:
            return judgement
    hint = nearest(text, list(JUDGEMENTS))
    raise ConfigurationError(f"judgement '{cell.strip()[:40]}' is not one of {', '.join(JUDGEMENTS)}{hint}")


def _kind(cell: str) -> EntityKind | None:
    text = cell.strip().casefold()
    for kind in KINDS:
        if text == kind:
            return kind
    if text:
        raise ConfigurationError(f"entity_kind '{text[:40]}' is not one of {', '.join(KINDS)}")
    return None


def _records(cells: Mapping[str, str], queue: Mapping[str, dict[str, Any]]) -> tuple[Record, Record]:
    """The records of a line: by its question while that is in the queue, else by its record columns."""
    review_id = cells.get("review_id", "").strip().removeprefix("R-")
    row = queue.get(review_id)
    if row is not None:
        if row["record_id_r"] is None:
            raise ConfigurationError("the question is about a whole cluster; use `review decide --cluster`")
        return (row["source_l"], row["record_id_l"]), (row["source_r"], row["record_id_r"])
    found = []
    for side in ("l", "r"):
        # Ids keep their blanks: a source may have put them there.
        whole = cells.get(f"record_{side}", "")
        source, record_id = cells.get(f"source_{side}", "").strip(), cells.get(f"record_id_{side}", "")
        if whole.strip():
            found.append(parse_record(whole))
        elif source and record_id:
            found.append((source, record_id))
    if len(found) == 2:
        return found[0], found[1]
    if review_id:
        raise ConfigurationError(
            f"question R-{review_id} is not in the queue any more and the line does not name both records"
        )
    raise ConfigurationError("the line names neither a question nor two records")


def _claims(
    lines: list[Line], queue: Mapping[str, dict[str, Any]], refused: list[RefusedLine]
) -> tuple[list[_Claim], int]:
    claims, blank = [], 0
    for line in lines:
        if not line.cells.get("judgement", "").strip():
            blank += 1
            continue
        try:
            judgement = _judgement(line.cells["judgement"])
            left, right = _records(line.cells, queue)
            if left == right:
                raise ConfigurationError("both records are the same record")
            why = line.cells.get("why", "").strip() or None
            kind = _kind(line.cells.get("entity_kind", ""))
            claims.append(_Claim(line.number, left, right, judgement, why, kind))
        except ConfigurationError as error:
            refused.append(RefusedLine(line.number, str(error)))
    return claims, blank


def _judged(
    night: Night, claims: list[_Claim], content: str, refused: list[RefusedLine]
) -> list[tuple[int, Judged]]:
    """Claims about records that are there, with the id that recognises them when the file comes again."""
    of = kinds_of(night.lake, sorted({record for c in claims for record in (c.left, c.right)}))
    found = []
    suggested = 0
    for claim in claims:
        gone = [record for record in (claim.left, claim.right) if not of[record]]
        if gone:
            suggested += 1
            reason = missing(night.lake, gone[0], suggested <= _LINES_WITH_SUGGESTION)
            refused.append(RefusedLine(claim.number, reason))
            continue
        try:
            both = [(claim.left, of[claim.left]), (claim.right, of[claim.right])]
            kind = common_kind(both, claim.kind)
        except ConfigurationError as error:
            reason = str(error).replace("say which with --kind", "say which in a column entity_kind")
            refused.append(RefusedLine(claim.number, reason))
            continue
        one = Judged(kind, claim.left, claim.right, claim.judgement, claim.why)
        _, left, right = one.pair
        same_file = "D-" + digest("import", content, kind, *left, *right, claim.judgement)
        found.append((claim.number, Judged(kind, left, right, claim.judgement, claim.why, same_file)))
    return found


def _one_per_pair(found: list[tuple[int, Judged]], refused: list[RefusedLine]) -> list[Judged]:
    """One judgement per pair; lines that contradict each other on a pair are all refused."""
    by_pair: dict[Pair, list[tuple[int, Judged]]] = {}
    for number, one in found:
        by_pair.setdefault(one.pair, []).append((number, one))
    kept = []
    for lines in by_pair.values():
        if len({one.judgement for _, one in lines}) == 1:
            kept.append(lines[0][1])
            continue
        said = ", ".join(f"line {number} says {one.judgement}" for number, one in lines)
        refused += [
            RefusedLine(number, f"the file contradicts itself on this pair: {said}") for number, _ in lines
        ]
    return kept


def import_judgements(
    night: Night, path: Path, by: str, is_strict: bool = False, now: datetime | None = None
) -> Import:
    """Take the judgements of a CSV file as one act; the caller holds the night lock.

    The file needs a column `judgement` and either `review_id`, `record_l` and `record_r` (as
    `source:record_id`), or `source_l`, `record_id_l`, `source_r`, `record_id_r`; `why` and `entity_kind` may
    be there, other columns are ignored. The same file adds nothing a second time, even where its judgements
    were revoked or overridden since.

    Parameters
    ----------
    is_strict
        one refused line refuses the file.

    Raises
    ------
    ConfigurationError
        if the file cannot be read, is no CSV file or lacks the columns.
    LakeError
        if the lake cannot be written; nothing is written then.
    """
    data, header, lines = read_csv(path, _COLUMNS)
    if "judgement" not in header:
        named = ", ".join(name for name in header[:8] if name) or "none"
        raise ConfigurationError(
            f"{path}: no column 'judgement'{nearest('judgement', header)}; columns found: {named}"
        )
    ways = ({"review_id"}, {"record_l", "record_r"}, {"source_l", "record_id_l", "source_r", "record_id_r"})
    if not any(way <= set(header) for way in ways):
        raise ConfigurationError(
            f"{path}: no columns that name the records: review_id, or record_l and record_r, or source_l, "
            "record_id_l, source_r and record_id_r"
        )
    queue = {r["review_id"]: r for r in night.lake.read(contract_of(QUEUE)).iter_rows(named=True)}
    refused: list[RefusedLine] = []
    claims, blank = _claims(lines, queue, refused)
    judgements = _one_per_pair(_judged(night, claims, hashlib.sha256(data).hexdigest(), refused), refused)
    listed = tuple(sorted(refused, key=lambda line: line.number))
    if not judgements or (is_strict and listed):
        return Import(None, listed, blank)
    return Import(decide(night, judgements, by, now), listed, blank)
