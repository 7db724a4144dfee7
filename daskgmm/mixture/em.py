"""Expectation-maximisation, the loop written once: it is handed a sweep and does not know where the rows live."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from daskgmm.mixture.m_step import m_step
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics

__all__ = ["EMState", "Sweep", "expectation_maximization"]

Sweep = Callable[[MixtureParameters], SufficientStatistics]
"""The E-step over all rows: one pass over the data."""


@dataclass(frozen=True, slots=True)
class EMState:
    """What one iteration found out."""

    n_iter: int
    """Iterations so far, this one included."""
    parameters: MixtureParameters
    """The parameters after this iteration's M-step."""
    lower_bound: float
    """Mean log-likelihood per unit of weight of the parameters before this M-step, which this pass evaluated."""
    change: float
    """By how much `lower_bound` rose since the iteration before."""
    converged: bool
    """Whether the change was below tol."""
    reseeded: tuple[int, ...]
    """Components that this M-step found empty or collapsed and seeded anew."""
    n_samples: int
    """Rows that this pass saw."""


def expectation_maximization(
    parameters: MixtureParameters,
    sweep: Sweep,
    *,
    reg_covar: float,
    tol: float,
    max_iter: int,
    lower_bound: float = -math.inf,
    n_done: int = 0,
) -> Iterator[EMState]:
    """Iterate E-step and M-step; yield the state after each until the change is below tol.

    Parameters
    ----------
    parameters : MixtureParameters
        Where to start.
    sweep : callable
        Returns the sufficient statistics of all rows under given parameters.
    reg_covar : float
        Added to the diagonal of each covariance, >= 0.
    tol : float
        Stop when the mean log-likelihood changes by less than this, in nats per unit of weight.
    max_iter : int
        Stop after so many iterations.
    lower_bound : float
        What an earlier run reached, when this one continues it.
    n_done : int
        Iterations of that run that count for this one.

    Yields
    ------
    EMState
        An iteration that seeded a component anew is never the last for having converged.
    """
    for n_iter in range(n_done + 1, max_iter + 1):
        statistics = sweep(parameters)
        update = m_step(statistics, reg_covar=reg_covar)
        change = statistics.lower_bound - lower_bound
        lower_bound = statistics.lower_bound
        parameters = update.parameters
        converged = abs(change) < tol and not update.reseeded
        yield EMState(n_iter, parameters, lower_bound, change, converged, update.reseeded, statistics.n_samples)
        if converged:
            return
