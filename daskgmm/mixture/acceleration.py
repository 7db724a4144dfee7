"""EM in few full passes: each shows what a sample gets wrong, and the sample so corrected is iterated in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from daskgmm.mixture.em import Sweep
from daskgmm.mixture.m_step import m_step
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.search import Evaluation, Search, silent_sweep
from daskgmm.mixture.surrogate import Proposal

__all__ = ["AcceleratedState", "Standing", "accelerated_maximization"]

# A step on the surrogate that gains less than this share of tol is not worth a sweep over the sample.
ENOUGH = 1e-4
# A gain of one kind may miss what is left: both the last one and the one foreseen have to be below this share of tol.
SHARE = 1 / 3


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """Where a climb stands between two passes: all that the next one needs to know."""

    n_iter: int
    """Full passes so far."""
    search: Search
    """What they have shown."""
    ahead: MixtureParameters
    """What the next pass evaluates."""
    proposal: Proposal | None
    """The proposal that this is; None when it is an EM step."""

    @property
    def hope(self) -> float:
        """What the climb may still gain at most, in nats per unit of weight, generously; infinite if nothing tells."""
        return self.search.hope(self.proposal)


@dataclass(frozen=True, slots=True)
class AcceleratedState:
    """What one full pass found out."""

    n_iter: int
    """Full passes so far, this one included."""
    phase: str
    """em (a start or an EM step was evaluated), accelerated, or rejected (a proposal was, and fell)."""
    parameters: MixtureParameters
    """The parameters that this pass evaluated."""
    lower_bound: float
    """Their mean log-likelihood per unit of weight."""
    best: MixtureParameters
    """The best parameters that a pass has evaluated."""
    best_lower_bound: float
    """Their mean log-likelihood per unit of weight."""
    change: float
    """By how much `lower_bound` lies above that of the last pass that was not rejected."""
    expected_gain: float
    """What is expected to remain to be gained; infinite when there is nothing to tell it from."""
    converged: bool
    """Whether that is below tol."""
    reseeded: tuple[int, ...]
    """Components that the M-step found empty or collapsed and seeded anew for the next pass."""
    n_samples: int
    """Rows that this pass saw."""
    standing: Standing
    """From which the climb could go on."""


def accelerated_maximization(
    parameters: MixtureParameters,
    sweep: Sweep,
    sample_sweep: Sweep | None,
    *,
    reg_covar: float,
    tol: float,
    max_iter: int,
    lower_bound: float = -math.inf,
    standing: Standing | None = None,
) -> Iterator[AcceleratedState]:
    """Maximise the likelihood in few sweeps over all rows; yield what is known after each.

    Parameters
    ----------
    parameters : MixtureParameters
        Where to start.
    sweep : callable
        Returns the sufficient statistics of all rows under given parameters: a full pass.
    sample_sweep : callable or None
        Returns those of a sample in memory; called about a dozen times as often. None when there is no sample: then
        changes between passes are all that the next proposal is made from.
    reg_covar : float
        Added to the diagonal of each covariance, >= 0.
    tol : float
        Stop when less is expected to remain to be gained, in nats per unit of weight.
    max_iter : int
        Stop after so many full passes.
    lower_bound : float
        What an earlier run reached, when this one continues it.
    standing : Standing or None
        Where a climb that was interrupted stood: it goes on as if it had not been, and `parameters` and `lower_bound`
        are not looked at.

    Yields
    ------
    AcceleratedState
        The bound falls only in passes that are rejected, after a component was seeded anew, and by what reg_covar
        costs.

    Raises
    ------
    DegenerateMixtureError
        If every component collapses.
    """
    sample_sweep, has_sample = sample_sweep or silent_sweep, sample_sweep is not None
    search: Search | None = None
    proposal: Proposal | None = None
    n_done = 0
    if standing is not None:
        n_done, search, parameters, proposal = standing.n_iter, standing.search, standing.ahead, standing.proposal
    for n_iter in range(n_done + 1, max_iter + 1):
        here = Evaluation(parameters, sweep(parameters), sample_sweep(parameters))
        change = here.lower_bound - lower_bound if search is None else search.change(here)
        phase = "em" if proposal is None else "accelerated"
        if search is None:
            search = Search.start(here, change, reg_covar=reg_covar, has_sample=has_sample)
        elif proposal is not None and search.falls(here):
            phase, search = "rejected", search.rejected(here, proposal)
        else:
            search = search.moved(here, proposal)
        update = m_step(search.base.full, reg_covar=reg_covar)
        proposal = None
        expected = math.inf
        if update.reseeded:
            search = search.forgotten()
        else:
            proposal = search.proposal(sample_sweep, enough=ENOUGH * tol)
            expected = search.remaining_gain(proposal)
        converged = expected < SHARE * tol
        parameters = update.parameters if proposal is None else proposal.parameters
        yield AcceleratedState(
            n_iter=n_iter,
            phase=phase,
            parameters=here.parameters,
            lower_bound=here.lower_bound,
            best=search.best.parameters,
            best_lower_bound=search.best.lower_bound,
            change=change,
            expected_gain=expected,
            converged=converged,
            reseeded=update.reseeded,
            n_samples=here.full.n_samples,
            standing=Standing(n_iter, search, parameters, proposal),
        )
        if converged:
            return
