"""Moments of many components, owner by owner, by any way to the moments of a mixture of few."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.kernels.block import MomentsOf
from daskgmm.kernels.moments import Moments
from daskgmm.kernels.pruned import owners_worth_finding
from daskgmm.kernels.pruned.near import near_components
from daskgmm.kernels.pruned.owners import OwnedRows, owned_rows
from daskgmm.kernels.pruned.whitened import SLACK
from daskgmm.mixture.covariance import Floats, covariance_structure
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics

__all__ = ["moments_by_owner"]

# Components near a few dozen rows from which on nothing is gained, because here a component is near all rows of an
# owner or none. Separated, looking at all components against pruned, in nanoseconds a row of 200,000: at (16, 1024)
# features and components, 3 in 100 near, 18,600 and 22,800; at (32, 1024), 1 in 1,000 near, 67,000 and 18,000; at
# (64, 256), 4 in 1,000 near, 54,000 and 4,900.
MOST_NEAR = 0.02
# Rows of owners to which more than this share of the components may matter are left to `moments_of` with all.
MOST_KEPT = 0.5
# Rows that are left over are copied this many at a time.
LEFT_ROWS = 2**14

Indices = NDArray[np.intp]


def moments_by_owner(
    rows: NDArray[Any],
    weights: Floats | None,
    parameters: MixtureParameters,
    *,
    moments_of: MomentsOf,
) -> Moments | None:
    """Return the moments of rows (n_rows, n_features) about the means, or None where looking at all is faster.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
        Any real dtype.
    weights : array of shape (n_rows,) or None
        Positive sample weights; None means 1 each.
    parameters : MixtureParameters
    moments_of : callable
        A way to the moments with a look at all components of a mixture.
    """
    found = owners_worth_finding(rows, parameters, most_near=MOST_NEAR)
    if found is None:
        return None
    mixture, ownership = found
    is_owned = ownership.is_owned
    farthest, widest = np.zeros(parameters.n_components), np.zeros(parameters.n_components)
    np.maximum.at(farthest, ownership.owners[is_owned], ownership.distances[is_owned])
    np.maximum.at(widest, ownership.owners[is_owned], ownership.radii[is_owned])
    present = np.unique(ownership.owners[is_owned])
    near = near_components(mixture, present, farthest[present] * (1 + SLACK), widest[present] * (1 + SLACK))
    by_owner = dict(zip(present.tolist(), near, strict=True))
    total = _Total(parameters)
    left = [np.flatnonzero(~is_owned)]
    parts = owned_rows(rows, ownership, mixture)
    left += [total.add_owned(part, weights, by_owner, moments_of) for part in parts]
    places = np.concatenate(left)
    everything = np.arange(parameters.n_components)
    for start in range(0, len(places), LEFT_ROWS):
        chosen = places[start : start + LEFT_ROWS]
        total.add(moments_of(rows[chosen], _taken(weights, chosen), parameters), everything)
    return total.moments()


class _Total:
    """Moments that those of some rows and some components are added to."""

    def __init__(self, parameters: MixtureParameters) -> None:
        zero = SufficientStatistics.zero(parameters)
        self.parameters, self.log_likelihood = parameters, 0.0
        self.counts, self.first, self.second = zero.counts.copy(), zero.first.copy(), zero.second.copy()

    def add_owned(
        self, part: OwnedRows, weights: Floats | None, near: dict[int, Indices], moments_of: MomentsOf
    ) -> Indices:
        """Add sorted rows; return the places of those left out."""
        left = [np.empty(0, dtype=np.intp)]
        for owner, start, stop in zip(part.owners.tolist(), part.edges[:-1], part.edges[1:], strict=True):
            components, places = near[owner], part.places[start:stop]
            if len(components) > MOST_KEPT * self.parameters.n_components:
                left.append(places)
                continue
            some, share = _part(self.parameters, components)
            own_weights = _taken(weights, places)
            self.add(moments_of(part.rows[start:stop], own_weights, some), components)
            self.log_likelihood += math.log(share) * float(len(places) if own_weights is None else own_weights.sum())
        return np.concatenate(left)

    def add(self, moments: Moments, components: Indices) -> None:
        """Add moments of some components."""
        self.log_likelihood += moments.log_likelihood
        self.counts[components] += moments.counts
        self.first[components] += moments.first
        if covariance_structure(self.parameters.covariance_type).shares_scatter:
            self.second += moments.second
        else:
            self.second[components] += moments.second

    def moments(self) -> Moments:
        """Return what was added."""
        return Moments(self.log_likelihood, self.counts, self.first, self.second)


def _part(parameters: MixtureParameters, components: Indices) -> tuple[MixtureParameters, float]:
    """Return some components as a mixture, and their share in all."""
    share = float(parameters.weights[components].sum())
    covariances, factors = parameters.covariances, parameters.precisions_cholesky
    if not covariance_structure(parameters.covariance_type).shares_scatter:
        covariances, factors = covariances[components], factors[components]
    # Rounding may bring the only weight above 1.
    weights = np.minimum(parameters.weights[components] / share, 1.0)
    means = parameters.means[components]
    return MixtureParameters(parameters.covariance_type, weights, means, covariances, factors), share


def _taken(weights: Floats | None, places: Indices) -> Floats | None:
    return None if weights is None else weights[places]
