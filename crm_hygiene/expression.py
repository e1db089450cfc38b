"""The expression language of source mappings: how one conformed column is made of vendor columns.

Here are the forms an expression can take, the vendor columns each needs, and its meaning as a Polars
expression over text columns. Typing and standardising the resulting text belong to conforming; which
expression feeds which column belongs to `crm_hygiene.mapping_file`.

Forms, as YAML:

    email: Email                                            # one vendor column
    email: [Email, Email2]                                  # the first that is filled
    person_kind: {constant: contact}
    consent_state: {column: OptOut, values: {"true": opt_out}, default: null}   # case-insensitive
    organisation_record_id: {column: Companies, pattern: '([0-9]+)'}            # first group, first match
    merged_record_ids: {column: MergedIds, remove: ':[0-9]+'}                   # every match is cut out
    street: {join: [Street, Street2], separator: ", "}      # filled parts only
    record_id: {template: "{Id}:email"}                     # null if any part is null
    record_id: {hash: [Name, Phone]}                        # SHA-256; null if all parts are null
    record_id: [Id, {hash: [Name, Phone]}]                  # a list may mix columns and other forms
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict, SerializeAsAny, field_validator, model_validator

from crm_hygiene.contract import nearest

_PLACE = re.compile(r"\{([^{}]+)\}")
_SEPARATOR = "\x1f"  # the unit separator: no vendor value holds it, so parts cannot run together


class Expression(BaseModel, ABC):
    """One way to make a text column of vendor columns; subclasses are the forms."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Vendor columns the expression reads, in the order they are written."""

    @property
    def needs(self) -> tuple[tuple[str, ...], ...]:
        """Groups of columns of which at least one each must be present for the expression to give a value."""
        return (self.columns,) if self.columns else ()

    @property
    def literals(self) -> tuple[str, ...]:
        """The texts that stand in the expression itself and may come out of it as they are."""
        return ()

    @abstractmethod
    def to_polars(self) -> pl.Expr:
        """The expression over a frame that has every column of `columns` as String (null: no value)."""


