"""Many starts on a sample in memory, of which the most promising are followed to their end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daskgmm.engine.tasks import run_tasks
from daskgmm.errors import DegenerateMixtureError
from daskgmm.kernels import choose_kernel
from daskgmm.mixture.em import EMState, expectation_maximization
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.settings import FitSettings
from daskgmm.start import GivenStart, start_parameters

__all__ = ["Rows", "best_on_sample", "fit_rows"]

# Of 1, 4, 8 and 16 starts each more found a better optimum on overlapping mixtures, by up to 0.16 nats a row; ten
# iterations tell the best of 16 from the four in front in most cases.
STARTS, FOLLOWED = 16, 4
EXPLORING_ITERATIONS, FOLLOWING_ITERATIONS, LAST_ITERATIONS = 10, 100, 10
# Ten thousand rows and more rank optima as all rows do (correlations of 0.96), three thousand do not; and many
# parameters need rows of their own. Each round sees several times the rows of the one before it.
EXPLORED_ROWS, EXPLORED_ROWS_A_PARAMETER = 20_000, 2
FOLLOWED_ROWS, FOLLOWED_ROWS_A_PARAMETER = 60_000, 5
# A start that has fitted single rows shows on rows that it has not seen.
HELD_OUT = 0.2
# What is left to gain on a part of the sample is nothing to what full passes will correct. Data that are their own
# sample are fitted to their end, a hundredth of what a pass is worth.
TOL_FRACTION, COMPLETE_TOL_FRACTION = 0.1, 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows in memory and their weights."""

    values: NDArray[np.float64]
    weights: NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: slice) -> Rows:
        return Rows(self.values[index], None if self.weights is None else self.weights[index])


@dataclass(frozen=True, slots=True, eq=False)
class _Exploration:
    """What every start shares."""

    rows: Rows
    given: GivenStart
    settings: FitSettings


@dataclass(frozen=True, slots=True, eq=False)
class _Following:
    """What every start that is followed shares."""

    rows: Rows
    judged_on: Rows
    settings: FitSettings
    tol_fraction: float


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """A mixture and how it did."""

    parameters: MixtureParameters
    lower_bound: float


def fit_rows(
    start: MixtureParameters, rows: Rows, settings: FitSettings, *, max_iter: int, tol_fraction: float
) -> list[EMState]:
    """Run EM on rows in memory until it gains less than a fraction of what EM over the data may stop at."""
    kernel = choose_kernel(settings.kernel)
    return list(
        expectation_maximization(
            start,
            lambda parameters: kernel(rows.values, rows.weights, parameters),
            reg_covar=settings.reg_covar,
            tol=settings.tol * tol_fraction,
            max_iter=max_iter,
        )
    )


def best_on_sample(
    rows: Rows,
    given: GivenStart,
    settings: FitSettings,
    random_state: np.random.RandomState,
    *,
    is_complete: bool,
    n_free: int,
    local: bool,
) -> MixtureParameters:
    """Return the best mixture found from many starts on a sample.

    Parameters
    ----------
    rows : Rows
        The sample, in any order that has nothing to do with what the rows hold.
    given : GivenStart
        What the user gave of a start; it replaces what is found.
    settings : FitSettings
        `n_init` starts are made, and no fewer than 16.
    random_state : numpy.random.RandomState
        Where seeds are drawn from.
    is_complete : bool
        Whether the sample is all rows; they are not held out from each other then.
    n_free : int
        Free parameters of the mixture.
    local : bool
        Whether to stay in this process.

    Raises
    ------
    ParameterError
        If a given array is not valid.
    DegenerateMixtureError
        If every start collapses.
    """
    # A start needs a row for each component.
    held_out = 0 if is_complete else min(int(HELD_OUT * len(rows)), len(rows) - settings.n_components)
    fitted, judged_on = rows[held_out:], rows[:held_out] if held_out else rows
    explored = fitted[: max(EXPLORED_ROWS, EXPLORED_ROWS_A_PARAMETER * n_free)]
    if not is_complete:
        fitted = fitted[: max(FOLLOWED_ROWS, FOLLOWED_ROWS_A_PARAMETER * n_free)]
    following = _Following(fitted, judged_on, settings, COMPLETE_TOL_FRACTION if is_complete else TOL_FRACTION)
    seeds = random_state.randint(np.iinfo(np.int32).max, size=max(STARTS, settings.n_init))
    exploration = _Exploration(explored, given, settings)
    found = _sound(run_tasks(_explore, [int(seed) for seed in seeds], exploration, local=local))
    followed = [one.parameters for one in found[:FOLLOWED]]
    best = _sound(run_tasks(_follow, followed, following, local=local))[0].parameters
    if is_complete:
        return best
    return fit_rows(best, rows, settings, max_iter=LAST_ITERATIONS, tol_fraction=TOL_FRACTION)[-1].parameters


def _explore(seed: int, shared: _Exploration) -> _Scored | DegenerateMixtureError:
    """Make a start and take a few steps of EM."""
    settings, rows = shared.settings, shared.rows
    try:
        start = start_parameters(
            rows.values,
            rows.weights,
            shared.given,
            n_components=settings.n_components,
            covariance_type=settings.covariance_type,
            reg_covar=settings.reg_covar,
            init_params=settings.init_params,
            random_state=np.random.RandomState(seed),
        )
        states = fit_rows(start, rows, settings, max_iter=EXPLORING_ITERATIONS, tol_fraction=TOL_FRACTION)
    except DegenerateMixtureError as error:
        return error
    return _Scored(states[-1].parameters, states[-1].lower_bound)


def _follow(start: MixtureParameters, shared: _Following) -> _Scored | DegenerateMixtureError:
    """Run EM to its end, and judge what it found."""
    try:
        states = fit_rows(
            start,
            shared.rows,
            shared.settings,
            max_iter=FOLLOWING_ITERATIONS,
            tol_fraction=shared.tol_fraction,
        )
    except DegenerateMixtureError as error:
        return error
    judge = choose_kernel(shared.settings.kernel)
    statistics = judge(shared.judged_on.values, shared.judged_on.weights, states[-1].parameters)
    return _Scored(states[-1].parameters, statistics.lower_bound)


def _sound(outcomes: list[_Scored | DegenerateMixtureError]) -> list[_Scored]:
    """Return the mixtures found, the best first; raise the first error when there are none."""
    scored = [outcome for outcome in outcomes if isinstance(outcome, _Scored)]
    if not scored:
        raise next(outcome for outcome in outcomes if isinstance(outcome, DegenerateMixtureError))
    return sorted(scored, key=lambda one: -one.lower_bound)
