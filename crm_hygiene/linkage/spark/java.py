"""Java for Spark: where it is, and whether Spark can run on it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from crm_hygiene.errors import ConfigurationError

# Versions that Spark 4.1 names as supported.
SUPPORTED = (17, 21)

_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def java_version(program: Path) -> int | None:
    """Major version of a `java` program, None where it does not run."""
    try:
        told = subprocess.run([str(program), "-version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(told.stderr + told.stdout)
    return int(found.group(1)) if found else None


def java_home() -> Path:
    """Home of a Java that Spark runs on: JAVA_HOME, else that of `java` on the PATH.

    Raises
    ------
    ConfigurationError
        if neither is of a supported version; the message tells what was found.
    """
    found = []
    home = os.environ.get("JAVA_HOME")
    on_path = shutil.which("java")
    programs = {"JAVA_HOME": Path(home) / "bin" / "java"} if home else {}
    if on_path:
        programs["PATH"] = Path(on_path).resolve()
    for where, program in programs.items():
        version = java_version(program)
        if version in SUPPORTED:
            return program.parent.parent
        found.append(f"{where}: {program} is {f'Java {version}' if version else 'no Java that runs'}")
    wanted = " or ".join(map(str, SUPPORTED))
    told = "; ".join(found) or "none by JAVA_HOME or PATH"
    raise ConfigurationError(
        f"engine: spark needs Java {wanted}; found {told}. Install one (Debian: apt-get install "
        "openjdk-17-jre-headless) and set JAVA_HOME, or use engine: duckdb"
    )
