"""What a record says of a person: the truth seen through one source's habits and faults.

What does not belong here: column names and file formats of vendors (`people_exports`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from crm_hygiene.sample.draws import Ints, Rng, blank, hit, pick, stream, weighted, where
from crm_hygiene.sample.faults import (
    swapped,
    with_blanks_around,
    with_capitals,
    with_gaps,
    with_mojibake,
    with_placeholders,
    with_swapped_day_and_month,
    with_typos,
)
from crm_hygiene.sample.organisation_names import as_typed
from crm_hygiene.sample.people import EPOCH, microseconds, moments
from crm_hygiene.sample.telephone import written
from crm_hygiene.sample.world import World

SOURCE_SHARES = {
    "salesforce_leads": 0.2,
    "salesforce_contacts": 0.25,
    "hubspot_contacts": 0.22,
    "dynamics_contacts": 0.13,
    "dynamics_leads": 0.07,
    "form_submissions": 0.13,
}
"""Share of all person records that each source holds."""

_RECORDS_PER_PERSON = np.array([0.57, 0.29, 0.11, 0.03])


@dataclass(frozen=True)
class Habits:
    """How carefully people are typed into one source; rates between 0 and 1."""

    typos: float = 0.02
    nicknames: float = 0.1
    private_mail: float = 0.05
    no_mail: float = 0.05
    no_phone: float = 0.35
    no_mobile: float = 0.5
    no_address: float = 0.35
    placeholders: float = 0.015


def assign_records(world: World) -> dict[str, pl.DataFrame]:
    """Who is recorded where: one frame per source, ordered by creation.

    Columns: person, employer (numbers; the employer at the time of the last change, -1 for none),
    created, modified (microseconds since 1970).
    """
    rng = stream(world.seed, "records")
    people = world.people
    n = len(people)
    person = np.repeat(np.arange(n), 1 + weighted(rng, _RECORDS_PER_PERSON, n))
    source = weighted(rng, np.array(list(SOURCE_SHARES.values())), len(person))
    created = moments(rng, len(person), datetime(2018, 1, 8))
    late = microseconds(EPOCH) - 1_000_000
    lapse = ((late - created) * rng.random(len(person)) ** 0.7).astype(np.int64)
    modified = created + lapse // 1_000_000 * 1_000_000
    moved_on = people["moved_on"].to_numpy()[person]
    previous = people["previous_employer"].to_numpy()[person]
    at_previous = (previous >= 0) & (modified < moved_on)
    employer = np.where(at_previous, previous, people["employer"].to_numpy()[person])
    frames = {}
    for number, name in enumerate(SOURCE_SHARES):
        at = np.flatnonzero(source == number)
        at = at[np.argsort(created[at], kind="stable")]
        frames[name] = pl.DataFrame(
            {"person": person[at], "employer": employer[at], "created": created[at], "modified": modified[at]}
        )
    return frames


def _mail(world: World, rng: Rng, seen: pl.DataFrame, employer: Ints, habits: Habits) -> pl.Series:
    n = len(seen)
    left = employer != seen["employer"].to_numpy()
    mail = where(left, seen["previous_email"], seen["work_email"])
    private = hit(rng, n, habits.private_mail) | mail.is_null().to_numpy()
    mail = where(private, seen["private_email"], mail)
    shared = hit(rng, n, 0.025) & (employer >= 0)
    domain = world.organisations["domain"].gather(np.maximum(employer, 0))
    mail = where(shared, pick(rng, world.vocabulary.words["shared_mailboxes"], n) + "@" + domain, mail)
    mail = with_gaps(rng, mail, habits.no_mail)
    mail = with_typos(rng, mail, habits.typos * 0.4)
    mail = with_capitals(rng, mail, 0.015)
    mail = with_blanks_around(rng, mail, 0.008)
    placeholders = world.vocabulary.words["placeholder_emails"]
    return with_placeholders(rng, mail, habits.placeholders * 0.6, placeholders)


def _phones(
    world: World, rng: Rng, seen: pl.DataFrame, employer: Ints, country: Ints, habits: Habits
) -> tuple[pl.Series, pl.Series]:
    n = len(seen)
    employed = np.maximum(employer, 0)
    switchboard = hit(rng, n, 0.25) & (employer >= 0)
    direct = where(switchboard, world.organisations["phone"].gather(employed), seen["direct_phone"])
    at_work = np.where(employer >= 0, world.organisations["country"].to_numpy()[employed], country)
    phone = written(world.vocabulary, rng, direct, at_work)
    mobile = written(world.vocabulary, rng, seen["mobile"], country)
    phone = with_typos(rng, with_gaps(rng, phone, habits.no_phone), 0.006)
    mobile = with_typos(rng, with_gaps(rng, mobile, habits.no_mobile), 0.006)
    phone, mobile = swapped(rng, phone, mobile, 0.05)
    placeholders = world.vocabulary.words["placeholder_phones"]
    return with_placeholders(rng, phone, habits.placeholders, placeholders), mobile


def _names(world: World, rng: Rng, seen: pl.DataFrame, habits: Habits) -> tuple[pl.Series, pl.Series]:
    n = len(seen)
    called = hit(rng, n, habits.nicknames) & seen["nickname"].is_not_null().to_numpy()
    given = with_typos(rng, where(called, seen["nickname"], seen["given"]), habits.typos)
    family = with_typos(rng, seen["family"], habits.typos)
    given = with_gaps(rng, given, 0.02)
    given = where(hit(rng, n, 0.01), given.str.slice(0, 1) + ".", given)
    given, family = swapped(rng, given, family, 0.008)
    family = with_mojibake(rng, family, 0.004)
    given, family = with_capitals(rng, given, 0.01), with_capitals(rng, family, 0.02)
    ascii_only = hit(rng, n, 0.03)
    family = where(ascii_only, family.str.normalize("NFKD").str.replace_all(r"\p{M}", ""), family)
    placeholders = world.vocabulary.words["placeholder_names"]
    return given, with_placeholders(rng, family, habits.placeholders * 0.3, placeholders)


def observe(world: World, records: pl.DataFrame, rng: Rng, habits: Habits) -> pl.DataFrame:
    """What the records of one source say, in words of no vendor; one row per row of `records`.

    Columns: person, employer, created, modified (naive UTC timestamps), given, middle, family,
    is_female, title, email, phone, mobile, company, website, street, city, region, postal_code,
    country, birth_date, opted_out, do_not_call.
    """
    vocabulary = world.vocabulary
    person, employer = records["person"].to_numpy(), records["employer"].to_numpy()
    n = len(person)
    seen = world.people[person]
    employed = np.maximum(employer, 0)
    country = seen["country"].to_numpy()
    given, family = _names(world, rng, seen, habits)
    email = _mail(world, rng, seen, employer, habits)
    phone, mobile = _phones(world, rng, seen, employer, country, habits)
    company = blank(employer < 0, as_typed(world, rng, employed, typos=habits.typos))
    company = with_placeholders(rng, company, habits.placeholders, vocabulary.words["placeholder_companies"])
    at_home = (employer < 0) | hit(rng, n, 0.05)
    place = world.organisations[employed]
    city = np.where(at_home, seen["home_city"].to_numpy(), place["city"].to_numpy())
    cities = [c for x in vocabulary.countries for c in x.cities]
    of_city = np.repeat(np.arange(len(vocabulary.countries)), [len(x.cities) for x in vocabulary.countries])
    written_as = pl.Series([w for c in vocabulary.countries for w in c.written])
    unknown = hit(rng, n, habits.no_address)
    street = where(at_home, seen["home_street"], place["street"])
    born = with_swapped_day_and_month(rng, with_gaps(rng, seen["birth_date"], 0.65), 0.03)
    out = seen["opted_out"].to_numpy()
    opted_out = np.where(out, hit(rng, n, 0.65), hit(rng, n, 0.015))
    return pl.DataFrame(
        {
            "person": person,
            "employer": employer,
            "created": records["created"].cast(pl.Datetime("us")),
            "modified": records["modified"].cast(pl.Datetime("us")),
            "given": given,
            "middle": blank(hit(rng, n, 0.5), seen["middle"]),
            "family": family,
            "is_female": seen["is_female"],
            "title": with_typos(rng, with_gaps(rng, seen["title"], 0.3), 0.005),
            "email": email,
            "phone": phone,
            "mobile": mobile,
            "company": with_gaps(rng, company, 0.03),
            "website": blank((employer < 0) | hit(rng, n, 0.5), "https://www." + place["domain"]),
            "street": blank(unknown, with_typos(rng, street, 0.01)),
            "city": blank(unknown, pl.Series([c[0] for c in cities]).gather(city)),
            "region": blank(unknown | hit(rng, n, 0.6), pl.Series([c[1] for c in cities]).gather(city)),
            "postal_code": blank(unknown, where(at_home, seen["home_postal_code"], place["postal_code"])),
            "country": with_gaps(rng, written_as.gather(of_city[city] * 4 + rng.integers(0, 4, n)), 0.1),
            "birth_date": born,
            "opted_out": opted_out,
            "do_not_call": seen["do_not_call"].to_numpy() & hit(rng, n, 0.7),
        }
    )
