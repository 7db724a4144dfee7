"""All components share one covariance matrix."""

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
from daskgmm.mixture.covariance.structure import SPLIT_SHIFT, CovarianceStructure, Floats, Random

__all__ = ["TiedCovariance"]


class TiedCovariance(CovarianceStructure):
    """One covariance of shape (n_features, n_features); second moments are summed over the components."""

    name = "tied"
    shares_scatter = True
    has_matrices = True

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return n_features, n_features

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_features * (n_features + 1) // 2

    def variances(self, covariances: Floats) -> Floats:
        diagonal: Floats = np.diagonal(covariances)
        return diagonal[None, :]

    def precisions_cholesky(self, covariances: Floats, n_components: int) -> tuple[Floats, NDArray[np.bool_]]:
        factors, sound = factors_from_covariances(covariances[None])
        return factors[0], np.repeat(sound, n_components)

    def factor_precisions(self, precisions: Floats) -> Floats:
        return factor_from_precision(precisions)

    def precisions(self, precisions_cholesky: Floats) -> Floats:
        return precisions_cholesky @ precisions_cholesky.T

    def covariances(self, precisions_cholesky: Floats) -> Floats:
        return inverse_gram(precisions_cholesky)

    def log_determinants(self, precisions_cholesky: Floats, n_features: int) -> Floats:
        diagonal: Floats = np.diagonal(precisions_cholesky)
        log_determinant: Floats = np.full(1, np.log(diagonal).sum())
        return log_determinant

    def whiten(self, centred: Floats, precisions_cholesky: Floats, *, out: Floats) -> Floats:
        return np.matmul(precisions_cholesky.T, centred, out=out)

    def second_moment(self, centred: Floats, weighted: Floats) -> Floats:
        moments: Floats = (weighted @ centred.transpose(0, 2, 1)).sum(axis=0)
        return moments

    def n_quadratic(self, n_features: int) -> int:
        return 0

    def quadratic_features(self, columns: Floats, *, out: Floats) -> None:
        return

    def quadratic_coefficients(self, precisions: Floats) -> Floats:
        return np.empty((1, 0))

    def linear_coefficients(self, precisions: Floats, means: Floats) -> Floats:
        return means @ precisions

    def second_from_quadratic(self, sums: Floats, scatter: Floats) -> Floats:
        return scatter

    def translate(self, second: Floats, first: Floats, counts: Floats, shift: Floats) -> Floats:
        cross = first.T @ shift
        return second + cross + cross.T + (counts[:, None] * shift).T @ shift

    def estimate(self, second: Floats, first: Floats, counts: Floats, reg_covar: float) -> Floats:
        covariance: Floats = (second - first.T @ (first / counts[:, None])) / counts.sum()
        return (covariance + covariance.T) / 2 + reg_covar * np.eye(first.shape[1])

    def split(self, covariances: Floats, source: int, target: int, n_features: int) -> tuple[Floats, Floats]:
        return covariances, SPLIT_SHIFT * half_axis(covariances)

    def scatter(self, covariances: Floats, counts: Floats, n_features: int) -> Floats:
        moments: Floats = counts.sum() * covariances
        return moments

    def congruent(self, matrices: Floats, factors: Floats) -> Floats:
        return congruent(matrices, factors)

    def transposed(self, factors: Floats) -> Floats:
        return np.swapaxes(factors, -1, -2)

    def inverse_factors(self, factors: Floats) -> Floats:
        return np.asarray(np.linalg.inv(factors), dtype=np.float64)

    def eigenvalues(self, matrices: Floats) -> Floats:
        return np.asarray(np.linalg.eigvalsh(matrices)[None, :], dtype=np.float64)

    def draw(self, covariances: Floats, component: int, mean: Floats, n_rows: int, random_state: Random) -> Floats:
        return random_state.multivariate_normal(mean, covariances, n_rows)
