"""Who worked where, from when to when."""

from __future__ import annotations

from typing import Any

from .night import build
from .records import days_ago

ACCOUNTS = [{"source": "salesforce_accounts", "record_id": n, "entity": f"O{n}"} for n in ("1", "2", "3")]


def contact(organisation: str | None, **values: Any) -> dict[str, Any]:
    return {
        "source": "salesforce_contacts",
        "record_id": "c",
        "entity": "P",
        "organisation_record_id": organisation,
        "created_at": days_ago(900),
        "observed_at": days_ago(5),
        **values,
    }


def version(organisation: str | None, days: float, **values: Any) -> dict[str, Any]:
    return {
        "source": "salesforce_contacts",
        "record_id": f"c:{days}",
        "person_record_id": "c",
        "organisation_record_id": organisation,
        "observed_at": days_ago(days),
        **values,
    }


def stays(people: list[dict[str, Any]], versions: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    found = build(people, ACCOUNTS, versions=versions).relationships
    return found.select("account_entity_id", "valid_from", "valid_to", "is_current", "job_title").rows()


def test_a_record_that_changed_employer_leaves_the_old_relationship_closed() -> None:
    told = [
        version("1", 700, job_title="Clerk"),
        version("1", 600),
        version("2", 100, job_title="Director"),
        version("2", 5),
    ]
    assert stays([contact("2", job_title="Director")], told) == [
        ("O1", days_ago(900), days_ago(100), False, "Clerk"),
        ("O2", days_ago(100), None, True, "Director"),
    ]
    assert stays([contact("2", job_title="Director")], told[::-1]) == stays(
        [contact("2", job_title="Director")], told
    )


def test_a_record_that_names_no_employer_any_more_closes_the_last_one() -> None:
    assert stays([contact(None)], [version("1", 300), version(None, 5)]) == [
        ("O1", days_ago(900), days_ago(5), False, None)
    ]


def test_who_came_back_is_there_since_the_first_time() -> None:
    told = [version("1", 300), version("2", 200), version("1", 100)]
    assert stays([contact("1")], told) == [
        ("O1", days_ago(900), None, True, None),
        ("O2", days_ago(200), days_ago(100), False, None),
    ]


def test_another_record_that_never_moved_keeps_its_own_dates() -> None:
    other = contact(
        "3", source="hubspot_contacts", record_id="h", created_at=days_ago(50), observed_at=days_ago(2)
    )
    other["organisation_record_id"] = None
    other["organisation_name_normalised"] = "three"
    accounts = [*ACCOUNTS[:2], {**ACCOUNTS[2], "organisation_name_normalised": "three"}]
    found = build([contact("2"), other], accounts, versions=[version("1", 300)]).relationships
    rows = found.select("account_entity_id", "valid_from", "valid_to", "is_current").rows()
    assert rows == [
        ("O1", days_ago(900), days_ago(5), False),
        ("O2", days_ago(5), days_ago(5), False),
        ("O3", days_ago(50), None, True),
    ]
