"""From sufficient statistics to the parameters that maximise the expected log-likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskgmm.errors import DegenerateMixtureError
from daskgmm.mixture.covariance import CovarianceStructure, Floats, covariance_structure
from daskgmm.mixture.parameters import MixtureParameters, read_only
from daskgmm.mixture.statistics import SufficientStatistics

__all__ = ["Update", "m_step", "regularization_cost"]

# A component whose rows weigh less than rounding in the total weight is empty: scikit-learn adds the same ten epsilons
# to every count so as not to divide by zero.
EMPTY_SHARE = 10 * np.finfo(np.float64).eps

# A mean that has settled on one repeated value is right to an epsilon or two, and so are the deviations from it. A
# standard deviation within that is rounding, not spread.
ROUNDING = 4 * np.finfo(np.float64).eps


@dataclass(frozen=True, slots=True)
class Update:
    """The parameters after one M-step."""

    parameters: MixtureParameters
    reseeded: tuple[int, ...]
    """Components that were empty or had collapsed and were given half of another component."""


def m_step(statistics: SufficientStatistics, *, reg_covar: float) -> Update:
    """Estimate parameters from sufficient statistics (Bishop 2006, eq. 9.24 to 9.26).

    Parameters
    ----------
    statistics : SufficientStatistics
        Moments of all rows, of positive weight.
    reg_covar : float
        Added to the diagonal of each covariance, >= 0, in squared units of the features.

    Returns
    -------
    Update
        An empty or collapsed component takes over half of the heaviest sound one, cut at its mean across its longest
        axis; its number is in `reseeded`.

    Raises
    ------
    DegenerateMixtureError
        If no component has a positive definite covariance.
    """
    structure = covariance_structure(statistics.covariance_type)
    floor = EMPTY_SHARE * statistics.weight
    counts = np.maximum(statistics.counts, floor)
    weights = counts / counts.sum()
    means = statistics.reference + statistics.first / counts[:, None]
    covariances = structure.estimate(statistics.second, statistics.first, counts, reg_covar)
    resolved = structure.variances(covariances) > (ROUNDING * means) ** 2
    factors, has_factor = structure.precisions_cholesky(covariances, len(counts))
    sound = has_factor & (counts > floor) & resolved.all(axis=1)
    if not sound.all():
        weights, means, covariances = _reseed(structure, sound, weights, means, covariances, reg_covar)
        factors, _ = structure.precisions_cholesky(covariances, len(counts))
    return Update(
        MixtureParameters(
            covariance_type=statistics.covariance_type,
            weights=weights / weights.sum(),
            means=means,
            covariances=read_only(covariances),
            precisions_cholesky=read_only(factors),
        ),
        reseeded=tuple(int(component) for component in np.flatnonzero(~sound)),
    )


def regularization_cost(parameters: MixtureParameters, counts: Floats, *, reg_covar: float) -> float:
    """Return what reg_covar takes from the expected log-likelihood, given counts (n_components,) per unit of weight.

    The M-step maximises the expected log-likelihood less this, reg_covar / 2 times the sum of counts times traces of
    precisions. An iteration of EM may therefore lower the likelihood, but never the likelihood less this cost as long
    as the counts are those of its E-step.
    """
    structure = covariance_structure(parameters.covariance_type)
    traces = np.broadcast_to(structure.variances(parameters.precisions), parameters.means.shape).sum(axis=1)
    return reg_covar / 2 * float(counts @ traces)


def _reseed(
    structure: CovarianceStructure,
    sound: np.ndarray,
    weights: Floats,
    means: Floats,
    covariances: Floats,
    reg_covar: float,
) -> tuple[Floats, Floats, Floats]:
    """Give each unsound component half of the component that is the heaviest at that moment."""
    if not sound.any():
        raise DegenerateMixtureError(
            "expected at least one component with a positive definite covariance; found none. The rows lie in a "
            f"subspace or on few points: raise reg_covar (now {reg_covar:g}), drop constant or dependent features, "
            "scale features to similar units, or use fewer components"
        )
    weights = np.where(sound, weights, 0.0)
    means = means.copy()
    for target in np.flatnonzero(~sound):
        source = int(np.argmax(weights))
        covariances, offset = structure.split(covariances, source, int(target), means.shape[1])
        means[target] = means[source] + offset
        means[source] = means[source] - offset
        weights[source] /= 2
        weights[target] = weights[source]
    return weights, means, covariances
