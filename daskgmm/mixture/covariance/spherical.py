"""Each component has one variance for all features."""

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

__all__ = ["SphericalCovariance"]


class SphericalCovariance(CovarianceStructure):
    """Covariances of shape (n_components,); second moments are of the distance, summed over the features."""

    name = "spherical"
    shares_scatter = False
    has_matrices = False

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components,)

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components

    def variances(self, covariances: Floats) -> Floats:
        return covariances[:, None]

    def precisions_cholesky(self, covariances: Floats, n_components: int) -> tuple[Floats, NDArray[np.bool_]]:
        return factor_from_variance(covariances)

    def factor_precisions(self, precisions: Floats) -> Floats:
        return factor_from_precision(precisions)

    def precisions(self, precisions_cholesky: Floats) -> Floats:
        return square(precisions_cholesky)

    def covariances(self, precisions_cholesky: Floats) -> Floats:
        return inverse_square(precisions_cholesky)

    def log_determinants(self, precisions_cholesky: Floats, n_features: int) -> Floats:
        log_determinants: Floats = n_features * np.log(precisions_cholesky)
        return log_determinants

    def whiten(self, centred: Floats, precisions_cholesky: Floats, *, out: Floats) -> Floats:
        return np.multiply(centred, precisions_cholesky[:, None, None], out=out)

    def second_moment(self, centred: Floats, weighted: Floats) -> Floats:
        moments: Floats = np.einsum("kdn,kdn->k", weighted, centred)
        return moments

    def n_quadratic(self, n_features: int) -> int:
        return 1

    def quadratic_features(self, columns: Floats, *, out: Floats) -> None:
        np.einsum("dn,dn->n", columns, columns, out=out[0])

    def quadratic_coefficients(self, precisions: Floats) -> Floats:
        return -precisions[:, None] / 2

    def linear_coefficients(self, precisions: Floats, means: Floats) -> Floats:
        return precisions[:, None] * means

    def second_from_quadratic(self, sums: Floats, scatter: Floats) -> Floats:
        return sums[:, 0]

    def translate(self, second: Floats, first: Floats, counts: Floats, shift: Floats) -> Floats:
        moments: Floats = second + (shift * (2 * first + counts[:, None] * shift)).sum(axis=1)
        return moments

    def estimate(self, second: Floats, first: Floats, counts: Floats, reg_covar: float) -> Floats:
        step = first / counts[:, None]
        variances: Floats = (second / counts - (step * step).sum(axis=1)) / first.shape[1] + reg_covar
        return variances

    def split(self, covariances: Floats, source: int, target: int, n_features: int) -> tuple[Floats, Floats]:
        offset = np.zeros(n_features)
        offset[0] = SPLIT_SHIFT * np.sqrt(covariances[source])
        halves = covariances.copy()
        # One of the n_features equal variances shrinks; the common variance is their mean.
        halves[[source, target]] = covariances[source] * (1 - SPLIT_SHRINK / n_features)
        return halves, offset

    def scatter(self, covariances: Floats, counts: Floats, n_features: int) -> Floats:
        return n_features * counts * covariances

    def congruent(self, matrices: Floats, factors: Floats) -> Floats:
        return matrices * (factors * factors)

    def transposed(self, factors: Floats) -> Floats:
        return factors

    def inverse_factors(self, factors: Floats) -> Floats:
        return 1.0 / factors

    def eigenvalues(self, matrices: Floats) -> Floats:
        return matrices[:, None]

    def draw(self, covariances: Floats, component: int, mean: Floats, n_rows: int, random_state: Random) -> Floats:
        rows: Floats = mean + random_state.standard_normal((n_rows, len(mean))) * np.sqrt(covariances[component])
        return rows
