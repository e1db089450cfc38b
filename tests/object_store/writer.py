"""A process that writes beside others: `python -m tests.object_store.writer URI WHAT NAME COUNT`."""

from __future__ import annotations

import sys

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import LakeError
from crm_hygiene.lake import Lake
from crm_hygiene.night_lock import night_lock

RUNS = contract_of("audit.runs")


def runs(*ids: str, status: str = "succeeded") -> pl.DataFrame:
    return RUNS.shape(pl.DataFrame({"run_id": ids, "status": [status] * len(ids)}))


def main(uri: str, what: str, name: str, count: int) -> None:
    lake = Lake(uri)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for number in range(count):
        own = f"{name}-{number}"
        if what == "append":
            lake.append(RUNS, [runs(own)], {"run_id": name}, once=own)
        elif what == "append_same":
            print(
                "added", lake.append(RUNS, [runs(f"same-{number}")], {"run_id": name}, once=f"same-{number}")
            )
        elif what == "publish":
            lake.publish(RUNS, runs(own, f"{own}+"), {"run_id": name, "inputs": own})
        elif what == "replace":
            lake.replace_rows(RUNS, runs(own, status=name), "status", name, {"run_id": name})
        elif what == "night":
            try:
                with night_lock(uri):
                    sys.stdout.write("held\n")
                    sys.stdout.flush()
                    sys.stdin.readline()
            except LakeError as error:
                print("refused", error)
    print("done")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
