"""Labels on the live data: the stewards' judgements and a truth file, live against the candidate."""

from __future__ import annotations

import polars as pl

from crm_hygiene.evaluation.truth import Truth
from crm_hygiene.linkage import EntityKind, LinkageSettings
from crm_hygiene.linkage.decisions import PAIR
from crm_hygiene.models.labels import LabelAccuracy, on_judgements, on_truth

Accuracies = dict[str, dict[str, LabelAccuracy | None]]


def judged_pairs(judgements: pl.DataFrame, before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Standing judgements about live records, and whether the entities before and after break them.

    A judgement about records that were not in an entity before is not broken before.
    """
    judged = judgements.filter(pl.col("judgement").is_in(["same", "different"]))
    for name, members in (("before", before), ("after", after)):
        for side in ("l", "r"):
            judged = judged.join(
                members.select(
                    pl.col("source").alias(f"source_{side}"),
                    pl.col("record_id").alias(f"record_id_{side}"),
                    pl.col("entity_id").alias(f"{name}_{side}"),
                ),
                on=[f"source_{side}", f"record_id_{side}"],
                how="left",
                maintain_order="left",
            )
        together = pl.col(f"{name}_l") == pl.col(f"{name}_r")
        judged = judged.with_columns(
            (together == (pl.col("judgement") == "different")).fill_null(False).alias(f"breaks_{name}")
        )
    return judged.filter(pl.col("after_l").is_not_null() & pl.col("after_r").is_not_null())


def accuracies(
    judged: pl.DataFrame,
    live_pairs: pl.DataFrame,
    pairs: pl.DataFrame,
    before: pl.DataFrame,
    after: pl.DataFrame,
    truth: Truth | None,
    settings: LinkageSettings,
) -> Accuracies:
    """Accuracy of the live entities and of the candidate's, by set of labels."""

    def opinion(of: pl.DataFrame) -> pl.DataFrame:
        says = pl.col("match_key").is_not_null() | (pl.col("match_probability") >= settings.threshold)
        return judged.join(of.select(*PAIR, says_same=says), on=PAIR, how="left").select(
            "judgement",
            pl.col("says_same").fill_null(False),
            act=pl.coalesce("decision_group", "decision_id"),
        )

    found: Accuracies = {}
    if judged.height:
        found["judgements"] = {
            "live": on_judgements(opinion(live_pairs), "judgements"),
            "candidate": on_judgements(opinion(pairs), "judgements"),
        }
    if truth is not None:
        found["truth"] = {
            "live": on_truth(before, truth.rows, "truth"),
            "candidate": on_truth(after, truth.rows, "truth"),
        }
    return found


def caveats(
    kind: EntityKind,
    judged: pl.DataFrame,
    truth: Truth | None,
    accuracy: Accuracies,
) -> list[str]:
    """What a reader should know about the judgements and the truth file."""
    found = list(truth.notes) if truth is not None else []
    pending = judged.filter("breaks_before").height
    if pending:
        said = "1 judgement of a steward does" if pending == 1 else f"{pending:,} judgements of stewards do"
        found.append(
            f"{said} not hold in what is live, most likely since no night has run on them: the figures hold "
            "their effect too; run a night first to see the model's alone"
        )
    if truth is not None and accuracy["truth"]["candidate"] is None:
        found.append(f"the truth file names no live {kind} record and measures nothing")
    return found
