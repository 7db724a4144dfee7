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

from daskgmm.kernels.moments import Moments
from daskgmm.kernels.quadratic_form import QuadraticForm
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.density import normalize_and_sum
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["quadratic_moments"]

# Elements of a tile's features and log densities. Up to 100 of them a row, exponentials and sums take most of the time
# and want the tile in a second-level cache (512 KiB). Beyond that the matrix products do, which block for the caches by
# themselves and want long tiles (4 MiB). Measured on (2, 3) to (32, 32) features and components: within 8 % of the best
# of five sizes on each shape.
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
    step = _tile_rows(n_coefficients + n_components)
    longest = min(step, len(rows))
    features, log_probs = np.empty(n_coefficients * longest, dtype), np.empty(n_components * longest, dtype)
    coefficients = form.coefficients.astype(dtype)
    sums = np.zeros(coefficients.shape)
    n_parts = 1 if coefficients.dtype == np.float64 else longest // FLOAT32_ROWS
    products = np.empty(n_parts * max(sums.size, n_features**2), dtype)
    scatter = np.zeros((n_features, n_features))
    log_likelihood = 0.0
    for start in range(0, len(rows), step):
        tile = rows[start : start + step]
        phi = features[: n_coefficients * len(tile)].reshape(n_coefficients, len(tile))
        log_prob = log_probs[: n_components * len(tile)].reshape(n_components, len(tile))
        columns = phi[-n_features - 1 : -1]
        phi[-1] = 1.0
        np.subtract(tile.T, form.centre[:, None], out=columns, casting="same_kind")
        form.structure.quadratic_features(columns, out=phi[: -n_features - 1])
        np.matmul(coefficients, phi, out=log_prob)
        tile_weights = None if weights is None else weights[start : start + step]
        log_likelihood += normalize_and_sum(log_prob, tile_weights)
        _add_products(log_prob, phi, sums, products)
        if form.structure.shares_scatter:
            weighted = columns if tile_weights is None else columns * tile_weights.astype(dtype)
            _add_products(columns, weighted, scatter, products)
    return form.moments(log_likelihood, sums, scatter)


def _add_products(left: NDArray[Any], right: NDArray[Any], sums: Floats, memory: NDArray[Any]) -> None:
    """Add left (n_left, n_rows) times right (n_right, n_rows) transposed to sums, float32 numbers a few rows at a time.

    `memory` is for the products of those few rows.
    """
    n_rows = left.shape[1]
    step = n_rows if left.dtype == np.float64 else FLOAT32_ROWS
    whole = n_rows // step * step
    parts = [side[:, :whole].reshape(len(side), -1, step).swapaxes(0, 1) for side in (left, right)]
    products = memory[: whole // step * sums.size].reshape(-1, *sums.shape)
    np.matmul(parts[0], parts[1].swapaxes(1, 2), out=products)
    sums += products.sum(axis=0, dtype=np.float64)
    if whole < n_rows:
        sums += left[:, whole:] @ right[:, whole:].T


def _tile_rows(n_elements: int) -> int:
    """Return the rows of a tile, given how many numbers a row takes."""
    size = SHORT_TILE if n_elements <= FEW_FEATURES else LONG_TILE
    return min(MOST_TILE_ROWS, max(FEWEST_TILE_ROWS, size // n_elements))
