"""The likelihood of one block of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import RowError
from daskgmm.kernels.per_row import log_density
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.rows import checked_rows, checked_weights
from daskgmm.mixture.score import LogLikelihood

__all__ = ["log_likelihood"]


def log_likelihood(rows: NDArray[Any], weights: NDArray[Any] | None, parameters: MixtureParameters) -> LogLikelihood:
    """Return the log-likelihood of a block of rows (n_rows, n_features) with weights (n_rows,) or None.

    Raises
    ------
    InputDataError
        If the block is not dense, real and of the right shape, a row of positive weight holds NaN or infinity, or a
        weight is negative or not finite.
    """
    rows = checked_rows(rows, parameters.n_features)
    if weights is None:
        return LogLikelihood(len(rows), float(len(rows)), float(log_density(rows, parameters).sum()))
    weights = checked_weights(weights, len(rows))
    present = np.flatnonzero(weights > 0)
    try:
        density = log_density(rows[present], parameters)
    except RowError as error:
        raise RowError(error.problem, error.block, int(present[error.row])) from None
    return LogLikelihood(len(rows), float(weights.sum()), float(density @ weights[present]))
