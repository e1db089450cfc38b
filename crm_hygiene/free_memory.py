"""How much memory is free for one more process, as far as the system tells."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
# Of a container's own hierarchy, version 2; elsewhere the root has no such files.
_GROUP = Path("/sys/fs/cgroup")


def free_bytes() -> int | None:
    """Bytes that a new process can take without swapping; None where the system does not tell (Linux does).

    `MemAvailable` of proc(5), and in a container what its limit leaves (cgroups(7), version 2). What a
    container holds of files only counts as free: it goes when memory is asked for.
    """
    found = [size for size in (_of_system(), _of_container()) if size is not None]
    return min(found, default=None)


def _of_system() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _of_container() -> int | None:
    with suppress(OSError, ValueError):
        most = int((_GROUP / "memory.max").read_text())  # "max" where there is no limit
        held = int((_GROUP / "memory.current").read_text())
        return max(0, most - held + _files_of_container())
    return None


def _files_of_container() -> int:
    for line in (_GROUP / "memory.stat").read_text().splitlines():
        name, _, size = line.partition(" ")
        if name == "inactive_file":
            return int(size)
    return 0
