"""privacy.suppressions: opted-out addresses as keyed hashes, kept when everything else is gone.

An opt-out outlives the record that stated it: deleted at its source, erased from the lake, imported
anew under another id. So the list keeps the hash of the address and not the address, and only ever
grows. An address is HMAC-SHA-256 (RFC 2104) of its kind and its standardised text, keyed with the
lake's salt: without the salt a list of known addresses cannot be tried against it, and two lakes'
lists cannot be joined. With lake and salt in hand it can be asked whether one address is on it; that
is what it is for, and why a number, of which there are few, is hidden from outsiders only.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection, Mapping
from datetime import datetime

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import LakeError
from crm_hygiene.golden.consent_anchors import KINDS, Stated, opt_out_anchors, stated_anchors
from crm_hygiene.golden.consent_rules import SUPPRESSION_LIST, ConsentRules
from crm_hygiene.golden.consent_statements import RAW, as_statements
from crm_hygiene.row_ids import row_ids

_ADDRESS_KINDS = {KINDS["e-mail address"]: "email", KINDS["telephone number"]: "phone"}
_IS_OPT_OUT = pl.col("consent_state") == "opt_out"
_SAME = ["address_hash", "address_kind", "channel", "purpose"]

#: Addresses hashed at a time; as Python text all of them at once would fill the memory.
_SLICE = 200_000


def new_salt(created_at: datetime) -> pl.DataFrame:
    """privacy.salts of a lake that has none yet: 32 random bytes in hexadecimal digits."""
    row = {"salt": secrets.token_hex(32), "created_at": created_at}
    return contract_of("privacy.salts").shape(pl.DataFrame([row]))


def _key(salts: pl.DataFrame) -> bytes:
    if salts.height != 1:
        raise LakeError(
            f"privacy.salts: {salts.height} salts where one is expected; restore the table from an earlier "
            "version: with another salt the suppression list recognises nobody"
        )
    return bytes.fromhex(salts["salt"][0])


def _hashes(kind: str, values: pl.Series, key: bytes) -> pl.Series:
    digests = [hmac.digest(key, f"{kind}:{value}".encode(), "sha256").hex() for value in values.to_list()]
    return pl.Series("address_hash", digests, dtype=pl.String)


def _opted_out_addresses(statements: pl.DataFrame, anchors: pl.DataFrame, key: bytes) -> pl.DataFrame:
    """The newest opt-out per address and the words it was said in, in the contract's columns."""
    outs = statements.select(
        "statement",
        pl.col("said_channel").alias("channel"),
        pl.col("said_purpose").alias("purpose"),
        "stated_at",
        "source",
        "record_id",
        pl.col("landed_at").alias("suppressed_at"),
    )
    parts = []
    for number, kind in _ADDRESS_KINDS.items():
        said = anchors.filter(pl.col("kind") == number).select("statement", "value")
        said = said.join(outs, on="statement")
        distinct = said["value"].unique(maintain_order=True)
        hashed = pl.DataFrame([distinct, _hashes(kind, distinct, key)])
        parts.append(said.join(hashed, on="value").drop("value").with_columns(address_kind=pl.lit(kind)))
    return _newest(pl.concat(parts))


def _newest(listed: pl.DataFrame) -> pl.DataFrame:
    """One row per address and words: the one nothing older can lift; without a time, nothing can."""
    order = [*_SAME, "stated_at", "source", "record_id"]
    newest_first = [c == "stated_at" for c in order]
    return listed.sort(order, descending=newest_first, nulls_last=False).unique(
        _SAME, keep="first", maintain_order=True
    )


