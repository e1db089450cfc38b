"""Taking decisions back: a revocation is a row of its own, and what stood before stands again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.night import Night
from crm_hygiene.stewardship.log import DecisionLog, append, as_group, pair_of, row_of
from crm_hygiene.stewardship.suggestions import by_prefix


@dataclass(frozen=True)
class Revocation:
    """What a revocation came to.

    Attributes
    ----------
    rows
        rows added to stewardship.decisions, none where all was revoked before.
    revoked
        judgements now revoked.
    already
        revocation rows of judgements that had been taken back before.
    standing_again
        older judgements that bind again.
    freed
        revoked judgements that bound and left their pair without any.
    """

    rows: pl.DataFrame
    revoked: tuple[dict[str, Any], ...]
    already: tuple[dict[str, Any], ...]
    standing_again: tuple[dict[str, Any], ...]
    freed: tuple[dict[str, Any], ...]


def revoke(night: Night, word: str, why: str | None, by: str, now: datetime | None = None) -> Revocation:
    """Take back one decision or all of one act; the caller holds the night lock.

    Parameters
    ----------
    word
        a decision_id or decision_group, or the beginning of one.

    Raises
    ------
    ConfigurationError
        if there is none (`UnknownTarget`), or it is a revocation itself.
    LakeError
        if the lake cannot be written; nothing is written then.
    """
    log = DecisionLog.read(night.lake)
    ids = [*log.frame["decision_id"], *log.frame["decision_group"].drop_nulls()]
    found = by_prefix(word, ids, "decision")
    named = log.frame.filter((pl.col("decision_id") == found) | (pl.col("decision_group") == found))
    judgements = list(named.filter(pl.col("revokes").is_null()).iter_rows(named=True))
    if not judgements:
        raise ConfigurationError(
            f"{found} is a revocation and cannot be revoked; to judge as before, decide anew"
        )
    gone = {row["revokes"]: row for row in log.frame.iter_rows(named=True) if row["revokes"]}
    at = log.moment(now or datetime.now(UTC))
    fresh = [row for row in judgements if row["decision_id"] not in gone]
    rows = as_group([row_of(pair_of(row), None, why, by, at, revokes=row["decision_id"]) for row in fresh])
    before, after = log.standing(), log.with_rows(rows).standing()
    again = [row for pair, row in after.items() if before.get(pair) != row]
    append(night, rows)
    return Revocation(
        rows,
        tuple(fresh),
        tuple(gone[row["decision_id"]] for row in judgements if row["decision_id"] in gone),
        tuple(again),
        tuple(row for pair, row in before.items() if pair not in after),
    )
