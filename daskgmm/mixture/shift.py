"""How far two distributions lie apart: measures that are in use to watch models at work."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daskgmm.mixture.covariance import Floats

__all__ = ["expected_stability_index", "kolmogorov_smirnov_distance", "of_deciles", "population_stability_index"]

# An empty bin has no logarithm; shares count as at least this much, as is usual: one row in 10,000.
LEAST_SHARE = 1e-4
# The number of bins by which the bounds that people use, 0.1 and 0.25, are meant.
N_BINS = 10


def population_stability_index(before: Floats, now: Floats) -> float:
    """Return the population stability index of shares in the same bins (Siddiqi 2006), >= 0.

    It is the sum of (now - before) log(now / before), the divergences of Kullback and Leibler in both directions.
    Shares below 0.0001 count as 0.0001.
    """
    before, now = np.maximum(before, LEAST_SHARE), np.maximum(now, LEAST_SHARE)
    return float(((now - before) * np.log(now / before)).sum())


def expected_stability_index(n_bins: int, n_before: float, n_now: float) -> float:
    """Return about what the index is of two samples of the same distribution (Yurdakul and Naranjo 2020)."""
    return (n_bins - 1) * (1 / n_before + 1 / n_now)


def of_deciles(below_before: Floats, below_now: Floats) -> tuple[Floats, Floats]:
    """Return the shares before and now in the bins that the first's deciles bound, as near as they are known.

    Parameters
    ----------
    below_before, below_now : array of shape (n,)
        Shares of the rows below the same n values, rising.

    Returns
    -------
    tuple of two arrays of shape (n_bins,)
        At most ten bins; fewer where rows take few values.
    """
    wanted = np.arange(1, N_BINS) / N_BINS
    chosen: NDArray[np.intp] = np.empty(0, dtype=np.intp)
    if len(below_before):
        chosen = np.unique(np.abs(below_before - wanted[:, None]).argmin(axis=1))
    before, now = (np.diff(below[chosen], prepend=0.0, append=1.0) for below in (below_before, below_now))
    return before, now


def kolmogorov_smirnov_distance(below_before: Floats, below_now: Floats) -> float:
    """Return the largest difference of shares of rows below the same values, in [0, 1].

    Between these values the difference may be larger: by less than one of the steps of the first.
    """
    return float(np.abs(below_now - below_before).max(initial=0.0))
