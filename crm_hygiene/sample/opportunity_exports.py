"""Opportunities of Salesforce (REST JSON) and deals of HubSpot (API JSON).

What does not belong here: invoices, which no opportunity is bound to.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from crm_hygiene.sample.draws import Rng, hit, pick, stream, where
from crm_hygiene.sample.faults import with_gaps
from crm_hygiene.sample.identifiers import hubspot_ids, salesforce_ids
from crm_hygiene.sample.layouts import bad_rows, in_far_future, stale_owners, write_objects
from crm_hygiene.sample.organisation_exports import Accounts
from crm_hygiene.sample.people import EPOCH, microseconds, moments
from crm_hygiene.sample.world import World

_DAY = 86_400_000_000


def _deals(world: World, accounts: Accounts, rng: Rng, n: int) -> pl.DataFrame:
    """What is common to both vendors' deals."""
    vocabulary = world.vocabulary
    at = accounts.organisation[(rng.random(n) ** 1.4 * len(accounts.organisation)).astype(np.int64)]
    country = world.organisations["country"].to_numpy()[at]
    currency = pl.Series([c.currency for c in vocabulary.countries]).gather(country)
    yen = (currency == "JPY").to_numpy()
    amount = np.round(rng.lognormal(9.3, 1.0, n) / 50) * 50 * np.where(yen, 150, 1)
    amount = np.where(bad_rows(rng, n, 0.004), -amount, amount)
    created = np.sort(moments(rng, n, datetime(2023, 1, 1)))
    close = created + rng.integers(10, 240, n) * _DAY
    modified = created + ((microseconds(EPOCH) - 1_000_000 - created) * rng.random(n)).astype(np.int64)
    stage = rng.integers(0, 7, n)
    # A deal whose close date lies ahead is still open.
    stage = np.where(close > microseconds(EPOCH), stage % 5, stage)
    return pl.DataFrame(
        {
            "organisation": at,
            "name": world.organisations["name"].gather(at) + " - " + pick(rng, vocabulary.words["deals"], n),
            "amount": pl.Series(amount),
            "currency": currency,
            "stage": stage,
            "close": pl.Series(close).cast(pl.Datetime("us")),
            "created": pl.Series(created).cast(pl.Datetime("us")),
            "modified": pl.Series(modified).cast(pl.Datetime("us")),
        }
    )


def write_salesforce_opportunities(
    world: World, accounts: Accounts, users: pl.Series, n: int, path: Path
) -> int:
    """`Opportunity.json`, the answer of a REST query; returns the number of records."""
    rng = stream(world.seed, "salesforce_opportunities")
    n = n if len(accounts.organisation) else 0
    deals = _deals(world, accounts, rng, n)
    _, ids = salesforce_ids(rng, "006", n)
    stage = deals["stage"].to_numpy()
    time = "%Y-%m-%dT%H:%M:%S.000+0000"
    frame = pl.DataFrame(
        {
            "type": pl.Series(["Opportunity"]).new_from_index(0, n),
            "url": "/services/data/v62.0/sobjects/Opportunity/" + ids,
            "Id": ids,
            "AccountId": with_gaps(rng, accounts.reference(deals["organisation"].to_numpy()), 0.02),
            "Name": deals["name"],
            "StageName": pl.Series(world.vocabulary.words["stages"]).gather(stage),
            "Amount": with_gaps(rng, deals["amount"], 0.06),
            "CurrencyIsoCode": deals["currency"],
            "CloseDate": deals["close"].dt.to_string("%Y-%m-%d"),
            "IsClosed": stage >= 5,
            "IsWon": stage == 5,
            "LeadSource": with_gaps(rng, pick(rng, world.vocabulary.words["lead_sources"], n), 0.3),
            "OwnerId": stale_owners(rng, users, n),
            "IsDeleted": hit(rng, n, 0.004),
            "CreatedDate": deals["created"].dt.to_string(time),
            "LastModifiedDate": in_far_future(rng, deals["modified"].dt.to_string(time)),
        }
    ).select(pl.struct("type", "url").alias("attributes"), pl.exclude("type", "url"))
    return write_objects(frame, path, f'{{"totalSize":{n},"done":true,"records":[\n', "\n]}")


def write_hubspot_deals(world: World, accounts: Accounts, n: int, path: Path) -> int:
    """`deals.json`, pages of HubSpot's API joined into one; returns the number of deals."""
    rng = stream(world.seed, "hubspot_deals")
    n = n if len(accounts.organisation) else 0
    deals = _deals(world, accounts, rng, n)
    time = "%Y-%m-%dT%H:%M:%S.000Z"
    created = deals["created"].dt.to_string(time)
    modified = in_far_future(rng, deals["modified"].dt.to_string(time))
    amount = deals["amount"].cast(pl.Int64).cast(pl.String)
    amount = where(bad_rows(rng, n), pl.Series(["tbd"]).new_from_index(0, n), amount)
    frame = pl.DataFrame(
        {
            "id": hubspot_ids(rng, 18_400_000_000, n),
            "dealname": deals["name"],
            "dealstage": pl.Series(world.vocabulary.words["deal_stages"]).gather(deals["stage"]),
            "amount": with_gaps(rng, amount, 0.08),
            "deal_currency_code": deals["currency"],
            "closedate": deals["close"].dt.to_string(time),
            "pipeline": pl.Series(["default"]).new_from_index(0, n),
            "hubspot_owner_id": pl.Series(rng.integers(44_000_000, 44_000_040, n)).cast(pl.String),
            "createdate": created,
            "hs_lastmodifieddate": modified,
            "createdAt": created,
            "updatedAt": modified,
            "archived": hit(rng, n, 0.004),
            "company": accounts.reference(deals["organisation"].to_numpy()),
        }
    )
    properties = frame.columns[1:10]
    # An association without a company is an empty list of results.
    none = pl.lit([], dtype=pl.List(pl.Struct({"id": pl.String})))
    one = pl.concat_list(pl.struct(pl.col("company").alias("id")))
    results = pl.when(pl.col("company").is_null()).then(none).otherwise(one)
    shaped = frame.select(
        "id",
        pl.struct(properties).alias("properties"),
        "createdAt",
        "updatedAt",
        "archived",
        pl.struct(pl.struct(results.alias("results")).alias("companies")).alias("associations"),
    )
    return write_objects(shaped, path, '{"results":[\n', "\n]}")
