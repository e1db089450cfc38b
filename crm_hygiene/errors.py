"""One class tree for everything that can go wrong in a way a user can mend.

A message names the file, the row, the column, the value (masked where the contract says PII)
and the way out. Programming errors are not here: they stay ordinary exceptions. That a person ends
a night is no error, and outside the tree.
"""

from __future__ import annotations

import signal


class HygieneError(Exception):
    """Root of all errors a user can act on."""


class ConfigurationError(HygieneError):
    """hygiene.yaml, a mapping, a contract or a rules file is wrong; nothing ran."""


class FileRefused(HygieneError):  # noqa: N818 - named as the state the file is in
    """One landed file cannot be taken as a whole; every other file goes on."""


class GateStopped(HygieneError):  # noqa: N818 - named as what happened
    """A table broke a critical check and was not published; its last good version stays live."""


class LakeError(HygieneError):
    """The lake cannot be read or written (disk full, permissions, damaged table)."""


class NightInterrupted(KeyboardInterrupt):
    """A night was told to end, by Ctrl-C or the system; nothing is wrong, the next one goes on from it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)
