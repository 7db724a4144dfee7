"""The E-step with NumPy and BLAS, in the fastest formulation that is exact enough for the parameters at hand."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.kernels.block import MomentsOf, block_statistics
from daskgmm.kernels.centred import centred_moments
from daskgmm.kernels.moments import Moments
from daskgmm.kernels.pruned.by_owner import moments_by_owner
from daskgmm.kernels.quadratic import quadratic_moments
from daskgmm.kernels.quadratic_form import MOST_LOST_DIGITS, lost_digits_ratio
from daskgmm.kernels.single_precision import features_fit_float32
from daskgmm.kernels.triangular import MOST_KEPT, share_kept, triangular_moments
from daskgmm.mixture.covariance import Floats, covariance_structure
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics

__all__ = ["e_step"]

# Whitened rows lose digits as the distance itself, not its square: at this ratio they are right to 1e-12.
MOST_LOST_DIGITS_WHITENED = MOST_LOST_DIGITS**2
# Quadratic features for each feature: beyond 24, that is 48 features with full covariances, triangular products are
# faster where rows can be left out (separated, at (48, 16) features and components, 2,200 and 3,000 nanoseconds a row).
MOST_QUADRATIC_A_FEATURE = 24
# Where clusters overlap and no rows can be left out, up to so many features: at (64, 16) quadratic ones take 3,550
# nanoseconds a row, triangular ones 3,850, at (64, 40) 9,300 and 9,900, at (80, 16) 6,800 and 6,000.
MOST_OVERLAPPING_FEATURES = 72
# Rows that are looked at for that: this many, and no more than one in so many.
LOOKED_AT, EVERY = 128, 32


def e_step(rows: NDArray[Any], weights: NDArray[Any] | None, parameters: MixtureParameters) -> SufficientStatistics:
    """Return the sufficient statistics of one block; arguments and errors as `block_statistics` has them.

    Statistics are computed in float64, except that those of float32 rows are computed in float32 within tiles and
    summed in float64 where `kernels.single_precision` finds that exact enough.
    """
    return block_statistics(rows, weights, parameters, _moments)


def _moments(rows: NDArray[Any], weights: Floats | None, parameters: MixtureParameters) -> Moments:
    pruned = moments_by_owner(rows, weights, parameters, moments_of=_moments_of_all)
    return _moments_of_all(rows, weights, parameters) if pruned is None else pruned


def _moments_of_all(rows: NDArray[Any], weights: Floats | None, parameters: MixtureParameters) -> Moments:
    return _formulation(rows, parameters)(rows, weights, parameters)


def _formulation(rows: NDArray[Any], parameters: MixtureParameters) -> MomentsOf:
    """Return the fastest way to the moments that is exact enough for these rows and parameters."""
    ratio = lost_digits_ratio(parameters)
    n_features = parameters.n_features
    n_quadratic = covariance_structure(parameters.covariance_type).n_quadratic(n_features)
    if n_quadratic > MOST_QUADRATIC_A_FEATURE * n_features:
        if ratio > MOST_LOST_DIGITS_WHITENED:
            return centred_moments
        overlapping = n_features <= MOST_OVERLAPPING_FEATURES and ratio <= MOST_LOST_DIGITS
        if overlapping and share_kept(rows[:: max(len(rows) // LOOKED_AT, EVERY)], parameters) > MOST_KEPT:
            return quadratic_moments
        return triangular_moments
    if ratio > MOST_LOST_DIGITS:
        return centred_moments
    if rows.dtype == np.float32 and features_fit_float32(parameters):
        return partial(quadratic_moments, dtype=np.float32)
    return quadratic_moments