def suppress_opt_outs(
    listed: pl.DataFrame,
    people: pl.DataFrame,
    consents: pl.DataFrame,
    interactions: pl.LazyFrame,
    rules: ConsentRules,
    systems: Mapping[str, str],
    salts: pl.DataFrame,
) -> pl.DataFrame:
    """privacy.suppressions with tonight's opt-outs added; nothing that is `listed` is ever lost.

    Parameters
    ----------
    listed, salts
        privacy.suppressions so far, and privacy.salts with its one row.
    people, consents, interactions
        conformed tables, the interactions lazy.
    rules, systems
        as of `golden.consent.effective_consent`; words are listed as they were said, so that a rule
        made later still applies.

    Raises
    ------
    LakeError
        if the lake has no salt, or more than one.
    """
    statements = as_statements(consents, interactions, rules).filter(_IS_OPT_OUT)
    anchors = opt_out_anchors(statements, stated_anchors(statements, systems), people, systems)
    contract = contract_of("privacy.suppressions")
    found = _opted_out_addresses(statements, anchors, _key(salts))
    new = found.join(listed, on=[*_SAME, "stated_at"], how="anti", nulls_equal=True)
    new = new.select(c for c in new.columns if c in contract.schema).with_columns(
        row_ids(new.select(*_SAME, "stated_at"), "suppression_id")
    )
    return pl.concat([contract.shape(listed), contract.shape(new)]).sort("suppression_id")


def recall_opt_outs(
    listed: pl.DataFrame, people: pl.DataFrame, stated: Stated, salts: pl.DataFrame
) -> pl.DataFrame | None:
    """Opt-outs that only the list still knows, of addresses that are in the lake tonight.

    Parameters
    ----------
    listed, people, salts
        as of `suppress_opt_outs`.
    stated
        what the conformed tables state (`golden.consent_anchors.stated_by_all`).

    Returns
    -------
    polars.DataFrame
        statements in the columns `RAW`, with the address of a person record whose hash is listed, for
        `as_statements`; None if there are none.
    """
    if listed.is_empty():
        return None
    key = _key(salts)
    known = _opted_out_addresses(stated.statements.filter(_IS_OPT_OUT), stated.anchors, key)
    remembered = _newest(listed).join(known, on=[*_SAME, "stated_at"], how="anti", nulls_equal=True)
    if remembered.is_empty():
        return None
    parts = []
    for kind, columns in {"email": ["email", "email_normalised"], "phone": ["phone", "mobile_phone"]}.items():
        wanted = remembered.filter(pl.col("address_kind") == kind)
        if wanted.is_empty():
            continue
        values = pl.concat([people[c].str.to_lowercase().alias("value") for c in columns])
        found = _found(
            kind, values.drop_nulls().unique(maintain_order=True), set(wanted["address_hash"]), key
        )
        parts.append(
            found.join(wanted, on="address_hash").select(
                "source",
                "record_id",
                pl.lit(None, dtype=pl.String).alias("person_record_id"),
                *(
                    pl.when(kind == of).then("value").otherwise(None).alias(name)
                    for name, of in (("email", "email"), ("email_normalised", "email"), ("phone", "phone"))
                ),
                pl.col("channel").alias("said_channel"),
                pl.col("purpose").alias("said_purpose"),
                pl.lit("opt_out").alias("consent_state"),
                pl.lit(SUPPRESSION_LIST).alias("said_evidence"),
                "stated_at",
                pl.lit(None, dtype=pl.String).alias("file"),
                pl.lit(None, dtype=pl.Int64).alias("row_number"),
                pl.col("suppressed_at").alias("observed_at"),
                pl.col("suppressed_at").alias("landed_at"),
            )
        )
    return pl.concat(parts).select(RAW) if parts else None


def _found(kind: str, values: pl.Series, wanted: Collection[str], key: bytes) -> pl.DataFrame:
    """(value, address_hash) of those `values` whose hash is wanted."""
    listed = pl.Series("address_hash", sorted(wanted), dtype=pl.String).implode()
    parts = [pl.DataFrame(schema={"value": pl.String, "address_hash": pl.String})]
    for start in range(0, len(values), _SLICE):
        part = values.slice(start, _SLICE)
        hashed = pl.DataFrame([part, _hashes(kind, part, key)])
        parts.append(hashed.filter(pl.col("address_hash").is_in(listed)))
    return pl.concat(parts)
