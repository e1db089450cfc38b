"""Fixtures of the assets that are tested on a lake made beforehand."""

from linkage.conftest import crowd, explained  # noqa: F401
