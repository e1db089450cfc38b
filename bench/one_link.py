"""Linkage alone in a process of its own: `python -m bench.one_link hygiene.yaml folder`.

Both kinds are linked anew from the conformed tables of the lake, with the models in use and an empty
register. The tables go to `folder`/<kind>_<name>.parquet, the figures to `folder`/figures.json.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent
TABLES = ("pairs", "members", "entities", "history", "fingerprints", "questions")


def link_of(config: Path, folder: Path) -> dict[str, Any]:
    """Link with the engine that `config` names; seconds, MiB, records and pairs by kind.

    Raises
    ------
    subprocess.CalledProcessError
        if the process fails; what it said is in `folder`/link.log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "link.log").open("w") as log:
        subprocess.run(
            [sys.executable, "-m", "bench.one_link", str(config), str(folder)],
            check=True,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdout=log,
            stderr=log,
        )
    figures: dict[str, Any] = json.loads((folder / "figures.json").read_text())
    return figures


def main() -> None:
    """Link both kinds and write tables and figures."""
    from crm_hygiene.asof import latest_known
    from crm_hygiene.config import load_config
    from crm_hygiene.contract import contract_of
    from crm_hygiene.linkage import Register, link
    from crm_hygiene.linkage.engine import engine_of
    from crm_hygiene.linkage.night_settings import settings_of
    from crm_hygiene.linkage.records import KINDS, live_records
    from crm_hygiene.linkage.store import load_model
    from crm_hygiene.night import Night

    config, folder = load_config(Path(sys.argv[1])), Path(sys.argv[2])
    night = Night.open(config)
    decisions = contract_of("stewardship.decisions").empty()
    figures: dict[str, Any] = {"kinds": {}}
    started = time.perf_counter()
    with engine_of(config) as engine:
        for kind in KINDS:
            began = time.perf_counter()
            records = live_records(night.lake, kind).collect()
            linked = link(
                kind,
                records,
                Register.empty(),
                decisions,
                load_model(night.lake, kind),
                latest_known(records, decisions),
                settings_of(night),
                engine=engine,
            )
            figures["kinds"][kind] = {
                "records": records.height,
                "scored_pairs": linked.scored_pairs,
                "model": linked.model.model_version,
                "wall_s": round(time.perf_counter() - began, 1),
                "notes": linked.notes,
            }
            for name in TABLES:
                getattr(linked, name).write_parquet(folder / f"{kind}_{name}.parquet")
    figures["wall_s"] = round(time.perf_counter() - started, 1)
    # Spark's Java process has ended by now, so that it counts among the children.
    for who, of in (("python", resource.RUSAGE_SELF), ("java", resource.RUSAGE_CHILDREN)):
        usage = resource.getrusage(of)
        figures[f"{who}_cpu_s"] = round(usage.ru_utime + usage.ru_stime, 1)
        figures[f"{who}_peak_mib"] = usage.ru_maxrss // 1024
    (folder / "figures.json").write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
