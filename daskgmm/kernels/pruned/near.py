"""Which components may matter to the rows of others, with NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daskgmm.kernels.pruned.bounds import required_gap
from daskgmm.kernels.pruned.whitened import SLACK, WhitenedMixture
from daskgmm.mixture.covariance import Floats

__all__ = ["near_components"]

Indices = NDArray[np.intp]


def near_components(mixture: WhitenedMixture, owners: Indices, distances: Floats, radii: Floats) -> list[Indices]:
    """Return for each owner all components that may matter to rows within a distance and a radius of it.

    Parameters
    ----------
    mixture : WhitenedMixture
    owners : array of shape (n_owners,)
    distances, radii : arrays of shape (n_owners,)
        Not less than the Mahalanobis and the whitened distances of the rows from the owner's mean.
    """
    means = mixture.means[owners]
    is_near = np.zeros((len(owners), len(mixture.means)), dtype=bool)
    squares = distances * distances
    for other, mean in enumerate(mixture.means):
        required = 2 * (mixture.log_factors[other] - mixture.log_factors[owners])
        required += required_gap(len(mixture.means)) + squares
        deviations = means - mean
        lengths = np.sqrt(np.einsum("od,od->o", deviations, deviations))
        bounds = np.maximum(lengths * (1 - SLACK) - radii, 0.0) / mixture.widths[other]
        places = np.flatnonzero(~(bounds * bounds > required))
        is_near[places, other] = _near_along_lines(mixture, other, deviations[places], radii[places], required[places])
    is_near[np.arange(len(owners)), owners] = True
    return [np.flatnonzero(near) for near in is_near]


def _near_along_lines(
    mixture: WhitenedMixture, other: int, deviations: Floats, radii: Floats, required: Floats
) -> NDArray[np.bool_]:
    """Return which owners, with means that deviate so from another's, the bound along the line between leaves."""
    precision = mixture.precisions[other if len(mixture.precisions) > 1 else 0]
    products = deviations @ precision if precision.ndim == 2 else deviations * precision
    lengths = np.sqrt(np.einsum("od,od->o", deviations, products))
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = np.sqrt(np.einsum("od,od->o", products, products)) / lengths
        bounds = np.maximum(lengths * (1 - SLACK) - slopes * (1 + SLACK) * radii, 0.0)
        near: NDArray[np.bool_] = ~(bounds * bounds > required)
    return near
