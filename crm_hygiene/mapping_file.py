"""Mapping files: from YAML to `Mapping`, or all that is wrong with them, line by line.

What a mapping is and how a header meets it belongs to `crm_hygiene.mapping`, the forms of an expression to
`crm_hygiene.expression`.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from crm_hygiene.contract import Column, contract_of, load_contracts, load_glossary, nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.expression import Expression, parse_expression
from crm_hygiene.mapping import Condition, Mapping, TableMapping, Writeback, header_key
from crm_hygiene.yaml_file import Place, yaml_file_of
from crm_hygiene.yaml_mistakes import Mistakes, explained

BUILT_IN_SOURCES = Path(__file__).parent / "sources"

# The pipeline fills them of every record.
_PROVENANCE = {
    "source",
    "file",
    "row_number",
    "landed_at",
    "content_hash",
    "problems",
    "observed_at",
    "field_times",
}

#: Conformed columns that standardising makes, and those that it makes them of: map one of these.
DERIVED: dict[str, tuple[str, ...]] = {
    "email_normalised": ("email",),
    "email_domain": ("email",),
    "email_kind": ("email",),
    "organisation_name_normalised": ("organisation_name", "customer_name", "payer_name"),
    "legal_form": ("organisation_name",),
    "tax_id_stated": ("tax_id",),
}

_CONDITION_KEYS = [f.alias or name for name, f in Condition.model_fields.items()]


def mapped_tables() -> list[str]:
    """Bare names of the conformed tables, which a mapping may fill."""
    return [name.removeprefix("conformed.") for name in load_contracts() if name.startswith("conformed.")]


def mapped_columns(table: str) -> list[Column]:
    """The columns of a conformed table, given by its bare name, that a mapping may fill."""
    columns = contract_of(f"conformed.{table}").columns
    return [c for c in columns if c.name not in _PROVENANCE and c.name not in DERIVED]


def needed_columns(table: str) -> list[str]:
    """The columns of a conformed table without which none of its rows could stand."""
    # A record that nobody calls deleted is not.
    given = {*_PROVENANCE, *DERIVED, "is_deleted"}
    contract = contract_of(f"conformed.{table}")
    return [name for name in dict.fromkeys((*contract.key, *contract.required)) if name not in given]


def load_mapping(path: Path) -> Mapping:
    """Read and check one mapping file.

    Raises
    ------
    ConfigurationError
        one line per mistake, each with file, line and the nearest right word.
    """
    try:
        return _mapping_of(path, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not readable: {error}") from error


@lru_cache(maxsize=256)
def _mapping_of(path: Path, text: str) -> Mapping:
    """The mapping that a file's text stands for; a night asks for each more than once."""
    file = yaml_file_of(path, text)
    mistakes = Mistakes(file)
    spec = _known(mistakes, (), file.content, Mapping)
    if spec.get("writeback") is not None:
        spec["writeback"] = _known(mistakes, ("writeback",), spec["writeback"], Writeback)
    tables = mistakes.mapping(("tables",), spec.get("tables"))
    if not tables:
        mistakes.add(("tables",), "missing; say which conformed tables the source feeds")
    spec["tables"] = {
        table: tuple(
            _block(mistakes, ("tables", table, *place), table, block) for place, block in _blocks(listed)
        )
        for table, listed in tables.items()
        if _is_table(mistakes, str(table))
    }
    try:
        mapping = Mapping.model_validate(spec)
    except ValidationError as error:
        mistakes.found += explained(file, error, Mapping)
    mistakes.refuse()
    _check_meaning(mistakes, mapping)
    mistakes.refuse()
    return mapping


def _known(mistakes: Mistakes, place: Place, value: Any, model: type[BaseModel]) -> dict[str, Any]:
    """The keys of a section that it may have."""
    found = mistakes.keys(place, value, model.model_fields)
    return {key: inner for key, inner in found.items() if key in model.model_fields}


def _is_table(mistakes: Mistakes, table: str) -> bool:
    known = mapped_tables()
    if table not in known:
        hint = nearest(table, known) or f"; there are {', '.join(known)}"
        mistakes.add(("tables", table), f"no conformed table has that name{hint}")
    return table in known


def _blocks(listed: Any) -> list[tuple[Place, Any]]:
    """The blocks of a table, each with its place below the table's."""
    return (
        [((number,), block) for number, block in enumerate(listed)]
        if isinstance(listed, list)
        else [((), listed)]
    )


