"""The frozen model: learned numbers and term frequencies as JSON, with a version.

The recipe stays in `rules.yaml`; a model stores per comparison and level the numbers m and u. A level
or comparison the rules no longer have falls away; one the model has not seen is not used until the
next training.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.settings import EntityKind


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def shares_of(content: Mapping[str, Any], column: str) -> dict[str, Any]:
    """Term frequencies of a column by a model's content; of a column it never saw, that nothing is known."""
    found: dict[str, Any] = content["frequencies"].get(column, {"floor": 0.0, "values": {}})
    return found


@dataclass(frozen=True)
class FrozenModel:
    """A trained model as linked.models keeps it.

    `model_json` holds `prior` (probability that two random records match), `comparisons`
    ({comparison: {level: [m, u]}}) and `frequencies` ({column: {"floor": f, "values": {text: f}}}).
    """

    entity_kind: EntityKind
    model_version: str
    model_json: str
    rule_fingerprint: str
    record_count: int

    @property
    def content(self) -> dict[str, Any]:
        """The parsed JSON."""
        document: dict[str, Any] = json.loads(self.model_json)
        return document

    @classmethod
    def freeze(
        cls, kind: EntityKind, content: dict[str, Any], rule_fingerprint: str, record_count: int
    ) -> FrozenModel:
        """Freeze learned numbers; the version is the first 12 hexadecimal digits of their SHA-256."""
        text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return cls(kind, _digest(f"{kind}\n{text}"), text, rule_fingerprint, record_count)

    @classmethod
    def thaw(cls, row: dict[str, Any]) -> FrozenModel:
        """A model from a row of linked.models.

        Raises
        ------
        ConfigurationError
            if the stored JSON does not have the stored version.
        """
        model = cls(
            row["entity_kind"],
            row["model_version"],
            row["model_json"],
            row["rule_fingerprint"],
            row["record_count"],
        )
        if _digest(f"{model.entity_kind}\n{model.model_json}") != model.model_version:
            raise ConfigurationError(
                f"linkage model {model.model_version}: its content does not have that version; "
                "train a new model"
            )
        return model
