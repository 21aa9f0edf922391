"""The pipeline in figures: how times and sizes are told apart, and what can be read from that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

CONFIRM_BOUNDS_MS: Final = (
    *(5, 10, 15, 20, 25, 30, 40, 50, 65, 80, 100, 130, 160, 200, 250, 350, 500, 750),
    *(1000, 1500, 2500, 5000, 10_000, 30_000, 60_000, 300_000),
)
"""Up to which times, from the acceptance of a checkout to its confirmation, figures are kept apart."""
BATCH_BOUNDS: Final = tuple(2**n for n in range(14))
"""The same of the sizes of batches, in checkouts."""


def quantile(part: float, counts: Sequence[int], bounds: Sequence[int]) -> float | None:
    """The value that `part` of all lie below, by how many lie up to each bound and how many above the last.

    Within two bounds they are taken to lie evenly. None when there are none; never more than the last bound.
    """
    wanted = part * sum(counts)
    if not wanted:
        return None
    below = 0
    for n, bound in enumerate(bounds):
        if counts[n] and below + counts[n] >= wanted:
            floor = bounds[n - 1] if n else 0
            return floor + (bound - floor) * (wanted - below) / counts[n]
        below += counts[n]
    return float(bounds[-1])
