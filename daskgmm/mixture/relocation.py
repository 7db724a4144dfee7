"""Moves from one basin of the likelihood to another: a component that is little missed is put beside another one.

That is a merge and a split at once (Ueda, Nakano, Ghahramani and Hinton 2000, SMEM algorithm for mixture models).
"""

from __future__ import annotations

import numpy as np

from daskgmm.mixture.covariance import Floats, covariance_structure
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["losses_without", "relocated"]

# A row that belongs to one component alone, as far as float64 can tell, counts as if it had been so unlikely before.
LEAST_REST = float(np.finfo(np.float64).eps)


def losses_without(responsibilities: Floats, weights: Floats | None) -> Floats:
    """Return what the log-likelihood loses when one component is left out, for each, shape (n_components,).

    Parameters
    ----------
    responsibilities : array of shape (n_rows, n_components)
    weights : array of shape (n_rows,) or None
        Sample weights; None means 1 each.
    """
    losses = -np.log(np.maximum(1.0 - responsibilities, LEAST_REST))
    total: Floats = losses.sum(axis=0) if weights is None else weights @ losses
    return total


def relocated(parameters: MixtureParameters, component: int, *, beside: int, mean: Floats) -> MixtureParameters:
    """Return a mixture in which one component has left its place and shares that of another.

    Parameters
    ----------
    parameters : MixtureParameters
    component : int
        Which one moves; its rows are left to those near them.
    beside : int
        Which one it moves to: it takes half of that one's weight, and its covariance.
    mean : array of shape (n_features,)
        Where it shall be, such as at a row that belongs to `beside`.
    """
    weights, means = parameters.weights.copy(), parameters.means.copy()
    weights[component] = weights[beside] = weights[beside] / 2
    means[component] = mean
    covariances = parameters.covariances.copy()
    if not covariance_structure(parameters.covariance_type).shares_scatter:
        covariances[component] = covariances[beside]
    return MixtureParameters.from_covariances(
        weights=weights / weights.sum(),
        means=means,
        covariances=covariances,
        covariance_type=parameters.covariance_type,
    )
