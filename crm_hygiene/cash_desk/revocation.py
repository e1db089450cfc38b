"""Taking cash decisions back: a revocation is a row of its own; nothing is deleted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from crm_hygiene.cash_desk.decision_log import CashLog, append, as_acts, line_of, row_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.night import Night
from crm_hygiene.stewardship.log import digest
from crm_hygiene.stewardship.suggestions import by_prefix


@dataclass(frozen=True)
class CashRevocation:
    """What a revocation came to.

    Attributes
    ----------
    rows
        rows added, none where all was revoked before.
    revoked
        decisions now revoked; `is_posted` says that a contra posting follows.
    already
        revocation rows of decisions that had been taken back before.
    """

    rows: pl.DataFrame
    revoked: tuple[dict[str, Any], ...]
    already: tuple[dict[str, Any], ...]


def revoke(
    night: Night, word: str, reason: str | None, by: str, now: datetime | None = None
) -> CashRevocation:
    """Take back one row of a decision, or the whole decision; the caller holds the night lock.

    Parameters
    ----------
    word
        a cash_decision_id (C-...) or decision_group (K-...), or the beginning of one.

    Raises
    ------
    ConfigurationError
        if there is none (`UnknownTarget`), or it is a revocation itself.
    LakeError
        if the lake cannot be written; nothing is written then.
    """
    log = CashLog.read(night.lake)
    ids = [*log.frame["cash_decision_id"], *log.frame["decision_group"].drop_nulls()]
    found = by_prefix(word, ids, "decision")
    named = log.frame.filter((pl.col("cash_decision_id") == found) | (pl.col("decision_group") == found))
    decisions = list(named.filter(pl.col("revokes_decision_id").is_null()).iter_rows(named=True))
    if not decisions:
        raise ConfigurationError(f"{found} is a revocation and cannot be revoked; decide anew")
    fresh = [row for row in decisions if row["cash_decision_id"] not in log.revoked]
    at = log.moment(now or datetime.now(UTC))
    made = []
    for row in fresh:
        of = row["cash_decision_id"]
        taken = row_of(line_of(row), "C-" + digest("revoke", of), row["exception_id"], reason, by, at)
        made.append({**taken, "decision_kind": "revoke", "revokes_decision_id": of})
    rows = as_acts([made] if made else [])
    append(night, rows)
    return CashRevocation(
        rows,
        tuple({**row, "is_posted": row["cash_decision_id"] in log.posted} for row in fresh),
        tuple(log.revoked[row["cash_decision_id"]] for row in decisions if row not in fresh),
    )
