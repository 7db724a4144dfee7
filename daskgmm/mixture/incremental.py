"""Incremental EM: what earlier rows said is kept as statistics, and new rows alone are read.

The kept statistics stay as they are while EM iterates over the new rows (Neal and Hinton 1998). That is EM for the
log-likelihood of the new rows plus the expected complete-data log-likelihood of the old ones, which it never lowers.
The mixture tells the statistics it came from (`implied_statistics`), so that the weight of the old rows is all there
is to keep beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.em import Sweep
from daskgmm.mixture.fisher import FisherCoordinates
from daskgmm.mixture.m_step import m_step, regularization_cost
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics
from daskgmm.mixture.stepwise import implied_statistics

__all__ = ["IncrementalState", "incremental_maximization", "step_gain"]


# A component that old rows have nothing of is as new data: EM there is taken to converge no more slowly than this.
SLOWEST_RATE = 0.999


@dataclass(frozen=True, slots=True)
class IncrementalState:
    """What one pass over the new rows found out."""

    n_iter: int
    """Passes so far, this one included."""
    parameters: MixtureParameters
    """The parameters after this pass's M-step."""
    lower_bound: float
    """Mean log-likelihood of the new rows, per unit of weight, under the parameters before this M-step."""
    gain: float
    """What this M-step gained at least, of old and new rows together, in nats per unit of weight."""
    expected_gain: float
    """What is expected to remain to be gained, likewise."""
    converged: bool
    """Whether that is below tol."""
    reseeded: tuple[int, ...]
    """Components that this M-step found empty or collapsed and seeded anew."""
    n_samples: int
    """New rows."""
    weight: float
    """Sum of the weights of the new rows, and of what is kept of the old ones."""


def incremental_maximization(
    parameters: MixtureParameters,
    sweep: Sweep,
    *,
    weight: float,
    reg_covar: float,
    tol: float,
    max_iter: int,
) -> Iterator[IncrementalState]:
    """Iterate E-step on new rows and M-step on old and new ones; yield the state after each pass.

    Parameters
    ----------
    parameters : MixtureParameters
        Of the rows so far.
    sweep : callable
        Returns the sufficient statistics of the new rows under given parameters: one pass over them.
    weight : float
        What the rows so far weigh, > 0.
    reg_covar : float
        Added to the diagonal of each covariance, >= 0.
    tol : float
        Stop when less is expected to remain to be gained, in nats per unit of weight.
    max_iter : int
        Stop after so many passes.

    Yields
    ------
    IncrementalState
        A pass that seeded a component anew is never the last for having converged.

    Raises
    ------
    DegenerateMixtureError
        If no component has a positive definite covariance.
    """
    kept = implied_statistics(parameters, reg_covar=reg_covar).scaled(weight)
    for n_iter in range(1, max_iter + 1):
        new = sweep(parameters)
        together = kept.about(parameters.means).merge(new)
        update = m_step(together, reg_covar=reg_covar)
        gain = step_gain(parameters, update.parameters, together, reg_covar=reg_covar)
        left = remaining_gain(gain, share=largest_share(new.counts, together.counts))
        converged = left < tol and not update.reseeded
        parameters = update.parameters
        yield IncrementalState(
            n_iter=n_iter,
            parameters=parameters,
            lower_bound=new.lower_bound,
            gain=gain,
            expected_gain=left,
            converged=converged,
            reseeded=update.reseeded,
            n_samples=new.n_samples,
            weight=together.weight,
        )
        if converged:
            return


def largest_share(new: Floats, together: Floats) -> float:
    """Return the largest share that new rows have in a component, given counts (n_components,); below 1."""
    shares = new / np.maximum(together, np.finfo(np.float64).tiny)
    return min(float(shares.max()), SLOWEST_RATE)


def remaining_gain(gain: float, *, share: float) -> float:
    """Return what EM has still to gain at most after a step, close to where it ends.

    EM's rate of convergence is the share of the information that is missing (Dempster, Laird and Rubin 1977). Of the
    kept statistics nothing is, so it is no more than the share r of the new rows in the component where they have the
    largest. A step that gains g of the expected log-likelihood leaves g r^2 / (1 - r): after a thirtieth of new rows, a
    thousandth of what it gained.

    Parameters
    ----------
    gain : float
        Of the expected complete-data log-likelihood, by the last step.
    share : float
        Of the new rows in a component, in [0, 1).
    """
    return abs(gain) * share**2 / (1.0 - share)


def step_gain(
    before: MixtureParameters, after: MixtureParameters, statistics: SufficientStatistics, *, reg_covar: float
) -> float:
    """Return the rise of the expected log-likelihood less what reg_covar costs, in nats per unit of weight.

    Parameters
    ----------
    before, after : MixtureParameters
    statistics : SufficientStatistics
        Of the rows, with the responsibilities of `before`: the log-likelihood rises by this at least.
    reg_covar : float
        Added to the diagonal of each covariance, >= 0.
    """
    coordinates = FisherCoordinates.about(before)
    rise = float(coordinates.of_statistics(statistics) @ coordinates.of_parameters(after))
    counts = statistics.counts / statistics.weight
    cost = [regularization_cost(parameters, counts, reg_covar=reg_covar) for parameters in (before, after)]
    return rise - (cost[1] - cost[0])
