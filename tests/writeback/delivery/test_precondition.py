"""What is done with a merge, by what the target holds."""

from __future__ import annotations

import pytest

from crm_hygiene.writeback.delivery.precondition import Decision, judge_merge
from crm_hygiene.writeback.operations import Held, Operation

MERGE = Operation("m", "merge", "Contact", "survivor", losers=("loser",))
ALIVE, GONE = Held({}), Held({}, is_deleted=True)


@pytest.mark.parametrize(
    ("survivor", "loser", "may_be_ours", "decision"),
    [
        (ALIVE, ALIVE, False, "send"),
        (ALIVE, ALIVE, True, "send"),
        (ALIVE, GONE, False, "already"),
        (GONE, ALIVE, False, "conflict"),
        (GONE, ALIVE, True, "conflict"),
        (GONE, GONE, False, "conflict"),
        # The loser went by it; what became of the survivor since is another matter.
        (GONE, GONE, True, "already"),
    ],
)
def test_merges(survivor: Held, loser: Held, may_be_ours: bool, decision: Decision) -> None:
    held = {"survivor": survivor, "loser": loser}
    assert judge_merge(MERGE, held, {}, may_be_ours=may_be_ours).decision == decision
