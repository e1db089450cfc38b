"""Thirty nights that score what changed, beside thirty that score everything."""

from __future__ import annotations

from random import Random

import polars as pl
import pytest

from crm_hygiene.contract import contract_of
from crm_hygiene.golden import Golden, build_golden
from crm_hygiene.linkage import Linkage
from crm_hygiene.linkage.night_before import NightBefore
from crm_hygiene.survivorship import load_rules

from .changing_records import ACTS, SOURCES, ChangingRecords
from .test_incremental import TIGHT, differing, model_of, night, of

NIGHTS = 30
TABLES = ("contacts", "accounts", "leads", "relationships", "activities")


class Chain:
    """Nights of one kind, each upon the register that the one before left."""

    def __init__(self, crowd: ChangingRecords) -> None:
        self.crowd = crowd
        self.last: Linkage | None = None
        self.register: Linkage | None = None
        self.histories: list[pl.DataFrame] = []
        self.scored = 0

    def scores_what_changed(self) -> None:
        self._follow(None if self.last is None else of(self.last))

    def scores_everything(self) -> None:
        self._follow(None)

    def _follow(self, before: NightBefore | None) -> None:
        self.register = self.last
        self.last = night(self.crowd, self.last, before, TIGHT, model_of(self.crowd.kind))
        self.histories.append(self.last.history)
        self.scored += self.last.scored_pairs

    def rebuilt(self) -> Linkage:
        """Tonight once more, everything scored, upon the register of the night before."""
        return night(self.crowd, self.register, None, TIGHT, model_of(self.crowd.kind))

    @property
    def members(self) -> pl.DataFrame:
        assert self.last is not None
        return self.last.members

    @property
    def history(self) -> pl.DataFrame:
        return pl.concat(self.histories).sort("event_id")


def golden(person: Chain, firm: Chain, firms: pl.DataFrame) -> Golden:
    return build_golden(
        person.crowd.records().lazy(),
        person.members,
        firm.crowd.records().lazy(),
        firms,
        contract_of("conformed.consents").empty(),
        contract_of("conformed.interactions").empty().lazy(),
        load_rules(),
        person.crowd.now,
        {source: "crm" for sources in SOURCES.values() for source in sources},
    )


@pytest.mark.long
def test_thirty_nights_end_where_thirty_rebuilds_end() -> None:
    random = Random(11)
    people = ChangingRecords("person", seed=21, records=70)
    short, long = Chain(people), Chain(people)
    firm = Chain(ChangingRecords("organisation", seed=22, records=40))
    for number in range(NIGHTS):
        for crowd in (people, firm.crowd):
            crowd.night(random.choices(sorted(ACTS), k=random.randrange(8)))
        short.scores_what_changed()
        long.scores_everything()
        firm.scores_what_changed()
        assert short.members.equals(long.members), number
        assert short.history.equals(long.history), number
        if number % 10 == 9:
            rebuilt = firm.rebuilt()
            assert differing(firm.last, rebuilt) == [], number
            mine, other = golden(short, firm, firm.members), golden(long, firm, rebuilt.members)
            for table in TABLES:
                assert mine.table(table).equals(other.table(table)), table
            for a, b in zip(mine.provenance, other.provenance, strict=True):
                assert a.equals(b)
    assert mine.contacts.height > 30
    assert mine.accounts.height > 15
    assert short.scored < long.scored / 2
    assert {"merged", "split", "retired"} <= set(short.history["event"])
