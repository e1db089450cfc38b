"""Values that only stand for "no value", by rule: taken out before anything is chosen.

Texts that are placeholders everywhere never get past conforming (`crm_hygiene.standardise.placeholders`);
here are those that a user's rules name for one field.
"""

from __future__ import annotations

import re

import polars as pl

from crm_hygiene.survivorship.rules import TableRules


def _pattern(globs: tuple[str, ...]) -> str:
    parts = [re.escape(g).replace(r"\*", ".*").replace(r"\?", ".") for g in globs]
    return "(?is)^(?:" + "|".join(parts) + ")$"


def without_placeholders(records: pl.DataFrame, rules: TableRules) -> pl.DataFrame:
    """`records` with the placeholders of every field made null, and no change time left for them.

    A placeholder is no clear either: without its change time an empty cell says nothing.
    """
    for rule in rules.all_rules.values():
        if not rule.placeholders:
            continue
        pattern = _pattern(rule.placeholders)
        for column in (c for c in rule.columns if c in records.columns):
            texts = records[column].unique()
            found = texts.filter(
                texts.cast(pl.String).str.strip_chars().str.contains(pattern).fill_null(False)
            )
            if found.is_empty():
                continue
            is_placeholder = pl.col(column).is_in(found.implode()).fill_null(False)
            kept = pl.col("field_times").list.eval(
                pl.element().filter(~pl.element().str.starts_with(f"{column}="))
            )
            records = records.with_columns(
                pl.when(~is_placeholder).then(column).alias(column),
                pl.when(is_placeholder).then(kept).otherwise("field_times").alias("field_times"),
            )
    return records
