"""Canonical bank entries: of everything that files tell of a booking, one telling stands.

Overlapping statements, the same file twice, an intraday report before the statement, a notification
with the transactions of a booked batch: each tells of an entry again and must not add money. What does not
belong here: reading files (`readers.bank`) and finding duplicates that banks themselves booked (`cash`).
"""

from __future__ import annotations

import hashlib

import polars as pl

from crm_hygiene.conform.bank_movements import with_movements
from crm_hygiene.standardise.references import is_no_reference

#: Landing columns that identify an entry, beside those that a mapping gives to the table.
IDENTITY = ("EntryAmount", "Occurrence", "PartCount", "StatementNumber")
#: Kept where the mapping gives it: lands since statements prove what is one movement (`bank_movements`).
OPENING = "OpeningBalance"
#: Who is believed first where tellings are equally fine.
_KINDS = ("statement", "ledger", "notification", "interim")
_REFERENCES = ("end_to_end_id", "bank_reference", "batch_reference", "reversed_reference")
_TELLING = ("remittance_text", "payer_name", "payer_iban", "end_to_end_id", "creditor_reference")
_LENGTHS = {
    "remittance_text": 10_000,
    "payer_name": 500,
    **dict.fromkeys((*_REFERENCES, "creditor_reference", "virtual_account"), 200),
}
#: The notes that `bounded` leaves, in the order in which they are told.
NOTES = tuple(f"_problem_{column}_length" for column in _LENGTHS)
_ENTRY = ["_key", "_EntryAmount", "currency", "_day", "_Occurrence"]


def bounded(frame: pl.DataFrame) -> pl.DataFrame:
    """Raw payment texts of a bearable length, with a note where one was cut, and no empty references.

    Adds `_problem_<column>_length` columns, which become lines of `problems`.
    """
    for column, limit in _LENGTHS.items():
        if column not in frame.columns:
            continue
        is_long = (frame[column].str.len_chars() > limit).fill_null(value=False)
        if is_long.any():
            note = pl.format(
                "{}: text of {} characters, cut to {}", pl.lit(column), pl.col(column).str.len_chars(), limit
            )
            frame = frame.with_columns(
                pl.when(is_long).then(note).alias(f"_problem_{column}_length"),
                pl.col(column).str.slice(0, limit),
            )
    return frame.with_columns(
        pl.when(~is_no_reference(c)).then(pl.col(c)).alias(c) for c in _REFERENCES if c in frame.columns
    )


def with_entry_keys(frame: pl.DataFrame) -> pl.DataFrame:
    """Ledger rows, whose source tells no identity: `entry_key` from account and bank reference."""
    if "entry_key" in frame.columns:
        return frame
    have = {"account_iban", "bank_reference"} <= set(frame.columns)
    if not have:
        return frame.with_columns(entry_key=pl.lit(None, pl.String))
    key = pl.concat_str(["account_iban", "bank_reference"], separator="/")
    key = pl.when(~is_no_reference("bank_reference")).then(key)
    # A ledger has ids of its own: two of its rows are two entries, whatever reference they share.
    number = pl.col("record_id").rank("ordinal").over("_key")
    return (
        frame.with_columns(_key=key)
        .with_columns(
            entry_key=pl.when(pl.col("_key").is_null() | (number == 1))
            .then(pl.col("_key"))
            .otherwise(pl.concat_str("_key", pl.lit("#"), number.cast(pl.String)))
        )
        .drop("_key")
    )


def canonical_entries(frame: pl.DataFrame) -> pl.DataFrame:
    """One telling of each bank entry, in its finest form.

    Parameters
    ----------
    frame
        raw payments of one source in the columns of `conformed.payments`, with the columns of `IDENTITY`, and
        `OPENING` where it is given, under a leading underscore, and `landed_at`, `file`, `row_number`.

    Returns
    -------
    the rows that stand: of each entry those of one telling, its transactions rather than their sum, a fuller
    one rather than a poorer, a statement's rather than a notification's, the newest rather than an older.
    `record_id` and `entry_key` are unique; they depend on what landed first, never on the order of rows.
    """
    kind = pl.col("statement_kind").replace_strict(
        {k: n for n, k in enumerate(_KINDS)}, default=len(_KINDS), return_dtype=pl.Int64
    )
    if f"_{OPENING}" not in frame.columns:
        frame = frame.with_columns(pl.lit(None, pl.String).alias(f"_{OPENING}"))
    frame = with_movements(frame).with_columns(
        kind.alias("_rank"),
        _key=pl.col("entry_key"),
        _parts=pl.col("_PartCount").cast(pl.Int64, strict=False).fill_null(1),
        _filled=pl.sum_horizontal(
            *(pl.col(c).is_not_null().cast(pl.Int64) for c in _TELLING if c in frame.columns)
        ),
    )
    # Most entries are told once: only the others are compared.
    is_told_again = frame["_key"].is_duplicated()
    once = frame.filter(~is_told_again).with_columns(_day=pl.col("booked_date"))
    standing = pl.concat([once, _standing(frame.filter(is_told_again))], how="diagonal")
    named = _named(standing)
    return named.drop([c for c in named.columns if c.startswith("_") and not c.startswith("_changed")]).sort(
        "landed_at", "file", "row_number"
    )


