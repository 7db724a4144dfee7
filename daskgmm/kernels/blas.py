"""The E-step with NumPy and BLAS, in the fastest formulation that is exact enough for the parameters at hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.kernels.centred import centred_moments
from daskgmm.kernels.moments import Moments
from daskgmm.kernels.quadratic import lost_digits_ratio, quadratic_moments
from daskgmm.kernels.triangular import triangular_moments
from daskgmm.mixture.covariance import Floats, covariance_structure
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.rows import bad_row, checked_rows, checked_weights
from daskgmm.mixture.statistics import SufficientStatistics

__all__ = ["e_step"]

# About a common centre, rounding in second moments grows by the squared distance of a mean from the centre in standard
# deviations. Times float64's 1.1e-16, this much leaves them within 1e-12 of the largest (measured: 2.5e-13).
MOST_LOST_DIGITS = 4096.0
# Rows that come as float32 are rounded to 6e-8 of their size already. Arithmetic in float32 about the centre leaves
# moments and mean log-likelihood within 1e-5 of float64's up to this ratio (measured: 2e-6); beyond it, rows are
# converted.
MOST_LOST_DIGITS_FLOAT32 = 256.0
# Whitened rows lose digits as the distance itself, not its square: at this ratio they are right to 1e-12.
MOST_LOST_DIGITS_WHITENED = MOST_LOST_DIGITS**2
# Quadratic features for each feature: beyond 24, that is 48 features with full covariances, making and using them costs
# more than triangular products (measured at 48 features, 16 components: 1.9 against 2.8 microseconds a row).
MOST_QUADRATIC_A_FEATURE = 24

MomentsOf = Callable[[NDArray[Any], Floats | None, MixtureParameters], Moments]


def e_step(rows: NDArray[Any], weights: NDArray[Any] | None, parameters: MixtureParameters) -> SufficientStatistics:
    """Return the sufficient statistics of one block (Bishop 2006, eq. 9.23).

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
        Any real dtype. Statistics are computed in float64, except that those of float32 rows are computed in float32
        within tiles and summed in float64 where that leaves them within 1e-5. Not written to.
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
    moments_of = _formulation(rows, parameters)
    with np.errstate(over="ignore", invalid="ignore"):
        moments = moments_of(kept, kept_weights, parameters)
    if not (
        math.isfinite(moments.log_likelihood) and np.isfinite(moments.first).all() and np.isfinite(moments.second).all()
    ):
        raise bad_row(rows, present)
    return SufficientStatistics(
        covariance_type=parameters.covariance_type,
        reference=parameters.means,
        n_samples=n_samples,
        weight=float(n_samples if weights is None else weights.sum()),
        log_likelihood=moments.log_likelihood,
        counts=moments.counts,
        first=moments.first,
        second=moments.second,
    )


def _formulation(rows: NDArray[Any], parameters: MixtureParameters) -> MomentsOf:
    """Return the fastest way to the moments that is exact enough for these rows and parameters."""
    ratio = lost_digits_ratio(parameters)
    n_features = parameters.n_features
    n_quadratic = covariance_structure(parameters.covariance_type).n_quadratic(n_features)
    if n_quadratic > MOST_QUADRATIC_A_FEATURE * n_features:
        return triangular_moments if ratio <= MOST_LOST_DIGITS_WHITENED else centred_moments
    if ratio > MOST_LOST_DIGITS:
        return centred_moments
    if rows.dtype == np.float32 and ratio <= MOST_LOST_DIGITS_FLOAT32:
        return partial(quadratic_moments, dtype=np.float32)
    return quadratic_moments
