"""Runs over the data: plain EM, or EM accelerated by what a sample in memory tells."""

from __future__ import annotations

from daskgmm.fitting.in_memory import Rows
from daskgmm.fitting.result import Run, Start
from daskgmm.history import Journal
from daskgmm.kernels import choose_kernel
from daskgmm.mixture.acceleration import AcceleratedState, accelerated_maximization
from daskgmm.mixture.em import EMState, Sweep, expectation_maximization
from daskgmm.settings import FitSettings

__all__ = ["run_from"]


def run_from(start: Start, sample: Rows | None, settings: FitSettings, journal: Journal, run: int, sweep: Sweep) -> Run:
    """Run EM over the data from one start, with the help of a sample where there is one.

    Parameters
    ----------
    start : Start
    sample : Rows or None
        Some of the rows, in memory; None runs plain EM.
    settings : FitSettings
    journal : Journal
        Told of every pass.
    run : int
        Number of this run in the journal.
    sweep : callable
        The E-step over all rows: one pass.

    Raises
    ------
    DegenerateMixtureError
        If every component collapses.
    """
    if sample is None:
        return _plain(start, settings, journal, run, sweep)
    kernel = choose_kernel(settings.kernel)
    states: list[AcceleratedState] = []
    for state in accelerated_maximization(
        start.parameters,
        sweep,
        lambda parameters: kernel(sample.values, sample.weights, parameters),
        reg_covar=settings.reg_covar,
        tol=settings.tol,
        max_iter=settings.max_iter,
        lower_bound=start.lower_bound,
    ):
        states.append(state)
        journal.add(state.phase, run=run, lower_bound=state.lower_bound, change=state.change, reseeded=state.reseeded)
    if not states:
        return Run(start.parameters, converged=False, lower_bounds=(), lower_bound=start.lower_bound)
    last = states[-1]
    return Run(last.best, last.converged, tuple(state.lower_bound for state in states), last.best_lower_bound)


def _plain(start: Start, settings: FitSettings, journal: Journal, run: int, sweep: Sweep) -> Run:
    """Run plain EM; the mixture found is that after the last M-step, as in scikit-learn."""
    states: list[EMState] = []
    for state in expectation_maximization(
        start.parameters,
        sweep,
        reg_covar=settings.reg_covar,
        tol=settings.tol,
        max_iter=settings.max_iter,
        lower_bound=start.lower_bound,
    ):
        states.append(state)
        journal.add("em", run=run, lower_bound=state.lower_bound, change=state.change, reseeded=state.reseeded)
    if not states:
        return Run(start.parameters, converged=False, lower_bounds=(), lower_bound=start.lower_bound)
    bounds = tuple(state.lower_bound for state in states)
    return Run(states[-1].parameters, states[-1].converged, bounds, bounds[-1])
