"""Source mappings: one YAML file says how a vendor's export becomes conformed tables.

Here are the model of such a file, its validation against the contracts, and the tolerant matching of a
file's header with the vendor columns a mapping knows. What does not belong here: reading files
(`crm_hygiene.readers`), the expressions themselves (`crm_hygiene.expression`) and typing values
(conforming).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase, translate
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from crm_hygiene.contract import contract_of, load_contracts, load_glossary, nearest
from crm_hygiene.errors import ConfigurationError, FileRefused
from crm_hygiene.expression import Expression, parse_expression, yaml_text
from crm_hygiene.yaml_text import YamlError, parse_yaml

BUILT_IN_SOURCES = Path(__file__).parent / "sources"

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


def _table_mapping(table: str, spec: Any) -> TableMapping:
    if not isinstance(spec, dict):
        raise ValueError(f"tables.{table}: expected conformed columns with their expressions")
    known = [t.removeprefix("conformed.") for t in load_contracts() if t.startswith("conformed.")]
    if table not in known:
        raise ValueError(f"tables.{table}: no conformed table has that name{nearest(table, known)}")
    names = contract_of(f"conformed.{table}").column_names
    made_here = {"source", "file", "row_number", "landed_at", "content_hash", "problems", "observed_at"}
    made_here.add("field_times")
    columns: dict[str, Expression] = {}
    changed_at: dict[str, Expression] = {}
    for name, expression in spec.items():
        if name == "when":
            continue
        if name not in names:
            raise ValueError(
                f"tables.{table}.{name}: conformed.{table} has no such column{nearest(str(name), names)}"
            )
        if name in made_here:
            raise ValueError(f"tables.{table}.{name}: the pipeline fills this column itself; leave it out")
        try:
            if isinstance(expression, dict) and "changed_at" in expression:
                if "field_times" not in names:
                    raise ValueError(f"changed_at: conformed.{table} keeps no change times of fields")
                changed_at[name] = parse_expression(expression["changed_at"])
                expression = {k: v for k, v in expression.items() if k != "changed_at"}
            columns[name] = parse_expression(expression)
        except ValueError as error:
            raise ValueError(f"tables.{table}.{name}: {_said(error)}") from error
    if "record_id" not in columns:
        raise ValueError(
            f"tables.{table}: record_id is missing; name the vendor column that identifies a record"
        )
    conditions = spec.get("when", [])
    known_keys = ["column", "in", "not_in", "filled"]
    parsed: list[Condition] = []
    for condition in conditions if isinstance(conditions, list) else [conditions]:
        wrong = [k for k in condition if k not in known_keys] if isinstance(condition, dict) else ["?"]
        if wrong:
            raise ValueError(
                f"tables.{table}.when: unknown key '{wrong[0]}'{nearest(str(wrong[0]), known_keys)}"
            )
        try:
            parsed.append(Condition.model_validate(condition))
        except ValueError as error:
            raise ValueError(f"tables.{table}.when: {_said(error)}") from error
    return TableMapping(table=table, columns=columns, when=tuple(parsed), changed_at=changed_at)


def _said(error: ValueError) -> str:
    """The plain words of an error, without pydantic's frame around them."""
    if not isinstance(error, ValidationError):
        return str(error)
    parts = []
    for item in error.errors():
        where = ".".join(str(p) for p in item["loc"])
        parts.append(f"{where}: {item['msg']}" if where else str(item["msg"]))
    return "; ".join(parts)


def _check_keys(path: Path, spec: dict[str, Any], model: type[BaseModel], inside: str = "") -> None:
    known = list(model.model_fields)
    for key in spec:
        if key not in known:
            raise ConfigurationError(f"{path}: unknown key '{inside}{key}'{nearest(str(key), known)}")


def load_mapping(path: Path) -> Mapping:
    """Read and check one mapping file.

    Raises
    ------
    ConfigurationError
        naming the file, the key and the nearest right one.
    """
    try:
        return _mapping_of(path, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YamlError) as error:
        raise ConfigurationError(f"{path}: not readable as YAML: {error}") from error


@lru_cache(maxsize=256)
def _mapping_of(path: Path, text: str) -> Mapping:
    """The mapping that a file's text stands for; a night asks for each more than once."""
    spec = parse_yaml(text)
    if not isinstance(spec, dict):
        raise ConfigurationError(f"{path}: expected a mapping of keys to values")
    _check_keys(path, spec, Mapping)
    if isinstance(spec.get("writeback"), dict):
        _check_keys(path, spec["writeback"], Writeback, "writeback.")
    tables = spec.get("tables")
    if not isinstance(tables, dict) or not tables:
        raise ConfigurationError(f"{path}: tables is missing; say which conformed tables the source feeds")
    try:
        spec["tables"] = {
            table: tuple(_table_mapping(table, b) for b in (blocks if isinstance(blocks, list) else [blocks]))
            for table, blocks in tables.items()
        }
        mapping = Mapping.model_validate(spec)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {_said(error)}") from error
    _check_meaning(path, mapping)
    return mapping


def _check_meaning(path: Path, mapping: Mapping) -> None:
    """What single fields cannot show: names that collide or lead nowhere."""
    seen: dict[str, str] = {}
    for column in mapping.vendor_columns:
        key = header_key(column)
        if not key:
            raise ConfigurationError(f"{path}: vendor column {column!r} has no letter and no digit")
        if key in seen:
            raise ConfigurationError(
                f"{path}: vendor columns {seen[key]!r} and {column!r} match the same headers; keep one"
            )
        seen[key] = column
    if mapping.writeback is not None:
        glossary = list(load_glossary())
        for name in (*mapping.writeback.columns, *mapping.writeback.suppress):
            if name not in glossary:
                raise ConfigurationError(
                    f"{path}: writeback names '{name}', no column of the project{nearest(name, glossary)}"
                )
        vendor = mapping.vendor_columns
        for name in (*mapping.writeback.columns.values(), *mapping.writeback.suppress.values()):
            if name not in vendor:
                raise ConfigurationError(
                    f"{path}: writeback would write '{name}', which no table reads{nearest(name, vendor)}"
                )


def load_mappings(folders: list[Path]) -> dict[str, Mapping]:
    """Every mapping of the folders by source name, sorted; later folders come from the user.

    Raises
    ------
    ConfigurationError
        if two files of one folder name the same source, or a later folder repeats a name without
        `override: true`.
    """
    found: dict[str, tuple[Path, Mapping]] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ConfigurationError(f"{folder}: no such folder of source mappings")
        here: dict[str, Path] = {}
        for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
            mapping = load_mapping(path)
            if mapping.source in here:
                raise ConfigurationError(
                    f"{path}: source '{mapping.source}' is already named by {here[mapping.source]}"
                )
            if mapping.source in found and not mapping.override:
                raise ConfigurationError(
                    f"{path}: source '{mapping.source}' is already mapped by {found[mapping.source][0]}; "
                    "choose another name, or say `override: true` to replace it"
                )
            here[mapping.source] = path
            found[mapping.source] = (path, mapping)
    return {name: found[name][1] for name in sorted(found)}
