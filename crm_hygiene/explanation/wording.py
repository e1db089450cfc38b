"""Wording: weights, levels and rules in words a steward understands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Weights this small move no probability that anyone would notice.
SILENT = 0.05

KEYS = {
    "email": "they have the same mailbox and names that can be one name",
    "tax_id": "they have the same tax number",
    "iban": "they have the same bank account and names that can be one name",
    "merged_record_ids": "the source itself merged one record into the other",
    "converted_person_record_id": "the source itself says that the lead became the contact",
}


# Columns of blocking rules; where a rule names another, its name is read as it stands.
COLUMNS = {
    "given": "given name",
    "family": "family name",
    "given_start": "the first letters of the given name",
    "family_start": "the first letters of the family name",
    "name": "name",
    "name_key": "the whole name",
    "name_start": "the first letters of the name",
    "rare_word": "the rarest word of the name",
    "email_user": "the mailbox before the @",
    "phone_1": "telephone",
    "phone_2": "second telephone",
    "postal": "postal code",
    "postal_area": "postal area",
    "street_start": "the first letters of the street",
    "iban": "bank account",
    "tax_id": "tax number",
}


def rules_in_words(rules: Sequence[str], limit: int = 4) -> str:
    """Blocking rules, `;` between them; beyond `limit` their number."""
    said = [" and ".join(COLUMNS.get(c, plain(c)) for c in rule.split(" and ")) for rule in rules[:limit]]
    more = len(rules) - limit
    return "; ".join(said) + (f"; and by {more} more rule{'s' if more > 1 else ''}" if more > 0 else "")


def plain(name: str) -> str:
    """A name of the rules as words."""
    return name.replace("_", " ")


def key_in_words(key: str) -> str:
    """What a deterministic key means."""
    return KEYS.get(key, f"they agree on {plain(key)}")


def bits(weight: float) -> str:
    """A weight with its sign: `+6.0`."""
    return f"{weight:+.1f}"


def times(factor: float) -> str:
    """A factor as people say it: 1.4, 64, 1,300, 2 million."""
    if factor >= 1e15:
        return "more than a million billion"
    for name, size in (("billion", 1e9), ("million", 1e6)):
        if factor >= size:
            return f"{factor / size:,.0f} {name}"
    if factor >= 1000:
        return f"{round(factor, -2):,.0f}"
    return f"{factor:,.0f}" if factor >= 10 else f"{factor:.1f}"


def likelihood(weight: float, noun: str) -> str:
    """What a weight in bits says: `64 times likelier if the same person` is +6."""
    if abs(weight) < SILENT:
        return "as likely either way"
    side = "the same" if weight > 0 else "a different"
    return f"{times(min(2.0 ** abs(weight), 1e300))} times likelier if {side} {noun}"


def probability(value: float) -> str:
    """A probability with as many places as tell it from 0 and 1."""
    if value >= 0.999995:
        return "more than 0.99999"
    if value <= 0.000005:
        return "less than 0.00001"
    return f"{value:.5f}".rstrip("0") if min(value, 1 - value) < 0.01 else f"{value:.2f}"


def event_in_words(event: dict[str, Any], entity_id: str) -> str:
    """A row of linked.*_history, as it looks from `entity_id`."""
    own = event["entity_id"] == entity_id
    who = "" if own else f"{event['entity_id']}: "
    other = event["related_entity_id"]
    record = f"{event['source']}:{event['record_id']}"
    said = {
        "created": f"first seen, founded on {record}",
        "merged": f"merged into {other}" if other != entity_id else "merged into this one",
        "redirected": f"stands for {other} now",
        "split": f"{other} was split off" if other != entity_id else "this one was split off",
        "joined": f"{record} joined" + (f", coming from {other}" if other else ""),
        "left": f"{record} left" + (f" and went to {other}" if other else ": it is gone from its source"),
        "retired": "retired: no record of it is left",
        "revived": "live again",
    }[event["event"]]
    return f"{event['event_at']:%Y-%m-%d}  {who}{said}"


def decision_in_words(decision: dict[str, Any]) -> str:
    """A row of stewardship.decisions with `is_revoked`."""
    left = f"{decision['source_l']}:{decision['record_id_l']}"
    right = f"{decision['source_r']}:{decision['record_id_r']}"
    reason = f" ({decision['reason']})" if decision.get("reason") else ""
    end = "; taken back since" if decision["is_revoked"] else ""
    judged = {"same": "the same", "different": "different", "unsure": "unsure"}[decision["judgement"]]
    by = f"{decision['decided_at']:%Y-%m-%d}  {decision['decided_by']}"
    return f"{by}: {left} and {right}: {judged}{reason}{end}"


def question_in_words(question: dict[str, Any]) -> str:
    """A row of stewardship.review_queue."""
    left = f"{question['source_l']}:{question['record_id_l']}"
    right = f" and {question['source_r']}:{question['record_id_r']}" if question["record_id_r"] else ""
    chance = question["match_probability"]
    said = f" (probability {probability(chance)})" if chance is not None else ""
    return f"{left}{right}: {question['question']}{said}"
