"""Why a mistake came about, in one sentence each, from the pair that explains it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crm_hygiene.explanation.pair_explanation import PairExplanation
from crm_hygiene.explanation.wording import key_in_words, probability, rules_in_words
from crm_hygiene.linkage.records import Record, written


@dataclass(frozen=True)
class FoundMistake:
    """A mistake before it is explained: its parts and the pairs worth explaining."""

    what: Literal["merged", "torn"]
    wrong_pairs: int
    entity_ids: tuple[str, ...]
    cluster_ids: tuple[str, ...]
    part_sizes: tuple[int, ...]
    pairs: tuple[tuple[Record, Record], ...]
    link_count: int = 0
    is_through_unlabelled: bool = False


def why_merged(found: FoundMistake, link: PairExplanation | None) -> str:
    """Why an entity holds records of several clusters; `link` is the weakest link across them."""
    if link is None:
        return (
            "No link across the clusters is in force: the records are together from an earlier night, "
            "as a suspect entity keeps its last good state."
        )
    if found.is_through_unlabelled:
        head = "They are joined through records that the truth file does not name; the weakest such link"
    elif found.link_count == 1:
        head = "The link that joined them"
    else:
        head = f"{found.link_count:,} links join records of different clusters; the weakest of them"
    pair = f"{written(link.record_l)} and {written(link.record_r)}"
    if link.judgement == "same":
        why = "a steward decided that they are the same"
    elif link.match_key is not None:
        why = key_in_words(link.match_key)
    elif link.match_probability is not None:
        why = f"the model gives it a probability of {probability(link.match_probability)}"
    else:
        why = "the model that is in use now gives it no weight"
    return f"{head}: {pair}; {why}."


def why_torn(found: FoundMistake, best: PairExplanation | None) -> str:
    """Why a cluster is in pieces; `best` is the strongest pair across them, of those looked at."""
    if best is None:
        return "Records without an entity cannot be compared: they were refused, deleted or never landed."
    pair = f"{written(best.record_l)} and {written(best.record_r)}"
    head = f"The strongest pair across the pieces is {pair}"
    if len(found.pairs) > 1:
        head = (
            f"The night kept no pair across the pieces; of {len(found.pairs)} looked at the nearest is {pair}"
        )
    return f"{head}: {_why_apart(best)}."


def _why_apart(best: PairExplanation) -> str:
    chance = "no weight" if best.match_probability is None else probability(best.match_probability)
    is_probable = best.match_probability is not None and best.match_probability >= best.threshold
    if best.judgement == "different":
        return "a steward decided that they differ, and that binds"
    if best.match_key is not None:
        return "a key links them, and the link was refused, as something stronger keeps them apart"
    if best.found_by is not None:
        if is_probable:
            return f"at {chance} the link is strong enough, and was refused, as something keeps them apart"
        return f"compared, and its probability of {chance} is below the threshold of {best.threshold}"
    if not best.blocking_rules:
        then = f"with {chance} they would have been linked" if is_probable else f"it would have had {chance}"
        return f"no blocking rule proposes it, so it was never compared; {then}"
    rules = rules_in_words(best.blocking_rules, 2)
    if is_probable:
        return (
            f"they agree on {rules}, which was over its budget there, so they were not compared; with "
            f"{chance} they would have been linked"
        )
    return f"they agree on {rules}, and their probability of {chance} is too low to be kept"
