"""What every kernel does with a block before and after it sums moments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.kernels.moments import Moments
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.rows import bad_row, checked_rows, checked_weights
from daskgmm.mixture.statistics import SufficientStatistics

__all__ = ["MomentsOf", "block_statistics"]

MomentsOf = Callable[[NDArray[Any], Floats | None, MixtureParameters], Moments]
"""(rows of positive weight, their weights or None, parameters) -> moments, not finite if a row's are not."""


def block_statistics(
    rows: NDArray[Any], weights: NDArray[Any] | None, parameters: MixtureParameters, moments_of: MomentsOf
) -> SufficientStatistics:
    """Return the sufficient statistics of one block (Bishop 2006, eq. 9.23), given a way to its moments.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
        Any real dtype. Not written to.
    weights : array of shape (n_rows,) or None
        Sample weights >= 0; None means 1 each. Rows of weight 0 are not looked at.
    parameters : MixtureParameters
    moments_of : callable

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
    kept, kept_weights, present = rows, None, None
    if weights is not None:
        kept_weights = weights = checked_weights(weights, len(rows))
        present = weights > 0
        if not present.all():
            kept, kept_weights = rows[present], weights[present]
    with np.errstate(over="ignore", invalid="ignore"):
        moments = moments_of(kept, kept_weights, parameters)
    if not moments.is_finite:
        raise bad_row(rows, present)
    return SufficientStatistics(
        covariance_type=parameters.covariance_type,
        reference=parameters.means,
        n_samples=len(rows),
        weight=float(len(rows) if weights is None else weights.sum()),
        log_likelihood=moments.log_likelihood,
        counts=moments.counts,
        first=moments.first,
        second=moments.second,
    )
