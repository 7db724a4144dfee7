"""A fit from beginning to end: first look, starts, passes."""

from __future__ import annotations

import numpy as np

from daskgmm.engine.cache import KeptParts
from daskgmm.engine.schedule import one_thread_per_task
from daskgmm.fitting.passes import data_sweep, parts_of
from daskgmm.fitting.result import FitResult, Run, Start
from daskgmm.fitting.starts import find_starts
from daskgmm.history import Journal
from daskgmm.mixture.em import Sweep, expectation_maximization
from daskgmm.settings import FitSettings
from daskgmm.start import GivenStart
from daskgmm.storage.dataset import RowBlocks

__all__ = ["fit_mixture"]


def fit_mixture(
    blocks: RowBlocks,
    settings: FitSettings,
    *,
    given: GivenStart,
    previous: Start | None,
    random_state: np.random.RandomState,
) -> FitResult:
    """Fit a mixture to rows in blocks.

    Parameters
    ----------
    blocks : RowBlocks
    settings : FitSettings
    given : GivenStart
        Starting parameters from the user, as far as there are any.
    previous : Start or None
        An earlier fit to go on from; nothing else is started then.
    random_state : numpy.random.RandomState
        Where starts draw from.

    Raises
    ------
    InputDataError
        If there are fewer rows than components, no row has positive weight, or a block or row cannot be used.
    ParameterError
        If a given start is not valid.
    DegenerateMixtureError
        If every component collapses.
    """
    journal = Journal(row_bytes=blocks.rows.dtype.itemsize * blocks.n_features, n_samples=blocks.n_samples or 0)
    best: Run | None = None
    with one_thread_per_task(), KeptParts(parts_of(blocks), settings.cache, n_bytes=blocks.n_bytes) as data:
        sweep_data = data_sweep(data, settings)
        for start in find_starts(blocks, data, settings, given, previous, random_state, journal):
            run = _run(start, sweep_data, settings, journal)
            if best is None or run.lower_bound > best.lower_bound:
                best = run
    if best is None:
        raise AssertionError("every fit has at least one start")
    return FitResult(
        parameters=best.parameters,
        converged=bool(best.states) and best.states[-1].converged,
        n_iter=len(best.states),
        lower_bounds=tuple(state.lower_bound for state in best.states),
        n_samples=journal.n_samples,
        history=tuple(journal.entries),
    )


def _run(start: Start, sweep_data: Sweep, settings: FitSettings, journal: Journal) -> Run:
    """Run EM over the data from one start."""
    states = []
    for state in expectation_maximization(
        start.parameters,
        sweep_data,
        reg_covar=settings.reg_covar,
        tol=settings.tol,
        max_iter=settings.max_iter,
        lower_bound=start.lower_bound,
    ):
        states.append(state)
        journal.add(
            "em",
            n_samples=state.n_samples,
            lower_bound=state.lower_bound,
            change=state.change,
            reseeded=state.reseeded,
        )
    return Run(states[-1].parameters if states else start.parameters, tuple(states))
