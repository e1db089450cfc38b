"""Explanation of a pair: what the night compared, what each comparison weighs, what follows.

The records are prepared as the night prepares them and scored with the promoted model, whether or not
blocking found the pair; so a stored pair's weight comes out again, and any other pair has one too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.explanation.pair_explanation import PairExplanation, Step
from crm_hygiene.explanation.pair_weights import PairWeights, weigh
from crm_hygiene.explanation.selection import Selection, UnknownRecord, select_records
from crm_hygiene.linkage.connection import connection
from crm_hygiene.linkage.decisions import binding
from crm_hygiene.linkage.generic_names import NAME
from crm_hygiene.linkage.generic_values import FAMILIES
from crm_hygiene.linkage.model import FrozenModel
from crm_hygiene.linkage.night_settings import settings_of
from crm_hygiene.linkage.organisation_words import with_model_words
from crm_hygiene.linkage.records import Record, written
from crm_hygiene.linkage.settings import Comparison, EntityKind, LinkageSettings
from crm_hygiene.linkage.store import load_model
from crm_hygiene.night import Night

__all__ = ["PairExplanation", "Record", "Step", "UnknownRecord", "explain_pairs", "promoted_model"]

_ENDS = ("source_l", "record_id_l", "source_r", "record_id_r")


def promoted_model(night: Night, kind: EntityKind) -> FrozenModel:
    """The model in use.

    Raises
    ------
    ConfigurationError
        before the first night.
    """
    model = load_model(night.lake, kind)
    if model is None:
        raise ConfigurationError(
            f"no {kind} model is in use yet, so there are no links to explain; `crm-hygiene run` comes first"
        )
    return model


def explain_pairs(
    night: Night, kind: EntityKind, pairs: Sequence[tuple[Record, Record]]
) -> list[PairExplanation]:
    """Explain pairs of records, in the order given, each with its left record left.

    Parameters
    ----------
    pairs
        records as (source, record_id); found by blocking or not.

    Raises
    ------
    UnknownRecord
        if a record is not one that linkage looks at.
    ConfigurationError
        if a pair is one record twice, or there is no model yet.
    """
    if not pairs:
        return []
    for left, right in pairs:
        if left == right:
            raise ConfigurationError(f"{written(left)} is one record: name another to compare it with")
    settings = settings_of(night)
    model = promoted_model(night, kind)
    chosen = select_records(night, kind, [record for pair in pairs for record in pair], settings)
    number = chosen.number_of()
    # The night puts the record that comes first by source and id on the left; so is it scored here.
    distinct = sorted({(min(pair), max(pair)) for pair in pairs})
    with connection(settings) as con:
        weights = weigh(con, chosen.frame, [(number[a], number[b]) for a, b in distinct], model, settings)
    context = _Context(night, model, distinct, chosen, settings)
    found = {pair: _explained(pair, k, weights, context, model, settings) for k, pair in enumerate(distinct)}
    return [found[a, b] if a < b else found[b, a].swapped() for a, b in pairs]


class _Context:
    """What the lake knows of the pairs: entities, stored pairs, judgements; and the records' values."""

    def __init__(
        self,
        night: Night,
        model: FrozenModel,
        pairs: Sequence[tuple[Record, Record]],
        chosen: Selection,
        settings: LinkageSettings,
    ) -> None:
        self.kind = kind = model.entity_kind
        lake = night.lake
        keys = pl.DataFrame(
            [(*a, *b) for a, b in pairs], schema=dict.fromkeys(_ENDS, pl.String), orient="row"
        )
        ids = chosen.frame["record_id"].implode()
        members = (
            lake.scan(contract_of(f"linked.{kind}_members")).filter(pl.col("record_id").is_in(ids)).collect()
        )
        self.entity = {
            (s, r): e for s, r, e in members.select("source", "record_id", "entity_id").iter_rows()
        }
        stored = (
            lake.scan(contract_of(f"linked.{kind}_pairs"))
            .filter(pl.col("record_id_l").is_in(ids) & pl.col("record_id_r").is_in(ids))
            .collect()
            .join(keys, on=list(_ENDS), how="semi")
        )
        self.stored = {
            ((row["source_l"], row["record_id_l"]), (row["source_r"], row["record_id_r"])): row
            for row in stored.iter_rows(named=True)
        }
        decided = binding(kind, lake.read(contract_of("stewardship.decisions")), chosen.frame)
        self.judgement = {(a, b): j for a, b, j in decided.select("l", "r", "judgement").iter_rows()}
        self.number = chosen.number_of()
        self.stated = _rows(chosen.stated)
        self.compared = _rows(with_model_words(kind, chosen.frame, model.content))
        self.conformed = _rows(chosen.conformed)
        self.generic = {(f, v): n for f, v, n in chosen.generic.iter_rows()}
        self.rules = settings.rules_of(kind)

    def agreeing(self, left: Record, right: Record) -> tuple[str, ...]:
        """Blocking rules on all of whose columns both records have one value."""
        a, b = self.compared[left], self.compared[right]
        return tuple(
            " and ".join(columns)
            for columns in self.rules.blocking
            if all(a[c] is not None and a[c] == b[c] for c in columns)
        )


