"""Moments of the rows of a block by the compiled loops: their arguments, and what their sums mean."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from daskgmm.kernels.fused.layout import BLOCK, diagonal_moments, matrix_moments, n_sums
from daskgmm.kernels.moments import Moments
from daskgmm.kernels.quadratic_form import QuadraticForm
from daskgmm.mixture.covariance import Floats, covariance_structure
from daskgmm.mixture.density import log_factors
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["TILE_ROWS", "centred_moments", "product_moments"]

TILE_ROWS = 512
"""Rows of a tile: half and double are within 5 % from (2, 3) to (64, 16) features and components."""

Indices = NDArray[np.int64]
Slabs = Iterable[tuple[Floats, Floats]]
"""Aligned float64 rows of shape (n_rows, n_features) and weights of shape (n_rows,) or (0,), part by part."""


def centred_moments(slabs: Slabs, parameters: MixtureParameters) -> Moments:
    """Return moments from deviations from each mean: exact wherever clusters lie."""
    from daskgmm.kernels.fused.loops import accumulate
    from daskgmm.kernels.fused.vectors import LANES

    structure = covariance_structure(parameters.covariance_type)
    n_components, n_features = parameters.means.shape
    matrices = structure.has_matrices
    log_likelihood, counts = np.zeros(LANES), np.zeros((n_components, LANES))
    sums = np.zeros((n_components, n_sums(n_features, has_matrices=matrices)))
    means, factors = np.array(parameters.means, order="C"), _factors(parameters)
    constants = log_factors(parameters).ravel() / 2
    for rows, weights in slabs:
        accumulate(rows, weights, means, factors, constants, matrices, TILE_ROWS, log_likelihood, counts, sums)
    first, second = matrix_moments(sums, n_features) if matrices else diagonal_moments(sums, n_features)
    if second.ndim > len(structure.shape(n_components, n_features)):
        second = second.sum(axis=0 if matrices else 1)  # tied over components, spherical over features
    return Moments(float(log_likelihood.sum()), counts.sum(axis=1), first, second)


def _factors(parameters: MixtureParameters) -> Floats:
    """Return the roots of each component's precisions, their matrices or their diagonals in one row each."""
    n_components, n_features = parameters.means.shape
    factors = parameters.precisions_cholesky
    if covariance_structure(parameters.covariance_type).has_matrices:
        factors = np.broadcast_to(factors, (n_components, n_features, n_features))
    else:
        factors = np.broadcast_to(factors.reshape(n_components, -1), (n_components, n_features))
    return np.array(factors, dtype=np.float64, order="C").reshape(n_components, -1)


def product_moments(slabs: Slabs, parameters: MixtureParameters) -> Moments:
    """Return moments from quadratic features about one centre.

    `kernels.quadratic_form.lost_digits_ratio` tells what that costs in digits.
    """
    from daskgmm.kernels.fused.product_loops import accumulate_products
    from daskgmm.kernels.fused.vectors import LANES

    form = QuadraticForm.of(parameters)
    n_components, n_features = form.means.shape
    # The loops work with half log densities, and count rows apart from the other features.
    coefficients, constants = form.coefficients[:, :-1].T.copy() / 2, form.coefficients[:, -1] / 2
    log_likelihood, counts = np.zeros(LANES), np.zeros((n_components, LANES))
    blocks = np.zeros((-(-n_components // BLOCK), -(-len(coefficients) // BLOCK), BLOCK, BLOCK))
    shares = form.structure.shares_scatter
    scatter = np.zeros((1, n_sums(n_features, has_matrices=True) if shares else 0))
    pairs = _pairs(form)
    into = (log_likelihood, counts, blocks.reshape(-1), scatter.reshape(-1))
    for rows, weights in slabs:
        accumulate_products(rows, weights, form.centre, *pairs, coefficients, constants, TILE_ROWS, *into)
    sums = blocks.transpose(0, 2, 1, 3).reshape(len(blocks) * BLOCK, -1)[:n_components, : len(coefficients)]
    return form.moments(
        float(log_likelihood.sum()),
        np.concatenate([sums, counts.sum(axis=1)[:, None]], axis=1),
        matrix_moments(scatter, n_features)[1][0] if shares else np.empty((n_features, n_features)),
    )


def _pairs(form: QuadraticForm) -> tuple[Indices, Indices, Indices]:
    """Return which features' products (left, right) are added to which quadratic feature (target)."""
    n_features = len(form.centre)
    if form.structure.has_matrices:
        left, right = (np.array(side[: form.n_quadratic], dtype=np.int64) for side in np.triu_indices(n_features))
        return left, right, np.arange(form.n_quadratic, dtype=np.int64)
    every = np.arange(n_features, dtype=np.int64)
    return every, every, every % form.n_quadratic  # squares, or the one sum of squares
