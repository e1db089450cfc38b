"""Payers: which customer sent a payment, by account, tax number, virtual account, relation or name.

A party is an organisation entity where the invoice's customer is linked, else the customer number,
tax number or name of the invoice. An account or tax number is strong evidence and can contradict; a
name is weak evidence and cannot. What does not belong here: matching of amounts (`hypotheses`).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from crm_hygiene.cash.payer_names import cut_parties, similar_parties
from crm_hygiene.cash.references import normalised
from crm_hygiene.cash.rules import CashRules
from crm_hygiene.standardise.organisations import standardise_organisation_names
from crm_hygiene.standardise.text import latinised, plain_vowels

#: Columns of conformed.organisations by which payers are known; `iban` where there is one.
ORGANISATION_COLUMNS = (
    "source",
    "record_id",
    "is_deleted",
    "iban",
    "tax_id",
    "organisation_name",
    "organisation_name_normalised",
)

# "And" between two words of a name in the languages of Europe, and as banks abbreviate it; e, i are initials.
_AND = "and|und|u|et|y|en|og|och|ja"

#: How a payer may be known beyond doubt, the surest first.
_BY_RANK = {"virtual account": 0, "relation": 1, "account": 2, "tax number": 3}


@dataclass(frozen=True)
class Payers:
    """Who owes and who paid.

    `invoice_party`: `i`, `party`; `payment_parties`: `p`, `strong` and `named` (lists of parties), `payers`
    (the parties it can be from by the best evidence there is, which `payer_by` names), `payer` (the one
    of them, or null) and `is_payer_unclear` (account and name disagree), and for how many
    `customers` it pays.
    `stated`: (`p`, `booked_date`, `key`) of what each payment says of its payer, `known`: (`key`, `party`,
    days of validity) of everybody, a factor of a thousand customers among them: enough to confirm a citation,
    not to name a payer.
    """

    invoice_party: pl.DataFrame
    payment_parties: pl.DataFrame
    stated: pl.DataFrame
    known: pl.DataFrame


def _filled(column: str, prefix: str) -> pl.Expr:
    text = normalised(column)
    return pl.when(text.str.len_chars() > 0).then(pl.lit(prefix) + text)


def name_key(column: str = "organisation_name_normalised") -> pl.Expr:
    """The normalised name as a key: lower case, single blanks, null if empty.

    Banks have neither umlauts nor `&`: `baeckerei mueller u sohn` is `backerei muller and sohn`.
    """
    text = pl.col(column).str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    text = plain_vowels(text).str.replace_all(rf" (?:{_AND}) ", " ")
    return pl.when(text.str.len_chars() > 0).then(text)


def parties_of_documents(documents: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """Add `entity_id` and `party` to invoices or orders by their customer."""
    linked = members.select("entity_id", "source", pl.col("record_id").alias("customer_record_id"))
    customer = pl.lit("customer:") + pl.col("source") + "/" + pl.col("customer_record_id")
    return documents.join(
        linked, on=["source", "customer_record_id"], how="left", maintain_order="left"
    ).with_columns(
        pl.coalesce(
            pl.lit("entity:") + pl.col("entity_id"),
            customer,
            _filled("tax_id", "tax:"),
            pl.lit("name:") + name_key(),
        ).alias("party")
    )


def _keys(frame: pl.DataFrame) -> pl.DataFrame:
    """(`key`, `party`, `payer_by`) for every account, tax number and name a frame states of a party."""
    told = [
        (_filled(c, f"{c}:"), by)
        for c, by in (("iban", "account"), ("tax_id", "tax number"))
        if c in frame.columns
    ]
    told.append((pl.lit("name:") + name_key(), "name"))
    # Lazy frames normalise a text once, however often a key asks for it.
    rows = frame.lazy()
    columns = [rows.select(key.alias("key"), "party", pl.lit(by).alias("payer_by")) for key, by in told]
    return pl.concat(columns).drop_nulls().collect()


def _related(relations: pl.DataFrame, invoices: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Who pays for whom as keys with their days: (`key`, `party`, `payer_by`, `valid_from`, `valid_to`)."""
    relations = relations.with_columns(pl.col("valid_from", "valid_to").cast(pl.Date))
    # A number that systems give to different customers is the relation's own system's, or nobody's.
    customers = invoices.select("source", "customer_record_id", "party").drop_nulls().unique()
    numbered = relations.join(
        customers.rename({"source": "customer_source"}), on="customer_record_id"
    ).filter(
        (pl.col("party").n_unique().over("source", "record_id") == 1)
        | (pl.col("customer_source") == pl.col("source"))
    )
    taxed = relations.with_columns(_filled("customer_tax_id", "tax_id:").alias("key")).join(
        keys.filter(pl.col("payer_by") == "tax number").select("key", "party").unique(), on="key"
    )
    both = pl.concat([numbered, taxed.drop("key")], how="diagonal_relaxed")
    told = (
        (_filled("payer_iban", "iban:"), "relation"),
        (_filled("payer_tax_id", "tax_id:"), "relation"),
        (_filled("virtual_account", "virtual:"), "virtual account"),
        (pl.lit("name:") + name_key("payer_name"), "name"),
    )
    return pl.concat(
        [
            both.select(key.alias("key"), "party", pl.lit(by).alias("payer_by"), "valid_from", "valid_to")
            for key, by in told
        ]
    ).filter(pl.col("key").is_not_null())


