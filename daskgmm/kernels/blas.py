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
from daskgmm.kernels.triangular import triangular_moments
from daskgmm.mixture.covariance import Floats, covariance_structure
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics

__all__ = ["e_step"]

# Whitened rows lose digits as the distance itself, not its square: at this ratio they are right to 1e-12.
MOST_LOST_DIGITS_WHITENED = MOST_LOST_DIGITS**2
# Quadratic features for each feature: beyond 24, that is 48 features with full covariances, making and using them costs
# more than triangular products (measured at 48 features, 16 components: 1.9 against 2.8 microseconds a row).
MOST_QUADRATIC_A_FEATURE = 24


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
        return triangular_moments if ratio <= MOST_LOST_DIGITS_WHITENED else centred_moments
    if ratio > MOST_LOST_DIGITS:
        return centred_moments
    if rows.dtype == np.float32 and features_fit_float32(parameters):
        return partial(quadratic_moments, dtype=np.float32)
    return quadratic_moments
