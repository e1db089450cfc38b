"""What a night's changes reach is all that differs: tables revised equal tables built whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

import polars as pl
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from crm_hygiene.contract import contract_of
from crm_hygiene.golden import Golden, build_golden
from crm_hygiene.golden import revise as revising
from crm_hygiene.golden.consent import ConsentMemory
from crm_hygiene.golden.consent_rules import load_consent_rules
from crm_hygiene.golden.inputs import Inputs, differing
from crm_hygiene.golden.lead_rules import load_lead_rules
from crm_hygiene.golden.revise import RevisedGolden, revise_golden
from crm_hygiene.revision import Revision, StreamedRevision
from crm_hygiene.survivorship import load_rules

from . import records as r
from .night import nights

Rows = list[dict[str, Any]]
RULES, LEAD_RULES, CONSENT_RULES = load_rules(), load_lead_rules(), load_consent_rules()
TABLES = (
    "contacts",
    "accounts",
    "leads",
    "lead_states",
    "relationships",
    "activities",
    "consents",
    "consent_events",
)
PINNABLE = {
    "golden.contacts": ("p", "P", {"job_title": ["b", None], "email": ["x@one.com"]}),
    "golden.accounts": ("o", "O", {"parent_entity_id": ["O0", "O1", None], "industry": ["c"]}),
}


@st.composite
def further(draw: st.DrawFn, night: dict[str, Rows]) -> dict[str, Rows]:
    """A night with bounces, mail of organisations, opportunities, questions, pins and former records."""
    mail = st.sampled_from([None, "a@one.com", "b@two.com", "c@free.com"])
    for row in night["organisations"]:
        address = draw(mail)
        row |= {"email": address, "email_domain": address.split("@")[1] if address else None}
        row |= {
            "is_deleted": draw(st.integers(0, 5)) == 0,
            "employee_count": draw(st.sampled_from([None, 5])),
        }
    for row in night["interactions"]:
        if draw(st.booleans()):
            row |= {"interaction_kind": draw(st.sampled_from(["bounce", "delivered"])), "channel": "email"}
            row["email"] = draw(mail)
        row["organisation_record_id"] = draw(st.sampled_from([None, None, "o0", "o1"]))
    opportunities = [
        {"source": "salesforce_opportunities", "record_id": f"d{n}", "organisation_record_id": f"o{n}"}
        | {"observed_at": r.days_ago(draw(st.sampled_from([1, 300])))}
        for n in range(draw(st.integers(0, 2)))
    ]
    questions = [
        {
            "review_id": f"q{n}",
            "entity_kind": "person",
            "entity_id_l": f"{kind}{draw(st.integers(0, 1))}",
            "entity_id_r": f"{kind}2",
            "match_probability": draw(st.sampled_from([0.5, 0.4, None])),
        }
        for n, kind in enumerate(draw(st.lists(st.sampled_from("PO"), max_size=2)))
    ]
    pins = []
    for n in range(draw(st.integers(0, 2))):
        table = draw(st.sampled_from(sorted(PINNABLE)))
        record, entity, columns = PINNABLE[table]
        column = draw(st.sampled_from(sorted(columns)))
        rows = night["people" if record == "p" else "organisations"]
        pins.append(
            {
                "pin_id": f"n{n}",
                "table_name": table,
                "entity_id": f"{entity}{draw(st.integers(0, 1))}",
                "source": draw(st.sampled_from([row["source"] for row in rows] or ["gone"])),
                "record_id": f"{record}{draw(st.integers(0, 2))}",
                "column_name": column,
                "value": draw(st.sampled_from(columns[column])),
                "decided_by": "s",
                "decided_at": r.days_ago(n + 1),
                "revokes": None,
            }
        )
    if pins and draw(st.booleans()):
        pins.append(pins[0] | {"pin_id": "r", "value": None, "revokes": "n0", "decided_at": r.days_ago(0)})
    former = [
        {"source": "hubspot_contacts", "record_id": f"p{n}", "entity": f"P{draw(st.integers(0, 4))}"}
        for n in (8, 9)
        if draw(st.booleans())
    ]
    gone = [
        {**row, "is_deleted": True, "email_normalised": draw(st.sampled_from([None, "x@one.com"]))}
        for row in ({k: v for k, v in f.items() if k != "entity"} for f in former)
    ]
    more = {
        "opportunities": opportunities,
        "questions": questions,
        "pins": pins,
        "former": former,
        "gone": gone,
    }
    return {**night, **more, "former": former, "gone": gone}


@st.composite
def two_nights(draw: st.DrawFn) -> tuple[dict[str, Rows], dict[str, Rows]]:
    """A night and the next one: rows stay, change, come and go, entities merge and split."""
    one, other = (draw(further(draw(nights()))) for _ in range(2))
    share = draw(st.sampled_from([1, 3, 9]))
    edited: dict[str, Rows] = {}
    for table, rows in one.items():
        edited[table] = []
        for at in range(max(len(rows), len(other[table]))):
            is_kept = draw(st.integers(0, share)) > 0
            taken = rows if is_kept else other[table]
            edited[table] += taken[at : at + 1]
    # Pins that were set stay in the log; one of them may be revoked later.
    return one, edited


def frames(night: dict[str, Rows]) -> dict[str, pl.DataFrame]:
    """The tables golden is built from, by the names of `build_golden`."""

    def told(frame: pl.DataFrame) -> pl.DataFrame:
        stated = frame.drop("content_hash", "file", "row_number", "landed_at", "observed_at", "problems")
        return frame.with_columns(stated.hash_rows(seed=0).cast(pl.String).alias("content_hash"))

    members = [row for row in night["people"] if "entity" in row]
    return {
        "people": told(r.people([*night["people"], *night["gone"]])),
        "person_members": r.members(members),
        "organisations": told(r.organisations(night["organisations"])),
        "organisation_members": r.members(night["organisations"], "linked.organisation_members"),
        "consents": r.consents(night["consents"]),
        "interactions": r.interactions(night["interactions"]),
        "pins": r.frame("stewardship.pins", night["pins"]),
        "questions": r.frame("linked.questions", night["questions"]),
        "users": r.frame("conformed.users", night["users"], is_active=True),
        "opportunities": r.frame("conformed.opportunities", night["opportunities"]),
        "versions": r.frame("conformed.person_versions", night["versions"]),
    }


def memory(night: dict[str, Rows]) -> ConsentMemory:
    return ConsentMemory(CONSENT_RULES, r.members(night["former"]).select("source", "record_id", "entity_id"))


def whole(night: dict[str, Rows], size: int = 100) -> Golden:
    given = frames(night)
    lazy = {name: given.pop(name).lazy() for name in ("people", "organisations", "interactions")}
    return build_golden(
        **given,
        **lazy,
        rules=RULES,
        as_of=r.AS_OF,
        systems=r.SYSTEMS,
        lead_rules=LEAD_RULES,
        memory=lambda people, members: memory(night),
        size=size,
    )


def inputs(given: dict[str, pl.DataFrame]) -> Inputs:
    return Inputs(**{name: given[name].lazy() for name in Inputs.__dataclass_fields__})


def revised(one: dict[str, Rows], other: dict[str, Rows], live: Golden, size: int = 100) -> RevisedGolden:
    then, now = frames(one), frames(other)
    then_inputs, now_inputs = inputs(then), inputs(now)
    same = {
        name: getattr(now_inputs, name)
        for name in Inputs.__dataclass_fields__
        if then[name].equals(now[name])
    }
    tables = {f"golden.{t}": live.table(t).lazy() for t in TABLES}
    with mock.patch.object(revising, "_are_most", return_value=False):
        found = revise_golden(
            replace(then_inputs, **same),
            now_inputs,
            {**tables, "golden.provenance": live.provenance.collect().lazy()},
            now["consents"],
            now["interactions"].lazy(),
            now["users"],
            now["opportunities"],
            lambda people, members: memory(other),
            RULES,
            LEAD_RULES,
            r.AS_OF,
            r.SYSTEMS,
            size,
        )
    assert found is not None
    return found


def held(revision: Revision | StreamedRevision, none: pl.DataFrame) -> Revision:
    """The revision with its parts put together."""
    if isinstance(revision, Revision):
        return revision
    kept, fresh = (pl.concat([none, *parts]) for parts in (revision.kept, revision.fresh))
    assert revision.gone is not None
    return Revision(kept, fresh, revision.gone.rows(none))


def assert_equal(found: RevisedGolden, expected: Golden, live: Golden) -> None:
    for table in TABLES:
        contract = contract_of(f"golden.{table}")
        none, revision = contract.empty(), found.tables.get(contract.table)
        if revision is None:
            parts = [*found.activities.kept(), *found.activities.fresh()]
        else:
            revision = held(revision, none)
            parts = [revision.kept, revision.fresh]
            assert revision.gone is not None
            before = pl.concat([none, revision.kept, revision.gone]).sort(contract.key)
            assert_frame_equal(before, live.table(table), check_exact=True)
        both = pl.concat([none, *parts]).sort(contract.key)
        assert_frame_equal(both, expected.table(table), check_exact=True)
    contract = contract_of("golden.provenance")
    provenance = held(found.provenance, contract.empty())
    both = pl.concat([provenance.kept, provenance.fresh]).sort(contract.key)
    assert_frame_equal(both, expected.provenance.collect(), check_exact=True)
    assert provenance.gone is not None
    before = pl.concat([provenance.kept, provenance.gone]).sort(contract.key)
    assert_frame_equal(before, live.provenance.collect(), check_exact=True)
    assert sorted(found.notes) == sorted(expected.notes)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(both=two_nights(), size=st.sampled_from([1, 2, 100]), part=st.sampled_from([1, 2, 100]))
def test_a_revised_night_equals_one_built_whole(
    both: tuple[dict[str, Rows], dict[str, Rows]], size: int, part: int
) -> None:
    one, other = both
    live = whole(one)
    with mock.patch.object(revising, "_KEPT_ROWS", part):
        assert_equal(revised(one, other, live, size), whole(other), live)


@settings(max_examples=examples(10), deadline=None, suppress_health_check=list(HealthCheck))
@given(both=two_nights())
def test_a_night_in_which_nothing_changed_touches_nobody(
    both: tuple[dict[str, Rows], dict[str, Rows]],
) -> None:
    night, _ = both
    found = revised(night, night, whole(night))
    assert found.touched == (0, 0)
    for table, revision in found.tables.items():
        assert held(revision, contract_of(table).empty()).fresh.is_empty()
    assert all(frame.is_empty() for frame in found.provenance.fresh)


def test_rows_of_one_side_differ() -> None:
    then = pl.DataFrame({"a": [1, 2, 3], "b": [["x"], [], None]})
    now = pl.DataFrame({"a": [1, 2, 4], "b": [["x"], ["y"], None]})
    assert sorted(differing(then, now)["a"]) == [2, 2, 3, 4]
    assert differing(then, then).is_empty()
