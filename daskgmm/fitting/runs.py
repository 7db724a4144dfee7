"""Runs over the data: plain EM, or EM accelerated by what a sample in memory tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from daskgmm.fitting.in_memory import Rows
from daskgmm.fitting.result import Progress, Run, Start
from daskgmm.history import Journal
from daskgmm.kernels import choose_kernel
from daskgmm.mixture.acceleration import accelerated_maximization
from daskgmm.mixture.em import Sweep, expectation_maximization
from daskgmm.settings import FitSettings

__all__ = ["forgetting", "run_from"]

Note = Callable[[int, Progress], None]
"""(number of the run, where it stands) -> None; called after each pass."""


def forgetting(run: int, progress: Progress) -> None:
    """Keep no note of where a run stands."""


def run_from(
    start: Start | Progress,
    sample: Rows | None,
    settings: FitSettings,
    journal: Journal,
    run: int,
    sweep: Sweep,
    *,
    note: Note = forgetting,
) -> Run:
    """Run EM over the data from one start, with the help of a sample where there is one.

    Parameters
    ----------
    start : Start or Progress
        Where to begin, or where an earlier run stood when it was interrupted: this one goes on as that one would have.
    sample : Rows or None
        Some of the rows, in memory; None runs plain EM.
    settings : FitSettings
    journal : Journal
        Told of every pass.
    run : int
        Number of this run in the journal.
    sweep : callable
        The E-step over all rows: one pass.
    note : callable
        Told where the run stands after each pass.

    Raises
    ------
    DegenerateMixtureError
        If every component collapses.
    """
    here = start if isinstance(start, Progress) else Progress(start.parameters, start.lower_bound)
    if here.converged:
        return here.run
    if sample is None:
        return _plain(here, settings, journal, run, sweep, note)
    kernel = choose_kernel(settings.kernel)
    for state in accelerated_maximization(
        here.parameters,
        sweep,
        lambda parameters: kernel(sample.values, sample.weights, parameters),
        reg_covar=settings.reg_covar,
        tol=settings.tol,
        max_iter=settings.max_iter,
        lower_bound=here.lower_bound,
        standing=here.standing,
    ):
        here = Progress(
            parameters=state.best,
            lower_bound=state.best_lower_bound,
            lower_bounds=(*here.lower_bounds, state.lower_bound),
            converged=state.converged,
            standing=state.standing,
        )
        journal.add(state.phase, run=run, lower_bound=state.lower_bound, change=state.change, reseeded=state.reseeded)
        note(run, here)
    return here.run


def _plain(here: Progress, settings: FitSettings, journal: Journal, run: int, sweep: Sweep, note: Note) -> Run:
    """Run plain EM; the mixture found is that after the last M-step, as in scikit-learn."""
    for state in expectation_maximization(
        here.parameters,
        sweep,
        reg_covar=settings.reg_covar,
        tol=settings.tol,
        max_iter=settings.max_iter,
        lower_bound=here.lower_bound,
        n_done=len(here.lower_bounds),
    ):
        here = replace(
            here,
            parameters=state.parameters,
            lower_bound=state.lower_bound,
            lower_bounds=(*here.lower_bounds, state.lower_bound),
            converged=state.converged,
        )
        journal.add("em", run=run, lower_bound=state.lower_bound, change=state.change, reseeded=state.reseeded)
        note(run, here)
    return here.run
