"""What a command imports before it does anything: no orchestrator, no gate engine, no linkage engine."""

from __future__ import annotations

import json
import subprocess
import sys

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

# Where an engine is there after a command, none before it had brought it.
COMMANDS = (["--help"], ["run", "--help"], ["status", "--json"], ["review", "list"], ["model", "--help"])

_IN_TURN = """
import json
import sys

for command in json.loads(sys.argv[1]):
    sys.argv = ["crm-hygiene", *command]
    try:
        from crm_hygiene.cli.main import main
        main()
    except SystemExit as left:
        print(file=sys.stderr)
        print(left.code or 0, *sorted({name.split(".")[0] for name in sys.modules}), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Exit code and modules there after each command, all run in one process."""
    code = f"import sys; sys.path[:0] = {sys.path!r}\n{_IN_TURN}"
    finished = subprocess.run(
        [sys.executable, "-c", code, json.dumps(COMMANDS)],
        capture_output=True,
        text=True,
        cwd=tmp_path_factory.mktemp("commands"),
        check=True,
    )
    lines = [line.split() for line in finished.stderr.split("\n") if " crm_hygiene " in line]
    return dict(zip(map(" ".join, COMMANDS), lines, strict=True))


@pytest.mark.parametrize("command", map(" ".join, COMMANDS))
def test_a_command_imports_no_engine(told: dict[str, list[str]], command: str) -> None:
    code, *modules = told[command]
    assert code == "0"
    assert not set(NOT_NEEDED) & set(modules)
