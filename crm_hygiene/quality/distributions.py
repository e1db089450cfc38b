"""Distributions per source and column in buckets that are the same every night (quality.distributions).

Values are kept only of columns that `rules.yaml` names or whose vocabulary is closed; everything else
is kept as length, number of digits or number of items, so no personal data stays behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crm_hygiene.contract import Column, Contract, load_glossary, nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.quality.records import measured_columns
from crm_hygiene.yaml_text import parse_yaml

EMPTY = "(empty)"
OTHER = "(other)"
BUCKETS = pl.Schema(
    {
        "table_name": pl.String,
        "source": pl.String,
        "column_name": pl.String,
        "bucket": pl.String,
        "share": pl.Float64,
    }
)
_LONGEST_VALUE = 60


class MeasuringRules(BaseModel):
    """rules.yaml of this package."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    baseline_nights: int = Field(ge=1)
    categories: frozenset[str]
    most_values: int = Field(ge=2)
    least_rows: int = Field(ge=1)


_RULES = Path(__file__).with_name("rules.yaml")


@cache
def measuring_rules(path: Path = _RULES) -> MeasuringRules:
    """The rules of measuring.

    Raises
    ------
    ConfigurationError
        if a category is no column, or holds personal data.
    """
    try:
        rules = MeasuringRules.model_validate(parse_yaml(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    glossary = load_glossary()
    for name in sorted(rules.categories):
        if name not in glossary:
            raise ConfigurationError(f"{path}: categories: no column '{name}'{nearest(name, list(glossary))}")
        if glossary[name].pii:
            raise ConfigurationError(f"{path}: categories: '{name}' is personal data")
    return rules


@dataclass(frozen=True)
class Buckets:
    """How a column falls into buckets: what is counted of each value, and the bucket of what was counted.

    Rows are counted by `counted`, which few rows then turn into buckets.
    """

    counted: pl.Expr
    bucket: pl.Expr


def buckets_of(column: Column, categories: frozenset[str]) -> Buckets | None:
    """The buckets of a column; None for columns whose distribution is not followed.

    Categories are their own bucket, texts fall by powers of two of their length, numbers by sign and
    digits before the point, lists by their length. Times and references to other records always move.
    """
    value, counted = pl.col(column.name), pl.col("counted")
    if column.type in ("date", "timestamp") or column.name.endswith(("_id", "_ids", "_hash")):
        return None
    if column.type == "boolean" or column.values is not None or column.name in categories:
        return Buckets(value.cast(pl.String).str.slice(0, _LONGEST_VALUE), counted)
    if column.type == "string":
        places = 32 - counted.cast(pl.UInt32).bitwise_leading_zeros().cast(pl.Int64)
        low = pl.lit(2, dtype=pl.Int64).pow(places - 1)
        spans = pl.format("length {} to {}", low, 2 * low - 1)
        return Buckets(value.str.len_chars(), pl.when(counted > 0).then(spans))
    if column.type == "strings":
        few = pl.when(counted < 6).then(pl.format("{} items", counted)).otherwise(pl.lit("6 items or more"))
        return Buckets(value.list.len(), pl.when(counted > 0).then(few))
    size = value.abs().cast(pl.Float64).floor().cast(pl.Int64, strict=False)
    digits = pl.when(size > 0).then(size.cast(pl.String).str.len_chars().cast(pl.Int64)).otherwise(0)
    signed = pl.when(value < 0).then(-digits - 1).otherwise(pl.when(value == 0).then(0).otherwise(digits + 1))
    # 0 is nought, 1 below one, 2 one digit before the point; negative the same with a sign.
    sign = pl.when(counted < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    told = (
        pl.when(counted.abs() == 1)
        .then(pl.format("{}below 1", sign))
        .otherwise(pl.format("{}{} digits", sign, counted.abs() - 1))
    )
    return Buckets(
        pl.when(value.is_not_null()).then(signed),
        pl.when(counted == 0).then(pl.lit("0")).when(counted != 0).then(told),
    )


def distributions(contract: Contract, rows: pl.LazyFrame, rules: MeasuringRules) -> pl.DataFrame:
    """Share of each bucket per source and column, for sources with enough rows; shares add up to 1.

    One column is read at a time, so memory does not grow with the number of columns.
    """
    by_name = {c.name: c for c in contract.columns}
    parts = [pl.DataFrame(schema=BUCKETS)]
    for name in measured_columns(contract):
        found = buckets_of(by_name[name], rules.categories)
        if found is None:
            continue
        counted = (
            rows.select("source", counted=found.counted)
            .group_by("source", "counted")
            .agg(pl.len().alias("rows"))
            .collect()
            .with_columns(bucket=found.bucket.cast(pl.String).fill_null(EMPTY))
            .group_by("source", "bucket")
            .agg(pl.col("rows").sum())
        )
        parts.append(
            _shares(counted, rules).select(
                pl.lit(contract.table).alias("table_name"),
                "source",
                pl.lit(name).alias("column_name"),
                "bucket",
                "share",
            )
        )
    return pl.concat(parts).sort("source", "column_name", "bucket")


def _shares(counted: pl.DataFrame, rules: MeasuringRules) -> pl.DataFrame:
    """`source`, `bucket` and `share` of one column's rows per bucket; rare values together."""
    place = pl.struct(-pl.col("rows").cast(pl.Int64), "bucket").rank("ordinal").over("source")
    named = (
        pl.when((place > rules.most_values) & (pl.col("bucket") != EMPTY))
        .then(pl.lit(OTHER))
        .otherwise("bucket")
    )
    return (
        counted.filter(pl.col("rows").sum().over("source") >= rules.least_rows)
        .with_columns(bucket=named)
        .group_by("source", "bucket")
        .agg(pl.col("rows").sum())
        .with_columns(share=(pl.col("rows") / pl.col("rows").sum().over("source")).round(6))
    )
