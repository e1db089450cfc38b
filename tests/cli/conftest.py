"""Fixtures of the commands that read a lake."""

from linkage.conftest import crowd, explained  # noqa: F401
