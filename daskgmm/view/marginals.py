"""The distribution of some features of a mixture, and where it is: limits, grids and levels for pictures of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from daskgmm.mixture.covariance import Floats, covariance_structure
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["limits", "marginal", "mass_levels", "separation", "standard_deviations", "weighted_densities"]

# Of a component that is drawn whole, in its standard deviations: its third ellipse and a margin.
REACH = 3.3
# Components lighter than this share of an equal part are drawn where the others are: one that holds a few outliers
# would leave the others a corner of the picture.
LEAST_PART = 0.1
# Of the mixture's mass beyond each end.
TAIL = 5e-4
# Halvings that find a quantile to less than a pixel, whatever lies between it and the farthest component.
HALVINGS = 60
# Doubles about a value lie 2e-16 of it apart: a picture narrower than this much of it would show steps.
LEAST_WIDTH = 1e-12
# Outermost rows are shown unless the picture would be so many times as wide.
MOST_WIDER = 2.0


def marginal(parameters: MixtureParameters, features: tuple[int, ...]) -> MixtureParameters:
    """Return the distribution of some features: the same weights, with full covariances of these."""
    n_components, n_features = parameters.means.shape
    covariances, columns = parameters.covariances, list(features)
    if covariance_structure(parameters.covariance_type).has_matrices:
        whole = np.broadcast_to(covariances, (n_components, n_features, n_features))
        chosen = whole[:, columns][:, :, columns]
    else:
        variances = np.broadcast_to(covariances.reshape(n_components, -1), (n_components, n_features))
        chosen = variances[:, columns, None] * np.eye(len(columns))
    return MixtureParameters.from_covariances(
        weights=parameters.weights, means=parameters.means[:, columns], covariances=chosen, covariance_type="full"
    )


def standard_deviations(parameters: MixtureParameters) -> Floats:
    """Return each component's standard deviation of each feature, shape (n_components, n_features)."""
    covariances = parameters.covariances
    if covariance_structure(parameters.covariance_type).has_matrices:
        covariances = np.diagonal(covariances, axis1=-2, axis2=-1)
    else:
        covariances = covariances.reshape(parameters.n_components, -1)
    deviations: Floats = np.broadcast_to(np.sqrt(covariances), parameters.means.shape)
    return deviations


def separation(parameters: MixtureParameters) -> Floats:
    """Return how far components lie apart in each feature: variance between over variance within, shape (n_features,).

    That is what Fisher's discriminant maximises; here one feature at a time.
    """
    weights, spread = parameters.weights, standard_deviations(parameters)
    # In units of the widest: squares of very large or small numbers would leave the range of floats.
    widest = spread.max(axis=0)
    within = widest * np.sqrt(weights @ (spread / widest) ** 2)
    # The mean of deviations from the first component, not of the means: exact far from the origin.
    deviations = (parameters.means - parameters.means[0]) / within
    between: Floats = weights @ (deviations - weights @ deviations) ** 2
    return between


def limits(one: MixtureParameters, values: Floats | None = None) -> tuple[float, float]:
    """Return from where to where to draw a mixture of one feature, and a sample of its rows.

    Parameters
    ----------
    one : MixtureParameters
        Of one feature.
    values : array of shape (n_rows,) or None
        The outermost are inside unless the picture would become more than three times as wide.
    """
    means, deviations = one.means[:, 0], standard_deviations(one)[:, 0]
    heavy = one.weights >= LEAST_PART / one.n_components
    low = min((means - REACH * deviations)[heavy].min(), _quantile(one, TAIL))
    high = max((means + REACH * deviations)[heavy].max(), _quantile(one, 1 - TAIL))
    if values is not None and len(values):
        inner_low, inner_high = np.quantile(values, [0.01, 0.99])
        low, high = min(low, inner_low), max(high, inner_high)
        width = high - low
        low = max(min(low, values.min()), low - MOST_WIDER / 2 * width)
        high = min(max(high, values.max()), high + MOST_WIDER / 2 * width)
    least = LEAST_WIDTH * max(abs(low), abs(high)) + np.finfo(float).tiny
    middle, half = low / 2 + high / 2, max(high / 2 - low / 2, least)
    return float(middle - 1.02 * half), float(middle + 1.02 * half)


def _quantile(one: MixtureParameters, share: float) -> float:
    """Return the value below which a share of a mixture of one feature lies, by halving an interval."""
    means, deviations = one.means[:, 0], standard_deviations(one)[:, 0]
    # Beyond 8 standard deviations of every component lies 1e-15 of it.
    low, high = float((means - 8 * deviations).min()), float((means + 8 * deviations).max())
    for _ in range(HALVINGS):
        middle = low / 2 + high / 2
        if one.weights @ ndtr((middle - means) / deviations) < share:
            low = middle
        else:
            high = middle
    return low / 2 + high / 2


def weighted_densities(one: MixtureParameters, components: NDArray[np.intp], values: Floats) -> Floats:
    """Return weight times density of some components of one feature at each value, shape (n_chosen, n_values)."""
    deviations = standard_deviations(one)[components]
    # Beyond 40 standard deviations the density is 0 in floats; squares of much more would overflow.
    scores = np.clip((values - one.means[components]) / deviations, -40.0, 40.0)
    densities: Floats = one.weights[components, None] * np.exp(-0.5 * scores**2) / (np.sqrt(2 * np.pi) * deviations)
    return densities


def mass_levels(density: Floats, shares: tuple[float, ...]) -> Floats:
    """Return the densities above which the given shares of the mass on an even grid lie, rising, each once."""
    falling = np.sort(density, axis=None)[::-1]
    mass = np.cumsum(falling)
    at = np.searchsorted(mass / mass[-1], shares).clip(0, len(falling) - 1)
    levels: Floats = np.unique(falling[at])
    return levels[levels > 0]