def _block(mistakes: Mistakes, place: Place, table: str, spec: Any) -> TableMapping:
    """One block of a table; what is wrong with it goes to `mistakes`, and what is right is kept."""
    if not isinstance(spec, dict):
        mistakes.add(place, "expected conformed columns with their expressions")
        spec = {}
    known = {column.name: column for column in contract_of(f"conformed.{table}").columns}
    columns: dict[str, Expression] = {}
    changed_at: dict[str, Expression] = {}
    for word, expression in spec.items():
        name = str(word)
        if name == "when" or not _may_be_filled(mistakes, (*place, name), table, name):
            continue
        try:
            if isinstance(expression, dict) and "changed_at" in expression:
                if "field_times" not in known:
                    raise ValueError(f"changed_at: conformed.{table} keeps no change times of fields")
                changed_at[name] = parse_expression(expression["changed_at"])
                expression = {key: value for key, value in expression.items() if key != "changed_at"}
            columns[name] = parse_expression(expression)
        except ValidationError as error:
            for item in error.errors():
                inner = tuple(part for part in item["loc"] if isinstance(part, str))
                mistakes.add((*place, name, *inner), item["msg"].removeprefix("Value error, "))
            continue
        except ValueError as error:
            mistakes.add((*place, name), str(error))
            continue
        _check_vocabulary(mistakes, (*place, name), known[name], columns[name])
    if "record_id" not in spec:
        mistakes.add(place, "record_id is missing; name the vendor column that identifies a record")
    for name in needed_columns(table):
        if name not in spec and name != "record_id":
            words = known[name].values
            mistakes.add(place, f"{name} is missing" + (f"; one of {', '.join(words)}" if words else ""))
    return TableMapping(table, columns, tuple(_conditions(mistakes, (*place, "when"), spec)), changed_at)


def _may_be_filled(mistakes: Mistakes, place: Place, table: str, name: str) -> bool:
    names = [column.name for column in mapped_columns(table)]
    if name in names:
        return True
    if name in _PROVENANCE:
        mistakes.add(place, "the pipeline fills this column itself; leave it out")
    elif name in DERIVED:
        of = " or ".join(f"'{other}'" for other in DERIVED[name] if other in names)
        mistakes.add(place, f"standardising makes this column; map {of} instead")
    else:
        hint = nearest(name, names) or ";"
        mistakes.add(
            place, f"conformed.{table} has no such column{hint} `crm-hygiene columns {table}` lists all"
        )
    return False


def _check_vocabulary(mistakes: Mistakes, place: Place, column: Column, expression: Expression) -> None:
    """Every text that an expression gives of itself is a word of the column, where that has a vocabulary."""
    if column.values is None:
        return
    for text in expression.literals:
        if text not in column.values:
            mistakes.add(place, f"'{text}' is none of {', '.join(column.values)}")


def _conditions(mistakes: Mistakes, place: Place, spec: dict[str, Any]) -> list[Condition]:
    listed = spec.get("when", [])
    found: list[Condition] = []
    for number, condition in enumerate(listed if isinstance(listed, list) else [listed]):
        here = (*place, number) if isinstance(listed, list) else place
        if not isinstance(condition, dict):
            mistakes.add(here, f"expected a column and one of {', '.join(_CONDITION_KEYS[1:])}")
            continue
        wrong = [key for key in condition if key not in _CONDITION_KEYS]
        mistakes.keys(here, condition, _CONDITION_KEYS)
        if wrong:
            continue
        try:
            found.append(Condition.model_validate(condition))
        except ValidationError as error:
            mistakes.found += explained(mistakes.file, error, Condition, here)
    return found


def _check_meaning(mistakes: Mistakes, mapping: Mapping) -> None:
    """What single fields cannot show: names that collide or lead nowhere."""
    seen: dict[str, str] = {}
    for column in mapping.vendor_columns:
        key = header_key(column)
        if not key:
            mistakes.add(("tables",), f"vendor column {column!r} has no letter and no digit")
        elif key in seen:
            mistakes.add(
                ("tables",), f"vendor columns {seen[key]!r} and {column!r} match the same headers; keep one"
            )
        seen[key] = column
    if mapping.writeback is None:
        return
    glossary, vendor = list(load_glossary()), mapping.vendor_columns
    for section in ("columns", "suppress"):
        for name, written in getattr(mapping.writeback, section).items():
            place = ("writeback", section, name)
            if name not in glossary:
                mistakes.add(place, f"no column of the project{nearest(name, glossary)}")
            if written not in vendor:
                mistakes.add(
                    place, f"would write '{written}', which no table reads{nearest(written, vendor)}"
                )


def load_mappings(folders: list[Path]) -> dict[str, Mapping]:
    """Every mapping of the folders by source name, sorted; later folders come from the user.

    Raises
    ------
    ConfigurationError
        one line per mistake of all files; also if two files of one folder name the same source, or a later
        folder repeats a name without `override: true`.
    """
    found: dict[str, tuple[Path, Mapping]] = {}
    wrong: list[str] = []
    for folder in folders:
        if not folder.is_dir():
            raise ConfigurationError(f"{folder}: no such folder of source mappings")
        here: dict[str, Path] = {}
        for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
            try:
                mapping = load_mapping(path)
            except ConfigurationError as error:
                wrong.append(str(error))
                continue
            if mapping.source in here:
                wrong.append(f"{path}: source '{mapping.source}' is already named by {here[mapping.source]}")
            elif mapping.source in found and not mapping.override:
                wrong.append(
                    f"{path}: source '{mapping.source}' is already mapped by {found[mapping.source][0]}; "
                    "choose another name, or say `override: true` to replace it"
                )
            here[mapping.source] = path
            found[mapping.source] = (path, mapping)
    if wrong:
        raise ConfigurationError("\n".join(wrong))
    return {name: found[name][1] for name in sorted(found)}
