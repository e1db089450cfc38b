"""Why a link holds, in one phrase: the decision, the key, or what weighs most in the model."""

from __future__ import annotations

from collections.abc import Sequence

from crm_hygiene.explanation.explain import PairExplanation, UnknownRecord, explain_pairs
from crm_hygiene.explanation.link_tree import Link
from crm_hygiene.explanation.wording import SILENT, bits, key_in_words, plain, probability
from crm_hygiene.linkage.records import NOUNS, Record
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night

# More pairs than this are not weighed comparison by comparison for one answer.
MOST_PAIRS = 300


class LinkReasons:
    """The weights of some pairs, weighed once, as phrases."""

    def __init__(self, night: Night, kind: EntityKind, pairs: Sequence[tuple[Record, Record]]) -> None:
        self.kind = kind
        self.explained: dict[frozenset[Record], PairExplanation] = {}
        try:
            found = explain_pairs(night, kind, sorted(set(pairs))[:MOST_PAIRS])
        except UnknownRecord:
            # A record went between the night that linked it and now: the link's own figures still stand.
            return
        self.explained = {frozenset((e.record_l, e.record_r)): e for e in found}

    def of(self, left: Record, right: Record) -> PairExplanation | None:
        """The pair's explanation, where it was weighed."""
        return self.explained.get(frozenset((left, right)))

    def phrase(self, link: Link) -> str:
        """Why the link holds."""
        if link.method == "decision":
            return f"a steward decided that they are the same {NOUNS[self.kind][0]}"
        said = [key_in_words(link.match_key)] if link.match_key else []
        return "; ".join([*said, self.weighed(link)])

    def weighed(self, link: Link) -> str:
        """What the model says of the pair, with what speaks loudest for it and what against it."""
        pair = self.of(link.record_l, link.record_r)
        weight = link.match_weight if pair is None else pair.match_weight
        chance = link.match_probability if pair is None else pair.match_probability
        if weight is None or chance is None:
            return "not weighed by the model"
        text = f"{bits(weight)} bits, probability {probability(chance)}"
        if pair is None:
            return text
        loud = sorted(pair.steps, key=lambda step: (-abs(step.weight), step.comparison))
        sides = ([s for s in loud if s.weight > SILENT][:3], [s for s in loud if s.weight < -SILENT][:2])
        phrases = [
            ", ".join(f"{plain(s.comparison)} {plain(s.level)} {bits(s.weight)}" for s in side)
            for side in sides
        ]
        return (
            text
            + (f": {phrases[0]}" if phrases[0] else "")
            + (f"; against it {phrases[1]}" if phrases[1] else "")
        )
