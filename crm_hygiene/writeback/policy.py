"""Target policies: what may be written to a target, how fast, and when a person is asked first.

One YAML file per target, built in below `policies/` or named by `target_files:` in hygiene.yaml. What does
not belong here: which golden column is which vendor field (`mapped_object`), which values differ
(`planning`), sending (`delivery`, `targets`).
"""

from __future__ import annotations

import re
from datetime import time
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from crm_hygiene.config import Config
from crm_hygiene.contract import nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.time_zones import TimeZone
from crm_hygiene.yaml_file import read_yaml_file
from crm_hygiene.yaml_mistakes import explained

BUILT_IN = Path(__file__).parent / "policies"

#: Who wins a field: golden always, golden only where the target's field is empty, never golden.
Winner = Literal["golden", "fill_empty", "never"]

Connector = Literal[
    "salesforce_files", "hubspot_files", "salesforce", "hubspot", "postgresql", "tryton", "none"
]

PostingField = Literal["payment", "invoice", "amount", "currency", "booked_date"]

#: Keys that are of the connector and not of the target.
_OF_CONNECTOR = frozenset({"connection", "secrets", "pace"})

_Share = Annotated[Decimal, Field(ge=0, le=1)]
_SECRET_WORDS = re.compile(r"pass(word|wd|phrase)?$|secret|token|api_?key|private_?key", re.IGNORECASE)
_PASSWORD_IN_ADDRESS = re.compile(r"://[^/@\s]*:[^/@\s]+@")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChildPolicy(_Section):
    """A vendor object whose `field` points at records of the object that may be merged."""

    object: str
    field: str


class ObjectPolicy(_Section):
    """What may be done to one object of the target; what is not said is not done.

    Attributes
    ----------
    fields
        vendor field -> who wins it; `default_winner` holds for the mapped fields it does not name.
    external_id
        vendor field that holds our id of a record; needed for creates.
    creates
        golden entities of which the target has no record are created; `needs` are vendor fields without
        which it would refuse one (Salesforce: LastName).
    links
        vendor field that points at the record's account. Unless `fields` names it, it is fill_empty: set
        where it points at nothing or at a deleted account.
    owner
        vendor field that holds the user who owns the record. Unless `fields` names it, it is fill_empty:
        set where nobody owns the record or the owner may no longer log in.
    merges
        several live records of one entity become one.
    children
        what is re-parented when records are merged.
    suppressions
        opt-outs known elsewhere are carried to the flags the source mapping names.
    names
        field as the plan names it (the export's header) -> what the target's interface calls it, where
        they differ.
    """

    fields: dict[str, Winner] = Field(default_factory=dict)
    default_winner: Winner = "never"
    external_id: str | None = None
    creates: bool = False
    needs: tuple[str, ...] = ()
    links: str | None = None
    owner: str | None = None
    merges: bool = False
    children: tuple[ChildPolicy, ...] = ()
    suppressions: bool = True
    names: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _creates_can_be_found_again(self) -> ObjectPolicy:
        if self.creates and not self.external_id:
            raise ValueError(
                "creates needs external_id: the field by which a record is found again after a crash"
            )
        return self

    def winner(self, field: str) -> Winner:
        """Who wins a vendor field."""
        return self.fields.get(field, self.default_winner)


class PostingPolicy(_Section):
    """Payments posted to invoices: one record of `object` per line of reconciled.allocations.

    `invoice_sources` are the sources whose invoices the target keeps; none means those of the target's own
    system. `kinds` are the allocation kinds that are posted; the contra lines that take them back go with
    them.
    """

    object: str
    fields: dict[PostingField, str] = Field(min_length=1)
    external_id: str
    invoice_sources: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("payment",)


class PacePolicy(_Section):
    """Records per request, requests per second and records per day (in UTC)."""

    batch: int = Field(default=200, ge=1)
    per_second: float = Field(default=5.0, gt=0)
    per_day: int = Field(default=10_000, ge=1)


class HaltPolicy(_Section):
    """A plan that touches more records than `floor` and more than `share` of all waits for approval."""

    share: _Share = Decimal("0.05")
    floor: int = Field(default=25, ge=0)