def _is_valid() -> pl.Expr:
    day = pl.col("booked_date")
    return (pl.col("valid_from").is_null() | (pl.col("valid_from") <= day).fill_null(value=True)) & (
        pl.col("valid_to").is_null() | (pl.col("valid_to") >= day).fill_null(value=True)
    )


def _parties(tied: pl.DataFrame, name: str) -> pl.DataFrame:
    """(`p`, a list of distinct parties, sorted)."""
    distinct = tied.select("p", "party").unique().sort("p", "party")
    return distinct.group_by("p", maintain_order=True).agg(pl.col("party").alias(name))


def identify_payers(
    payments: pl.DataFrame,
    invoices: pl.DataFrame,
    organisations: pl.DataFrame,
    members: pl.DataFrame,
    relations: pl.DataFrame,
    learned: pl.DataFrame,
    rules: CashRules,
) -> Payers:
    """Tie payments to the parties that owe.

    Parameters
    ----------
    payments
        `p`, `booked_date`, `payer_iban`, `payer_tax_id`, `virtual_account`,
        `organisation_name_normalised`.
    invoices
        `i`, `party`, `customer_record_id`, `iban`, `tax_id`, `organisation_name_normalised`.
    organisations, members, relations
        `conformed.organisations`, `linked.organisation_members`, `conformed.payer_relations`.
    learned
        `payer_history.learned_accounts`.
    """
    known = organisations.filter(~pl.col("is_deleted")).join(members, on=["source", "record_id"])
    known = known.with_columns((pl.lit("entity:") + pl.col("entity_id")).alias("party"))
    stated = pl.concat([_keys(invoices), _keys(known)]).unique()
    always = pl.lit(None, pl.Date)
    keys = pl.concat(
        [
            stated.with_columns(always.alias("valid_from"), always.alias("valid_to")),
            _related(relations, invoices, stated),
        ]
    ).unique()
    everybody = keys
    keys = keys.filter(pl.col("party").n_unique().over("key") <= rules.max_parties)
    rows = payments.lazy()
    asked = (
        pl.concat(
            [
                rows.select("p", "booked_date", key.alias("key"))
                for key in (
                    _filled("virtual_account", "virtual:"),
                    _filled("payer_iban", "iban:"),
                    _filled("payer_tax_id", "tax_id:"),
                    pl.lit("name:") + name_key(),
                )
            ]
        )
        .drop_nulls("key")
        .collect()
    )
    found = asked.join(keys, on="key").filter(_is_valid())
    is_name = pl.col("payer_by") == "name"
    ranks_of = (
        found.filter(~is_name)
        .with_columns(rank=pl.col("payer_by").replace_strict(_BY_RANK, return_dtype=pl.Int64))
        .group_by("p")
        .agg(pl.col("rank").min())
    )
    who = payments.select("p", (name_key()).alias("name"))
    for parties in (
        _parties(found.filter(~is_name), "strong"),
        _parties(found.filter(is_name), "named"),
        ranks_of,
        _parties(asked.join(learned, on="key"), "before"),
    ):
        who = who.join(parties, on="p", how="left", maintain_order="left")
    nobody = pl.lit([], dtype=pl.List(pl.String))
    who = who.with_columns(pl.col("strong", "named", "before").fill_null(nobody))
    strangers = who.filter(
        (pl.col("strong").list.len() == 0) & (pl.col("named").list.len() == 0) & pl.col("name").is_not_null()
    )
    names = stated.filter(pl.col("payer_by") == "name").select(
        pl.col("key").str.strip_prefix("name:").alias("name"), "party"
    )
    similar = similar_parties(strangers.select("name").unique(), names, rules.names)
    similar = strangers.select("p", "name").join(similar, on="name").select(
        "p", pl.col("party").alias("like"), "is_clear"
    )  # fmt: skip
    begun = _by_cut_name(payments, strangers, invoices, known, rules)
    similar = pl.concat([begun, similar.join(begun, on="p", how="anti")])
    who = who.join(similar, on="p", how="left", maintain_order="left")
    strong, named = pl.col("strong"), pl.col("named")
    is_strong = strong.list.len() > 0
    like = pl.when(pl.col("like").is_not_null()).then(pl.concat_list("like")).otherwise(nobody)
    is_told = pl.col("rank").is_in([_BY_RANK["relation"]]).fill_null(value=False)
    # Who pays for others pays for himself as well.
    own = pl.when(is_told).then(strong.list.set_union(named).list.sort()).otherwise(strong)
    before = pl.col("before")
    is_learned = ~is_strong & (before.list.len() > 0)
    best = (
        pl.when(is_strong)
        .then(own)
        .when(is_learned)
        .then(before.list.set_union(named).list.sort())
        .when(named.list.len() > 0)
        .then(named)
        .otherwise(like)
    )
    ranks = {rank: name for name, rank in _BY_RANK.items()}
    how = (
        pl.when(is_strong)
        .then(pl.col("rank").replace_strict(ranks, default=None, return_dtype=pl.String))
        .when(is_learned)
        .then(pl.lit("earlier payments"))
        .when(named.list.len() > 0)
        .then(pl.lit("name"))
        .when(pl.col("like").is_not_null())
        .then(pl.lit("similar name"))
    )
    # A known name of somebody else beside the account: a clerk has to say who pays for whom.
    is_torn = is_strong & (named.list.len() > 0) & (strong.list.set_intersection(named).list.len() == 0)
    is_explained = (
        pl.col("rank").is_in([_BY_RANK["relation"], _BY_RANK["virtual account"]]).fill_null(value=False)
    )
    unclear = is_torn & ~is_explained
    strangers_form = _of_another_form(payments, invoices, known, who.select("p", best.alias("payers")), rules)
    other_account = _from_another_account(payments, keys, who.select("p", best.alias("payers")))
    doubted = pl.Series([*strangers_form, *other_account], dtype=pl.Int64).unique()
    unclear = unclear | (~is_strong & ~is_learned & pl.col("p").is_in(doubted.implode()))
    # Who goes by another name than the customers he is known to pay for may pay for more of them.
    is_another = (
        is_learned & (before.list.set_intersection(named).list.len() == 0) & pl.col("name").is_not_null()
    )
    return Payers(
        invoice_party=invoices.select("i", "party"),
        payment_parties=who.select(
            "p", "strong", "named", best.alias("payers"),
            pl.when(best.list.len() == 1).then(best.list.first())
            .when(is_told & (strong.list.len() == 1)).then(strong.list.first())
            .alias("payer"),
            how.alias("payer_by"),
            (pl.when(is_told).then(strong.list.len()).otherwise(best.list.len()) + is_another)
            .alias("customers"),
            (unclear | ~pl.col("is_clear").fill_null(value=True)).alias("is_payer_unclear"),
        ).sort("p"),
        stated=asked,
        known=pl.concat(
            [
                everybody.filter(pl.col("payer_by") != "name").drop("payer_by"),
                learned.with_columns(always.alias("valid_from"), always.alias("valid_to")),
            ]
        ).unique(),
    )  # fmt: skip


