"""The E-step with NumPy and BLAS, in tiles that stay in cache.

Each component's deviations from its own mean are formed before anything is squared, so that neither data far from the
origin nor clusters far from each other lose digits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.mixture.density import TileDensity, normalize
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.rows import bad_row, checked_rows, checked_weights
from daskgmm.mixture.statistics import SufficientStatistics

__all__ = ["e_step"]


def e_step(rows: NDArray[Any], weights: NDArray[Any] | None, parameters: MixtureParameters) -> SufficientStatistics:
    """Return the sufficient statistics of one block (Bishop 2006, eq. 9.23).

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
        Any real dtype; statistics are computed in float64. Not written to.
    weights : array of shape (n_rows,) or None
        Sample weights >= 0; None means 1 each. Rows of weight 0 are not looked at.
    parameters : MixtureParameters

    Returns
    -------
    SufficientStatistics
        About the parameters' means.

    Raises
    ------
    InputTypeError, InputDataError
        If the block is not dense, real and of shape (n_rows, n_features).
    RowError
        If a row holds NaN, infinity or values too large to square, or a weight is negative or not finite.
    """
    rows = checked_rows(rows, parameters.n_features)
    n_samples = len(rows)
    kept, kept_weights, present = rows, None, None
    if weights is not None:
        kept_weights = weights = checked_weights(weights, n_samples)
        present = weights > 0
        if not present.all():
            kept, kept_weights = rows[present], weights[present]
    with np.errstate(over="ignore", invalid="ignore"):
        log_likelihood, counts, first, second = _moments(kept, kept_weights, parameters)
    if not (math.isfinite(log_likelihood) and np.isfinite(first).all() and np.isfinite(second).all()):
        raise bad_row(rows, present)
    return SufficientStatistics(
        covariance_type=parameters.covariance_type,
        reference=parameters.means,
        n_samples=n_samples,
        weight=float(n_samples if weights is None else weights.sum()),
        log_likelihood=log_likelihood,
        counts=counts,
        first=first,
        second=second,
    )


def _moments(
    rows: NDArray[Any], weights: NDArray[Any] | None, parameters: MixtureParameters
) -> tuple[float, NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return log-likelihood, counts, first and second moments about the means, tile by tile."""
    zero = SufficientStatistics.zero(parameters)
    log_likelihood, counts, first, second = 0.0, zero.counts, zero.first, zero.second
    density = TileDensity.of(parameters, len(rows))
    for start in range(0, len(rows), density.step):
        tile = slice(start, start + density.step)
        log_prob, centred, scratch = density.log_prob(rows[tile])
        log_norm = normalize(log_prob)
        if weights is not None:
            tile_weights = weights[tile]
            log_norm *= tile_weights
            log_prob *= tile_weights
        log_likelihood += float(log_norm.sum())
        counts += log_prob.sum(axis=1)
        weighted = np.multiply(centred, log_prob[:, None, :], out=scratch)
        first += weighted.sum(axis=2)
        second += density.structure.second_moment(centred, weighted)
    return log_likelihood, counts, first, second
