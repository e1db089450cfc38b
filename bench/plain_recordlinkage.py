"""The bare job with pandas and recordlinkage: `python -m bench.plain_recordlinkage FOLDER RESULT.json`.

For the size at which it still finishes. recordlinkage has no conditions in SQL, no term frequencies and no
budgets, so its own documented way is taken: blocks, string measures, expectation maximisation without labels
(ECM), connected components. Writes the shape of `bench.plain_night`.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bench.plain_exports import ORGANISATIONS, PEOPLE, read_exports, standardised
from bench.plain_night import Parts, cpu_seconds, part
from crm_hygiene.linkage.comparable import comparable
from crm_hygiene.linkage.components import components
from crm_hygiene.linkage.settings import EntityKind

# Columns that must agree; columns compared as text from this likeness on, and exactly.
BLOCKS: dict[EntityKind, tuple[tuple[str, ...], ...]] = {
    "person": (("email",), ("phone_1",), ("name_sort",), ("family", "domain"), ("family", "postal")),
    "organisation": (("domain",), ("name",), ("phone_1",), ("tax_id",)),
}
ALIKE: dict[EntityKind, tuple[str, ...]] = {
    "person": ("given", "family", "email", "organisation", "street", "city"),
    "organisation": ("name", "street", "city"),
}
EXACT: dict[EntityKind, tuple[str, ...]] = {
    "person": ("phone_1", "birth_date", "domain", "postal"),
    "organisation": ("domain", "phone_1", "postal", "tax_id"),
}
LIKENESS = 0.88


def link(kind: EntityKind, records: pl.DataFrame, parts: Parts) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Link the records of a kind; `source`, `record_id`, `entity_id`, and what was counted."""
    import recordlinkage

    with part(parts, "recipe columns"):
        frame = comparable(kind, records)
        wanted = {c for columns in BLOCKS[kind] for c in columns} | {*ALIKE[kind], *EXACT[kind]}
        rows = frame.select("unique_id", *sorted(wanted))
        table = rows.to_pandas().set_index("unique_id")
    with part(parts, "blocking"):
        pairs = None
        for columns in BLOCKS[kind]:
            filled = table.dropna(subset=list(columns))
            found = recordlinkage.index.Block(list(columns)).index(filled)
            pairs = found if pairs is None else pairs.union(found)
        assert pairs is not None
    with part(parts, "predicting"):
        compare = recordlinkage.Compare()
        for column in ALIKE[kind]:
            compare.string(column, column, method="jarowinkler", threshold=LIKENESS, label=column)
        for column in EXACT[kind]:
            compare.exact(column, column, label=column)
        vectors = compare.compute(pairs, table)
    with part(parts, "training"):
        links = recordlinkage.ECMClassifier().fit_predict(vectors)
    with part(parts, "clustering"):
        ends = [np.asarray(links.get_level_values(side), dtype=np.int64) for side in (0, 1)]
        of = pl.Series("entity_id", components(frame.height, ends[0], ends[1]))
    counts = {"records": frame.height, "pairs_proposed": len(pairs), "pairs_kept": len(links)}
    return frame.select("source", "record_id").with_columns(of), counts


def run(folder: Path, lake: Path) -> dict[str, Any]:
    """The whole job on `folder`, tables below `lake`; seconds by part and counts by kind."""
    parts: Parts = {}
    counts: dict[str, Any] = {}
    kinds: dict[EntityKind, Any] = {"person": PEOPLE, "organisation": ORGANISATIONS}
    for kind, exports in kinds.items():
        with part(parts, "reading"):
            rows = read_exports(folder / "landing", exports)
        with part(parts, "standardising"):
            records = standardised(rows)
        with part(parts, "writing"):
            records.write_delta(str(lake / kind), mode="overwrite")
        with part(parts, "linkage"):
            members, counts[kind] = link(kind, records, parts)
        with part(parts, "writing"):
            members.write_delta(str(lake / f"{kind}_members"), mode="overwrite")
    return {"parts": parts, "linked": counts}


def main(arguments: list[str] | None = None) -> None:
    """Run the job of the folder given first and write its figures to the path given second."""
    folder, result = (Path(a) for a in (sys.argv[1:3] if arguments is None else arguments))
    wall, cpu = time.perf_counter(), cpu_seconds()
    with tempfile.TemporaryDirectory(dir=folder) as lake:
        found = run(folder, Path(lake))
    found |= {
        "wall_s": round(time.perf_counter() - wall, 2),
        "cpu_s": round(cpu_seconds() - cpu, 2),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }
    result.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
