"""Nights that score only what changed end where nights that score everything end."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any

import polars as pl
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.linkage import EntityKind, FrozenModel, Linkage, LinkageSettings, Register, link
from crm_hygiene.linkage import night_before as night_before_module
from crm_hygiene.linkage.blocking import Blocking, blocking
from crm_hygiene.linkage.night_before import NightBefore
from crm_hygiene.linkage.preparation import prepare

from .changing_records import ACTS, ChangingRecords

# Hardly any pair is too unlikely to keep, so that hardly any mistake stays unseen.
NO_BUDGET: dict[str, Any] = {"review_low": 1e-6}
# So tight that blocks go over it and come back under it as records come and go.
TIGHT: dict[str, Any] = {
    **NO_BUDGET,
    "least_budget": 40,
    "pairs_per_record": 0.5,
    "total_pairs_per_record": 2,
    "least_block": 2,
}
FRAMES = tuple(f.name for f in fields(Linkage) if f.type == "pl.DataFrame")

nights = st.lists(st.lists(st.sampled_from(sorted(ACTS)), max_size=6), min_size=1, max_size=2)


@cache
def rules(kind: EntityKind) -> dict[str, Any]:
    """A part of the rules, so that a night takes a fraction of a second."""
    full = LinkageSettings().rules_of(kind)
    blocks, comparisons = (
        ((0, 2, 7, 9, 15, 27), {"given_name", "family_name", "place"})
        if kind == "person"
        else ((0, 2, 3, 8, 11, 16), {"organisation_name", "phone"})
    )
    return {
        kind: full.model_copy(
            update={
                "blocking": tuple(full.blocking[i] for i in blocks),
                "comparisons": tuple(c for c in full.comparisons if c.name in comparisons),
            }
        )
    }


@cache
def model_of(kind: EntityKind) -> FrozenModel:
    """Learned from a crowd of its own; what it says matters less than that it stays."""
    return night(ChangingRecords(kind, seed=0, records=250), None, None, NO_BUDGET).model


def night(
    crowd: ChangingRecords,
    last: Linkage | None,
    before: NightBefore | None,
    told: dict[str, Any],
    model: FrozenModel | None = None,
    **more: Any,
) -> Linkage:
    return link(
        crowd.kind,
        more.pop("records", crowd.records()),
        Register.empty() if last is None else Register(last.members, last.entities),
        crowd.decisions(),
        model,
        crowd.now,
        LinkageSettings(**{**rules(crowd.kind), **told, **more}),
        before,
    )


def of(last: Linkage) -> NightBefore:
    return NightBefore(last.pairs, last.fingerprints)


def differing(one: Linkage | None, other: Linkage | None) -> list[str]:
    """Names of the frames that are not equal."""
    return [name for name in FRAMES if not getattr(one, name).equals(getattr(other, name))]


def _keyed(
    crowd: ChangingRecords, told: dict[str, Any]
) -> tuple[pl.DataFrame, Blocking, list[tuple[str, str]]]:
    settings_ = LinkageSettings(**{**rules(crowd.kind), **told})
    frame = prepare(crowd.kind, crowd.records(), settings_).frame
    keys = list(frame.select("source", "record_id").iter_rows())
    known = settings_.rules_of(crowd.kind)
    read = str([level.when for c in known.comparisons for level in c.levels])
    blocked = {column for columns in known.blocking for column in columns}
    looked_at = [c for c in frame.columns if c in blocked or f"{c}_l" in read]
    return frame.select(looked_at), blocking(crowd.kind, frame, settings_), keys


def wanted_pairs(now: ChangingRecords, was: tuple[Any, Any, Any], told: dict[str, Any]) -> tuple[int, int]:
    """By brute force: pairs that touch a changed record, and others in a block that came into force."""
    frame, blocks, keys = _keyed(now, told)
    old = dict(zip(was[2], was[0].rows(), strict=True))
    new = dict(zip(keys, frame.rows(), strict=True))
    changed = {key for key in keys if old.get(key) != new[key]}
    in_force = {(column, value) for column in was[1].rules for value in was[1].columns[column].drop_nulls()}
    touching, fresh = set(), set()
    for column in blocks.rules:
        for value, members in blocks.columns.select(column).with_row_index().drop_nulls().group_by(column):
            ids = [keys[i] for i in members["index"]]
            pairs = {(a, b) for a in ids for b in ids if a < b}
            touching |= {pair for pair in pairs if changed & set(pair)}
            if (column, value[0]) not in in_force:
                fresh |= pairs
    return len(touching), len(fresh - touching)


@settings(max_examples=examples(5))
@given(
    kind=st.sampled_from(["person", "organisation"]),
    seed=st.integers(0, 10**6),
    size=st.integers(60, 110),
    nights=nights,
    told=st.sampled_from([NO_BUDGET, TIGHT]),
)
def test_a_night_that_scores_what_changed_equals_one_that_scores_everything(
    kind: EntityKind, seed: int, size: int, nights: list[list[str]], told: dict[str, Any]
) -> None:
    crowd = ChangingRecords(kind, seed, size)
    model = model_of(kind)
    last = night(crowd, None, None, told, model)
    for acts in nights:
        was = _keyed(crowd, told)
        crowd.night(acts)
        incremental = night(crowd, last, of(last), told, model)
        everything = night(crowd, last, None, told, model)
        assert differing(incremental, everything) == []
        touching, fresh = wanted_pairs(crowd, was, told)
        assert touching <= incremental.scored_pairs <= touching + fresh
        last = incremental


def test_a_night_on_which_nothing_changed_scores_nothing() -> None:
    crowd = ChangingRecords("person", seed=1, records=120)
    first = night(crowd, None, None, NO_BUDGET, model_of("person"))
    assert (first.changed_records, first.scored_pairs > 100) == (120, True)
    crowd.night(["untouched", "judged"])
    second = night(crowd, first, of(first), NO_BUDGET, model_of("person"))
    assert (second.changed_records, second.scored_pairs) == (0, 0)
    assert any("0 of 120 records changed, 0 candidate pairs scored" in note for note in second.notes)
    assert differing(second, night(crowd, first, None, NO_BUDGET, model_of("person"))) == []


def test_a_block_back_under_its_budget_is_scored_without_any_changed_record() -> None:
    crowd = ChangingRecords("person", seed=2, records=80)
    crowd.night(["crowded", "crowded"])
    first = night(crowd, None, None, TIGHT, model_of("person"))
    # A deleted record changes no other, it only makes room.
    crowd.night(["deleted"] * 12)
    second = night(crowd, first, of(first), TIGHT, model_of("person"))
    everything = night(crowd, first, None, TIGHT, model_of("person"))
    assert second.scored_pairs > 0
    assert second.scored_pairs < everything.scored_pairs
    assert differing(second, everything) == []


def test_another_model_other_rules_or_another_library_score_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crowd = ChangingRecords("person", seed=3, records=80)
    model = model_of("person")
    usual: dict[str, Any] = {"review_low": 0.5}
    first = night(crowd, None, None, usual, model)

    other_model = night(crowd, None, None, {"min_training_records": 1000}).model
    assert other_model.model_version != model.model_version
    assert night(crowd, first, of(first), usual, other_model).changed_records == 80
    lower = night(crowd, first, of(first), NO_BUDGET, model)
    assert lower.scored_pairs == first.scored_pairs
    assert lower.pairs.height > first.pairs.height
    assert night(crowd, first, of(first), usual, model, threads=1).scored_pairs == 0
    monkeypatch.setattr(night_before_module, "version", lambda name: f"{name} of tomorrow")
    upgraded = night(crowd, first, of(first), usual, model)
    assert upgraded.scored_pairs == first.scored_pairs
    assert any("all" in note and "scored" in note for note in upgraded.notes)


@pytest.mark.long
def test_row_order_and_threads_change_no_frame_of_a_large_crowd() -> None:
    crowd = ChangingRecords("person", seed=4, records=2000)
    model = model_of("person")
    first = night(crowd, None, None, NO_BUDGET, model)
    crowd.night([act for act in ACTS for _ in range(4)])
    usual = night(crowd, first, of(first), NO_BUDGET, model)
    for threads, seed in ((1, 5), (2, 6), (4, 7)):
        records = crowd.records().sample(fraction=1, shuffle=True, seed=seed)
        shuffled = NightBefore(
            *(
                frame.sample(fraction=1, shuffle=True, seed=seed)
                for frame in (first.pairs, first.fingerprints)
            )
        )
        again = night(crowd, first, shuffled, NO_BUDGET, model, records=records, threads=threads)
        assert again.scored_pairs == usual.scored_pairs
        assert differing(again, usual) == []
        everything = night(crowd, first, None, NO_BUDGET, model, records=records, threads=threads)
        assert differing(everything, usual) == []
