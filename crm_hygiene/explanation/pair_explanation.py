"""The explanation of a pair as data and in words: what was compared, what it weighs, what follows.

What does not belong here: how the weights come about (`explanation`, `pair_weights`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from crm_hygiene.explanation.wording import (
    bits,
    key_in_words,
    likelihood,
    plain,
    probability,
    rules_in_words,
    times,
)
from crm_hygiene.linkage.records import NOUNS, Record, written
from crm_hygiene.linkage.scoring import match_weight_of
from crm_hygiene.linkage.settings import EntityKind


@dataclass(frozen=True)
class Step:
    """One comparison of a pair.

    `weight` and `frequency_weight` are in bits (base-2 logarithms of Bayes factors); `frequency_weight` is
    the part of `weight` that comes from how common the value is. `value_l` and `value_r` are what was
    compared; `remark` says why nothing was, where both records have a value.
    """

    comparison: str
    level: str
    value_l: str | None
    value_r: str | None
    weight: float
    frequency_weight: float
    is_null: bool = False
    remark: str | None = None

    def in_words(self, noun: str) -> str:
        """The step as one line."""
        name = plain(self.comparison)
        if self.is_null:
            if self.remark:
                return f"{'0':>6}  {name}: {self.remark}"
            if self.value_l is None or self.value_r is None:
                where = "on both sides" if self.value_l is self.value_r else "on one side"
                return f"{'0':>6}  {name}: missing {where}, no evidence"
            return f"{'0':>6}  {name}: {self._values()}: says nothing in this case, not counted"
        text = f"{bits(self.weight):>6}  {name}: {plain(self.level)}, {self._values()}: "
        text += likelihood(self.weight, noun)
        if abs(self.frequency_weight) >= 0.05:
            kind = "rare" if self.frequency_weight > 0 else "common"
            text += f" ({bits(self.frequency_weight)} of it because the value is {kind})"
        return text

    def _values(self) -> str:
        if self.value_l == self.value_r:
            return f"'{self.value_l}'"
        return f"'{self.value_l or ''}' and '{self.value_r or ''}'"


@dataclass(frozen=True)
class PairExplanation:
    """Everything that speaks for and against one pair of records.

    `prior_weight` plus the steps' weights is `match_weight` (bits), which is null where the model knows
    none of the comparisons. `blocking_rules` are the rules on whose columns both records agree, in the
    order of the rules file; `found_by` is the one by which the night found the pair, null where none
    did. `method`, `match_key` and `is_link` are the night's; `judgement` is what a steward last said.
    """

    record_l: Record
    record_r: Record
    entity_id_l: str | None
    entity_id_r: str | None
    method: str | None
    match_key: str | None
    blocking_rules: tuple[str, ...]
    prior_weight: float
    steps: tuple[Step, ...]
    match_weight: float | None
    match_probability: float | None
    threshold: float
    judgement: str | None
    model_version: str
    values_l: dict[str, str | None]
    values_r: dict[str, str | None]
    kind: EntityKind = "person"
    found_by: str | None = None
    is_link: bool | None = None
    review_low: float = 0.5

    @property
    def is_one_entity(self) -> bool:
        """Whether both records belong to one entity now."""
        return self.entity_id_l is not None and self.entity_id_l == self.entity_id_r

    def swapped(self) -> PairExplanation:
        """The same pair with its records the other way round."""
        return replace(
            self,
            record_l=self.record_r,
            record_r=self.record_l,
            entity_id_l=self.entity_id_r,
            entity_id_r=self.entity_id_l,
            values_l=self.values_r,
            values_r=self.values_l,
            steps=tuple(replace(step, value_l=step.value_r, value_r=step.value_l) for step in self.steps),
        )

    def in_night_order(self) -> PairExplanation:
        """The pair as the night has it: the record that comes first by source and id on the left."""
        return self if self.record_l < self.record_r else self.swapped()

    def lines(self) -> list[str]:
        """The explanation in words, one line per thought."""
        return [*self._verdict(), *self._found(), "", *self._weights()]

    def _verdict(self) -> list[str]:
        one, many = NOUNS[self.kind]
        pair = f"{written(self.record_l)} and {written(self.record_r)}"
        if self.is_one_entity:
            said = [f"{pair} are one {one}, {self.entity_id_l}."]
        elif self.entity_id_l and self.entity_id_r:
            said = [f"{pair} are two {many}, {self.entity_id_l} and {self.entity_id_r}."]
        else:
            said = [f"{pair}: the night has not yet placed both."]
        if self.judgement == "same":
            said.append(f"A steward decided that they are the same {one}; that binds.")
        elif self.judgement == "different":
            said.append(f"A steward decided that they are different {many}; that binds.")
        elif self.judgement == "unsure":
            said.append("A steward looked and was unsure; that binds nothing and is not asked again.")
        if self.match_key is not None:
            said.append(f"A key links them, before any model is asked: {key_in_words(self.match_key)}.")
        if self.is_one_entity and not self.is_link:
            said.append("No link of their own joins them: they are together through other records.")
        if (
            self.is_link is False
            and not self.is_one_entity
            and self.judgement != "different"
            and self._is_enough()
        ):
            said.append(f"The link is refused: something stronger keeps the two {many} apart.")
        return said

    def _is_enough(self) -> bool:
        sure = self.match_probability is not None and self.match_probability >= self.threshold
        return sure or self.match_key is not None

    def _found(self) -> list[str]:
        if self.found_by is not None:
            others = [rule for rule in self.blocking_rules if rule != self.found_by]
            also = f" They also agree on {rules_in_words(others)}." if others else ""
            return [f"The night compared them because they agree on {rules_in_words([self.found_by])}.{also}"]
        if self.blocking_rules:
            said = f"They agree on {rules_in_words(self.blocking_rules)}; by that the night finds pairs"
            if self.match_probability is not None and self.match_probability >= self.review_low:
                return [f"{said}, unless the rule is over its budget. It kept no such pair."]
            return [f"{said}, and it keeps those of a probability of {self.review_low} or more."]
        return ["They agree on nothing by which the night finds pairs, so it did not compare them."]

    def _weights(self) -> list[str]:
        one, many = NOUNS[self.kind]
        if self.match_weight is None or self.match_probability is None:
            return [f"Model {self.model_version} knows none of the comparisons in the rules: no weight."]
        odds = (
            f"of two records picked at random, one pair in {times(1 + 2.0**-self.prior_weight)} is one {one}"
        )
        found = [f"{bits(self.prior_weight):>6}  to start with: {odds}"]
        found += [step.in_words(one) for step in self.steps]
        total, least = self.match_weight, match_weight_of(self.threshold)
        found.append(f"{bits(total):>6}  in all: probability {probability(self.match_probability)}")
        if self.match_probability >= self.threshold:
            verdict = f"at or above the threshold of {self.threshold} ({bits(least)} bits): enough for a link"
        elif self.match_probability >= self.review_low:
            verdict = (
                f"below the threshold of {self.threshold} ({bits(least)} bits): a question for a steward"
            )
        else:
            least = match_weight_of(self.review_low)
            verdict = f"below {self.review_low} ({bits(least)} bits): taken for two {many}"
        return [
            f"Weights in bits (each bit doubles the odds), model {self.model_version}:",
            *found,
            f"{'':>6}  {verdict}",
        ]

    def as_json(self) -> dict[str, Any]:
        """The explanation as plain data."""
        return {
            "kind": self.kind,
            **{
                f"record_{side}": {
                    "source": record[0],
                    "record_id": record[1],
                    "entity_id": entity,
                    "values": values,
                }
                for side, record, entity, values in (
                    ("l", self.record_l, self.entity_id_l, self.values_l),
                    ("r", self.record_r, self.entity_id_r, self.values_r),
                )
            },
            "is_one_entity": self.is_one_entity,
            "is_link": self.is_link,
            "method": self.method,
            "match_key": self.match_key,
            "judgement": self.judgement,
            "found_by": self.found_by,
            "blocking_rules": list(self.blocking_rules),
            "prior_weight": self.prior_weight,
            "steps": [dict(vars(step)) for step in self.steps],
            "match_weight": self.match_weight,
            "match_probability": self.match_probability,
            "threshold": self.threshold,
            "model_version": self.model_version,
            "in_words": self.lines(),
        }
