"""What Splink's own documentation does with each data set: comparisons, blocking, training.

People: the settings of the example notebooks of Splink 5 (febrl3, febrl4, deduplicate_50k_synthetic)
and, for the synthetic people, both of the tutorial and of the evaluation example; of two documented
models the better one is the opponent. Organisations: no notebook knows these sets; the models are what
Splink's comparison library offers for a name, an address and a number, written with care.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl
import splink.comparison_library as cl
from splink import block_on


def _as_they_are(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


@dataclass(frozen=True)
class PlainModel:
    """A model as one would write it in Splink.

    Attributes
    ----------
    record
        vendor column that identifies a record.
    prior_rules, recall
        rules for `estimate_probability_two_random_records_match` and their guessed recall.
    training
        blocking rules of the sessions of expectation maximisation.
    clean
        what the documentation does to the raw columns first.
    """

    documented: str
    link_type: Literal["dedupe_only", "link_only", "link_and_dedupe"]
    record: str
    comparisons: tuple[Any, ...]
    blocking: tuple[Any, ...]
    prior_rules: tuple[Any, ...]
    recall: float
    training: tuple[Any, ...]
    random_pairs: float = 1e6
    is_fixing_frequencies: bool = True
    clean: Callable[[pl.DataFrame], pl.DataFrame] = field(default=_as_they_are)


def _exact(column: str) -> Any:
    return cl.ExactMatch(column).configure(term_frequency_adjustments=True)


def _febrl_date() -> Any:
    return cl.DateOfBirthComparison("date_of_birth", input_is_string=True, datetime_format="%Y%m%d")


_FEBRL3 = PlainModel(
    documented="Splink example febrl3",
    link_type="dedupe_only",
    record="rec_id",
    comparisons=(
        cl.NameComparison("given_name"),
        cl.NameComparison("surname"),
        _febrl_date(),
        cl.DamerauLevenshteinAtThresholds("soc_sec_id", [2]),
        _exact("street_number"),
        _exact("postcode"),
    ),
    blocking=tuple(block_on(c) for c in ("soc_sec_id", "given_name", "surname", "date_of_birth", "postcode")),
    prior_rules=(
        block_on("soc_sec_id"),
        block_on("given_name", "surname", "date_of_birth"),
        "l.given_name = r.surname and l.surname = r.given_name and l.date_of_birth = r.date_of_birth",
    ),
    recall=0.9,
    training=(block_on("date_of_birth"), block_on("postcode")),
    is_fixing_frequencies=False,
)

_FEBRL4 = PlainModel(
    documented="Splink example febrl4, detailed model",
    link_type="link_only",
    record="rec_id",
    comparisons=(
        cl.NameComparison("given_name").configure(term_frequency_adjustments=True),
        cl.NameComparison("surname").configure(term_frequency_adjustments=True),
        _febrl_date(),
        cl.DamerauLevenshteinAtThresholds("soc_sec_id", [1, 2]),
        _exact("street_number"),
        cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]).configure(term_frequency_adjustments=True),
    ),
    blocking=(
        block_on("given_name", "surname"),
        "l.given_name = r.surname and l.surname = r.given_name",
        block_on("date_of_birth"),
        block_on("soc_sec_id"),
        block_on("state", "address_1"),
        block_on("street_number", "address_1"),
        block_on("postcode"),
    ),
    prior_rules=(block_on("soc_sec_id"), block_on("given_name", "surname", "date_of_birth")),
    recall=0.8,
    training=(block_on("date_of_birth"), block_on("postcode")),
)


def _whole_names(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(first_name_surname_concat=pl.col("first_name") + " " + pl.col("surname"))


_HISTORICAL = PlainModel(
    documented="Splink example deduplicate_50k_synthetic",
    link_type="dedupe_only",
    record="unique_id",
    comparisons=(
        cl.ForenameSurnameComparison(
            "first_name", "surname", forename_surname_concat_col_name="first_name_surname_concat"
        ),
        cl.DateOfBirthComparison("dob", input_is_string=True),
        cl.PostcodeComparison("postcode_fake"),
        _exact("birth_place"),
        _exact("occupation"),
    ),
    blocking=(
        block_on("substr(first_name,1,3)", "substr(surname,1,4)"),
        block_on("surname", "dob"),
        block_on("first_name", "dob"),
        block_on("postcode_fake", "first_name"),
        block_on("postcode_fake", "surname"),
        block_on("dob", "birth_place"),
        block_on("substr(postcode_fake,1,3)", "dob"),
        block_on("substr(postcode_fake,1,3)", "first_name"),
        block_on("substr(postcode_fake,1,3)", "surname"),
        block_on("substr(first_name,1,2)", "substr(surname,1,2)", "substr(dob,1,4)"),
    ),
    prior_rules=(
        block_on("first_name", "surname", "dob"),
        block_on("substr(first_name,1,2)", "surname", "substr(postcode_fake,1,2)"),
        block_on("dob", "postcode_fake"),
    ),
    recall=0.6,
    training=(block_on("first_name", "surname"), block_on("dob")),
    random_pairs=1e7,
    clean=_whole_names,
)


def _fake(link_type: Literal["dedupe_only", "link_and_dedupe"]) -> tuple[PlainModel, ...]:
    city, email = _exact("city"), cl.EmailComparison("email")
    return (
        PlainModel(
            documented="Splink tutorial",
            link_type=link_type,
            record="unique_id",
            comparisons=(
                cl.NameComparison("first_name"),
                cl.NameComparison("surname"),
                cl.LevenshteinAtThresholds("dob", 1),
                city,
                email,
            ),
            blocking=(block_on("first_name", "city"), block_on("surname")),
            prior_rules=(
                block_on("first_name", "dob"),
                "l.first_name = r.first_name and levenshtein(r.surname, l.surname) <= 2",
                block_on("email"),
            ),
            recall=0.7,
            training=(block_on("first_name", "surname"), block_on("dob")),
            random_pairs=2e6,
            is_fixing_frequencies=False,
        ),
        PlainModel(
            documented="Splink example accuracy_analysis_from_labels_column",
            link_type=link_type,
            record="unique_id",
            comparisons=(
                cl.ForenameSurnameComparison("first_name", "surname"),
                cl.DateOfBirthComparison("dob", input_is_string=True),
                city,
                email,
            ),
            blocking=tuple(block_on(c) for c in ("first_name", "surname", "dob", "email")),
            prior_rules=(
                "l.first_name = r.first_name and levenshtein(r.dob, l.dob) <= 1",
                "l.surname = r.surname and levenshtein(r.dob, l.dob) <= 1",
                "l.first_name = r.first_name and levenshtein(r.surname, l.surname) <= 2",
                "l.email = r.email",
            ),
            recall=0.7,
            training=(block_on("dob"), block_on("email"), block_on("first_name", "surname")),
        ),
    )


def _folded(rows: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Lower case, punctuation as blanks, single blanks: the least anyone does to names and addresses."""
    text = pl.col(*columns).str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars()
    return rows.with_columns(text)


