"""A process that writes beside others: `python -m tests.object_store.writer`.

It takes one task after another from its standard input, each a line of JSON: uri, what, name, count, and the
variables that open the store. It says that it is ready, waits for a line, does it and says so.
"""

from __future__ import annotations

import json
import os
import sys

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import LakeError
from crm_hygiene.lake import Lake
from crm_hygiene.night_lock import night_lock

RUNS = contract_of("audit.runs")


def runs(*ids: str, status: str = "succeeded") -> pl.DataFrame:
    return RUNS.shape(pl.DataFrame({"run_id": ids, "status": [status] * len(ids)}))


def main(uri: str, what: str, name: str, count: int, store: dict[str, str]) -> None:
    os.environ.update(store)
    lake = Lake(uri)
    _say("ready")
    sys.stdin.readline()
    for number in range(count):
        own = f"{name}-{number}"
        if what == "append":
            lake.append(RUNS, [runs(own)], {"run_id": name}, once=own)
        elif what == "append_same":
            same = f"same-{number}"
            _say("added", lake.append(RUNS, [runs(same)], {"run_id": name}, once=same))
        elif what == "publish":
            lake.publish(RUNS, runs(own, f"{own}+"), {"run_id": name, "inputs": own})
        elif what == "replace":
            lake.replace_rows(RUNS, runs(own, status=name), "status", name, {"run_id": name})
        elif what == "night":
            try:
                with night_lock(uri):
                    _say("held")
                    sys.stdin.readline()
            except LakeError as error:
                _say("refused", error)
    _say("done")


def _say(*words: object) -> None:
    print(*words, flush=True)


if __name__ == "__main__":
    for line in iter(sys.stdin.readline, ""):
        main(*json.loads(line))
