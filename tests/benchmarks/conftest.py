"""The benchmarks are no part of the installed package: they are found from the project's folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
