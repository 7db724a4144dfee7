"""How far a local model of the likelihood may be trusted: distances between mixtures, and a region that learns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskgmm.mixture.covariance import covariance_structure
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["TrustRegion", "distance"]

# A model that foresaw this share of the gain right is trusted further out; one that foresaw less than the second, less.
GOOD, POOR = 0.6, 0.25
# Sweeps over the sample that one full pass may cost, at least and at most.
FEWEST_STEPS, MOST_STEPS = 4, 24
# At this distance variances differ by a factor of e and means by a standard deviation: no local model reaches further.
LARGEST_CAP = 1.0


@dataclass(frozen=True, slots=True)
class TrustRegion:
    """How far from its base, and for how many steps, a model of the likelihood is followed."""

    cap: float = LARGEST_CAP
    """Most distance from the base."""
    n_steps: int = 10
    """Most steps on the model."""

    def after_rise(self, *, ratio: float, distance: float, cut_short: bool) -> TrustRegion:
        """Return the region after a proposal that gained.

        Parameters
        ----------
        ratio : float
            The gain as a share of what the model expected.
        distance : float
            How far the proposal was from the base.
        cut_short : bool
            Whether the model still gained when it was left.
        """
        n_steps, growth = self.n_steps, 1.5
        if ratio > GOOD:
            growth = 3.0
            n_steps = min(2 * n_steps, MOST_STEPS) if cut_short else n_steps
        elif ratio < POOR:
            growth = 0.5
            n_steps = max(n_steps // 2, FEWEST_STEPS)
        return TrustRegion(min(growth * distance, LARGEST_CAP), n_steps)

    def after_fall(self, *, distance: float) -> TrustRegion:
        """Return the region after a proposal, so far from the base, that lost."""
        return TrustRegion(min(self.cap, distance) / 2, max(self.n_steps // 3, FEWEST_STEPS))


def distance(origin: MixtureParameters, other: MixtureParameters) -> float:
    """Return by how much the component that moves most is moved, without units.

    That is the largest of the change of a log weight, the Mahalanobis length of a mean's move, and the change of a log
    variance along any direction. It is infinite when a weight or a variance is not positive.
    """
    structure = covariance_structure(origin.covariance_type)
    shift = (other.means - origin.means)[:, :, None]
    whitened = structure.whiten(shift, origin.precisions_cholesky, out=np.empty_like(shift))[:, :, 0]
    variances = structure.eigenvalues(structure.congruent(other.covariances, origin.precisions_cholesky))
    weights = other.weights / np.maximum(origin.weights, np.finfo(np.float64).tiny)
    if not ((weights > 0).all() and (variances > 0).all()):
        return float("inf")
    moves = (np.sqrt((whitened**2).sum(axis=1)), np.abs(np.log(weights)), np.abs(np.log(variances)))
    return float(max(move.max() for move in moves))
