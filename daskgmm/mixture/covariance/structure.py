"""What a covariance type must be able to do; the four types are the only implementations."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

__all__ = ["SPLIT_SHIFT", "SPLIT_SHRINK", "CovarianceStructure", "Floats", "Random"]

Floats = NDArray[np.float64]
Random = np.random.RandomState | np.random.Generator

# A normal density cut at its mean across one axis leaves two halves whose means lie sqrt(2 / pi) standard deviations
# to either side and whose variance along that axis is smaller by 2 / pi (moments of the half-normal distribution).
SPLIT_SHIFT = math.sqrt(2.0 / math.pi)
SPLIT_SHRINK = 2.0 / math.pi


class CovarianceStructure(ABC):
    """One covariance type: array shapes and the handful of operations that depend on them.

    Throughout, ``centred`` holds rows minus each component's reference point and has shape
    (n_components, n_features, n_rows): rows run along the last axis, so that every operation is either a matrix product
    or runs over contiguous memory. `precisions_cholesky` is scikit-learn's: the factor P of the precision P P^T.
    """

    name: str
    has_matrices: bool
    """Whether covariances are matrices, symmetric along their last two axes, rather than variances."""
    shares_scatter: bool
    """Whether x^T precision x is the same for all components and so left out of the quadratic features."""

    @abstractmethod
    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """Return the shape of covariances, precisions, their factors and second moments."""

    @abstractmethod
    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Return the number of free parameters in the covariances."""

    @abstractmethod
    def variances(self, covariances: Floats) -> Floats:
        """Return each component's variances along the features, broadcastable to (n_components, n_features)."""

    @abstractmethod
    def precisions_cholesky(self, covariances: Floats, n_components: int) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the factors P of the precisions, and for which components (n_components,) there are any.

        There are where a covariance is positive definite, and finite; elsewhere factors are not.
        """

    @abstractmethod
    def factor_precisions(self, precisions: Floats) -> Floats:
        """Return the factors P of precisions; raises numpy.linalg.LinAlgError when one is not positive definite."""

    @abstractmethod
    def precisions(self, precisions_cholesky: Floats) -> Floats:
        """Return the precisions P P^T."""

    @abstractmethod
    def covariances(self, precisions_cholesky: Floats) -> Floats:
        """Return the covariances (P P^T)^-1."""

    @abstractmethod
    def log_determinants(self, precisions_cholesky: Floats, n_features: int) -> Floats:
        """Return log |P|, half the log determinant of the precision, broadcastable to (n_components,)."""

    @abstractmethod
    def whiten(self, centred: Floats, precisions_cholesky: Floats, *, out: Floats) -> Floats:
        """Write P^T (x - mean) to `out`; its squared length is the squared Mahalanobis distance."""

    @abstractmethod
    def second_moment(self, centred: Floats, weighted: Floats) -> Floats:
        """Return the second moments of `centred`, where `weighted` is `centred` times responsibilities."""

    @abstractmethod
    def n_quadratic(self, n_features: int) -> int:
        """Return how many quadratic features of a row the log densities depend on, shared terms left out."""

    @abstractmethod
    def quadratic_features(self, columns: Floats, *, out: Floats) -> None:
        """Write the quadratic features of `columns` (n_features, n_rows) to `out` (n_quadratic, n_rows)."""

    @abstractmethod
    def quadratic_coefficients(self, precisions: Floats) -> Floats:
        """Return the coefficients (n_components, n_quadratic) of these features in -1/2 x^T precision x."""

    @abstractmethod
    def linear_coefficients(self, precisions: Floats, means: Floats) -> Floats:
        """Return precision times mean, the coefficients (n_components, n_features) of a row's values."""

    @abstractmethod
    def second_from_quadratic(self, sums: Floats, scatter: Floats) -> Floats:
        """Return second moments from sums (n_components, n_quadratic) of quadratic features.

        `scatter` is the sum of x x^T over all components, (n_features, n_features); types whose quadratic features
        leave out what components share take it from there.
        """

    @abstractmethod
    def translate(self, second: Floats, first: Floats, counts: Floats, shift: Floats) -> Floats:
        """Return second moments of rows moved by `shift` (n_components, n_features), given all moments before."""

    @abstractmethod
    def estimate(self, second: Floats, first: Floats, counts: Floats, reg_covar: float) -> Floats:
        """Return the covariances that maximise the expected log-likelihood, `reg_covar` added to their diagonals."""

    @abstractmethod
    def split(self, covariances: Floats, source: int, target: int, n_features: int) -> tuple[Floats, Floats]:
        """Halve component `source` across its longest axis and give one half to `target`.

        Returns the new covariances and the offset (n_features,) of each half's mean from the old one.
        """

    @abstractmethod
    def scatter(self, covariances: Floats, counts: Floats, n_features: int) -> Floats:
        """Return the second moments about the means that rows of the components have, given their counts."""

    @abstractmethod
    def congruent(self, matrices: Floats, factors: Floats) -> Floats:
        """Return A^T M A for covariances, precisions or second moments M and factors A."""

    @abstractmethod
    def transposed(self, factors: Floats) -> Floats:
        """Return the factors' transposes."""

    @abstractmethod
    def inverse_factors(self, factors: Floats) -> Floats:
        """Return the factors' inverses."""

    @abstractmethod
    def eigenvalues(self, matrices: Floats) -> Floats:
        """Return the eigenvalues of covariances, broadcastable to (n_components, n_features)."""

    @abstractmethod
    def draw(self, covariances: Floats, component: int, mean: Floats, n_rows: int, random_state: Random) -> Floats:
        """Return rows (n_rows, n_features) drawn from one component, as scikit-learn draws them."""
