"""Source mappings: one YAML file says how a vendor's export becomes conformed tables.

Here are the model of a mapping and the tolerant matching of a file's header with the vendor columns it
knows. What does not belong here: reading it from YAML and what may be wrong there
(`crm_hygiene.mapping_file`), reading exports (`crm_hygiene.readers`), the expressions themselves
(`crm_hygiene.expression`) and typing values (conforming).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase, translate
from functools import cached_property, lru_cache
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, field_validator

from crm_hygiene.errors import FileRefused
from crm_hygiene.expression import Expression, yaml_text

FileFormat = Literal[
    "auto", "csv", "json", "jsonl", "camt053", "bank", "camt", "mt940", "bai2", "ofx", "einvoice", "x12"
]


class Condition(BaseModel):
    """A row filter on one vendor column: `in`, `not_in` (both case-insensitive) or `filled`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    column: str
    in_: tuple[str, ...] | None = Field(default=None, alias="in")
    not_in: tuple[str, ...] | None = None
    filled: bool | None = None

    @field_validator("in_", "not_in", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        return [yaml_text(v) for v in value] if isinstance(value, list | tuple) else value

    def to_polars(self) -> pl.Expr:
        """True for the rows that pass; never null. An empty cell passes `not_in` and fails `in`."""
        text = pl.col(self.column).str.strip_chars().str.to_lowercase()
        passes = pl.lit(True)
        if self.in_ is not None:
            passes = passes & text.is_in([v.lower() for v in self.in_]).fill_null(False)
        if self.not_in is not None:
            passes = passes & ~text.is_in([v.lower() for v in self.not_in]).fill_null(False)
        if self.filled is not None:
            passes = passes & (pl.col(self.column).is_not_null() == self.filled)
        return passes


@dataclass(frozen=True)
class TableMapping:
    """How rows of a source become rows of one conformed table.

    `table` is the bare name (`people`); `columns` maps conformed columns to expressions and always
    holds `record_id`; a row is taken if every condition of `when` holds. `changed_at` maps conformed columns
    to where the source tells when it changed that field.
    """

    table: str
    columns: dict[str, Expression]
    when: tuple[Condition, ...] = ()
    changed_at: dict[str, Expression] = field(default_factory=dict)

    @property
    def vendor_columns(self) -> tuple[str, ...]:
        """Vendor columns the block reads, filters first."""
        names = [c.column for c in self.when]
        names += [name for e in self.columns.values() for name in e.columns]
        names += [name for e in self.changed_at.values() for name in e.columns]
        return tuple(dict.fromkeys(names))

    def predicate(self) -> pl.Expr:
        """The row filter as a Polars expression."""
        return pl.all_horizontal([c.to_polars() for c in self.when]) if self.when else pl.lit(True)


class Writeback(BaseModel):
    """Which vendor columns may be written, and in which object of which target.

    `columns` maps golden columns to vendor columns; `suppress` maps `email_consent` and
    `phone_consent` to the vendor's opt-out flags, to which only an opt-out is ever carried.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: str
    object: str
    columns: dict[str, str] = Field(default_factory=dict)
    suppress: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class HeaderMatch:
    """What a file's header has in common with a mapping.

    `columns` maps vendor columns as the mapping spells them to headers as the file spells them.
    """

    columns: dict[str, str]
    unknown: list[str] = field(default_factory=list)
    missing_required: list[str] = field(default_factory=list)


@lru_cache(maxsize=256)
def _globs(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What a case-folded path has to match, and what it must not."""
    wanted = [translate(p.casefold()) for p in patterns if not p.startswith("!")]
    unwanted = [translate(p[1:].casefold()) for p in patterns if p.startswith("!")]
    never = r"(?!)"
    return re.compile("|".join(wanted) or never), re.compile("|".join(unwanted) or never)


def header_key(name: str) -> str:
    """What is left of a column name when layouts differ: casefolded letters and digits."""
    return "".join(c for c in name.casefold() if c.isalnum())


class Mapping(BaseModel):
    """One source: which files it claims, how they are read, and what their columns mean."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    source: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    system: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    object: str
    files: tuple[str, ...] = Field(min_length=1)
    format: FileFormat = "auto"
    encoding: str = "auto"
    delimiter: str = Field(default="auto", pattern=r"^(auto|.|\t)$")
    nulls: tuple[str, ...] = ()
    strip_prefixes: tuple[str, ...] = ()
    records_at: tuple[str, ...] = ("records", "results")
    unwrap: tuple[str, ...] = ()
    delivery: Literal["changes", "snapshot"] = "changes"
    default_country: str | None = Field(default=None, pattern=r"^[A-Z]{2}$")
    day_first: bool = False
    decimal: Literal[".", ","] = "."
    unknown_columns: Literal["refuse", "warn"] = "refuse"
    ignore: tuple[str, ...] = ()
    required: tuple[str | tuple[str, ...], ...] = ()
    strict_balances: bool = True
    override: bool = False
    writeback: Writeback | None = None
    taught: str = ""
    tables: dict[str, tuple[TableMapping, ...]]

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        if value != "auto":
            try:
                "".encode(value)
            except LookupError as error:
                raise ValueError(f"no encoding is called '{value}'") from error
        return value

    @cached_property
    def blocks(self) -> tuple[TableMapping, ...]:
        """Every table mapping in the order written; a table can have several."""
        return tuple(block for blocks in self.tables.values() for block in blocks)

    @cached_property
    def vendor_columns(self) -> list[str]:
        """Vendor columns in use: those of `required`, of filters and of expressions, each once."""
        names: list[str] = []
        for group in self.required:
            names += [group] if isinstance(group, str) else group
        for block in self.blocks:
            names += block.vendor_columns
        return list(dict.fromkeys(names))

    @cached_property
    def required_groups(self) -> tuple[tuple[str, ...], ...]:
        """Groups of vendor columns of which one each must be in a file: `required` and each record_id's."""
        groups = [(g,) if isinstance(g, str) else tuple(g) for g in self.required]
        for block in self.blocks:
            # A filtered block only ever speaks of some rows: a layout without its columns has none of them.
            if not block.when:
                groups += block.columns["record_id"].needs
        return tuple(dict.fromkeys(groups))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the mapping's meaning: equal for files that differ in comments or key order only."""
        dump = self.model_dump(mode="json", exclude={"tables", "taught", "override"})
        dump["tables"] = {
            table: [
                {
                    "when": [c.model_dump(mode="json") for c in block.when],
                    "columns": {
                        n: [type(e).__name__, e.model_dump(mode="json")] for n, e in block.columns.items()
                    },
                    **(
                        {"changed_at": {n: e.model_dump(mode="json") for n, e in block.changed_at.items()}}
                        if block.changed_at
                        else {}
                    ),
                }
                for block in blocks
            ]
            for table, blocks in self.tables.items()
        }
        text = json.dumps(dump, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def claims(self, path: str) -> bool:
        """Whether a file, given relative to the landing folder with `/`, belongs to this source.

        Patterns are globs, case-insensitive, `*` also crosses folders; one that starts with `!` takes
        files out again.
        """
        wanted, unwanted = _globs(self.files)
        name = path.casefold()
        return wanted.match(name) is not None and unwanted.match(name) is None

    def ignores(self, header: str) -> bool:
        """Whether a header is declared as not needed; such cells still land in `extra`."""
        names = {header.strip().casefold(), self.without_prefix(header).casefold()}
        keys = {header_key(n) for n in names}
        return any(fnmatchcase(n, p.casefold()) for n in names for p in self.ignore) or any(
            header_key(p) in keys for p in self.ignore if not set("*?[") & set(p)
        )

    def without_prefix(self, header: str) -> str:
        """A header without what a layout puts in front of names."""
        name = header.strip()
        for prefix in self.strip_prefixes:
            if name.casefold().startswith(prefix.casefold()):
                return name[len(prefix) :]
        return name

    def match_header(self, header: list[str], file: str = "") -> HeaderMatch:
        """Match a file's header with the vendor columns, whatever case and punctuation a layout uses.

        Raises
        ------
        FileRefused
            if a name occurs twice, or two headers stand for one vendor column and neither is its exact
            spelling; the message starts with `file`.
        """
        where = f"{file}: " if file else ""
        repeated = (
            sorted({h for h in header if header.count(h) > 1}) if len(set(header)) < len(header) else []
        )
        if repeated:
            raise FileRefused(
                f"{where}the header names a column twice: {', '.join(map(repr, repeated))}; "
                "export again with each column once"
            )
        by_key = {header_key(c): c for c in self.vendor_columns}
        exact = set(self.vendor_columns)
        found: dict[str, str] = {}
        unknown: list[str] = []
        for name in header:
            column = name if name in exact else by_key.get(header_key(name))
            column = column or by_key.get(header_key(self.without_prefix(name)))
            if column is None:
                if not self.ignores(name):
                    unknown.append(name)
            elif column not in found or name == column:
                found[column] = name
            elif found[column] != column:
                raise FileRefused(
                    f"{where}headers {found[column]!r} and {name!r} both stand for {column!r} of source "
                    f"{self.source}; rename or drop one of them"
                )
        missing = [" or ".join(g) for g in self.required_groups if not any(c in found for c in g)]
        ordered = {c: found[c] for c in self.vendor_columns if c in found}
        return HeaderMatch(columns=ordered, unknown=unknown, missing_required=missing)
