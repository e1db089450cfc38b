"""A night of a project in a process of its own: `python -m tests.object_store.night FOLDER`.

The processes that a night begins open the store by what this one's environment said as it started. The last
line that it prints is the state of every table, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.night.project import Project


def main(folder: Path) -> None:
    project = Project(folder)
    outcome = project.night()
    assert outcome.is_success, outcome
    lake = project.lake
    print(json.dumps({table: lake.state(table) for table in lake.tables()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