def _by_cut_name(
    payments: pl.DataFrame,
    strangers: pl.DataFrame,
    invoices: pl.DataFrame,
    known: pl.DataFrame,
    rules: CashRules,
) -> pl.DataFrame:
    """(`p`, `like`, `is_clear`) of strangers whose name a bank has cut."""
    raw = payments.select("p", raw="payer_name").join(strangers.select("p"), on="p", how="semi").drop_nulls()
    stated = pl.concat(
        [
            invoices.select(raw="customer_name", party="party"),
            known.select(raw="organisation_name", party="party"),
        ]
    ).drop_nulls()
    found = cut_parties(raw.select("raw").unique(), stated.unique(), rules.names)
    return raw.join(found, on="raw").select("p", pl.col("party").alias("like"), is_clear=pl.lit(value=True))


def _of_another_form(
    payments: pl.DataFrame, invoices: pl.DataFrame, known: pl.DataFrame, found: pl.DataFrame, rules: CashRules
) -> list[int]:
    """Payments whose payer states a legal form that none of the customer's records has."""
    told = pl.concat(
        [
            payments.select("p", raw="payer_name")
            .join(found, on="p")
            .explode("payers")
            .select("p", "raw", party="payers"),
            *(
                f.select(pl.lit(None, pl.Int64).alias("p"), pl.col(c).alias("raw"), "party")
                for f, c in ((invoices, "customer_name"), (known, "organisation_name"))
            ),
        ]
    ).drop_nulls(["raw", "party"]).unique()  # fmt: skip
    if told["p"].null_count() == told.height:
        return []
    forms = standardise_organisation_names(told.select("raw").unique()).select("raw", _form(rules))
    told = told.join(forms.drop_nulls(), on="raw")
    theirs = told.filter(pl.col("p").is_null()).select("party", "form").unique()
    other = told.filter(pl.col("p").is_not_null()).join(theirs, on=["party", "form"], how="anti")
    # A name that fills the bank's form may have lost the end of its legal form.
    is_cut = pl.col("raw").str.len_chars() >= rules.names.min_cut
    begun = (
        other.filter(is_cut)
        .join(theirs.rename({"form": "whole"}), on="party")
        .filter(pl.col("whole").str.starts_with(pl.col("form")))
    )
    return other.join(begun, on=["p", "party"], how="anti")["p"].to_list()


