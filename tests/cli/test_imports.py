"""What a command imports before it does anything: no orchestrator, no gate engine, no linkage engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

NOT_NEEDED = (
    "dagster",
    "great_expectations",
    "splink",
    "sqlglot",
    "sqlalchemy",
    "pandas",
    "altair",
    "scipy",
    "ortools",
    "pyspark",
)

_COMMAND = """
import sys
sys.argv = ["crm-hygiene", *sys.argv[1:]]
try:
    from crm_hygiene.cli.main import main
    main()
except SystemExit as left:
    print(file=sys.stderr)
    print(left.code or 0, *sorted({name.split(".")[0] for name in sys.modules}), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "command",
    [["--help"], ["run", "--help"], ["status", "--json"], ["review", "list"], ["model", "--help"]],
    ids=" ".join,
)
def test_a_command_imports_no_engine(command: list[str], tmp_path: Path) -> None:
    code = _COMMAND.replace("sys.argv[1:]", repr(command))
    finished = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    code_told, *modules = finished.stderr.strip().split("\n")[-1].split()
    assert code_told == "0"
    assert not set(NOT_NEEDED) & set(modules)