class FirstFilled(Expression):
    """The first vendor column that has a value."""

    first_filled: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The candidates, best first."""
        return self.first_filled

    def to_polars(self) -> pl.Expr:
        """Coalesce in the order written."""
        return pl.coalesce([pl.col(c) for c in self.first_filled])


class Constant(Expression):
    """The same text in every row."""

    constant: str

    @field_validator("constant", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return yaml_text(value)

    @property
    def columns(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def literals(self) -> tuple[str, ...]:
        """The text."""
        return (self.constant,)

    def to_polars(self) -> pl.Expr:
        """A literal."""
        return pl.lit(self.constant, dtype=pl.String)


class Translated(Expression):
    """A vendor column's values translated by a table, case-insensitively; others become `default`."""

    column: str | tuple[str, ...]
    values: dict[str, str]
    default: str | None = None

    @field_validator("values", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        texts = {yaml_text(k): yaml_text(v) for k, v in value.items()}
        folded = [str(k).casefold() for k in texts]
        if len(set(folded)) < len(folded):
            raise ValueError("two keys of `values` differ only in case")
        return texts

    @field_validator("default", mode="before")
    @classmethod
    def _default_text(cls, value: Any) -> Any:
        return yaml_text(value)

    @property
    def columns(self) -> tuple[str, ...]:
        """The translated column, or the columns of which the first filled is translated."""
        return (self.column,) if isinstance(self.column, str) else self.column

    @property
    def literals(self) -> tuple[str, ...]:
        """What is translated to, and the default."""
        texts = (*self.values.values(), self.default)
        return tuple(dict.fromkeys(text for text in texts if text is not None))

    def to_polars(self) -> pl.Expr:
        """Lower case, trimmed, looked up."""
        found = pl.coalesce([pl.col(c) for c in self.columns]).str.strip_chars().str.to_lowercase()
        table = {k.lower(): v for k, v in self.values.items()}
        result = pl.lit(self.default, dtype=pl.String)
        # A chain of when/then keeps streaming, which replace_strict does not.
        for key, value in reversed(table.items()):
            result = pl.when(found == key).then(pl.lit(value)).otherwise(result)
        return result


class Extracted(Expression):
    """Part of a vendor column: the first group of `pattern`, or all but the matches of `remove`."""

    column: str | tuple[str, ...]
    pattern: str | None = None
    remove: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Extracted:
        if (self.pattern is None) == (self.remove is None):
            raise ValueError("give either `pattern` or `remove`")
        regex = re.compile(self.pattern if self.pattern is not None else str(self.remove))
        if self.pattern is not None and regex.groups < 1:
            raise ValueError("`pattern` needs a group in parentheses: the part to keep")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The column, or the columns of which the first filled is taken."""
        return (self.column,) if isinstance(self.column, str) else self.column

    def to_polars(self) -> pl.Expr:
        """Extract or remove; an empty result is null."""
        text = pl.coalesce([pl.col(c) for c in self.columns])
        found = (
            text.str.extract(self.pattern, 1) if self.pattern else text.str.replace_all(str(self.remove), "")
        )
        return pl.when(found != "").then(found)


class Joined(Expression):
    """The filled ones of several vendor columns, joined."""

    join: tuple[str, ...]
    separator: str = " "

    @property
    def columns(self) -> tuple[str, ...]:
        """The parts in their order."""
        return self.join

    def to_polars(self) -> pl.Expr:
        """Join ignoring nulls; null if no part is filled."""
        joined = pl.concat_str([pl.col(c) for c in self.join], separator=self.separator, ignore_nulls=True)
        return pl.when(pl.any_horizontal([pl.col(c).is_not_null() for c in self.join])).then(joined)


class Template(Expression):
    """A text with vendor columns in braces; null if any of them is null."""

    template: str

    @field_validator("template")
    @classmethod
    def _has_places(cls, value: str) -> str:
        if not _PLACE.search(value):
            raise ValueError('a template names at least one column in braces: "{Id}:email"')
        return value

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns in braces."""
        return tuple(dict.fromkeys(_PLACE.findall(self.template)))

    @property
    def needs(self) -> tuple[tuple[str, ...], ...]:
        """Every column."""
        return tuple((c,) for c in self.columns)

    def to_polars(self) -> pl.Expr:
        """Concatenate; nulls propagate."""
        parts: list[pl.Expr] = []
        for i, piece in enumerate(_PLACE.split(self.template)):
            if piece:
                parts.append(pl.col(piece) if i % 2 else pl.lit(piece, dtype=pl.String))
        return pl.concat_str(parts)


class Hashed(Expression):
    """SHA-256 of several columns, for records that come without an identifier; null if all are null."""

    hash: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The hashed columns in their order."""
        return self.hash

    def to_polars(self) -> pl.Expr:
        """Hex of SHA-256 over trimmed, lower-case parts; a Python call per row, meant for small sources."""
        parts = [pl.col(c).str.strip_chars().str.to_lowercase().fill_null("") for c in self.hash]
        text = pl.concat_str(parts, separator=_SEPARATOR)
        hashed = text.map_elements(lambda t: hashlib.sha256(t.encode()).hexdigest(), return_dtype=pl.String)
        return pl.when(pl.any_horizontal([pl.col(c).is_not_null() for c in self.hash])).then(hashed)


class FirstOf(Expression):
    """The first of several expressions that has a value."""

    first_of: tuple[SerializeAsAny[Expression], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of every option."""
        return tuple(dict.fromkeys(c for option in self.first_of for c in option.columns))

    @property
    def needs(self) -> tuple[tuple[str, ...], ...]:
        """Any column of any option: which option can work depends on the row."""
        return (self.columns,) if self.columns else ()

    @property
    def literals(self) -> tuple[str, ...]:
        """Those of every option."""
        return tuple(dict.fromkeys(text for option in self.first_of for text in option.literals))

    def to_polars(self) -> pl.Expr:
        """Coalesce in the order written."""
        return pl.coalesce([option.to_polars() for option in self.first_of])


_FORMS: dict[str, type[Expression]] = {
    "constant": Constant,
    "values": Translated,
    "pattern": Extracted,
    "remove": Extracted,
    "join": Joined,
    "template": Template,
    "hash": Hashed,
}


def yaml_text(value: Any) -> Any:
    """YAML's booleans and numbers as the text a vendor writes: true, false, 7; everything else as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def parse_expression(spec: Any) -> Expression:
    """The expression a YAML value stands for.

    Raises
    ------
    ValueError
        if it is none of the forms; the message names the nearest right key.
    """
    if isinstance(spec, Expression):
        return spec
    if isinstance(spec, str):
        return FirstFilled(first_filled=(spec,))
    if isinstance(spec, list) and spec and all(isinstance(c, str) for c in spec):
        return FirstFilled(first_filled=tuple(spec))
    if isinstance(spec, list) and spec:
        return FirstOf(first_of=tuple(parse_expression(s) for s in spec))
    if not isinstance(spec, dict):
        raise ValueError(
            f"expected a vendor column, a list of them or one of {', '.join(_FORMS)}; found {spec!r}"
        )
    if set(spec) == {"column"}:
        return parse_expression(spec["column"])
    form = next((_FORMS[k] for k in spec if k in _FORMS), None)
    if form is None:
        word = next((str(k) for k in spec if k != "column"), "")
        raise ValueError(f"unknown form of expression {spec!r}{nearest(word, ['column', *_FORMS])}")
    known = list(form.model_fields)
    for key in spec:
        if key not in known:
            raise ValueError(f"unknown key '{key}' beside {', '.join(known)}{nearest(str(key), known)}")
    return form.model_validate(spec)
