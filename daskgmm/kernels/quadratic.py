"""Moments of a block as two matrix products over quadratic features of its rows.

With phi(x) = [quadratic features, x, 1] the log densities of all components are one product W phi(x), and the sums of
responsibilities times phi hold all moments. Rows are taken relative to one centre, so that a tile's features are made
once for all components, and no temporary holds more than (features + components) times rows. What that costs in digits
is told by `quadratic_form.lost_digits_ratio`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from daskgmm.kernels.aligned import aligned_empty
from daskgmm.kernels.features import TileFeatures
from daskgmm.kernels.moments import Moments
from daskgmm.kernels.quadratic_form import QuadraticForm
from daskgmm.kernels.small_products import multiply
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.density import normalize_and_sum
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["quadratic_moments"]

# Elements of a tile's features and log densities. Up to 100 of them a row, exponentials and sums take most of the time
# and want the tile in a second-level cache (512 KiB). Beyond that fewer calls of NumPy are worth more (4 MiB: half as
# many take 6 % longer at (64, 16) features and components, 1 to 3 % at (32, 32) and (16, 32)). With few, products are
# made whole from transposed responsibilities, which small products would want copied: at (2, 3) that copy takes a
# quarter of the time, at (8, 16) a tenth.
FEW_FEATURES = 100
SHORT_TILE, LONG_TILE = 2**16, 2**19
MOST_TILE_ROWS, FEWEST_TILE_ROWS = 4096, 64
# Rows whose products are added up in float32 before float64 takes over. Numbers that are all alike round one way: at
# 448 of `single_precision.feature_terms`, second moments are off by 9e-6 of the largest with 64 rows, 1.0e-5 with 128,
# 5e-5 with 4,096. Times are those of 128 rows within 10 %, and less than those of 4,096 at (8, 16).
FLOAT32_ROWS = 64


def quadratic_moments(
    rows: NDArray[Any], weights: Floats | None, parameters: MixtureParameters, *, dtype: DTypeLike = np.float64
) -> Moments:
    """Return the moments of rows (n_rows, n_features) about the means; not finite if a row's features are not.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
        Any real dtype.
    weights : array of shape (n_rows,) or None
        Positive sample weights; None means 1 each.
    parameters : MixtureParameters
    dtype : dtype
        Of the arithmetic within a tile; sums over tiles are float64.
    """
    form = QuadraticForm.of(parameters)
    n_components, n_coefficients = form.coefficients.shape
    n_features = len(form.centre)
    few = n_coefficients + n_components <= FEW_FEATURES
    step = _tile_rows(n_coefficients + n_components)
    longest = min(step, len(rows))
    features = TileFeatures.of(form, longest, dtype)
    coefficients = form.coefficients[:, features.order].astype(dtype)
    log_probs = aligned_empty(n_components * longest, dtype)
    transposed = None if few else aligned_empty(log_probs.size, dtype)
    sums = np.zeros((n_coefficients, n_components))
    n_parts = 1 if coefficients.dtype == np.float64 else longest // FLOAT32_ROWS
    products = aligned_empty(max(n_parts, 1) * max(sums.size, n_features**2), dtype)
    scatter = np.zeros((n_features, n_features))
    log_likelihood = 0.0
    for start in range(0, len(rows), step):
        tile = rows[start : start + step]
        phi, columns = features.fill(tile)
        log_prob = log_probs[: n_components * len(tile)].reshape(n_components, len(tile))
        tile_weights = None if weights is None else weights[start : start + step]
        multiply(coefficients, phi, out=log_prob)
        log_likelihood += normalize_and_sum(log_prob, tile_weights)
        _add_products(phi, _transposed(log_prob, transposed), sums, products)
        if form.structure.shares_scatter:
            weighted = columns if tile_weights is None else columns * tile_weights.astype(dtype)
            _add_products(columns, weighted.T, scatter, products)
    in_order = np.empty(sums.shape[::-1])
    in_order[:, features.order] = sums.T
    return form.moments(log_likelihood, in_order, scatter)


def _transposed(log_prob: NDArray[Any], memory: NDArray[Any] | None) -> NDArray[Any]:
    """Return log_prob transposed; given memory, with its rows contiguous, as small products want them."""
    if memory is None:
        return log_prob.T
    result = memory[: log_prob.size].reshape(log_prob.shape[::-1])
    np.copyto(result, log_prob.T)
    return result


def _add_products(left: NDArray[Any], right: NDArray[Any], sums: Floats, memory: NDArray[Any]) -> None:
    """Add left (n_left, n_rows) times right (n_rows, n_right) to sums, float32 numbers a few rows at a time.

    `memory` is for the products of those few rows.
    """
    n_rows = left.shape[1]
    if left.dtype == np.float64:
        product = memory[: sums.size].reshape(sums.shape)
        (multiply if right.flags.c_contiguous else np.matmul)(left, right, out=product)
        sums += product
        return
    whole = n_rows // FLOAT32_ROWS * FLOAT32_ROWS
    left_parts = left[:, :whole].reshape(len(left), -1, FLOAT32_ROWS).swapaxes(0, 1)
    right_parts = right[:whole].reshape(-1, FLOAT32_ROWS, right.shape[1])
    products = memory[: whole // FLOAT32_ROWS * sums.size].reshape(-1, *sums.shape)
    np.matmul(left_parts, right_parts, out=products)
    sums += products.sum(axis=0, dtype=np.float64)
    if whole < n_rows:
        sums += left[:, whole:] @ right[whole:]


def _tile_rows(n_elements: int) -> int:
    """Return the rows of a tile, given how many numbers a row takes."""
    size = SHORT_TILE if n_elements <= FEW_FEATURES else LONG_TILE
    rows = min(MOST_TILE_ROWS, max(FEWEST_TILE_ROWS, size // n_elements))
    # An odd number of cache lines: with a power of two, a column's numbers would share a few places in cache, and
    # transposing (32, 1536) takes 60 nanoseconds a row instead of 15.
    return (rows // 8 - 1 | 1) * 8