def _form(rules: CashRules) -> pl.Expr:
    """`legal_form` without marks and blanks, in Latin letters and one spelling."""
    spelt = [(other, form) for form, others in rules.names.legal_forms.items() for other in others]
    words = pl.DataFrame(spelt, schema={"other": pl.String, "form": pl.String}, orient="row")
    known = words.select(_bare("other"), "form")
    return _bare("legal_form").replace(known["other"], known["form"]).alias("form")


def _bare(column: str) -> pl.Expr:
    return latinised(column).str.replace_all(r"[^\p{L}]", "")


def _from_another_account(payments: pl.DataFrame, keys: pl.DataFrame, found: pl.DataFrame) -> list[int]:
    """Payments from an account that is none of those on file for the customer, where there are any."""
    account = pl.col("key").str.starts_with("iban:")
    held = keys.filter(account & pl.col("party").is_not_null()).select("key", "party").unique()
    asked = (
        payments.select("p", _filled("payer_iban", "iban:").alias("key"))
        .drop_nulls()
        .join(found.explode("payers").drop_nulls().rename({"payers": "party"}), on="p")
    )
    return (
        asked.join(held.select("party").unique(), on="party", how="semi")
        .join(held, on=["key", "party"], how="anti")["p"]
        .to_list()
    )


def judge_hits(hits: pl.DataFrame, payers: Payers) -> pl.DataFrame:
    """Add to each citation whether its payer `agrees` with the invoice's customer, or `contradicts` it.

    A payer contradicts where its account, tax number or virtual account is known and belongs to other
    customers only; who is known to pay for others may pay for one more. `is_other_name` says that just its
    name contradicts.
    """
    judged = hits.join(payers.invoice_party, on="i", how="left").join(
        payers.payment_parties.select("p", "strong", "named", "payers", "payer_by"), on="p", how="left"
    )
    holds = [pl.col(c).list.contains(pl.col("party")) for c in ("strong", "named", "payers")]
    confirmed = (
        judged.select("p", "i", "party")
        .join(payers.stated, on="p")
        .join(payers.known, on=["key", "party"])
        .filter(_is_valid())
        .select("p", "i", pl.lit(value=True).alias("is_confirmed"))
        .unique()
    )
    has_party = pl.col("party").is_not_null()
    is_told = (pl.col("payer_by") == "relation").fill_null(value=False)
    return (
        judged.join(confirmed, on=["p", "i"], how="left")
        .with_columns(pl.any_horizontal(*holds, "is_confirmed").fill_null(value=False).alias("agrees"))
        .with_columns(
            ((pl.col("strong").list.len() > 0) & ~is_told & has_party & ~pl.col("agrees")).alias(
                "contradicts"
            ),
            ((pl.col("named").list.len() > 0) & has_party & ~pl.col("agrees")).alias("is_other_name"),
        )
        .drop("strong", "named", "payers", "payer_by", "party", "is_confirmed")
        .sort("p", "i")
    )
