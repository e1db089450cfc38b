"""golden.activities: every interaction, tied to person, organisation and inquiry where they are known.

The table is a function of all interactions, never of the order in which they arrived: an event that
comes late adds its own row and changes no other; one that comes twice is one row already in conformed.
Who is unknown tonight is tied on the night the person appears.

Interactions are many: they are read and told in parts, and of all of them only whose each one is, five bytes
with its reason, is kept in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import polars as pl

from crm_hygiene.ahead import ahead
from crm_hygiene.contract import contract_of
from crm_hygiene.golden.references import resolve, unambiguous
from crm_hygiene.lookup import Lookup

KEYS = ["source", "record_id"]

# Columns of conformed.interactions that activities are made of.
_TOLD = [
    "source",
    "record_id",
    "channel",
    "interaction_kind",
    "person_record_id",
    "organisation_record_id",
    "email",
    "email_normalised",
    "subject",
    "campaign",
    "occurred_at",
]
# Those of them that tell who it was, and what accounts are measured by.
_TYING = [*KEYS, "person_record_id", "email_normalised", "phone", "organisation_record_id", "occurred_at"]

# Rows of a part. Every part looks its people up among all of them, which very small parts would repeat.
PART_ROWS = 500_000

# Values of person_rule.
BY_KEY, BY_MAILBOX, BY_RECORD = "record key", "mailbox", "the record itself"
BY_NUMBER = "telephone number"
SHARED_MAILBOX, UNKNOWN_MAILBOX = "none: shared mailbox", "none: unknown mailbox"
SHARED_NUMBER, UNKNOWN_NUMBER = "none: shared telephone number", "none: unknown telephone number"
UNKNOWN_RECORD, UNSTATED = "none: unknown record key", "none: nobody stated"
_NOBODY = [SHARED_MAILBOX, UNKNOWN_MAILBOX, SHARED_NUMBER, UNKNOWN_NUMBER, UNKNOWN_RECORD, UNSTATED]
_RULES = pl.Enum([BY_KEY, BY_MAILBOX, BY_RECORD, BY_NUMBER, *_NOBODY])


@dataclass(frozen=True)
class Tied:
    """Interactions and whose they are.

    Attributes
    ----------
    interactions
        conformed.interactions, read again by whoever wants more of them.
    entities
        ids of person entities, sorted.
    ties
        frames of at most `PART_ROWS` rows, in the order in which they are read: person (position in
        `entities` or null), person_rule, and key, a hash of source and record_id.
    by_person
        person_entity_id, at: the latest interaction of every person who has one.
    by_organisation
        source, organisation_record_id, at: the latest interaction of every organisation that one names.
    """

    interactions: pl.LazyFrame
    entities: pl.Series
    ties: tuple[pl.DataFrame, ...]
    by_person: pl.DataFrame
    by_organisation: pl.DataFrame

    def parts(self) -> Iterator[pl.DataFrame]:
        """What is told of the interactions, in parts, with person and person_rule."""
        offset = 0
        for tie in self.ties:
            part = self.interactions.slice(offset, tie.height).select(_TOLD).collect()
            offset += tie.height
            if not _key_hashes(part).equals(tie["key"]):
                raise RuntimeError("conformed.interactions came in another order when it was read again")
            yield part.hstack(tie.drop("key"))


def _key_hashes(frame: pl.DataFrame) -> pl.Series:
    return frame.select(KEYS).hash_rows(seed=0).alias("key")


class _Owners:
    """Whose each address or number is; one that several people have is nobody's.

    `owned` has a row per record and value: value, entity_id (the number of a person).
    """

    def __init__(self, owned: pl.DataFrame) -> None:
        values = (
            owned.select("value")
            .drop_nulls()
            .unique()
            .join(unambiguous(owned, "value", "owner"), on="value", how="left")
        )
        self._values = Lookup(values["value"])
        self._owners = values["owner"]

    def of(self, values: pl.Series) -> tuple[pl.Series, pl.Series]:
        """The owner of each value or null, and whether anybody has it."""
        place = self._values.places(values)
        return self._owners.gather(place), place.is_not_null()


def tie_people(
    interactions: pl.LazyFrame, people: pl.DataFrame, members: pl.DataFrame, systems: Mapping[str, str]
) -> Tied:
    """Whose interactions are.

    A person is found by person_record_id in the same system, else by the mailbox where exactly one
    entity has it, else because the interaction is a person record itself (a form submission), else by the
    telephone number where exactly one entity has it. `members` are of entities that have a golden row.
    """
    entities = members["entity_id"].unique().sort()
    numbers = pl.DataFrame({"entity_id": entities}).with_row_index("number")
    numbered = members.join(numbers, on="entity_id", how="left").select(*KEYS, entity_id="number")

    def owners(*columns: str) -> _Owners:
        owned = people.select(*KEYS, *columns).join(numbered, on=KEYS, how="inner")
        return _Owners(pl.concat(owned.select("entity_id", value=column) for column in columns))

    by_mailbox = owners("email_normalised")
    # Few sources tell of calls and texts; without them nobody's numbers are looked at.
    by_number = cache(lambda: owners("phone", "mobile_phone"))
    sources = interactions.select(pl.col("source").unique()).collect()["source"]
    themselves = numbered.filter(pl.col("source").is_in(sources.implode()))
    ties, by_person, by_organisation = [], [], []
    for offset in range(0, interactions.select(pl.len()).collect().item(), PART_ROWS):
        part = interactions.slice(offset, PART_ROWS).select(_TYING).collect()
        tied = _tie(part, by_mailbox, by_number, numbered, themselves, systems)
        ties.append(tied.select("person", "person_rule", _key_hashes(tied)))
        by_person.append(_latest(tied, ["person"]))
        by_organisation.append(_latest(tied, ["source", "organisation_record_id"]))
    found = _latest_of(by_person, {"person": pl.UInt32})
    return Tied(
        interactions,
        entities,
        tuple(ties),
        found.select(entities.gather(found["person"]).alias("person_entity_id"), "at"),
        _latest_of(by_organisation, {"source": pl.String, "organisation_record_id": pl.String}),
    )


def _latest(frame: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    return frame.filter(pl.col(by[-1]).is_not_null()).group_by(by).agg(at=pl.col("occurred_at").max())


def _latest_of(parts: list[pl.DataFrame], by: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    none = pl.DataFrame(schema={**by, "at": pl.Datetime("us", "UTC")})
    return pl.concat([none, *parts]).group_by(list(by)).agg(pl.col("at").max())


def _tie(
    part: pl.DataFrame,
    by_mailbox: _Owners,
    by_number: Callable[[], _Owners],
    members: pl.DataFrame,
    themselves: pl.DataFrame,
    systems: Mapping[str, str],
) -> pl.DataFrame:
    """`part`, in its order, with person and person_rule; `themselves` are members that it may be itself."""
    frame = resolve(part, "person_record_id", members, systems, "_by_key")
    of_mailbox, has_mailbox = by_mailbox.of(frame["email_normalised"])
    frame = frame.with_columns(of_mailbox.alias("_by_mailbox"), has_mailbox.alias("_has_mailbox"))
    itself = themselves.select(*KEYS, _by_record="entity_id").join(part.select(KEYS), on=KEYS, how="semi")
    frame = frame.join(itself, on=KEYS, how="left", maintain_order="left")
    found = ["_by_key", "_by_mailbox", "_by_record"]
    asked = frame.select(pl.when(pl.all_horizontal(pl.col(found).is_null())).then("phone")).to_series()
    if asked.null_count() < asked.len():
        of_number, has_number = by_number().of(asked)
        frame = frame.with_columns(of_number.alias("_by_number"), has_number.alias("_has_number"))
    else:
        nobody = pl.lit(None, dtype=of_mailbox.dtype).alias("_by_number")
        frame = frame.with_columns(nobody, _has_number=pl.lit(value=False))
    rule = (
        pl.when(pl.col("_by_key").is_not_null())
        .then(pl.lit(BY_KEY))
        .when(pl.col("_by_mailbox").is_not_null())
        .then(pl.lit(BY_MAILBOX))
        .when(pl.col("_by_record").is_not_null())
        .then(pl.lit(BY_RECORD))
        .when(pl.col("_by_number").is_not_null())
        .then(pl.lit(BY_NUMBER))
        .when("_has_mailbox")
        .then(pl.lit(SHARED_MAILBOX))
        .when(pl.col("email_normalised").is_not_null())
        .then(pl.lit(UNKNOWN_MAILBOX))
        .when("_has_number")
        .then(pl.lit(SHARED_NUMBER))
        .when(pl.col("phone").is_not_null())
        .then(pl.lit(UNKNOWN_NUMBER))
        .when(pl.col("person_record_id").is_not_null())
        .then(pl.lit(UNKNOWN_RECORD))
        .otherwise(pl.lit(UNSTATED))
    )
    person = pl.coalesce(*found, "_by_number").alias("person")
    return frame.select(*_TYING, person, rule.cast(_RULES).alias("person_rule"))


@dataclass(frozen=True)
class Activities:
    """golden.activities in parts, each in the contract's shape and sorted by (source, record_id).

    One row per interaction. It can be iterated any number of times; rows are made as they are asked for.

    Attributes
    ----------
    tied
        of `tie_people`.
    accounts
        entity_id, account_entity_id of golden.contacts.
    relationships, leads, states
        golden.relationships, golden.leads and golden.lead_states.
    organisation_members
        of organisations that have a golden row.

    The organisation is the interaction's own, else where the person worked at that time, else the
    contact's. The inquiry is the lead record the interaction names or is, else the newest one of the
    person that was open at that time.
    """

    tied: Tied
    accounts: pl.DataFrame
    relationships: pl.DataFrame
    leads: pl.DataFrame
    states: pl.DataFrame
    organisation_members: pl.DataFrame
    systems: Mapping[str, str]

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """Frames of golden.activities; the next one is made while the last one is used."""
        return ahead(self._frames())

    def collect(self) -> pl.DataFrame:
        """All rows in one frame, sorted by key; for small sets."""
        contract = contract_of("golden.activities")
        rows: pl.DataFrame = pl.concat([contract.empty(), *self])
        return rows.sort(contract.key)

    def _frames(self) -> Iterator[pl.DataFrame]:
        contract = contract_of("golden.activities")
        people = pl.DataFrame({"person_entity_id": self.tied.entities}).with_row_index("person")
        account = people.join(
            self.accounts, left_on="person_entity_id", right_on="entity_id", how="left", maintain_order="left"
        )["account_entity_id"]
        stays = _stays(self.relationships, people)
        open_leads = _open_leads(self.leads, self.states, people)
        # A key is resolved as to an entity: here the entity is the lead itself.
        named = self.leads.select(*KEYS).with_row_index("entity_id")
        for part in self.tied.parts():
            frame = resolve(
                part, "organisation_record_id", self.organisation_members, self.systems, "_own_account"
            )
            frame = _with_former_account(frame, stays)
            frame = frame.with_columns(
                self.tied.entities.gather(frame["person"]).alias("person_entity_id"),
                pl.col("person_rule").cast(pl.String),
                account_entity_id=pl.coalesce("_own_account", "_then", account.gather(frame["person"])),
            )
            frame = _with_lead(frame, self.leads, named, open_leads, self.systems)
            yield contract.shape(frame.select(contract.column_names)).sort(KEYS)


def untied_notes(tied: Tied) -> list[str]:
    """Lines for the steward: how many activities belong to nobody known, and why."""
    if not tied.ties:
        return []
    rules = pl.concat(tie.select("person", "person_rule") for tie in tied.ties)
    untied = rules.filter(pl.col("person").is_null())
    if untied.is_empty():
        return []
    counts = untied.group_by(pl.col("person_rule").cast(pl.String)).len().sort("person_rule")
    told = ", ".join(f"{count} {rule.removeprefix('none: ')}" for rule, count in counts.iter_rows())
    return [f"activities: {untied.height} of {rules.height} are tied to nobody yet ({told})"]


def _stays(relationships: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """person, _then, begun, valid_to, is_current: where people were who have been at several accounts."""
    several = relationships.filter(pl.len().over("person_entity_id") > 1)
    return several.join(people, on="person_entity_id").select(
        "person", "valid_to", "is_current", _then="account_entity_id", begun="valid_from"
    )


def _open_leads(leads: pl.DataFrame, states: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """person, number, created_at, closed_at: inquiries by person; `number` is the row of `leads`."""
    closed = states.filter(
        pl.col("is_current") & pl.col("lead_state").is_in(["converted", "disqualified"])
    ).select(*KEYS, closed_at="valid_from")
    return (
        leads.with_row_index("number")
        .join(closed, on=KEYS, how="left")
        .filter(pl.col("created_at").is_not_null())
        .join(people, on="person_entity_id")
        .select("person", "number", "created_at", "closed_at")
    )


def _with_former_account(frame: pl.DataFrame, stays: pl.DataFrame) -> pl.DataFrame:
    """Add `_then`: the account the person was at when it happened, if they have been at several."""
    if stays.is_empty():
        return frame.with_columns(_then=pl.lit(None, dtype=pl.String))
    wanted = frame.filter(pl.col("occurred_at").is_not_null()).select(*KEYS, "person", "occurred_at")
    covering = (
        wanted.join(stays, on="person", how="inner")
        .filter(
            (pl.col("begun") <= pl.col("occurred_at"))
            & (pl.col("valid_to").is_null() | (pl.col("occurred_at") < pl.col("valid_to")))
        )
        # Of two at once the one begun last; then the one that still holds.
        .sort([*KEYS, "begun", "is_current", "_then"], descending=[False, False, True, True, False])
        .unique(KEYS, keep="first", maintain_order=True)
    )
    return frame.join(covering.select(*KEYS, "_then"), on=KEYS, how="left")


def _with_lead(
    frame: pl.DataFrame,
    leads: pl.DataFrame,
    named: pl.DataFrame,
    open_leads: pl.DataFrame,
    systems: Mapping[str, str],
) -> pl.DataFrame:
    """Add lead_record_source and lead_record_id."""
    frame = resolve(frame, "person_record_id", named, systems, "_named")
    frame = frame.join(named.select(*KEYS, _itself="entity_id"), on=KEYS, how="left")
    wanted = frame.filter(
        pl.col("_named").is_null() & pl.col("_itself").is_null() & pl.col("occurred_at").is_not_null()
    ).select(*KEYS, "person", "occurred_at")
    then_open = (
        wanted.join(open_leads, on="person", how="inner")
        .filter(
            (pl.col("created_at") <= pl.col("occurred_at"))
            & (pl.col("closed_at").is_null() | (pl.col("occurred_at") <= pl.col("closed_at")))
        )
        .sort([*KEYS, "created_at", "number"], descending=[False, False, True, False])
        .unique(KEYS, keep="first", maintain_order=True)
        .select(*KEYS, _open="number")
    )
    rows = frame.join(then_open, on=KEYS, how="left")
    at = rows.select(pl.coalesce("_named", "_itself", "_open")).to_series()
    return rows.with_columns(
        leads["source"].gather(at).alias("lead_record_source"),
        leads["record_id"].gather(at).alias("lead_record_id"),
    )
