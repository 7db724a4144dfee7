"""A fit from beginning to end: first look, starts, passes; and the likelihood of data under a mixture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.engine.sample import FirstLook, first_look
from daskgmm.engine.schedule import one_thread_per_task
from daskgmm.engine.sweep import sweep
from daskgmm.errors import InputDataError
from daskgmm.history import HistoryEntry, Journal
from daskgmm.kernels import Kernel, choose_kernel
from daskgmm.mixture.em import EMState, Sweep, expectation_maximization
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.score import LogLikelihood, log_likelihood
from daskgmm.mixture.statistics import SufficientStatistics
from daskgmm.settings import FitSettings, sample_size
from daskgmm.start import GivenStart, start_parameters
from daskgmm.storage.dataset import RowBlocks

__all__ = ["FitResult", "Start", "fit_mixture", "score_rows"]

# EM on the sample costs no pass, so it may go on until it gains a hundredth of what a pass is worth.
SAMPLE_TOL_FRACTION = 0.01


@dataclass(frozen=True, slots=True)
class Start:
    """Where a run of EM begins."""

    parameters: MixtureParameters
    lower_bound: float = -math.inf
    """What an earlier fit had reached when this one goes on from it."""


@dataclass(frozen=True, slots=True)
class FitResult:
    """What a fit found and how it got there."""

    parameters: MixtureParameters
    converged: bool
    n_iter: int
    """Iterations of the best run."""
    lower_bounds: tuple[float, ...]
    """Mean log-likelihood of each iteration of the best run."""
    n_samples: int
    """Rows in the data."""
    history: tuple[HistoryEntry, ...]

    @property
    def lower_bound(self) -> float:
        """The last of `lower_bounds`, minus infinity when there was no iteration."""
        return self.lower_bounds[-1] if self.lower_bounds else -math.inf

    @property
    def n_passes(self) -> int:
        """Full passes over the data, the first look included."""
        return self.history[-1].n_passes if self.history else 0


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of EM over the data."""

    parameters: MixtureParameters
    states: tuple[EMState, ...]

    @property
    def lower_bound(self) -> float:
        return self.states[-1].lower_bound if self.states else -math.inf


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
    sweep_data = _data_sweep(blocks, settings)
    best: _Run | None = None
    with one_thread_per_task():
        for start in _starts(blocks, settings, given, previous, random_state, journal):
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


def score_rows(blocks: RowBlocks, parameters: MixtureParameters) -> LogLikelihood:
    """Return the likelihood of all rows, in one pass; raises InputDataError when no row has positive weight."""
    with one_thread_per_task():
        score: LogLikelihood = sweep(blocks.rows, blocks.weights, _score_block, parameters, local=blocks.in_memory)
    _check_weight(score.weight, score.n_samples)
    return score


def _starts(
    blocks: RowBlocks,
    settings: FitSettings,
    given: GivenStart,
    previous: Start | None,
    random_state: np.random.RandomState,
    journal: Journal,
) -> Iterator[Start]:
    """Yield where to start EM over the data, as often as it is worth it."""
    if previous is not None:
        yield previous
        return
    checked = given.check(
        n_components=settings.n_components, n_features=blocks.n_features, covariance_type=settings.covariance_type
    )
    _check_enough(blocks.n_samples, settings)
    if given.is_complete:
        yield Start(checked)
        return
    size = sample_size(settings, checked.n_free, blocks.n_features)
    look = _look(blocks, settings, size, random_state, journal)
    found = (
        start_parameters(
            look.rows,
            look.weights,
            given,
            n_components=settings.n_components,
            covariance_type=settings.covariance_type,
            reg_covar=settings.reg_covar,
            init_params=settings.init_params,
            random_state=random_state,
        )
        for _ in range(settings.n_init)
    )
    if settings.acceleration is None or look.is_complete:
        yield from (Start(parameters) for parameters in found)
    else:
        runs = [_run_on_sample(parameters, look, settings, journal) for parameters in found]
        yield Start(max(runs, key=lambda run: run.lower_bound).parameters)


