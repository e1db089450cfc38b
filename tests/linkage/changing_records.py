"""Records that change from night to night: new, changed, deleted, back again, under another id."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.linkage import EntityKind

FIRST = datetime(2026, 1, 1, 2, tzinfo=UTC)
SOURCES = {
    "person": ("crm_contacts", "web_forms", "shop_customers"),
    "organisation": ("crm_accounts", "erp_invoices"),
}
Row = dict[str, Any]


def _word(random: Random, syllables: int) -> str:
    return "".join(random.choice("bdfgklmnprst") + random.choice("aeiou") for _ in range(syllables)).title()


class ChangingRecords:
    """Conformed records of one kind and the decisions about them, night by night.

    The same seed and the same acts give the same records.
    """

    def __init__(self, kind: EntityKind, seed: int, records: int) -> None:
        self.kind = kind
        self.random = Random(seed)
        self.day = 0
        self.rows: dict[tuple[str, str], Row] = {}
        self.gone: list[Row] = []
        self.decided: list[Row] = []
        self.given_names = [_word(self.random, 2) for _ in range(12)]
        self.family_names = [_word(self.random, 3) for _ in range(max(records // 4, 6))]
        self.firms = [" ".join(_word(self.random, 2) for _ in range(2)) for _ in range(max(records // 5, 6))]
        self.cities = [_word(self.random, 3) for _ in range(6)]
        self.number = 0
        while len(self.rows) < records:
            self.new()

    @property
    def now(self) -> datetime:
        return FIRST + timedelta(days=self.day)

    def records(self) -> pl.DataFrame:
        """Tonight's conformed rows, in the order in which they came."""
        contract = contract_of("conformed.people" if self.kind == "person" else "conformed.organisations")
        rows = pl.DataFrame(
            list(self.rows.values()), schema_overrides=dict(contract.schema), infer_schema_length=None
        )
        return contract.shape(rows)

    def decisions(self) -> pl.DataFrame:
        contract = contract_of("stewardship.decisions")
        if not self.decided:
            return contract.empty()
        return contract.shape(pl.DataFrame(self.decided, schema_overrides=dict(contract.schema)))

    def night(self, acts: list[str]) -> None:
        """The next day, on which the named acts happen in their order."""
        self.day += 1
        for act in acts:
            ACTS[act](self)

    def new(self) -> None:
        """Somebody new, or somebody known again in some source, with slips."""
        if self.rows and self.random.random() < 0.5:
            self._add(self._slipped(self._any()))
            return
        random = self.random
        given, family, firm = (
            random.choice(names) for names in (self.given_names, self.family_names, self.firms)
        )
        shared = {
            "city": random.choice(self.cities),
            "postal_code": str(random.randrange(10000, 99999)),
            "street": f"{random.choice(self.cities)} street {random.randrange(1, 80)}",
            "country_code": "DE",
            "phone": f"+4930{random.randrange(1000000, 9999999)}",
        }
        domain = f"{firm.replace(' ', '')}.example".lower()
        if self.kind == "person":
            self._add(
                {
                    **shared,
                    "person_kind": "contact",
                    "given_name": given,
                    "family_name": family,
                    "email": f"{given}.{family}{random.randrange(9)}@{domain}".lower(),
                    "organisation_name": firm,
                }
            )
        else:
            tax_id = f"DE{random.randrange(10**8, 10**9)}" if random.random() < 0.5 else None
            self._add({**shared, "organisation_name": firm, "website_domain": domain, "tax_id": tax_id})

    def changed(self) -> None:
        row = self._any()
        self._put({**self._slipped(row), "source": row["source"], "record_id": row["record_id"]})

    def deleted(self) -> None:
        row = self._any()
        self.gone.append(self.rows.pop((row["source"], row["record_id"])))

    def returned(self) -> None:
        if self.gone:
            self._put(self.gone.pop(0))

    def rekeyed(self) -> None:
        """The same content under a new record id."""
        row = self._any()
        del self.rows[row["source"], row["record_id"]]
        self._add(row, source=row["source"])

    def untouched(self) -> None:
        """A newer row in which nothing changed that linkage looks at."""
        self._put({**self._any(), "row_number": 1000 + self.number})

    def shared_number(self) -> None:
        """One telephone number, or domain, with many names: it becomes generic."""
        value = self._any()["phone"]
        for _ in range(6):
            self._put({**self._any(), "phone": value})

    def crowded(self) -> None:
        """Many records of one place: a block grows, over its budget perhaps."""
        place = self._any()
        for _ in range(8):
            self._put({**self._any(), **{c: place[c] for c in ("city", "postal_code", "street")}})

    def emptied(self) -> None:
        """A crowded place loses records: blocks come back under their budget."""
        for _ in range(8):
            self._put({**self._any(), "city": None, "street": None})

    def judged(self) -> None:
        one, other = self._any(), self._any()
        if one is not other:
            self._decide(one, other, self.random.choice(["same", "different", "unsure"]))

    def revoked(self) -> None:
        if self.decided:
            earlier = self.random.choice(self.decided)
            row = {**dict.fromkeys(earlier), "revokes": earlier["decision_id"]}
            self._sign(row)

    def _any(self) -> Row:
        return self.random.choice(list(self.rows.values()))

    def _put(self, row: Row) -> None:
        if self.kind == "person" and row["email"]:
            row["email_normalised"], row["email_kind"] = row["email"], "person"
            row["email_domain"] = row["email"].split("@")[1]
        always: Row = {
            "is_deleted": False,
            "file": "export.csv",
            "row_number": self.number,
            "content_hash": "h",
        }
        stamps = {"observed_at": self.now, "landed_at": self.now}
        self.rows[row["source"], row["record_id"]] = {**always, **stamps, **row}

    def _add(self, row: Row, source: str | None = None) -> None:
        self.number += 1
        source = source or self.random.choice(SOURCES[self.kind])
        # Numbers run down, so that new records come between the old ones and not only after them.
        self._put({**row, "source": source, "record_id": f"{9999 - self.number:04}"})

    def _slipped(self, row: Row) -> Row:
        random, row = self.random, dict(row)
        part = "family_name" if self.kind == "person" else "organisation_name"
        slip = random.randrange(5)
        if slip == 0 and len(row[part]) > 4:
            place = random.randrange(1, len(row[part]) - 1)
            row[part] = row[part][:place] + row[part][place + 1 :]
        elif slip == 1:
            row["phone"] = f"+4930{random.randrange(1000000, 9999999)}"
        elif slip == 2:
            row["city"] = random.choice(self.cities)
        elif slip == 3 and self.kind == "person":
            row["given_name"] = row["given_name"][:1]
        else:
            row["postal_code"], row["street"] = None, None
        return row

    def _decide(self, one: Row, other: Row, judgement: str) -> None:
        left, right = sorted((r["source"], r["record_id"]) for r in (one, other))
        self._sign(
            {
                "source_l": left[0],
                "record_id_l": left[1],
                "source_r": right[0],
                "record_id_r": right[1],
                "judgement": judgement,
                "revokes": None,
            }
        )

    def _sign(self, row: Row) -> None:
        self.decided.append(
            {
                **row,
                "decision_id": f"d{len(self.decided):04}",
                "entity_kind": self.kind,
                "decided_by": "steward",
                "decided_at": self.now + timedelta(seconds=len(self.decided)),
            }
        )


ACTS: dict[str, Callable[[ChangingRecords], None]] = {
    act.__name__: act
    for act in (
        ChangingRecords.new,
        ChangingRecords.changed,
        ChangingRecords.deleted,
        ChangingRecords.returned,
        ChangingRecords.rekeyed,
        ChangingRecords.untouched,
        ChangingRecords.shared_number,
        ChangingRecords.crowded,
        ChangingRecords.emptied,
        ChangingRecords.judged,
        ChangingRecords.revoked,
    )
}
