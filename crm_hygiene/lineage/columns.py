"""Column lineage: from the columns of a source's export to every column of the lake.

The first step, from a source to the conformed tables, follows from the mappings; the later ones are
declared beside the steps that make the tables. Here they become one graph and one table
(`quality.column_lineage`). What does not belong here: where a single value came from (`origins`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import get_args

import polars as pl

from crm_hygiene.conform.build import OBSERVED_BY
from crm_hygiene.contract import contract_of, load_contracts
from crm_hygiene.expression import (
    Constant,
    Expression,
    Extracted,
    FirstFilled,
    FirstOf,
    Hashed,
    Joined,
    Template,
    Translated,
)
from crm_hygiene.landing import landing_column
from crm_hygiene.lineage.kinds import DIRECT, Kind, kind_of
from crm_hygiene.mapping import Mapping as SourceMapping
from crm_hygiene.mapping import TableMapping
from crm_hygiene.mapping_file import DERIVED

TABLE = "quality.column_lineage"

# Column -> the (table, column) pairs it is made of; the same shape as the steps declare.
Origins = Mapping[str, tuple[tuple[str, str], ...]]

_KINDS = list(get_args(Kind))

_NAME_PARTS = ("name_prefix", "given_name", "middle_name", "family_name", "name_suffix", "full_name")
_ADDRESS_PARTS = ("street", "city", "region", "postal_code")
_PARTS = frozenset((*_NAME_PARTS, *_ADDRESS_PARTS))

# Conformed columns that standardising makes of others beside their own, best source first.
_MADE_OF: dict[str, tuple[str, ...]] = {
    **{part: tuple(other for other in _NAME_PARTS if other != part) for part in _NAME_PARTS},
    **{part: tuple(other for other in _ADDRESS_PARTS if other != part) for part in _ADDRESS_PARTS},
    **DERIVED,
    "observed_at": OBSERVED_BY,
}

# Columns that only decide how another is read: the country of a national number.
_READ_WITH: dict[str, tuple[str, ...]] = {
    "phone": ("country_code",),
    "mobile_phone": ("country_code",),
    "tax_id": ("country_code",),
}

# The channels of consent that speak for a golden column.
_CHANNELS = {
    "email_consent": ("email", "any"),
    "is_suppressed": ("email", "any"),
    "phone_consent": ("phone", "any"),
}

# What the pipeline adds to every record, by the column of the landing table it comes from.
_ADDED = {"file": "_file", "row_number": "_row_number", "landed_at": "_landed_at"}


@dataclass(frozen=True)
class SourceColumn:
    """A source column behind a column of the lake, and how it gets there.

    `is_beside`: it is another part of the same name, address or time, read beside the column's own.
    """

    source: str
    column: str
    kind: Kind
    expression: str
    through: tuple[str, ...] = ()
    is_beside: bool = False

    @property
    def directness(self) -> tuple[int, bool, int, tuple[str, ...]]:
        """Sorts the most direct way first."""
        return (_KINDS.index(self.kind), self.is_beside, len(self.through), self.through)


def in_words(expression: Expression) -> str:
    """A mapping's expression as a phrase."""
    match expression:
        case FirstFilled(first_filled=(column,)):
            return f"taken from {column}"
        case FirstFilled():
            return f"first filled of {', '.join(expression.columns)}"
        case Constant():
            return f"always {expression.constant}"
        case Translated():
            return f"{', '.join(expression.columns)} translated word by word"
        case Extracted():
            return f"part of {', '.join(expression.columns)}"
        case Joined():
            return f"{', '.join(expression.columns)} joined"
        case Template():
            return f"template {expression.template}"
        case Hashed():
            return f"hash of {', '.join(expression.columns)}"
        case FirstOf():
            return "first of: " + "; ".join(in_words(option) for option in expression.first_of)
        case _:
            return ", ".join(expression.columns)


def _blocks(table: str, mapping: SourceMapping) -> tuple[TableMapping, ...]:
    return mapping.tables.get(table.removeprefix("conformed."), ())


def _stated(table: str, source: str, block: TableMapping) -> Iterator[tuple[str, SourceColumn]]:
    """What one block of a mapping says: conformed column and source column, in the order written."""
    for column, expression in block.columns.items():
        is_taken_over = isinstance(expression, FirstFilled)
        kind = kind_of(table, column, "", column if is_taken_over else "")
        for vendor in expression.columns:
            yield column, SourceColumn(source, vendor, kind, in_words(expression))
        if isinstance(expression, Constant):
            for condition in block.when:
                yield column, SourceColumn(source, condition.column, "conditional", in_words(expression))
    for condition in block.when:
        yield (
            "record_id",
            SourceColumn(source, condition.column, "conditional", "decides whether a row is taken"),
        )


