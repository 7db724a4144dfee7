"""The sufficient statistics of the rows seen so far: what comes up from every block."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from daskgmm.errors import ParameterError
from daskgmm.mixture.covariance import Floats, covariance_structure
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["SufficientStatistics"]


@dataclass(frozen=True, slots=True, eq=False)
class SufficientStatistics:
    """Responsibility-weighted moments of rows: a commutative monoid under `merge` with `zero`.

    Moments are taken about the means that the responsibilities were computed with. There they stay exact however far
    the data lie from the origin, and merging stays a plain addition.
    """

    covariance_type: str
    """One of full, tied, diag, spherical."""
    reference: Floats
    """The points that moments are taken about, shape (n_components, n_features)."""
    n_samples: int
    """Number of rows seen, those of weight 0 included."""
    weight: float
    """Sum of the sample weights of these rows."""
    log_likelihood: float
    """Sum over rows of sample weight times log density."""
    counts: Floats
    """Sum of responsibilities, shape (n_components,)."""
    first: Floats
    """First moments about `reference`, shape (n_components, n_features)."""
    second: Floats
    """Second moments about `reference`, shaped as the covariances; summed over components when tied and over features
    when spherical."""

    @classmethod
    def zero(cls, parameters: MixtureParameters) -> SufficientStatistics:
        """Return the statistics of no rows, the neutral element of `merge`."""
        n_components, n_features = parameters.means.shape
        shape = covariance_structure(parameters.covariance_type).shape(n_components, n_features)
        return cls(
            covariance_type=parameters.covariance_type,
            reference=parameters.means,
            n_samples=0,
            weight=0.0,
            log_likelihood=0.0,
            counts=np.zeros(n_components),
            first=np.zeros((n_components, n_features)),
            second=np.zeros(shape),
        )

    def merge(self, other: SufficientStatistics) -> SufficientStatistics:
        """Return the statistics of both sets of rows.

        Raises
        ------
        ParameterError
            If the two are of different covariance types or about different reference points.
        """
        if self.covariance_type != other.covariance_type or not np.array_equal(self.reference, other.reference):
            raise ParameterError(
                "merge: expected one covariance type and the same reference points; got "
                f"{self.covariance_type} and {other.covariance_type}, or other points. "
                "Call other.about(self.reference) first"
            )
        return replace(
            self,
            n_samples=self.n_samples + other.n_samples,
            weight=self.weight + other.weight,
            log_likelihood=self.log_likelihood + other.log_likelihood,
            counts=self.counts + other.counts,
            first=self.first + other.first,
            second=self.second + other.second,
        )

    def about(self, reference: Floats) -> SufficientStatistics:
        """Return the same statistics with moments taken about other points, shape (n_components, n_features).

        Raises
        ------
        ParameterError
            If the shape is not that of the present reference points.
        """
        reference = np.asarray(reference, dtype=np.float64)
        if reference.shape != self.reference.shape:
            raise ParameterError(f"reference: expected shape {self.reference.shape}; got shape {reference.shape}")
        shift = self.reference - reference
        structure = covariance_structure(self.covariance_type)
        return replace(
            self,
            reference=reference,
            first=self.first + self.counts[:, None] * shift,
            second=structure.translate(self.second, self.first, self.counts, shift),
        )

    def scaled(self, factor: float) -> SufficientStatistics:
        """Return the statistics of the same rows with all their weights multiplied by a factor >= 0."""
        return replace(
            self,
            weight=factor * self.weight,
            log_likelihood=factor * self.log_likelihood,
            counts=factor * self.counts,
            first=factor * self.first,
            second=factor * self.second,
        )

    @property
    def lower_bound(self) -> float:
        """Mean log-likelihood per unit of weight under the parameters that gave the responsibilities."""
        return self.log_likelihood / self.weight
