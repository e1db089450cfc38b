"""The code location: what Dagster's UI and daemon load, for the hygiene.yaml of the environment.

The definitions themselves are in `assets.job`; building them takes a second, which a night that
builds its own must not pay twice.
"""

import os
from pathlib import Path

import dagster as dg

from assets.job import JOB, build_defs
from crm_hygiene.config import load_config

__all__ = ["JOB", "build_defs", "defs"]


def _from_environment() -> dg.Definitions:
    given = os.environ.get("HYGIENE_CONFIG")
    path = Path(given) if given else None
    return build_defs(load_config(path), path)


defs = _from_environment()
