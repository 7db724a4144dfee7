"""Each component has its own covariance matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daskgmm.mixture.covariance.matrix import (
    congruent,
    factor_from_precision,
    factors_from_covariances,
    half_axis,
    inverse_gram,
)
from daskgmm.mixture.covariance.structure import SPLIT_SHIFT, SPLIT_SHRINK, CovarianceStructure, Floats, Random

__all__ = ["FullCovariance"]


class FullCovariance(CovarianceStructure):
    """Covariances of shape (n_components, n_features, n_features)."""

    name = "full"
    shares_scatter = False
    has_matrices = True

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return n_components, n_features, n_features

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features * (n_features + 1) // 2

    def variances(self, covariances: Floats) -> Floats:
        return np.diagonal(covariances, axis1=1, axis2=2)

    def precisions_cholesky(self, covariances: Floats, n_components: int) -> tuple[Floats, NDArray[np.bool_]]:
        return factors_from_covariances(covariances)

    def factor_precisions(self, precisions: Floats) -> Floats:
        return np.stack([factor_from_precision(precision) for precision in precisions])

    def precisions(self, precisions_cholesky: Floats) -> Floats:
        return precisions_cholesky @ precisions_cholesky.transpose(0, 2, 1)

    def covariances(self, precisions_cholesky: Floats) -> Floats:
        return np.stack([inverse_gram(factor) for factor in precisions_cholesky])

    def log_determinants(self, precisions_cholesky: Floats, n_features: int) -> Floats:
        diagonals = np.diagonal(precisions_cholesky, axis1=1, axis2=2)
        log_determinants: Floats = np.log(diagonals).sum(axis=1)
        return log_determinants

    def whiten(self, centred: Floats, precisions_cholesky: Floats, *, out: Floats) -> Floats:
        return np.matmul(precisions_cholesky.transpose(0, 2, 1), centred, out=out)

    def second_moment(self, centred: Floats, weighted: Floats) -> Floats:
        return weighted @ centred.transpose(0, 2, 1)

    def n_quadratic(self, n_features: int) -> int:
        return n_features * (n_features + 1) // 2

    def quadratic_features(self, columns: Floats, *, out: Floats) -> None:
        start = 0
        for i in range(len(columns)):  # x_i x_j for j >= i, row after row of the upper triangle
            stop = start + len(columns) - i
            np.multiply(columns[i:], columns[i], out=out[start:stop])
            start = stop

    def quadratic_coefficients(self, precisions: Floats) -> Floats:
        i, j = np.triu_indices(precisions.shape[1])
        return -precisions[:, i, j] * np.where(i == j, 0.5, 1.0)

    def linear_coefficients(self, precisions: Floats, means: Floats) -> Floats:
        return (precisions @ means[:, :, None])[:, :, 0]

    def second_from_quadratic(self, sums: Floats, scatter: Floats) -> Floats:
        n_features = len(scatter)
        i, j = np.triu_indices(n_features)
        second = np.empty((len(sums), n_features, n_features))
        second[:, i, j] = sums
        second[:, j, i] = sums
        return second

    def translate(self, second: Floats, first: Floats, counts: Floats, shift: Floats) -> Floats:
        cross = first[:, :, None] * shift[:, None, :]
        square = counts[:, None, None] * shift[:, :, None] * shift[:, None, :]
        return second + cross + cross.transpose(0, 2, 1) + square

    def estimate(self, second: Floats, first: Floats, counts: Floats, reg_covar: float) -> Floats:
        step = first / counts[:, None]
        covariances = second / counts[:, None, None]
        covariances -= step[:, :, None] * step[:, None, :]
        # Rounding in the matrix products leaves the two triangles apart by some ulp; factors are taken from one.
        covariances = covariances + covariances.transpose(0, 2, 1)
        covariances /= 2
        np.einsum("kdd->kd", covariances)[...] += reg_covar
        return covariances

    def split(self, covariances: Floats, source: int, target: int, n_features: int) -> tuple[Floats, Floats]:
        axis = half_axis(covariances[source])
        halves = covariances.copy()
        halves[[source, target]] = covariances[source] - SPLIT_SHRINK * np.outer(axis, axis)
        return halves, SPLIT_SHIFT * axis

    def scatter(self, covariances: Floats, counts: Floats, n_features: int) -> Floats:
        return counts[:, None, None] * covariances

    def congruent(self, matrices: Floats, factors: Floats) -> Floats:
        return congruent(matrices, factors)

    def transposed(self, factors: Floats) -> Floats:
        return np.swapaxes(factors, -1, -2)

    def inverse_factors(self, factors: Floats) -> Floats:
        return np.asarray(np.linalg.inv(factors), dtype=np.float64)

    def eigenvalues(self, matrices: Floats) -> Floats:
        return np.asarray(np.linalg.eigvalsh(matrices), dtype=np.float64)

    def draw(self, covariances: Floats, component: int, mean: Floats, n_rows: int, random_state: Random) -> Floats:
        return random_state.multivariate_normal(mean, covariances[component], n_rows)
