"""Each component has its own variance for each feature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daskgmm.mixture.covariance.structure import SPLIT_SHIFT, SPLIT_SHRINK, CovarianceStructure, Floats, Random
from daskgmm.mixture.covariance.variance import (
    factor_from_precision,
    factor_from_variance,
    inverse_square,
    square,
)

__all__ = ["DiagonalCovariance"]


class DiagonalCovariance(CovarianceStructure):
    """Covariances of shape (n_components, n_features)."""

    name = "diag"
    shares_scatter = False
    has_matrices = False

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return n_components, n_features

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features

    def variances(self, covariances: Floats) -> Floats:
        return covariances

    def precisions_cholesky(self, covariances: Floats, n_components: int) -> tuple[Floats, NDArray[np.bool_]]:
        factors, positive = factor_from_variance(covariances)
        sound: NDArray[np.bool_] = np.all(positive, axis=1)
        return factors, sound

    def factor_precisions(self, precisions: Floats) -> Floats:
        return factor_from_precision(precisions)

    def precisions(self, precisions_cholesky: Floats) -> Floats:
        return square(precisions_cholesky)

    def covariances(self, precisions_cholesky: Floats) -> Floats:
        return inverse_square(precisions_cholesky)

    def log_determinants(self, precisions_cholesky: Floats, n_features: int) -> Floats:
        log_determinants: Floats = np.log(precisions_cholesky).sum(axis=1)
        return log_determinants

    def whiten(self, centred: Floats, precisions_cholesky: Floats, *, out: Floats) -> Floats:
        return np.multiply(centred, precisions_cholesky[:, :, None], out=out)

    def second_moment(self, centred: Floats, weighted: Floats) -> Floats:
        moments: Floats = np.einsum("kdn,kdn->kd", weighted, centred)
        return moments

    def n_quadratic(self, n_features: int) -> int:
        return n_features

    def quadratic_features(self, columns: Floats, *, out: Floats) -> None:
        np.multiply(columns, columns, out=out)

    def quadratic_coefficients(self, precisions: Floats) -> Floats:
        return -precisions / 2

    def linear_coefficients(self, precisions: Floats, means: Floats) -> Floats:
        return precisions * means

    def second_from_quadratic(self, sums: Floats, scatter: Floats) -> Floats:
        return sums

    def translate(self, second: Floats, first: Floats, counts: Floats, shift: Floats) -> Floats:
        return second + 2 * first * shift + counts[:, None] * shift * shift

    def estimate(self, second: Floats, first: Floats, counts: Floats, reg_covar: float) -> Floats:
        step = first / counts[:, None]
        return second / counts[:, None] - step * step + reg_covar

    def split(self, covariances: Floats, source: int, target: int, n_features: int) -> tuple[Floats, Floats]:
        longest = int(np.argmax(covariances[source]))
        offset = np.zeros(n_features)
        offset[longest] = SPLIT_SHIFT * np.sqrt(covariances[source, longest])
        halves = covariances.copy()
        halves[source, longest] *= 1 - SPLIT_SHRINK
        halves[target] = halves[source]
        return halves, offset

    def scatter(self, covariances: Floats, counts: Floats, n_features: int) -> Floats:
        return counts[:, None] * covariances

    def congruent(self, matrices: Floats, factors: Floats) -> Floats:
        return matrices * (factors * factors)

    def transposed(self, factors: Floats) -> Floats:
        return factors

    def inverse_factors(self, factors: Floats) -> Floats:
        return 1.0 / factors

    def eigenvalues(self, matrices: Floats) -> Floats:
        return matrices

    def draw(self, covariances: Floats, component: int, mean: Floats, n_rows: int, random_state: Random) -> Floats:
        rows: Floats = mean + random_state.standard_normal((n_rows, len(mean))) * np.sqrt(covariances[component])
        return rows
