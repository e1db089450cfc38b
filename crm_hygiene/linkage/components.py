"""Connected components of a large graph of links, vectorised.

What does not belong here: which links count (`clustering`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Nodes = npt.NDArray[np.int64]


def components(count: int, left: Nodes, right: Nodes) -> Nodes:
    """Smallest node of each node's component.

    Each round hooks the root of every link's larger side to the smaller one and then halves all
    paths (Shiloach and Vishkin, "An O(log n) parallel connectivity algorithm", 1982), so the work is
    near-linear in nodes and links.

    Parameters
    ----------
    count
        nodes are numbered 0 .. count - 1.
    left, right
        the two ends of each link.
    """
    root = np.arange(count, dtype=np.int64)
    while True:
        a, b = root[left], root[right]
        open_links = a != b
        if not open_links.any():
            return root
        left, right, a, b = left[open_links], right[open_links], a[open_links], b[open_links]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while True:
            onward = root[root]
            if np.array_equal(onward, root):
                break
            root = onward
