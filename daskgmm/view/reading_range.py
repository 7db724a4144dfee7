"""How much of an axis to show so that what differs little can be read although one value is far off."""

from __future__ import annotations

import numpy as np

from daskgmm.mixture.covariance import Floats

__all__ = ["reading_range"]

# Of the picture, above and below what is shown.
MARGIN = 0.08


def reading_range(values: Floats, *, best: float, farthest: float, least: float = 0.0) -> tuple[float, float]:
    """Return the least and greatest value to show, with a margin.

    Parameters
    ----------
    values : array of shape (n,)
        Finite; at least one.
    best : float
        The one that has to be told from the others: their least or their greatest.
    farthest : float
        How many times as far from the best as the middle one a value may be.
    least : float
        What is shown above and below the middle at least: smaller differences tell nothing.
    """
    gaps = np.abs(values - best)
    positive = gaps[gaps > 0]
    shown = values
    if len(positive) > 1:
        # The lower median: of two values, that of the nearer.
        middle = np.sort(positive)[(len(positive) - 1) // 2]
        shown = values[gaps <= farthest * middle]
    low, high = float(min(shown.min(), best)), float(max(shown.max(), best))
    # Where all are equal there is no range, and floats near them tell no more than this of their size.
    half = max((high - low) / 2, least, 1e-9 * max(abs(low), abs(high)), np.finfo(float).tiny)
    middle_of = (low + high) / 2
    return middle_of - (1 + 2 * MARGIN) * half, middle_of + (1 + 2 * MARGIN) * half
