"""Golden rows of entities with the choices they were made by, bucket by bucket, put by until published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from crm_hygiene.spill import PutBy, Spill
from crm_hygiene.survivorship.choose import Choice

Choices = Callable[[], Sequence[Choice]]
"""Gives the choices of a bucket of entities; their order of all values is not kept."""


@dataclass(frozen=True)
class Built:
    """What was built of one kind of entity; each field one item per bucket, in the order of their ids.

    Attributes
    ----------
    rows
        golden.contacts or golden.accounts.
    choices
        of fields and groups, for provenance.
    relationships
        golden.relationships of the people.
    """

    rows: tuple[PutBy, ...]
    choices: tuple[Choices, ...]
    relationships: tuple[PutBy, ...] = ()


def put_choices(choices: Sequence[Choice], spill: Spill) -> Choices:
    """Put the choices of a bucket by; they share their candidates. At least one choice."""
    candidates = choices[0].candidates
    records = spill.put(candidates.records)
    winners = [spill.put(choice.winners) for choice in choices]
    # What stands for the choices is not to hold what was put by.
    nobody = candidates.of(candidates.records.clear())
    bare = [replace(c, winners=c.winners.clear(), candidates=nobody, order=None) for c in choices]

    def give_back() -> list[Choice]:
        found = nobody.of(records())
        return [replace(c, winners=w(), candidates=found) for c, w in zip(bare, winners, strict=True)]

    return give_back
