"""Texts looked up among very many, a few at a time.

A join or `is_in` hashes all of what it looks in at every call; looked up part by part, that costs the number
of parts times the number of texts. Here they are hashed and sorted once. What does not belong here: what
stands at the place that is found.
"""

from __future__ import annotations

import polars as pl


class Lookup:
    """Where each of some texts stands among `keys`, which are unique and not null."""

    def __init__(self, keys: pl.Series) -> None:
        hashes = keys.hash()
        self._places = hashes.arg_sort()
        self._hashes = hashes.gather(self._places)
        self._keys = keys
        # Two keys of one hash: next to never, but then only one of them would be found.
        self._is_clear = hashes.n_unique() == keys.len()

    def places(self, texts: pl.Series) -> pl.Series:
        """The position of each text among the keys, UInt32; null where it is not there, or null."""
        if self._keys.is_empty() or not self._is_clear:
            return self._joined(texts)
        nearest = self._hashes.search_sorted(texts.hash()).clip(upper_bound=self._keys.len() - 1)
        place = self._places.gather(nearest)
        is_there = (self._keys.gather(place) == texts).fill_null(value=False)
        return place.cast(pl.UInt32).set(~is_there, None).rename("place")

    def _joined(self, texts: pl.Series) -> pl.Series:
        keys = self._keys.alias("text").to_frame().with_row_index("place")
        asked = texts.alias("text").to_frame()
        return asked.join(keys, on="text", how="left", maintain_order="left")["place"]