def _look(
    blocks: RowBlocks, settings: FitSettings, size: int | None, random_state: np.random.RandomState, journal: Journal
) -> FirstLook:
    """Take the first look and check that there is enough to see."""
    began = perf_counter()
    # A copy is drawn from: with all rows in the sample, starts must find the state where scikit-learn's would.
    copied = np.random.RandomState()
    copied.set_state(random_state.get_state())
    entropy = int(copied.randint(2**32, dtype=np.uint64))
    every = np.iinfo(np.int64).max
    look = first_look(
        blocks.rows, blocks.weights, size=every if size is None else size, entropy=entropy, local=blocks.in_memory
    )
    journal.add("first-look", n_samples=look.n_samples, seconds=perf_counter() - began)
    _check_weight(look.n_present, look.n_samples)
    _check_enough(look.n_present, settings)
    return look


def _check_weight(weight: float, n_samples: int) -> None:
    """Raise when there is nothing to fit: no rows, or none that counts."""
    if n_samples == 0:
        raise InputDataError("expected at least one row; got 0 rows (n_samples = 0)")
    if not weight > 0:
        raise InputDataError(f"sample_weight: expected rows of positive weight; all {n_samples} weights are zero")


def _check_enough(n_samples: int | None, settings: FitSettings) -> None:
    """Raise when there are known to be fewer rows than components."""
    if n_samples is not None and n_samples < settings.n_components:
        raise InputDataError(
            f"Expected n_samples >= n_components but got n_components = {settings.n_components}, "
            f"n_samples = {n_samples} (rows of weight 0 not counted). Use fewer components or more rows"
        )


def _run_on_sample(start: MixtureParameters, look: FirstLook, settings: FitSettings, journal: Journal) -> _Run:
    """Run EM on the sample in memory."""
    kernel = choose_kernel(settings.kernel)
    began = perf_counter()
    states = tuple(
        expectation_maximization(
            start,
            lambda parameters: kernel(look.rows, look.weights, parameters),
            reg_covar=settings.reg_covar,
            tol=settings.tol * SAMPLE_TOL_FRACTION,
            max_iter=settings.max_iter,
        )
    )
    run = _Run(states[-1].parameters if states else start, states)
    journal.add(
        "sample",
        n_samples=len(look.rows),
        seconds=perf_counter() - began,
        lower_bound=run.lower_bound if states else None,
        reseeded=tuple(component for state in states for component in state.reseeded),
    )
    return run


def _run(start: Start, sweep_data: Sweep, settings: FitSettings, journal: Journal) -> _Run:
    """Run EM over the data from one start."""
    states = []
    began = perf_counter()
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
            seconds=perf_counter() - began,
            lower_bound=state.lower_bound,
            change=state.change,
            reseeded=state.reseeded,
        )
        began = perf_counter()
    return _Run(states[-1].parameters if states else start.parameters, tuple(states))


@dataclass(frozen=True, slots=True)
class _BlockTask:
    """What every block needs for its E-step."""

    kernel: Kernel
    parameters: MixtureParameters


def _data_sweep(blocks: RowBlocks, settings: FitSettings) -> Sweep:
    """Return the E-step over all blocks."""
    kernel = choose_kernel(settings.kernel)

    def sweep_data(parameters: MixtureParameters) -> SufficientStatistics:
        task = _BlockTask(kernel, parameters)
        statistics = sweep(blocks.rows, blocks.weights, _e_step_of_block, task, local=blocks.in_memory)
        _check_weight(statistics.weight, statistics.n_samples)
        _check_enough(statistics.n_samples, settings)
        return statistics

    return sweep_data


def _e_step_of_block(
    rows: NDArray[Any], weights: NDArray[Any] | None, task: _BlockTask, block: int
) -> SufficientStatistics:
    return task.kernel(rows, weights, task.parameters)


def _score_block(
    rows: NDArray[Any], weights: NDArray[Any] | None, parameters: MixtureParameters, block: int
) -> LogLikelihood:
    return log_likelihood(rows, weights, parameters)
