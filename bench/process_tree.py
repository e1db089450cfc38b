"""CPU and memory of this process and of those it has begun (Linux: man 5 proc; elsewhere this one's CPU)."""

from __future__ import annotations

import os
import resource
import threading
import time
from contextlib import suppress
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")

# Seconds between two looks at memory.
_EVERY = 0.1


def _begun(pid: int) -> list[int]:
    """Processes begun by `pid`, and by those."""
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found + [below for child in found for below in _begun(child)]


def cpu_seconds() -> float:
    """User and system time of this process, of those it has begun and of those that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = time.process_time() + ended.ru_utime + ended.ru_stime
    for pid in _begun(os.getpid()):
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += sum(map(int, fields[11:15])) / _TICK
    return total


def resident_mib() -> int:
    """Memory held by this process and those it has begun, MiB.

    What is their own in sum; pages of files, which they mostly share, once: those of the process with most.
    """
    own, shared = 0, 0
    for pid in (os.getpid(), *_begun(os.getpid())):
        with suppress(OSError):
            _, resident, of_files = map(int, Path(f"/proc/{pid}/statm").read_text().split()[:3])
            own, shared = own + resident - of_files, max(shared, of_files)
    return (own + shared) * _PAGE // 2**20


class Peak:
    """The greatest `resident_mib` since it was asked last, looked at ten times a second."""

    def __init__(self) -> None:
        self._greatest = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._look, name="peak", daemon=True).start()

    def _look(self) -> None:
        while True:
            with suppress(OSError):
                found = resident_mib()
                with self._lock:
                    self._greatest = max(self._greatest, found)
            time.sleep(_EVERY)

    def taken(self) -> int:
        """The peak until now, MiB; the next one begins."""
        with self._lock:
            found, self._greatest = self._greatest, 0
        return found
