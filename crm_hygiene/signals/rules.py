"""Points and weights of the signals: data in `rules.yaml`, overridden key by key."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from crm_hygiene.contract import nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.fingerprint import fingerprint
from crm_hygiene.yaml_file import Place, YamlFile, read_yaml_file
from crm_hygiene.yaml_mistakes import explained

DEFAULT_RULES = Path(__file__).with_name("rules.yaml")

Points = Annotated[int, Field(ge=0, le=100)]
Days = Annotated[float, Field(gt=0)]


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Reachable(_Rule):
    """Points for a way to reach the person."""

    email: Points
    phone: Points


class Profile(_Rule):
    """Points for what is known of the person's work."""

    job_title: Points
    account_entity_id: Points


class Kind(_Rule):
    """Points for what the newest lead is."""

    inquiry: Points
    lead: Points


class Newness(_Rule):
    """Points for a new lead, halved with every half-life."""

    points: Points
    half_life_days: Days


class Engagement(_Rule):
    """Points per kind of interaction, decayed and summed, between 0 and `maximum`."""

    maximum: Points
    half_life_days: Days
    points: dict[str, float]


class LeadScoreRules(_Rule):
    """Parts of the lead score; together at most 100 points."""

    reachable: Reachable
    profile: Profile
    seniority: dict[str, Points]
    kind: Kind
    newness: Newness
    engagement: Engagement

    @model_validator(mode="after")
    def _at_most_a_hundred(self) -> LeadScoreRules:
        most = (
            self.reachable.email
            + self.reachable.phone
            + self.profile.job_title
            + self.profile.account_entity_id
            + max(self.seniority.values(), default=0)
            + max(self.kind.inquiry, self.kind.lead)
            + self.newness.points
            + self.engagement.maximum
        )
        if most > 100:
            raise ValueError(f"the parts of lead_score can reach {most} points; 100 is the most")
        return self


class StrengthRules(_Rule):
    """Weights of the relationship strength."""

    half_life_days: Days
    weights: dict[str, Annotated[float, Field(ge=0)]]


class SignalRules(_Rule):
    """Every rule of the signals."""

    lead_score: LeadScoreRules
    relationship_strength: StrengthRules

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the rules' content; layout does not count."""
        return fingerprint(self.model_dump_json())


def load_signal_rules(path: Path | None = None) -> SignalRules:
    """The default rules, overridden key by key by the file at `path`; vocabularies are replaced whole.

    Raises
    ------
    ConfigurationError
        for an unreadable file, an unknown key (with the nearest one) or points above 100 in sum.
    """
    file = read_yaml_file(DEFAULT_RULES)
    spec = file.content
    if path is not None:
        file = read_yaml_file(path)
        spec = _merge(file, (), spec, file.content, SignalRules)
    try:
        return SignalRules(**spec)
    except ValidationError as error:
        raise ConfigurationError("\n".join(explained(file, error, SignalRules))) from error


def _merge(
    file: YamlFile, place: Place, base: dict[str, Any], own: Any, model: type[BaseModel]
) -> dict[str, Any]:
    if not isinstance(own, dict):
        raise ConfigurationError(
            f"{file.at(place)}: {'.'.join(map(str, place))}: expected a mapping of keys to values"
        )
    merged = dict(base)
    for key, value in own.items():
        here = (*place, str(key))
        if key not in model.model_fields:
            hint = nearest(str(key), list(model.model_fields))
            raise ConfigurationError(f"{file.at(here)}: unknown key '{'.'.join(map(str, here))}'{hint}")
        inner = model.model_fields[key].annotation
        nested = isinstance(inner, type) and issubclass(inner, BaseModel)
        merged[key] = _merge(file, here, base[key], value, inner) if nested else value  # type: ignore[arg-type]
    return merged
