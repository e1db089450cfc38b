"""Rules of leads as data: words for states, how accounts are found, who owns what nobody owns.

What does not belong here: how a rule is carried out (`lead_states`, `lead_matching`, `ownership`).
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.fingerprint import fingerprint
from crm_hygiene.yaml_file import read_yaml_file
from crm_hygiene.yaml_mistakes import explained

DEFAULT_RULES = Path(__file__).parent / "leads.yaml"

State = Literal["new", "working", "qualified", "converted", "disqualified"]
Finder = Literal[
    "converted_account",
    "stated_account",
    "website_domain",
    "email_domain",
    "organisation_name",
    "contact_account",
]
Standard = Literal[
    "converted_account",
    "stated_account",
    "website_domain",
    "email_domain",
    "organisation_name",
    "contact_account",
    "country",
    "activity",
    "size",
    "age",
]
Fallback = Literal["account_owner", "contact_owner", "default", "queue"]


class _Rules(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TieBreaker(_Rules):
    """One standard to compare accounts by; `margin` is how far one may trail the best and stay in.

    Days for `activity` and `age`, a factor for `size`; the others have none.
    """

    by: Standard
    margin: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _has_its_margin(self) -> TieBreaker:
        if self.margin is not None and self.by not in ("activity", "size", "age"):
            raise ValueError(f"'{self.by}' has no margin: an account fits or does not")
        if self.by == "size" and self.margin is not None and self.margin < 1:
            raise ValueError("the margin of 'size' is a factor of 1 or more")
        return self


class MatchingRules(_Rules):
    """How a lead finds its account."""

    find: Annotated[tuple[Finder, ...], Field(min_length=1)]
    tie_breakers: tuple[TieBreaker, ...]
    max_candidates: int = Field(ge=1)


class DefaultOwner(_Rules):
    """Owner of leads in a country or segment; every condition that is stated has to hold."""

    owner_id: str
    country_code: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    industry: str | None = None
    min_employee_count: Annotated[int, Field(ge=0)] | None = None


class OwnerRules(_Rules):
    """Who owns a lead whose stated owner does not work here."""

    inactive_words: tuple[str, ...]
    queues: tuple[str, ...]
    unknown: Literal["replace", "keep"]
    fallback: tuple[Fallback, ...]
    defaults: tuple[DefaultOwner, ...]
    queue: Annotated[str, Field(min_length=1)]


class LeadRules(_Rules):
    """Every rule of leads."""

    states: dict[State, tuple[str, ...]]
    without_status: State
    matching: MatchingRules
    owners: OwnerRules

    @model_validator(mode="after")
    def _one_meaning_each(self) -> LeadRules:
        seen: dict[str, str] = {}
        for state, words in self.states.items():
            for word in words:
                other = seen.setdefault(folded(word), state)
                if other != state:
                    raise ValueError(f"states: '{word}' is both {other} and {state}")
        return self

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the rules' content; layout does not count."""
        return fingerprint(self.model_dump_json())


def folded(word: str) -> str:
    """A status without case and outer or repeated spaces."""
    return " ".join(word.casefold().split())


def load_lead_rules(path: Path | None = None) -> LeadRules:
    """The default rules, overridden key by key by the file at `path`; lists are replaced whole.

    A word that the file gives a state is taken out of the default's other states.

    Raises
    ------
    ConfigurationError
        for an unreadable file, an unknown key or word (with its line and the nearest right one), or a
        value that cannot be.
    """
    file = read_yaml_file(DEFAULT_RULES)
    spec = file.content
    if path is not None:
        file = read_yaml_file(path)
        spec = _override(spec, file.content)
    try:
        return LeadRules(**spec)
    except ValidationError as error:
        raise ConfigurationError("\n".join(explained(file, error, LeadRules))) from error
    except (TypeError, AttributeError) as error:
        raise ConfigurationError(f"{file.path}: {error}") from error


def _override(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = {**base, **own}
    for section in ("matching", "owners"):
        if isinstance(own.get(section), dict):
            merged[section] = {**base[section], **own[section]}
    if isinstance(own.get("states"), dict) and all(isinstance(v, list) for v in own["states"].values()):
        taken = {folded(str(word)) for words in own["states"].values() for word in words}
        kept = {s: [w for w in words if folded(w) not in taken] for s, words in base["states"].items()}
        # The file's words come first: of two patterns that fit, the first in order counts.
        merged["states"] = {
            state: [*own["states"].get(state, []), *kept.get(state, [])]
            for state in dict.fromkeys([*own["states"], *kept])
        }
    return merged
