"""Owners of leads: who is stated, whether they still work here, and who takes over if not.

What does not belong here: assigning anything in a source; a fallback is a proposal that golden.leads
shows beside the stated owner.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import polars as pl

from crm_hygiene.golden.lead_rules import OwnerRules
from crm_hygiene.golden.references import with_system

KEYS = ["source", "record_id"]


def user_directory(users: pl.DataFrame, systems: Mapping[str, str], rules: OwnerRules) -> pl.DataFrame:
    """Whom an owner's id, e-mail address or name stands for, per system.

    Returns
    -------
    system, owner_key (lower case), owner_name, owner_active; unique by the first two. An export that
    prints names is read by names; of two users of one name an active one counts.
    """
    mine = with_system(users, systems).with_columns(
        owner_active=pl.col("is_active").fill_null(True), name=_bare(pl.col("user_name"), rules)
    )
    kinds = {"record_id": 0, "email": 1, "name": 2}
    keys = pl.concat(
        mine.select(
            "system",
            pl.col(column).str.to_lowercase().str.strip_chars().alias("owner_key"),
            pl.col("user_name").alias("owner_name"),
            "owner_active",
            "record_id",
            kind=pl.lit(kind),
        )
        for column, kind in kinds.items()
    )
    return (
        keys.filter(pl.col("owner_key").is_not_null())
        .sort(
            ["system", "owner_key", "kind", "owner_active", "record_id"],
            descending=[False] * 3 + [True, False],
        )
        .unique(["system", "owner_key"], keep="first", maintain_order=True)
        .drop("record_id", "kind")
    )


def check_owners(
    owned: pl.DataFrame, directory: pl.DataFrame, systems: Mapping[str, str], rules: OwnerRules
) -> pl.DataFrame:
    """`owned` (with source, owner_id) plus system, owner_name and `standing` of the owner.

    standing: `active`, `queue`, `unchecked` (no users of the system delivered), `inactive`, `unknown`,
    or `none` where no owner is stated.
    """
    checked = with_system(owned, systems).with_columns(
        owner_key=_bare(pl.col("owner_id"), rules).str.to_lowercase().str.strip_chars()
    )
    is_marked = pl.any_horizontal(
        pl.lit(False),
        *(
            pl.col("owner_id").str.to_lowercase().str.contains(w.lower(), literal=True)
            for w in rules.inactive_words
        ),
    )
    delivered = pl.col("system").is_in(directory["system"].unique().implode())
    queues = [
        o
        for o in checked["owner_id"].drop_nulls().unique().sort()
        if any(fnmatchcase(o, q) for q in rules.queues)
    ]
    active = pl.col("owner_active")
    return (
        checked.join(directory, on=["system", "owner_key"], how="left", maintain_order="left")
        .with_columns(
            standing=pl.when(pl.col("owner_id").is_null())
            .then(pl.lit("none"))
            .when(pl.col("owner_id").is_in(queues))
            .then(pl.lit("queue"))
            .when(~delivered)
            .then(pl.lit("unchecked"))
            .when(is_marked | ~active)
            .then(pl.lit("inactive"))
            .when(active)
            .then(pl.lit("active"))
            .otherwise(pl.lit("unknown"))
        )
        .drop("owner_key", "owner_active")
    )


def assign_owners(
    leads: pl.DataFrame,
    organisations: pl.DataFrame,
    contacts: pl.DataFrame,
    users: pl.DataFrame,
    systems: Mapping[str, str],
    rules: OwnerRules,
) -> pl.DataFrame:
    """The owner of every lead.

    Parameters
    ----------
    leads
        source, record_id, owner_id, person_entity_id, account_entity_id, country_code.
    organisations
        live records of accounts: source, owner_id, entity_id, observed_at, industry, country_code,
        employee_count.
    contacts
        live person records that are no leads: source, owner_id, entity_id, observed_at.
    users
        conformed.users; with none at all, owners are taken as they are.

    Returns
    -------
    source, record_id, owner_id, owner_name, owner_rule, stated_owner_id; one row per lead, sorted.
    A fallback is taken from the lead's own system; a system without users of its own (web forms)
    takes one from any. It has to be active itself, where that can be checked.
    """
    directory = user_directory(users, systems, rules)
    looked_at = leads.select(*KEYS, "owner_id", "person_entity_id", "account_entity_id", "country_code")
    checked = check_owners(looked_at, directory, systems, rules).sort(KEYS).with_row_index("lead")
    kept = ["active", "queue", "unchecked", *(["unknown"] if rules.unknown == "keep" else [])]
    stands = pl.col("standing").is_in(kept) | pl.lit(users.is_empty())
    words = (
        pl.when(pl.lit(users.is_empty()) & (pl.col("standing") == "none"))
        .then(pl.lit("none stated, no users delivered"))
        .when(pl.col("standing") == "unchecked")
        .then(pl.format("stated, no users of {} delivered", "system"))
        .when(pl.col("standing") == "queue")
        .then(pl.lit("stated, a queue"))
        .when(pl.col("standing") == "unknown")
        .then(pl.lit("stated, not among the users"))
        .otherwise(pl.lit("stated"))
    )
    done = [checked.filter(stands).select("lead", "owner_id", "owner_name", words.alias("owner_rule"))]
    open_leads = checked.filter(~stands)
    for name in rules.fallback:
        if name == "queue":
            offer = open_leads.select(
                "lead", owner_id=pl.lit(rules.queue), owner_name=pl.lit(None, dtype=pl.String)
            )
        elif name == "default":
            offer = _defaults(open_leads, organisations, directory, systems, rules)
        else:
            mine, column = (
                (organisations, "account_entity_id")
                if name == "account_owner"
                else (contacts, "person_entity_id")
            )
            asked = open_leads.select(entity_id=column).drop_nulls().unique()
            owned = mine.select("source", "owner_id", "entity_id", "observed_at").join(
                asked, on="entity_id", how="semi"
            )
            owners = check_owners(owned, directory, systems, rules)
            offer = _owners_of(open_leads, column, owners, directory)
        because = pl.col("standing").replace(
            {
                "none": "no owner stated",
                "inactive": "stated owner inactive",
                "unknown": "stated owner not among the users",
            }
        )
        done.append(
            open_leads.join(
                offer.rename({"owner_id": "_id", "owner_name": "_name"}), on="lead", how="inner"
            ).select(
                "lead",
                owner_id="_id",
                owner_name="_name",
                owner_rule=pl.format("{}: {}", pl.lit(name), because),
            )
        )
        open_leads = open_leads.join(offer.select("lead"), on="lead", how="anti")
    done.append(
        open_leads.select(
            "lead",
            pl.lit(None, dtype=pl.String).alias("owner_id"),
            pl.lit(None, dtype=pl.String).alias("owner_name"),
            owner_rule=pl.lit("none: no fallback has an active owner"),
        )
    )
    return (
        checked.select("lead", *KEYS, stated_owner_id="owner_id")
        .join(pl.concat(done), on="lead", how="left")
        .select(*KEYS, "owner_id", "owner_name", "owner_rule", "stated_owner_id")
        .sort(KEYS)
    )


def _bare(name: pl.Expr, rules: OwnerRules) -> pl.Expr:
    """A name without the words a vendor adds when its user leaves."""
    for word in rules.inactive_words:
        name = name.str.replace_all(rf"(?i)\s*{_escaped(word)}", "")
    return name


def _escaped(word: str) -> str:
    return "".join(c if c.isalnum() or c == " " else f"\\{c}" for c in word)


def _owners_of(
    leads: pl.DataFrame, column: str, owners: pl.DataFrame, directory: pl.DataFrame
) -> pl.DataFrame:
    """lead, owner_id, owner_name: the owner of the newest record of the entity in `column`."""
    order = ["entity_id", "observed_at", "source", "owner_id"]
    able = owners.filter(pl.col("standing").is_in(["active", "unchecked"])).sort(
        order, descending=[False, True, False, False], nulls_last=True
    )
    wanted = leads.filter(pl.col(column).is_not_null()).select("lead", "system", entity_id=column)
    shown = ["lead", "owner_id", "owner_name"]
    own = able.unique(["entity_id", "system"], keep="first", maintain_order=True)
    same = wanted.join(own, on=["entity_id", "system"], how="inner").select(shown)
    # Nobody can log in to a web form: there an owner of any system will do.
    no_users = wanted.filter(~pl.col("system").is_in(directory["system"].unique().implode()))
    known = able.filter(pl.col("standing") == "active")
    first = known.unique("entity_id", keep="first", maintain_order=True)
    other = no_users.join(same, on="lead", how="anti").join(first, on="entity_id", how="inner").select(shown)
    return pl.concat([same, other])


def _defaults(
    leads: pl.DataFrame,
    organisations: pl.DataFrame,
    directory: pl.DataFrame,
    systems: Mapping[str, str],
    rules: OwnerRules,
) -> pl.DataFrame:
    """lead, owner_id, owner_name by the first line of `defaults` that fits and whose owner is active.

    Country is the lead's, else its account's; industry and size are the account's.
    """
    newest = organisations.sort(
        ["entity_id", "observed_at", "source"], descending=[False, True, False], nulls_last=True
    )
    facts = newest.group_by("entity_id", maintain_order=True).agg(
        *(pl.col(c).drop_nulls().first().alias(f"_{c}") for c in ("country_code", "industry")),
        _size=pl.col("employee_count").max(),
    )
    told = leads.join(facts, left_on="account_entity_id", right_on="entity_id", how="left").with_columns(
        _country=pl.coalesce("country_code", "_country_code"),
        _industry=pl.col("_industry").str.to_lowercase(),
    )
    offers = []
    for line in rules.defaults:
        fits = pl.lit(True)
        if line.country_code is not None:
            fits = fits & (pl.col("_country") == line.country_code)
        if line.industry is not None:
            industries = told["_industry"].drop_nulls().unique().sort()
            fits = fits & pl.col("_industry").is_in(
                [i for i in industries if fnmatchcase(i, line.industry.lower())]
            )
        if line.min_employee_count is not None:
            fits = fits & (pl.col("_size") >= line.min_employee_count)
        offered = told.filter(fits.fill_null(False)).select("lead", "source", owner_id=pl.lit(line.owner_id))
        able = check_owners(offered, directory, systems, rules).filter(
            pl.col("standing").is_in(["active", "unchecked", "queue"])
        )
        offers.append(able.select("lead", "owner_id", "owner_name"))
        told = told.join(able, on="lead", how="anti")
    empty = pl.DataFrame(schema={"lead": pl.UInt32, "owner_id": pl.String, "owner_name": pl.String})
    return pl.concat([empty, *offers])
