"""The likelihood of one block of rows, and how it is distributed over them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import RowError
from daskgmm.kernels.per_row import labels, log_density
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.distribution import RowTally, row_tally
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.rows import checked_rows, checked_weights
from daskgmm.mixture.score import LogLikelihood

__all__ = ["log_likelihood", "tally"]


def log_likelihood(rows: NDArray[Any], weights: NDArray[Any] | None, parameters: MixtureParameters) -> LogLikelihood:
    """Return the log-likelihood of a block of rows (n_rows, n_features) with weights (n_rows,) or None.

    Raises
    ------
    InputDataError
        If the block is not dense, real and of the right shape, a row of positive weight holds NaN or infinity, or a
        weight is negative or not finite.
    """
    present, weights = _present(rows, weights, parameters)
    return _score(len(rows), _densities(rows, present, parameters), weights)


def tally(
    rows: NDArray[Any], weights: NDArray[Any] | None, parameters: MixtureParameters, *, log_densities: Floats
) -> RowTally:
    """Return how many rows of a block lie between given log densities, rising, and in which components.

    Arguments and errors as `log_likelihood`; rows of weight 0 are not looked at.
    """
    present, weights = _present(rows, weights, parameters)
    density = _densities(rows, present, parameters)
    return row_tally(
        _score(len(rows), density, weights),
        density,
        labels(rows if present is None else rows[present], parameters),
        weights,
        log_densities=log_densities,
        n_components=parameters.n_components,
    )


def _present(
    rows: NDArray[Any], weights: NDArray[Any] | None, parameters: MixtureParameters
) -> tuple[NDArray[np.intp] | None, Floats | None]:
    """Return which rows of a sound block have positive weight, None for all of them, and these weights."""
    rows = checked_rows(rows, parameters.n_features)
    if weights is None:
        return None, None
    weights = checked_weights(weights, len(rows))
    present = np.flatnonzero(weights > 0)
    return present, weights[present]


def _densities(rows: NDArray[Any], present: NDArray[np.intp] | None, parameters: MixtureParameters) -> Floats:
    """Return the log densities of these rows; errors tell a row's place in the block."""
    if present is None:
        return log_density(rows, parameters)
    try:
        return log_density(rows[present], parameters)
    except RowError as error:
        raise RowError(error.problem, error.block, int(present[error.row])) from None


def _score(n_samples: int, density: Floats, weights: Floats | None) -> LogLikelihood:
    """Return the sums over rows of positive weight."""
    if weights is None:
        return LogLikelihood(n_samples, float(n_samples), float(density.sum()))
    return LogLikelihood(n_samples, float(weights.sum()), float(density @ weights))