def _sites(rows: pl.DataFrame) -> pl.DataFrame:
    named = rows.rename({"Site name": "name", "Address": "address", "Zip": "zip", "Phone": "phone"})
    return _folded(named, "name", "address").select("name", "address", "zip", "phone", "Id")


def _restaurants(rows: pl.DataFrame) -> pl.DataFrame:
    digits = pl.col("phone").str.replace_all(r"[^0-9]", "")
    return _folded(rows.rename({"addr": "address"}), "name", "address", "city").with_columns(phone=digits)


_NAME = cl.JaroWinklerAtThresholds("name", [0.93, 0.85, 0.7]).configure(term_frequency_adjustments=True)
_ADDRESS = cl.JaroWinklerAtThresholds("address", [0.93, 0.85, 0.7]).configure(term_frequency_adjustments=True)
_PHONE = cl.DamerauLevenshteinAtThresholds("phone", [1]).configure(term_frequency_adjustments=True)

_EARLY_CHILDHOOD = PlainModel(
    documented="comparison library: name, address, zip, phone",
    link_type="dedupe_only",
    record="Id",
    comparisons=(_NAME, _ADDRESS, _exact("zip"), _PHONE),
    blocking=(
        block_on("phone"),
        block_on("name"),
        block_on("address"),
        block_on("zip", "substr(name,1,4)"),
        block_on("zip", "substr(address,1,4)"),
        block_on("substr(name,1,6)", "substr(address,1,4)"),
    ),
    prior_rules=(block_on("name", "address"), block_on("name", "phone"), block_on("address", "phone")),
    recall=0.7,
    training=(block_on("phone"), block_on("address"), block_on("name")),
    clean=_sites,
)

_RESTAURANTS = PlainModel(
    documented="comparison library: name, address, city, phone",
    link_type="link_only",
    record="id",
    comparisons=(_NAME, _ADDRESS, _exact("city"), _PHONE),
    blocking=(
        block_on("phone"),
        block_on("name"),
        block_on("address"),
        block_on("city", "substr(name,1,3)"),
        block_on("city", "substr(address,1,4)"),
        block_on("substr(name,1,5)"),
    ),
    prior_rules=(block_on("name", "address"), block_on("name", "phone"), block_on("address", "phone")),
    recall=0.7,
    training=(block_on("phone"), block_on("city"), block_on("name")),
    clean=_restaurants,
)

PLAIN_MODELS: dict[str, tuple[PlainModel, ...]] = {
    "febrl1": (_FEBRL3,),
    "febrl2": (_FEBRL3,),
    "febrl3": (_FEBRL3,),
    "febrl4": (_FEBRL4,),
    "historical_50k": (_HISTORICAL,),
    "fake_1000": _fake("dedupe_only"),
    "fake_20000": _fake("dedupe_only"),
    "fake_link": _fake("link_and_dedupe"),
    "early_childhood": (_EARLY_CHILDHOOD,),
    "restaurants": (_RESTAURANTS,),
}
"""Data sets of one text per record are not here: expectation maximisation has nothing to block on."""
