"""What the night before scored, and which of it still holds.

A pair's weight is a function of what linkage compares of its two records and of the frozen model. So a
pair keeps it as long as neither record changed and both still share a block; only pairs that touch a
changed record, or a block that was not in force the night before, are scored. What does not belong
here: how a pair is scored (`scoring`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

import polars as pl

from crm_hygiene.fingerprint import code_fingerprint, fingerprint
from crm_hygiene.linkage.blocking import ALL_RULES, Blocking
from crm_hygiene.linkage.model import FrozenModel
from crm_hygiene.linkage.scoring import SCORES_SCHEMA, compared_columns
from crm_hygiene.linkage.settings import Comparison, LinkageSettings

FINGERPRINTS_SCHEMA = pl.Schema(
    {
        "source": pl.String(),
        "record_id": pl.String(),
        "record_fingerprint": pl.Int64(),
        "blocks_in_force": pl.Int64(),
        "scored_with": pl.String(),
    }
)
WEIGHTS_SCHEMA = pl.Schema(
    {
        "source_l": pl.String(),
        "record_id_l": pl.String(),
        "source_r": pl.String(),
        "record_id_r": pl.String(),
        "match_weight": pl.Float64(),
        "match_probability": pl.Float64(),
        "levels": pl.String(),
    }
)
_LIBRARIES = ("polars", "duckdb", "splink")


@dataclass(frozen=True)
class NightBefore:
    """Pairs and fingerprints as last published together (linked.{kind}_pairs, _fingerprints).

    Pairs without a weight were never scored and are passed over; of the columns only those of
    `WEIGHTS_SCHEMA` are read.
    """

    pairs: pl.DataFrame
    fingerprints: pl.DataFrame


@dataclass(frozen=True)
class Unfinished:
    """What is left to score.

    Attributes
    ----------
    touched
        Int64 per record, the rules under which its pairs are to be scored, as bits.
    kept
        pairs that keep their weight, in the schema of scores.
    changed_records
        records that are new or of which something that linkage looks at changed.
    is_everything
        nothing of the night before can be used.
    """

    touched: pl.Series
    kept: pl.DataFrame
    changed_records: int
    is_everything: bool


def scored_with(model: FrozenModel, comparisons: list[Comparison], settings: LinkageSettings) -> str:
    """Fingerprint of everything but the records that a weight depends on: 16 hexadecimal digits.

    Hashes of Polars and functions of DuckDB hold for one version of the library.
    """
    return fingerprint(
        {
            "model": model.model_version,
            "comparisons": [c.name for c in comparisons],
            "settings": settings.fingerprint(model.entity_kind),
            "code": code_fingerprint(),
            "libraries": {name: version(name) for name in _LIBRARIES},
        }
    )[:16]


def _hashable(column: str, dtype: pl.DataType) -> pl.Expr:
    """The column as it is, a list as one text: rows of lists have no hash."""
    if not isinstance(dtype, pl.List):
        return pl.col(column)
    element = pl.element()
    text = element.struct.json_encode() if isinstance(dtype.inner, pl.Struct) else element.cast(pl.String)
    return pl.col(column).list.eval(text).list.join("\x1f")


def fingerprints(
    frame: pl.DataFrame,
    blocks: Blocking,
    model: FrozenModel,
    comparisons: list[Comparison],
    settings: LinkageSettings,
) -> pl.DataFrame:
    """Rows of linked.{kind}_fingerprints for this night, in the order of `frame`.

    Parameters
    ----------
    frame
        comparable columns with block columns, generic values removed, sorted by `unique_id`.
    """
    blocked = {c for columns in settings.rules_of(model.entity_kind).blocking for c in columns}
    looked_at = sorted({*compared_columns(frame, comparisons), *blocked} - {"unique_id"})
    texts = [_hashable(c, frame.schema[c]) for c in looked_at]
    return frame.select(
        "source",
        "record_id",
        record_fingerprint=frame.select(texts).hash_rows(seed=11).reinterpret(signed=True),
        blocks_in_force=blocks.in_force(),
        scored_with=pl.lit(scored_with(model, comparisons, settings)),
    ).cast(FINGERPRINTS_SCHEMA)


def unfinished(now: pl.DataFrame, blocks: Blocking, before: NightBefore | None) -> Unfinished:
    """Compare this night's fingerprints with the night before's.

    Parameters
    ----------
    now
        `fingerprints` of this night, row by row of the records that were blocked.
    before
        None, or fingerprints made by another model, rules, program or library, score everything.
    """
    everything = Unfinished(
        touched=pl.repeat(ALL_RULES, now.height, dtype=pl.Int64, eager=True),
        kept=pl.DataFrame(schema=SCORES_SCHEMA),
        changed_records=now.height,
        is_everything=True,
    )
    if before is None or now.is_empty() or before.fingerprints.is_empty():
        return everything
    if before.fingerprints["scored_with"].unique().to_list() != now["scored_with"].head(1).to_list():
        return everything
    old = before.fingerprints.select(
        "source", "record_id", old_fingerprint="record_fingerprint", old_blocks="blocks_in_force"
    )
    rows = (
        now.with_row_index("row_number")
        .join(old, on=["source", "record_id"], how="left", maintain_order="left")
        .select(
            "source",
            "record_id",
            pl.col("row_number").cast(pl.Int64),
            is_same=(pl.col("old_fingerprint") == pl.col("record_fingerprint")).fill_null(False),
            # A block that came into force, as it got below the budget, proposes pairs never scored.
            fresh=pl.col("blocks_in_force") & ~pl.col("old_blocks"),
        )
    )
    return Unfinished(
        touched=rows.select(
            touched=pl.when("is_same").then("fresh").otherwise(pl.lit(ALL_RULES, dtype=pl.Int64))
        )["touched"],
        kept=_kept(before.pairs, rows.filter("is_same"), blocks),
        changed_records=int((~rows["is_same"]).sum()),
        is_everything=False,
    )


def _kept(pairs: pl.DataFrame, same: pl.DataFrame, blocks: Blocking) -> pl.DataFrame:
    """Weights of pairs of unchanged records that some rule still proposes, under the first that does."""
    found = pairs.filter(pl.col("match_weight").is_not_null())
    for side in ("l", "r"):
        found = found.join(
            same.select(
                pl.col("row_number").alias(side),
                **{f"{c}_{side}": pl.col(c) for c in ("source", "record_id")},
            ),
            on=[f"source_{side}", f"record_id_{side}"],
        )
    rule = blocks.first_shared(found["l"], found["r"])
    return (
        found.with_columns(
            blocking_rule=rule.replace_strict(blocks.names, default=None, return_dtype=pl.String)
        )
        .filter(pl.col("blocking_rule").is_not_null())
        .select(list(SCORES_SCHEMA))
        .cast(SCORES_SCHEMA)
    )