class HoursPolicy(_Section):
    """When may be sent: from `start` until before `end`; an `end` before `start` is that of the next day.

    In the file the keys are `from`, `to` and `timezone`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    start: time = Field(alias="from")
    end: time = Field(alias="to")
    timezone: TimeZone = "UTC"

    @field_validator("start", "end", mode="before")
    @classmethod
    def _is_clock_time(cls, value: object) -> object:
        # YAML 1.1 reads an unquoted 20:00 as the sexagesimal number 1200.
        if isinstance(value, int) and 0 <= value < 1440:
            return time(value // 60, value % 60)
        return value


class CanaryPolicy(_Section):
    """What of an apply is looked at before the rest goes: `share` of the records, at least `floor`."""

    share: _Share = Decimal("0.01")
    floor: int = Field(default=5, ge=0)


class RetryPolicy(_Section):
    """Attempts of one operation within one apply; waits double from `first_seconds` to `most_seconds`."""

    attempts: int = Field(default=6, ge=1)
    first_seconds: float = Field(default=1.0, ge=0)
    most_seconds: float = Field(default=300.0, ge=0)


class BreakerPolicy(_Section):
    """After `failures` failures of the whole target in a row nothing is sent for `pause_seconds`."""

    failures: int = Field(default=5, ge=1)
    pause_seconds: float = Field(default=60.0, ge=0)


class TargetPolicy(_Section):
    """All of one target's policy.

    `target` is what the source mappings' `writeback.target` names. `connection` holds plain text
    (addresses, versions, a folder) and never a secret; `secrets` names, per connection key, the environment
    variable or the key of the secrets file that holds it. `hours` None: at any time.
    """

    target: str = Field(min_length=1)
    connector: Connector = "none"
    connection: dict[str, str] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(default_factory=dict)
    objects: dict[str, ObjectPolicy] = Field(default_factory=dict)
    postings: PostingPolicy | None = None
    pace: PacePolicy = PacePolicy()
    halt: HaltPolicy = HaltPolicy()
    hours: HoursPolicy | None = None
    canary: CanaryPolicy = CanaryPolicy()
    retry: RetryPolicy = RetryPolicy()
    breaker: BreakerPolicy = BreakerPolicy()

    @field_validator("connection", mode="before")
    @classmethod
    def _is_plain_text(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        texts = {
            k: (str(v).lower() if isinstance(v, bool) else str(v)) if isinstance(v, bool | int | float) else v
            for k, v in value.items()
        }
        for key, text in texts.items():
            # The messages never repeat the value.
            if _SECRET_WORDS.search(str(key)):
                raise ValueError(
                    f"'{key}' is a secret; name it under `secrets:` with the environment variable that "
                    "holds it"
                )
            if isinstance(text, str) and _PASSWORD_IN_ADDRESS.search(text):
                raise ValueError(
                    f"'{key}' holds a password inside an address; name the password under `secrets:`"
                )
        return texts

    @field_validator("secrets")
    @classmethod
    def _names_not_values(cls, value: dict[str, str]) -> dict[str, str]:
        for key, name in value.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name):
                raise ValueError(
                    f"'{key}' must be the name of an environment variable or of a key of the secrets file, "
                    "not the secret itself"
                )
        return value


def read_target_policy(path: Path, extends: dict[str, Any] | None = None) -> TargetPolicy:
    """One target's policy from a YAML file; keys it leaves out are those of `extends`.

    Where it names another connector, the connection and the pace of `extends` are not its own: files are
    written faster than any system may be asked.

    Raises
    ------
    ConfigurationError
        one line per mistake, each with the file, the key and the nearest right one.
    """
    file = read_yaml_file(path)
    document = file.content
    inherited = dict(extends or {})
    if document.get("connector", inherited.get("connector")) != inherited.get("connector"):
        inherited = {key: value for key, value in inherited.items() if key not in _OF_CONNECTOR}
    try:
        return TargetPolicy.model_validate({**inherited, **document})
    except ValidationError as error:
        raise ConfigurationError("\n".join(explained(file, error, TargetPolicy))) from error


@cache
def built_in_documents() -> dict[str, dict[str, Any]]:
    """The built-in policies as written, by target."""
    return {path.stem: read_yaml_file(path).content for path in sorted(BUILT_IN.glob("*.yaml"))}


def target_policies(config: Config) -> dict[str, TargetPolicy]:
    """The policies of the targets that hygiene.yaml lists, in its order.

    A file of `target_files:` for a built-in target overrides it key by key at the top level: `objects:`
    given replaces all objects, `objects:` left out keeps them. With another connector `connection:`,
    `secrets:` and `pace:` are not kept.

    Raises
    ------
    ConfigurationError
        if a file is missing or wrong, two are for one target, or a listed target has no policy.
    """
    documents = built_in_documents()
    policies = {name: read_target_policy(BUILT_IN / f"{name}.yaml") for name in documents}
    files: dict[str, Path] = {}
    for given in config.target_files:
        path = config.resolve(given)
        if not path.is_file():
            raise ConfigurationError(f"target_files: {path}: no such file")
        name = read_yaml_file(path).content.get("target")
        policy = read_target_policy(path, documents.get(name) if isinstance(name, str) else None)
        if policy.target in files:
            raise ConfigurationError(
                f"{path}: target '{policy.target}' is already told by {files[policy.target]}; keep one file"
            )
        files[policy.target] = path
        policies[policy.target] = policy
    for name in config.targets:
        if name not in policies:
            raise ConfigurationError(
                f"targets: '{name}' has no policy{nearest(name, sorted(policies))} "
                "(`target_files:` names a policy file of your own; docs/writeback.md)"
            )
    return {name: policies[name] for name in config.targets}
