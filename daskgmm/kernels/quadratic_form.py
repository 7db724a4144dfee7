"""A mixture's log densities as a linear function of quadratic features of a row, about one centre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskgmm.kernels.moments import Moments
from daskgmm.mixture.covariance import CovarianceStructure, Floats, covariance_structure
from daskgmm.mixture.density import log_factors
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["MOST_LOST_DIGITS", "QuadraticForm", "common_centre", "lost_digits_ratio"]

# About a common centre, rounding in second moments grows by the squared distance of a mean from the centre in standard
# deviations. Times float64's 1.1e-16, this much leaves them within 1e-12 of the largest (measured: 2.5e-13).
MOST_LOST_DIGITS = 4096.0


@dataclass(frozen=True, slots=True, eq=False)
class QuadraticForm:
    """Coefficients of log densities, and what sums of the features mean."""

    structure: CovarianceStructure
    precisions: Floats
    centre: Floats
    """The point that rows are taken relative to, shape (n_features,)."""
    means: Floats
    """Means relative to the centre, shape (n_components, n_features)."""
    coefficients: Floats
    """Coefficients of [quadratic features, x, 1], shape (n_components, n_quadratic + n_features + 1)."""

    @classmethod
    def of(cls, parameters: MixtureParameters, *, centre: Floats | None = None) -> QuadraticForm:
        """Return the form of a mixture about a centre (n_features,), or about its mean."""
        structure = covariance_structure(parameters.covariance_type)
        centre = common_centre(parameters) if centre is None else centre
        means = parameters.means - centre
        precisions = parameters.precisions
        linear = structure.linear_coefficients(precisions, means)
        constant = log_factors(parameters) - np.einsum("kd,kd->k", linear, means)[:, None] / 2
        quadratic = structure.quadratic_coefficients(precisions)
        quadratic = np.broadcast_to(quadratic, (len(means), quadratic.shape[1]))
        coefficients = np.concatenate([quadratic, linear, constant], axis=1)
        return cls(structure, precisions, centre, means, coefficients)

    @property
    def n_quadratic(self) -> int:
        """Number of quadratic features."""
        return int(self.coefficients.shape[1]) - len(self.centre) - 1

    def moments(self, log_likelihood: float, sums: Floats, scatter: Floats) -> Moments:
        """Return moments about the means.

        Parameters
        ----------
        log_likelihood : float
            As the features give it.
        sums : array of shape (n_components, n_quadratic + n_features + 1)
            Sums over rows of responsibility times feature.
        scatter : array of shape (n_features, n_features)
            Sum over rows of x x^T; looked at only if the structure shares it.
        """
        counts, first = sums[:, -1], sums[:, self.n_quadratic : -1]
        second = self.structure.second_from_quadratic(sums[:, : self.n_quadratic], scatter)
        if self.structure.shares_scatter:
            # The term -1/2 x^T precision x, the same for all components, which the features leave out.
            log_likelihood -= float((self.precisions * scatter).sum()) / 2
        return Moments(
            log_likelihood=log_likelihood,
            counts=counts,
            first=first - counts[:, None] * self.means,
            second=self.structure.translate(second, first, counts, -self.means),
        )


def common_centre(parameters: MixtureParameters) -> Floats:
    """Return the mean of a mixture, shape (n_features,)."""
    centre: Floats = parameters.weights @ parameters.means
    return centre


def lost_digits_ratio(parameters: MixtureParameters) -> float:
    """Return the largest squared distance of a mean from the common centre, in the component's standard deviations.

    Second moments about a mean are computed as those about the centre minus the squared distance between the two, so
    that rounding in them grows by this ratio, and rounding in log densities likewise.
    """
    centred = (parameters.means - common_centre(parameters))[:, :, None]
    structure = covariance_structure(parameters.covariance_type)
    whitened = structure.whiten(centred, parameters.precisions_cholesky, out=np.empty_like(centred))
    return float(np.einsum("kdn,kdn->k", whitened, whitened).max())
