"""The true world that all exports are observations of.

What does not belong here: faults and layouts; the truth is not dirty.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from crm_hygiene.sample.organisations import build_organisations
from crm_hygiene.sample.people import build_people
from crm_hygiene.sample.vocabulary import Vocabulary, load_vocabulary


@dataclass(frozen=True)
class World:
    """People and the organisations they work at; a row's number is its identity."""

    seed: int
    vocabulary: Vocabulary
    organisations: pl.DataFrame
    people: pl.DataFrame


def build_world(people: int, seed: int) -> World:
    """A world of `people` persons at about a quarter as many organisations."""
    vocabulary = load_vocabulary()
    organisations = build_organisations(vocabulary, seed, max(1, people // 4))
    return World(seed, vocabulary, organisations, build_people(vocabulary, seed, people, organisations))
