"""Kept readings: what citing payments read in an earlier round, where nothing it was read of changed since.

After the first round few payments and invoices still move; the readings of the others come out the same.
What does not belong here: reading (`citing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from crm_hygiene.cash.doubts import Doubt
from crm_hygiene.cash.hypotheses import Claim, Hypothesis
from crm_hygiene.cash.ledger import Ledger

Credits = Mapping[int, tuple[Claim, ...]]


@dataclass(frozen=True)
class _Books:
    """What a reading depends on that a round may change."""

    payment_open: npt.NDArray[np.int64]
    invoice_open: npt.NDArray[np.int64]
    is_touched: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, ledger: Ledger) -> _Books:
        return cls(ledger.payment_open.copy(), ledger.invoice_open.copy(), ledger.is_touched.copy())


@dataclass
class KeptReadings:
    """Readings and the doubt, if any, by payment row; empty before the first round."""

    _found: dict[int, tuple[list[Hypothesis], Doubt | None]] = field(default_factory=dict)
    _credits: Credits = field(default_factory=dict)
    _last: _Books | None = None
    _begun: _Books | None = None

    def begin(self, ledger: Ledger) -> None:
        """A round begins: what is read in it is read of the books as they are now, though it posts before."""
        self._last, self._begun = self._begun, _Books.of(ledger)

    def drop_changed(self, ledger: Ledger, hits: pl.DataFrame, credits: Credits) -> None:
        """Forget the readings that may come out differently now, compared with the last round's beginning.

        Parameters
        ----------
        hits
            all citations: `p`, `i`.
        credits
            open credit notes that a payment of an invoice may be net of, by invoice row.
        """
        was, self._credits = self._credits, credits
        if self._last is None:
            return
        moved = (self._last.payment_open != ledger.payment_open) | (
            self._last.is_touched != ledger.is_touched
        )
        invoices = {
            *np.flatnonzero(self._last.invoice_open != ledger.invoice_open).tolist(),
            *(i for i in was.keys() | credits.keys() if was.get(i) != credits.get(i)),
        }
        citing = hits.filter(pl.col("i").is_in(list(invoices)))["p"]
        for p in {*np.flatnonzero(moved).tolist(), *citing}:
            self._found.pop(p, None)

    def __contains__(self, p: int) -> bool:
        return p in self._found

    def __getitem__(self, p: int) -> tuple[list[Hypothesis], Doubt | None]:
        return self._found[p]

    def keep(self, p: int, found: list[Hypothesis], doubt: Doubt | None) -> None:
        """Keep what payment row `p` read."""
        self._found[p] = found, doubt
