"""Coordinates in which the complete-data Fisher information of a mixture is the identity.

The log density of a row and its component is linear in sufficient statistics; its coefficients are the natural
parameters. Differences of natural parameters and statistics are dual, and here both become plain vectors whose scalar
product is that pairing. Lengths count expected standard errors of one row, whatever the units of the features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskgmm.mixture.covariance import CovarianceStructure, Floats, covariance_structure
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics

__all__ = ["FisherCoordinates"]


@dataclass(frozen=True, slots=True, eq=False)
class FisherCoordinates:
    """Coordinates about the parameters of a mixture, its origin.

    For a component of weight w, mean m and covariance C = L L^T, a change of the natural parameters that moves it by
    (dw, dm, dC) has the coordinates (dw / sqrt w, sqrt w L^-1 dm, sqrt(w / 2) L^-1 dC L^-T) to first order.
    """

    origin: MixtureParameters
    structure: CovarianceStructure
    roots: Floats
    """Square roots of the weights, shape (n_components,)."""
    second_scale: Floats
    """How much weight each second moment has, broadcastable to the covariances' shape."""
    identity: Floats
    """Covariances of 1, in the shape of the covariances."""
    inverse_factors: Floats
    """Inverses of the factors of the precisions."""

    @classmethod
    def about(cls, origin: MixtureParameters) -> FisherCoordinates:
        """Return the coordinates about given parameters."""
        structure = covariance_structure(origin.covariance_type)
        shape = origin.covariances.shape
        # A component without weight has no statistics either; the smallest count that an M-step leaves is 1e-15.
        weights = np.maximum(origin.weights, np.finfo(np.float64).eps)
        unit = np.eye(origin.n_features) if structure.has_matrices else np.ones(1)
        return cls(
            origin=origin,
            structure=structure,
            roots=np.sqrt(weights),
            second_scale=structure.scatter(np.ones(shape), weights, origin.n_features),
            identity=np.broadcast_to(unit, shape),
            inverse_factors=structure.inverse_factors(origin.precisions_cholesky),
        )

    def of_parameters(self, parameters: MixtureParameters) -> Floats:
        """Return the natural parameters of another mixture relative to those of the origin.

        The normalising constants belong to them: the scalar product with the coordinates of any statistics S is the
        change of the expected complete-data log-likelihood <W, S> on the way from the origin to this mixture.
        """
        structure = self.structure
        backward = structure.transposed(self.inverse_factors)
        shift = parameters.means - self.origin.means
        pull = structure.linear_coefficients(parameters.precisions, shift)
        excess = structure.congruent(parameters.precisions, backward) - self.identity
        traces = np.broadcast_to(structure.variances(excess), shift.shape).sum(axis=1)
        heights = _log_heights(parameters) - _log_heights(self.origin) - (pull * shift).sum(axis=1) / 2
        return self._joined(
            self.roots * (heights - traces / 2),
            self.roots[:, None] * self._whitened(pull, backward),
            -np.sqrt(self.second_scale / 2) * excess,
        )

    def of_statistics(self, statistics: SufficientStatistics) -> Floats:
        """Return the coordinates of statistics, per unit of weight."""
        structure, factors = self.structure, self.origin.precisions_cholesky
        here = statistics.about(self.origin.means)
        counts, first, second = (part / here.weight for part in (here.counts, here.first, here.second))
        spread = structure.scatter(self.identity, counts, self.origin.n_features)
        return self._joined(
            counts / self.roots,
            self._whitened(first, factors) / self.roots[:, None],
            (structure.congruent(second, factors) - spread) / np.sqrt(2 * self.second_scale),
        )

    def statistics(self, coordinates: Floats) -> SufficientStatistics:
        """Return the statistics of weight 1 that have these coordinates; their log-likelihood is NaN."""
        n_components, n_features = self.origin.means.shape
        parts = np.split(coordinates, [n_components, n_components * (1 + n_features)])
        counts = self.roots * parts[0]
        whitened = self.roots[:, None] * parts[1].reshape(n_components, n_features)
        scaled = np.sqrt(2 * self.second_scale) * parts[2].reshape(self.identity.shape)
        spread = self.structure.scatter(self.identity, counts, n_features)
        return SufficientStatistics(
            covariance_type=self.origin.covariance_type,
            reference=self.origin.means,
            n_samples=0,
            weight=1.0,
            log_likelihood=float("nan"),
            counts=counts,
            first=self._whitened(whitened, self.inverse_factors),
            second=self.structure.congruent(scaled + spread, self.inverse_factors),
        )

    def _whitened(self, vectors: Floats, factors: Floats) -> Floats:
        """Return A^T v for vectors (n_components, n_features) and factors A."""
        columns = vectors[:, :, None]
        return self.structure.whiten(columns, factors, out=np.empty_like(columns))[:, :, 0]

    def _joined(self, counts: Floats, first: Floats, second: Floats) -> Floats:
        return np.concatenate([counts, first.ravel(), np.broadcast_to(second, self.identity.shape).ravel()])


def _log_heights(parameters: MixtureParameters) -> Floats:
    """Return the log density of each component at its mean, weight included, up to a constant of all mixtures."""
    structure = covariance_structure(parameters.covariance_type)
    weights = np.maximum(parameters.weights, np.finfo(np.float64).tiny)
    heights: Floats = np.log(weights) + structure.log_determinants(
        parameters.precisions_cholesky, parameters.n_features
    )
    return heights
