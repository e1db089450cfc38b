"""Movements: which tellings of bank entries are of one movement, by the balances their statements prove.

A bank's statement in two formats says the same in other words: it is the same movement where account, day,
balance before and after, and all amounts are. Two statements of a day of which one opens with what the other
closes with tell of different movements, however alike their entries. What does not belong here: which telling
stands (`bank_entries`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl

STATEMENT = ["landed_at", "file", "_StatementNumber"]
_TOLD = ["entry_key", "booked_date", "_EntryAmount", "currency", "_Occurrence"]
_ID = [*STATEMENT, *_TOLD]
_CONTENT = "/~"
_DECIMALS = pl.Decimal(18, 5)

Place = tuple[Any, ...]
_Day = dict[Place, tuple[int, int]]
"""By statement the balance before and after its part of a day."""


class _Entry(NamedTuple):
    """One entry as a statement tells it; `before` is the balance before it, in hundred-thousandths."""

    statement: Place
    key: str
    day: str | None
    amount: str
    currency: str | None
    occurrence: str
    account: str
    value: int
    before: int
    stem: str
    row: int

    @property
    def told(self) -> Place:
        """What `_ID` says of it."""
        return (*self.statement, self.key, self.day, self.amount, self.currency, self.occurrence)

    @property
    def landed(self) -> Place:
        """Its place in the order of landing."""
        return (*self.statement[:2], self.row)

    @property
    def has_reference(self) -> bool:
        """Whether the bank gave it a reference."""
        return _CONTENT not in self.key


@dataclass
class _Changes:
    """By what `_ID` says: the key, occurrence and stem an entry gets; and what is not told again."""

    renamed: dict[Place, tuple[str, str, str]] = field(default_factory=dict)
    dropped: set[Place] = field(default_factory=set)


def with_movements(frame: pl.DataFrame) -> pl.DataFrame:
    """Tellings of one movement share `entry_key` and `_Occurrence`; those of two do not.

    Parameters
    ----------
    frame
        raw payments as `bank_entries.canonical_entries` gets them, with `_OpeningBalance` of the statement,
        null where it is not told: such tellings stay as they are.

    Returns
    -------
    the frame with `_stem` (of `record_id`, without the part's number) in any order; the same for any order of
    rows. Where several equal amounts of a day are told in other words, only one statement's words are kept.
    """
    parts = pl.col("_PartCount").cast(pl.Int64, strict=False).fill_null(1)
    bare = pl.col("record_id").str.replace(r"/[0-9]+$", "")
    frame = frame.with_columns(_stem=pl.when(parts > 1).then(bare).otherwise("record_id"))
    entries = _entries(frame)
    if len({entry.statement for entry in entries}) < 2:
        return frame
    changes = _Changes()
    _chained(_one_slice(entries, changes), changes)
    return _changed(frame, changes)


def _entries(frame: pl.DataFrame) -> list[_Entry]:
    """Entries of statements with a balance, of the days of an account that statements tell differently."""
    told = frame.filter(
        (pl.col("statement_kind") == "statement")
        & pl.col("_OpeningBalance").is_not_null()
        & pl.col("entry_key").is_not_null()
    )
    if told.is_empty():
        return []
    length = pl.col("entry_key").str.len_chars()
    bare = pl.when(pl.col("entry_key").str.contains(_CONTENT, literal=True)).then(
        pl.col("entry_key").str.extract(r"^(.*)/~[0-9a-f]*$")
    ).otherwise(pl.col("entry_key").str.head(length - pl.col("_stem").str.len_chars() - 1))  # fmt: skip
    entries = (
        told.with_columns(_account=bare)
        .sort("landed_at", "file", "row_number")
        .group_by(_ID, maintain_order=True)
        .agg(pl.col("_account", "_stem", "_OpeningBalance", "row_number").first())
        .with_columns(
            _value=pl.col("_EntryAmount").cast(_DECIMALS, strict=False).to_physical(),
            _opening=pl.col("_OpeningBalance").cast(_DECIMALS, strict=False).to_physical(),
        )
    )
    # A sum that cannot be read leaves its whole statement as it is told.
    whole = pl.all_horizontal(pl.col("_value", "_opening").is_not_null().all().over(STATEMENT))
    entries = entries.filter(whole).with_columns(
        _before=pl.col("_opening") + pl.col("_value").cum_sum().over(STATEMENT) - pl.col("_value")
    )
    # Most days are told by one statement, or again in the very words: nothing is to be decided there.
    day = ["_account", "currency", "booked_date"]
    said = pl.struct("entry_key", "_Occurrence", "_EntryAmount", "_before").hash()
    of_day = entries.group_by(*STATEMENT, *day).agg(said.sum().alias("_said"), pl.len().alias("_n"))
    told = of_day.group_by(day).agg(pl.struct("_said", "_n").n_unique().alias("_ways"))
    entries = entries.join(told.filter(pl.col("_ways") > 1), on=day, how="semi", nulls_equal=True)
    return [
        _Entry(tuple(row[:3]), *row[3:])
        for row in entries.select(*_ID, "_account", "_value", "_before", "_stem", "row_number").iter_rows()
    ]


def _one_slice(entries: list[_Entry], changes: _Changes) -> dict[Place, _Entry]:
    """Bring together what statements tell of one day between the same two balances; the entries then.

    What only one of them has a reference for gets that reference's key, so that a notification finds it.
    """
    days: dict[Place, list[_Entry]] = defaultdict(list)
    for entry in entries:
        days[entry.statement, entry.account, entry.currency, entry.day].append(entry)
    slices: dict[Place, list[list[_Entry]]] = defaultdict(list)
    for (_, *what), told in days.items():
        start, end = told[0].before, told[-1].before + told[-1].value
        # A day that moves nothing may well come twice.
        if start != end and start + sum(e.value for e in told) == end:
            slices[*what, start, end, tuple(sorted(e.value for e in told))].append(told)
    known = {entry.told: entry for entry in entries}
    for tellings in slices.values():
        first, *others = sorted(tellings, key=lambda told: told[0].landed)
        linked = {entry.told: [entry] for entry in first}
        for told in others:
            for mine, its in _pairs(first, told, changes):
                linked[mine.told].append(its)
        for mine in first:
            alike = linked[mine.told]
            best = next((e for e in alike if e.has_reference), mine)
            for entry in alike if len({(e.key, e.occurrence) for e in alike}) > 1 else ():
                changes.renamed[entry.told] = (best.key, best.occurrence, mine.stem)
                known[entry.told] = entry._replace(key=best.key, occurrence=best.occurrence)
    for place in changes.dropped:
        known.pop(place, None)
    return known


def _pairs(first: list[_Entry], told: list[_Entry], changes: _Changes) -> Iterable[tuple[_Entry, _Entry]]:
    """Entries of two tellings of one slice that are the same movement, in the same words or others."""
    mine, its = _by_key(first), _by_key(told)
    left: dict[int, tuple[list[_Entry], list[_Entry]]] = defaultdict(lambda: ([], []))
    pairs: list[tuple[_Entry, _Entry]] = []
    for key in dict.fromkeys([*mine, *its]):
        ours, theirs = mine.get(key, []), its.get(key, [])
        pairs += zip(ours, theirs, strict=False)
        for rest, side in ((ours[len(theirs) :], 0), (theirs[len(ours) :], 1)):
            for entry in rest:
                left[entry.value][side].append(entry)
    # Two references of the bank are two entries: then the statements are not the same.
    both = [(a, b) for ours, theirs in left.values() for a in ours for b in theirs]
    if any(a.has_reference and b.has_reference for a, b in both):
        return pairs
    for ours, theirs in left.values():
        if len(ours) == 1:
            pairs.append((ours[0], theirs[0]))
        else:
            # Which of several is which cannot be told, and half of each would lose one.
            changes.dropped |= {entry.told for entry in theirs}
    return pairs


def _by_key(entries: list[_Entry]) -> dict[tuple[str, int], list[_Entry]]:
    found: dict[tuple[str, int], list[_Entry]] = defaultdict(list)
    for entry in entries:
        found[entry.key, entry.value].append(entry)
    return found


def _chained(known: dict[Place, _Entry], changes: _Changes) -> None:
    """Give equal entries of statements that follow each other occurrences of their own."""
    days: dict[tuple[str, str | None], _Day] = defaultdict(dict)
    alike: dict[Place, list[tuple[Place, _Entry]]] = defaultdict(list)
    for entry in sorted(known.values(), key=lambda e: e.landed):
        day = days[entry.account, entry.day]
        opening = day[entry.statement][0] if entry.statement in day else entry.before
        day[entry.statement] = (opening, entry.before + entry.value)
    for said, entry in known.items():
        if not entry.has_reference:
            alike[entry.key, entry.day, entry.amount, entry.currency].append((said, entry))
    for told in alike.values():
        day = days[told[0][1].account, told[0][1].day]
        if len({day[entry.statement] for _, entry in told}) == 1:
            continue
        numbered: list[list[_Entry]] = []
        for said, entry in sorted(told, key=lambda item: item[1].landed):
            at = _matching(entry, numbered, day)
            if at is None:
                at = len(numbered)
                numbered.append([])
            numbered[at].append(entry)
            _, _, stem = changes.renamed.get(said, ("", "", entry.stem))
            changes.renamed[said] = (entry.key, str(at + 1), stem)


def _matching(entry: _Entry, numbered: list[list[_Entry]], day: _Day) -> int | None:
    """The number of the entry already told that this is, the one at the same balance first."""
    free = [n for n, told in enumerate(numbered) if all(e.statement != entry.statement for e in told)]
    free = [n for n in free if not any(_is_apart(entry, e, day) for e in numbered[n])]
    same = [n for n in free if any(e.before == entry.before for e in numbered[n])]
    return next(iter([*same, *free]), None)


def _is_apart(one: _Entry, other: _Entry, day: _Day) -> bool:
    """Whether two equal entries are of statements of which one follows the other."""
    if one.statement[:2] == other.statement[:2]:
        # In one file the reader has counted them.
        return one.occurrence != other.occurrence
    spans = (day[one.statement], day[other.statement])
    is_still = any(opening == closing for opening, closing in spans)
    if one.before == other.before and (is_still or spans[0] == spans[1]):
        # What moved nothing is followed by itself, and what comes back to its beginning by all of a day.
        return False
    return _follows(one.statement, other.statement, day) or _follows(other.statement, one.statement, day)


def _follows(later: Place, earlier: Place, day: _Day) -> bool:
    """Whether the day's part of one statement begins where the other's, or one that follows it, ends."""
    seen, ends = {earlier}, [day[earlier][1]]
    while ends:
        end = ends.pop()
        for statement, (opening, closing) in day.items():
            if opening == end and statement not in seen:
                if statement == later:
                    return True
                seen.add(statement)
                ends.append(closing)
    return False


def _changed(frame: pl.DataFrame, changes: _Changes) -> pl.DataFrame:
    if not changes.renamed and not changes.dropped:
        return frame
    schema = {name: frame.schema[name] for name in _ID}
    if changes.dropped:
        gone = pl.DataFrame(list(changes.dropped), schema=schema, orient="row")
        frame = frame.join(gone, on=_ID, how="anti", nulls_equal=True)
    new = pl.DataFrame(
        [(*place, *to) for place, to in changes.renamed.items()],
        schema={**schema, "_new_key": pl.String, "_new_occurrence": pl.String, "_new_stem": pl.String},
        orient="row",
    )
    joined = frame.join(new, on=_ID, how="left", nulls_equal=True)
    return joined.with_columns(
        entry_key=pl.coalesce("_new_key", "entry_key"),
        _Occurrence=pl.coalesce("_new_occurrence", "_Occurrence"),
        _stem=pl.coalesce("_new_stem", "_stem"),
    ).drop("_new_key", "_new_occurrence", "_new_stem")