def source_columns(
    table: str, mapping: SourceMapping, channels: Collection[str] | None = None
) -> dict[str, list[SourceColumn]]:
    """Source columns behind each column of a conformed table, for one source, first tried first.

    With `channels`, only blocks that can state something of one of these channels count.
    """
    names = contract_of(table).column_names
    stated: dict[str, list[SourceColumn]] = {}
    for block in _blocks(table, mapping):
        channel = block.columns.get("channel")
        if channels is not None and isinstance(channel, Constant) and channel.constant not in channels:
            continue
        for column, origin in _stated(table, mapping.source, block):
            stated.setdefault(column, []).append(origin)
    found = {column: list(origins) for column, origins in stated.items()}
    for column, others in _MADE_OF.items():
        if column in names:
            own = stated.get(column)
            found.setdefault(column, []).extend(
                replace(o, kind="transformation", is_beside=bool(own) or column in _PARTS)
                for other in others
                for o in stated.get(other, [])
                if o.kind != "conditional"
            )
    for column, others in _READ_WITH.items():
        if column in stated:
            found[column] += [
                replace(o, kind="conditional") for other in others for o in stated.get(other, [])
            ]
    return {column: _once(origins) for column, origins in found.items() if column in names and origins}


def _once(origins: list[SourceColumn]) -> list[SourceColumn]:
    """Each source column once, by its most direct way, in the order in which it first occurred."""
    best: dict[tuple[str, str], SourceColumn] = {}
    for origin in origins:
        key = (origin.source, origin.column)
        if key not in best or origin.directness < best[key].directness:
            best[key] = origin
    return list(best.values())


def conformed_lineage(
    table: str, mappings: Mapping[str, SourceMapping]
) -> dict[str, tuple[tuple[str, str], ...]]:
    """Landing columns behind each column of `conformed.<table>`, over all sources that feed it."""
    name = f"conformed.{table}"
    found: dict[str, dict[tuple[str, str], None]] = {}
    for source, mapping in mappings.items():
        if not _blocks(name, mapping):
            continue
        for column, origins in source_columns(name, mapping).items():
            pairs = [(f"landing.{source}", landing_column(o.column)) for o in origins]
            found.setdefault(column, {}).update(dict.fromkeys(pairs))
        for column in _ADDED.keys() & set(contract_of(name).column_names):
            found.setdefault(column, {})[f"landing.{source}", _ADDED[column]] = None
    return {column: tuple(origins) for column, origins in found.items()}


class ColumnGraph:
    """Every column of the lake and the columns it is made of.

    `declared` is by table what the steps say of their own columns; conformed tables come from the
    mappings instead, which know more.
    """

    def __init__(self, mappings: Mapping[str, SourceMapping], declared: Mapping[str, Origins]) -> None:
        self._mappings = mappings
        self._declared = declared
        self._conformed: dict[str, list[dict[str, list[SourceColumn]]]] = {}
        self._known: dict[tuple[str, str], list[SourceColumn]] = {}

    def origins(self, table: str, column: str) -> list[SourceColumn]:
        """Source columns behind one column, sorted by source, within a source first tried first."""
        key = (table, column)
        if key not in self._known:
            self._known[key] = []  # a column that leads back to itself adds nothing
            found = _once(list(self._trace(table, column)))
            self._known[key] = sorted(found, key=lambda origin: (origin.source, origin.kind not in DIRECT))
        return self._known[key]

    def _trace(self, table: str, column: str) -> Iterator[SourceColumn]:
        if table.startswith("conformed."):
            if table not in self._conformed:
                self._conformed[table] = [source_columns(table, m) for m in self._mappings.values()]
            for by_column in self._conformed[table]:
                yield from by_column.get(column, [])
            return
        for from_table, from_column in self._declared.get(table, {}).get(column, ()):
            if from_table.startswith("landing."):
                continue
            kind = kind_of(table, column, from_table, from_column)
            origins = self.origins(from_table, from_column)
            if from_table == "conformed.consents" and column in _CHANNELS:
                origins = self._consents(from_column, _CHANNELS[column])
            for origin in origins:
                yield replace(
                    origin,
                    kind=max(kind, origin.kind, key=_KINDS.index),
                    through=(*origin.through, f"{from_table}.{from_column}"),
                )

    def _consents(self, column: str, channels: Collection[str]) -> list[SourceColumn]:
        found = (source_columns("conformed.consents", m, channels) for m in self._mappings.values())
        return [origin for by_column in found for origin in by_column.get(column, [])]

    def frame(self) -> pl.DataFrame:
        """Rows of quality.column_lineage, sorted by key."""
        rows = []
        for table, contract in load_contracts().items():
            if table.startswith("landing.") or not (
                table.startswith("conformed.") or table in self._declared
            ):
                continue
            for column in contract.column_names:
                place: dict[str, int] = {}
                for origin in self.origins(table, column):
                    place[origin.source] = place.get(origin.source, 0) + 1
                    rows.append(
                        {
                            "source": origin.source,
                            "source_column": origin.column,
                            "landing_column": landing_column(origin.column),
                            "table_name": table,
                            "column_name": column,
                            "transformation": origin.kind,
                            "expression": origin.expression,
                            "through": " > ".join(origin.through) or None,
                            "position": place[origin.source],
                            "is_beside": origin.is_beside,
                            "empty_values": list(self._mappings[origin.source].nulls),
                        }
                    )
        contract = contract_of(TABLE)
        return pl.DataFrame(rows, schema=contract.schema, orient="row").sort(contract.key)