def _rows(frame: pl.DataFrame) -> dict[Record, dict[str, Any]]:
    return {(row["source"], row["record_id"]): row for row in frame.iter_rows(named=True)}


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return (", ".join(map(str, value)) or None) if isinstance(value, list) else str(value)


def _shown(comparison: Comparison, row: dict[str, Any]) -> str | None:
    """What the record brings to the comparison: its columns and their numbered siblings."""
    stems = {re.sub(r"_\d+$", "", c) for c in comparison.columns if re.search(r"_\d+$", c)}
    siblings = [c for c in row if c not in comparison.columns and re.sub(r"_\d+$", "", c) in stems]
    texts = [text for c in (*comparison.columns, *siblings) if (text := _text(row.get(c))) is not None]
    return ", ".join(texts) or None


def _generic_remark(comparison: Comparison, pair: tuple[Record, Record], context: _Context) -> str | None:
    """Which generic value of the comparison's columns was taken out, if one was."""
    for record in pair:
        stated, compared = context.stated[record], context.compared[record]
        for column in comparison.columns:
            value = stated.get(column)
            if value is None or compared.get(column) is not None:
                continue
            if count := context.generic.get((FAMILIES.get(column, column), value)):
                return f"'{value}' stands on {count:,} records under many names, so it is used for no link"
            if count := context.generic.get((NAME, stated["name_sort"])):
                name = stated["name_sort"]
                return (
                    f"'{name}' stands on {count:,} records that share nothing else, so it counts as no name"
                )
    return None


def _steps(
    pair: tuple[Record, Record], row: dict[str, Any], weights: PairWeights, context: _Context
) -> tuple[Step, ...]:
    steps = []
    for comparison in weights.comparisons:
        value_l, value_r = (_shown(comparison, context.compared[record]) for record in pair)
        gamma = row[f"gamma_{comparison.name}"]
        if gamma < 0:
            level, weight, of_frequency = comparison.levels[0].name, 0.0, 0.0
        else:
            level = comparison.scored[len(comparison.scored) - 1 - gamma].name
            of_frequency = float(row.get(f"mw_tf_adj_{comparison.name}") or 0.0)
            weight = float(row[f"mw_{comparison.name}"]) + of_frequency
        remark = _generic_remark(comparison, pair, context) if gamma < 0 else None
        steps.append(
            Step(
                comparison.name,
                level,
                value_l,
                value_r,
                round(weight, 6),
                round(of_frequency, 6),
                gamma < 0,
                remark,
            )
        )
    return tuple(steps)


def _explained(
    pair: tuple[Record, Record],
    k: int,
    weights: PairWeights,
    context: _Context,
    model: FrozenModel,
    settings: LinkageSettings,
) -> PairExplanation:
    left, right = pair
    row = weights.table.row(k, named=True) if weights.table.height else None
    stored = context.stored.get(pair, {})
    a, b = sorted((context.number[left], context.number[right]))
    columns = [
        c
        for c in context.conformed[left]
        if c not in ("source", "record_id")
        and (context.conformed[left][c] is not None or context.conformed[right][c] is not None)
    ]
    return PairExplanation(
        record_l=left,
        record_r=right,
        entity_id_l=context.entity.get(left),
        entity_id_r=context.entity.get(right),
        method=stored.get("method"),
        match_key=stored.get("match_key"),
        blocking_rules=context.agreeing(left, right),
        prior_weight=round(weights.prior_weight, 6),
        steps=() if row is None else _steps(pair, row, weights, context),
        match_weight=None if row is None else round(row["match_weight"], 6),
        match_probability=None if row is None else round(row["match_probability"], 6),
        threshold=settings.threshold,
        judgement=context.judgement.get((a, b)),
        model_version=model.model_version,
        values_l={c: _text(context.conformed[left][c]) for c in columns},
        values_r={c: _text(context.conformed[right][c]) for c in columns},
        kind=context.kind,
        found_by=stored.get("blocking_rule"),
        is_link=stored.get("is_link"),
        review_low=settings.review_low,
    )
