"""Mapped objects: which golden column is which vendor field of which object.

A source mapping's `writeback:` block becomes one mapped object. What does not belong here: which of the
fields may be written (`policy`) and which values differ (`planning`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from crm_hygiene.contract import contract_of, nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.mapping import Mapping as SourceMapping

Subject = Literal["people", "organisations"]
Channel = Literal["email", "phone"]

GOLDEN_TABLE: dict[Subject, str] = {"people": "golden.contacts", "organisations": "golden.accounts"}

#: Identifiers of one system; they mean nothing, or something else, in another.
_FOREIGN_IDS = frozenset({"owner_id", "entity_id", "account_entity_id", "parent_entity_id"})


class MappedObject(BaseModel):
    """What one object of one target calls the golden columns.

    `source` is the source mapping whose records are compared; `columns` maps conformed columns to the
    vendor's, `consent` a channel to the vendor's flag that means "do not contact". `subject` says what
    the records are where one source feeds both people and organisations; else it is found by itself.
    `system` is the source's system (none: the target is), `nulls` are the texts it writes for no value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    target: str
    object: str
    columns: dict[str, str] = Field(default_factory=dict)
    consent: dict[Channel, str] = Field(default_factory=dict)
    subject: Subject | None = None
    system: str = ""
    nulls: tuple[str, ...] = ()

    @property
    def home(self) -> str:
        """The system within which the records' foreign keys and users are looked up."""
        return self.system or self.target

    def check(self, subject: Subject) -> None:
        """Refuse columns that golden and the records do not share, or that must not travel.

        Raises
        ------
        ConfigurationError
            naming the column and the nearest right one.
        """
        golden = contract_of(GOLDEN_TABLE[subject]).schema
        records = contract_of(f"conformed.{subject}").schema
        able = [
            c for c in golden if c in records and c not in _FOREIGN_IDS and golden[c] != pl.List(pl.String)
        ]
        for column in self.columns:
            if column in _FOREIGN_IDS:
                raise ConfigurationError(
                    f"writeback of {self.source}: '{column}' is an id of one system, and nothing in another"
                )
            if column not in able:
                raise ConfigurationError(
                    f"writeback of {self.source}: {GOLDEN_TABLE[subject]} and conformed.{subject} share no "
                    f"column '{column}'{nearest(column, able)}"
                )
        if self.consent and subject != "people":
            raise ConfigurationError(
                f"writeback of {self.source}: consent is a person's, not an organisation's"
            )
        written = Counter([*self.columns.values(), *self.consent.values()])
        twice = sorted(c for c, n in written.items() if n > 1)
        if twice:
            raise ConfigurationError(f"writeback of {self.source}: '{twice[0]}' is written from two columns")


def check_distinct(mapped: Sequence[MappedObject]) -> None:
    """Refuse two mappings that write the same column of the same object of a target from one source.

    Raises
    ------
    ConfigurationError
        naming source, target, object and column.
    """
    written = Counter(
        (p.source, p.target, p.object, c) for p in mapped for c in {*p.columns.values(), *p.consent.values()}
    )
    for (source, target, name, column), count in sorted(written.items()):
        if count > 1:
            raise ConfigurationError(
                f"writeback of {source}: {target} {name}.{column} is written by {count} mappings; keep one"
            )


def mapped_objects(mappings: Mapping[str, SourceMapping], targets: Sequence[str]) -> list[MappedObject]:
    """The mapped objects of the sources whose `writeback:` block names one of `targets`, by source."""
    channels: dict[str, Channel] = {"email_consent": "email", "phone_consent": "phone"}
    return [
        MappedObject(
            source=name,
            target=block.target,
            object=block.object,
            columns=block.columns,
            consent={channels[golden]: vendor for golden, vendor in block.suppress.items()},
            system=mapping.system,
            nulls=mapping.nulls,
        )
        for name, mapping in sorted(mappings.items())
        if (block := mapping.writeback) is not None and block.target in targets
    ]