def _standing(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of the telling that stands, of entries that are told several times or have several parts."""
    same = ["_key", "_EntryAmount", "currency", "_Occurrence"]
    # A telling without the booking date is of the same entry as one with it.
    frame = frame.with_columns(_day=pl.coalesce("booked_date", pl.col("booked_date").min().over(same)))
    telling = [*_ENTRY, "landed_at", "file", "_StatementNumber"]
    tellings = frame.group_by(telling).agg(
        pl.len().alias("_told"),
        pl.col("_parts").max(),
        pl.col("_filled").sum(),
        pl.col("_rank").min(),
        pl.col("row_number").min(),
    )
    tellings = tellings.with_columns(
        _best=pl.col("_rank").min().over(_ENTRY), _booked=pl.col("_rank").min().over("_key")
    )
    # A reference that a statement has booked is not told otherwise by a notification.
    is_content = pl.col("_key").str.contains("/~", literal=True)
    tellings = tellings.filter(is_content | (pl.col("_best") == 0) | (pl.col("_booked") > 0))
    # A batch stands in parts only if every part has landed: a refused row must not lose money.
    best = (
        tellings.with_columns(_whole=pl.col("_told") == pl.col("_parts"))
        .sort(
            ["_whole", "_parts", "_filled", "_rank", "landed_at", "file", "row_number"],
            descending=[True, True, True, False, True, False, False],
        )
        .unique(_ENTRY, keep="first", maintain_order=True)
        .select(*telling, "_best")
    )
    stands = frame.join(best, on=telling, how="inner", nulls_equal=True)
    # What a statement has booked is booked, whoever gave the details.
    kind = pl.col("_best").replace_strict(dict(enumerate(_KINDS)), default=None, return_dtype=pl.String)
    told = pl.struct("landed_at", "file", "row_number")
    first = frame.group_by(_ENTRY).agg(told.min().alias("_first"), pl.col("_stem").sort_by(told).first())
    return (
        stands.drop("_stem")
        .join(first, on=_ENTRY, how="left", nulls_equal=True)
        .with_columns(
            statement_kind=pl.coalesce(kind, "statement_kind"), booked_date=pl.coalesce("booked_date", "_day")
        )
    )


def _named(frame: pl.DataFrame) -> pl.DataFrame:
    """Unique ids: the entry that landed first keeps the plain one, others add a hash of what they are.

    Two banks, or two accounts, may give the same reference; a reference may be used again.
    """
    first = pl.struct("landed_at", "file", "row_number")
    if "_first" not in frame.columns:
        frame = frame.with_columns(_first=first)
    frame = frame.with_columns(_first=pl.coalesce("_first", first))
    shared = frame.filter(pl.col("_stem").is_duplicated()).select("_stem", *_ENTRY, "_first")
    entries = shared.unique(["_stem", *_ENTRY], keep="any").sort("_stem", "_first", *_ENTRY)
    later = entries.filter(~pl.col("_stem").is_first_distinct())
    if later.height == 0:
        suffix = pl.lit("")
    else:
        hashes = [
            "#" + hashlib.sha256("\0".join(str(v) for v in row).encode("utf-8", "replace")).hexdigest()[:10]
            for row in later.select(_ENTRY).iter_rows()
        ]
        later = later.select("_stem", *_ENTRY).with_columns(_suffix=pl.Series(hashes, dtype=pl.String))
        frame = frame.join(later, on=["_stem", *_ENTRY], how="left", nulls_equal=True)
        suffix = pl.col("_suffix").fill_null("")
    # `ref/2` of a batch becomes `ref#hash/2`.
    part = pl.when(pl.col("_parts") > 1).then(pl.col("record_id").str.extract(r"(/[0-9]+)$")).fill_null("")
    return frame.with_columns(
        record_id=pl.concat_str("_stem", suffix, part),
        entry_key=pl.concat_str("_key", suffix, part),
    )
