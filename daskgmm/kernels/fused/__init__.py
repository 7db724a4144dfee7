"""The E-step compiled with Numba: one pass over tiles that stay in cache, in vectors that stay in registers.

Deviations are formed from each component's own mean before anything is squared, as in `kernels.centred`, except where
quadratic features about one centre are faster and lose no digits. Numba is looked for when it is needed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.kernels.block import block_statistics
from daskgmm.kernels.fused.formulations import TILE_ROWS, centred_moments, product_moments
from daskgmm.kernels.fused.number_formats import FLOAT32, FLOAT64, NumberFormat
from daskgmm.kernels.fused.pruned import pruned_moments
from daskgmm.kernels.moments import Moments
from daskgmm.kernels.quadratic_form import MOST_LOST_DIGITS, lost_digits_ratio
from daskgmm.kernels.single_precision import deviations_fit_float32, features_fit_float32
from daskgmm.mixture.covariance import Floats, covariance_structure
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics

__all__ = ["TILE_ROWS", "e_step", "is_available", "share_of_near_pairs"]

# Rows given to the compiled loops at once, in bytes: a bound on the memory that conversion of other types takes, and
# long enough to make the time of a call vanish.
SLAB_BYTES = 2**21


# Quadratic features of rows, about one centre for all components, are faster than deviations from each mean for this
# many features: at 4 features and 8 components 22 against 19 nanoseconds a row, at (5, 8) 28 against 40, at (8, 16) 76
# against 113. Types with no more quadratic features than features have no upper limit: at (16, 32) diag takes 129
# against 133, spherical 93 against 134, tied 101 against 364. float32 halves all of these.
FEWEST_PRODUCT_FEATURES, MOST_PRODUCT_FEATURES = 5, 10
# Up to here they are faster where clusters overlap, at (16, 32) 423 against 525, at (32, 32) 1,600 against 1,840 and at
# (40, 16) 1,360 against 1,460, and slower where they do not, at (16, 32) 425 against 331 and at (32, 32) 1,540 against
# 1,050, because deviations leave out the rows far from a mean. The two meet when about a third of the pairs of
# components are near each other.
MOST_PRODUCT_FEATURES_OVERLAPPING, OVERLAPPING = 40, 0.4
# A row at one mean has a responsibility of exp(-46) = 1e-20 for another at this squared distance: it is left out there.
NEAR = 92.0
# Weights between its inverse and this keep products with them within float32's range.
LARGEST_WEIGHT_FLOAT32 = 1e6

_MomentsOf = Callable[..., Moments]
"""(slabs, parameters, number_format=...) -> moments."""


def is_available() -> bool:
    """Return whether Numba is installed."""
    return importlib.util.find_spec("numba") is not None


def e_step(rows: NDArray[Any], weights: NDArray[Any] | None, parameters: MixtureParameters) -> SufficientStatistics:
    """Return the sufficient statistics of one block; arguments and errors as `block_statistics` has them.

    Statistics are computed in float64, except that those of float32 rows are computed in float32 within tiles and
    summed in float64 where `kernels.single_precision` finds that exact enough. The first call in a process compiles, or
    loads what was compiled before; both without harm from several threads and processes at once. Raises
    ModuleNotFoundError if Numba is not installed.
    """
    return block_statistics(rows, weights, parameters, _moments)


def _moments(rows: NDArray[Any], weights: Floats | None, parameters: MixtureParameters) -> Moments:
    """Return the moments about the means in the fastest formulation that is exact enough for the parameters."""
    if weights is not None and (weights == 1.0).all():
        weights = None
    pruned = pruned_moments(rows, weights, parameters)
    if pruned is not None:
        return pruned
    moments_of = product_moments if _products_win(parameters) else centred_moments
    if rows.dtype.kind == "f" and rows.dtype.itemsize == 4 and _float32_has_range_for(weights):
        float32_moments_of = _exact_in_float32(moments_of, parameters)
        if float32_moments_of is not None:
            moments = float32_moments_of(_slabs(rows, weights, FLOAT32), parameters, number_format=FLOAT32)
            if moments.is_finite:
                return moments
            # float64 has the range, or there is a row to blame
    return moments_of(_slabs(rows, weights, FLOAT64), parameters)


def _exact_in_float32(moments_of: _MomentsOf, parameters: MixtureParameters) -> _MomentsOf | None:
    """Return what is exact enough in float32 and faster than `moments_of` in float64; None if there is nothing."""
    if moments_of is product_moments:
        if features_fit_float32(parameters):
            return product_moments
        if covariance_structure(parameters.covariance_type).shares_scatter:
            return None  # at (16, 32) tied, features in float64 take half as long as deviations in float32
    return centred_moments if deviations_fit_float32(parameters) else None


def _float32_has_range_for(weights: Floats | None) -> bool:
    if weights is None or not weights.size:
        return True
    return bool(weights.max() <= LARGEST_WEIGHT_FLOAT32 and weights.min() >= 1 / LARGEST_WEIGHT_FLOAT32)


def _products_win(parameters: MixtureParameters) -> bool:
    """Return whether quadratic features are faster than deviations from each mean, and exact enough."""
    n_features = parameters.n_features
    n_quadratic = covariance_structure(parameters.covariance_type).n_quadratic(n_features)
    if n_features < FEWEST_PRODUCT_FEATURES or lost_digits_ratio(parameters) > MOST_LOST_DIGITS:
        return False
    if n_features <= MOST_PRODUCT_FEATURES or n_quadratic <= n_features:
        return True
    return n_features <= MOST_PRODUCT_FEATURES_OVERLAPPING and share_of_near_pairs(parameters) >= OVERLAPPING


def share_of_near_pairs(parameters: MixtureParameters) -> float:
    """Return the share of pairs of components (j, k), of full covariances, with mean j not far from component k."""
    near = 0
    for mean, factor in zip(parameters.means, parameters.precisions_cholesky, strict=True):
        whitened = (parameters.means - mean) @ factor
        near += int(np.count_nonzero(np.einsum("kd,kd->k", whitened, whitened) < NEAR))
    return near / parameters.n_components**2


def _slabs(
    rows: NDArray[Any], weights: Floats | None, number_format: NumberFormat
) -> Iterator[tuple[NDArray[Any], Floats]]:
    """Yield aligned rows in a format and their weights, an empty array where all weigh 1."""
    n_rows = max(1, SLAB_BYTES // (rows.shape[1] * TILE_ROWS * number_format.n_bits // 8)) * TILE_ROWS
    for start in range(0, len(rows), n_rows):
        slab = np.require(rows[start : start + n_rows], dtype=number_format.name, requirements="A")
        yield slab, np.empty(0) if weights is None else np.ascontiguousarray(weights[start : start + n_rows])
