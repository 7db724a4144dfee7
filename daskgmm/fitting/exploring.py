"""Many starts on a sample in memory, of which the most promising are followed to their end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskgmm.engine.tasks import run_tasks
from daskgmm.errors import DegenerateMixtureError
from daskgmm.fitting.in_memory import Rows, Scored, fit_rows, scored, sound
from daskgmm.fitting.relocating import Ground, with_components_relocated
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.settings import FitSettings
from daskgmm.start import GivenStart, start_parameters

__all__ = ["best_on_sample"]

# Starts by the method asked for, by k-means++ and at random rows. k-means leads to the same optimum nearly every time
# and takes longer than the other two together; at random rows, two starts of 40 ended above all others on jittered real
# data (6e-3 nats a row above k-means' best), none of k-means'. Ten iterations tell the best from the four in front in
# most cases.
STARTS_AS_ASKED, OTHER_STARTS = 4, {"k-means++": 8, "random_from_data": 20}
FOLLOWED = 4
EXPLORING_ITERATIONS, FOLLOWING_ITERATIONS, LAST_ITERATIONS = 10, 100, 10
# Ten thousand rows and more rank optima as all rows do (correlations of 0.96), three thousand do not; and many
# parameters need rows of their own. Each round sees several times the rows of the one before it.
EXPLORED_ROWS, EXPLORED_ROWS_A_PARAMETER = 20_000, 2
FOLLOWED_ROWS, FOLLOWED_ROWS_A_PARAMETER = 60_000, 5
# Fewer rows cannot tell a cluster from a few rows that lie close together by chance.
RELOCATED_ROWS, RELOCATED_ROWS_A_PARAMETER = 10_000, 10
# A start that has fitted single rows shows on rows that it has not seen.
HELD_OUT = 0.2
# What is left to gain on a part of the sample is nothing to what full passes will correct. Data that are their own
# sample are fitted to their end, a hundredth of what a pass is worth.
TOL_FRACTION, COMPLETE_TOL_FRACTION = 0.1, 0.01


@dataclass(frozen=True, slots=True)
class _Way:
    """How one start is made."""

    init_params: str
    seed: int


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
        `n_init` starts are made by its `init_params`, and no fewer than 4; others are made by other ways.
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
    exploration = _Exploration(explored, given, settings)
    found = sound(run_tasks(_explore, _ways_to_start(settings, random_state), exploration, local=local))
    followed = [one.parameters for one in found[:FOLLOWED]]
    best = sound(run_tasks(_follow, followed, following, local=local))[0].parameters
    if given.is_empty and len(rows) >= max(RELOCATED_ROWS, RELOCATED_ROWS_A_PARAMETER * n_free):
        ground = Ground(explored, fitted, rows, settings, following.tol_fraction)
        best = with_components_relocated(best, ground, random_state, local=local)
    if is_complete:
        return best
    return fit_rows(best, rows, settings, max_iter=LAST_ITERATIONS, tol_fraction=TOL_FRACTION)[-1].parameters


def _ways_to_start(settings: FitSettings, random_state: np.random.RandomState) -> list[_Way]:
    """Return the ways to all starts, each with a seed of its own."""
    methods = [settings.init_params] * max(STARTS_AS_ASKED, settings.n_init)
    methods += [method for method, number in OTHER_STARTS.items() for _ in range(number)]
    seeds = random_state.randint(np.iinfo(np.int32).max, size=len(methods))
    return [_Way(method, int(seed)) for method, seed in zip(methods, seeds, strict=True)]


def _explore(way: _Way, shared: _Exploration) -> Scored | DegenerateMixtureError:
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
            init_params=way.init_params,
            random_state=np.random.RandomState(way.seed),
        )
        states = fit_rows(start, rows, settings, max_iter=EXPLORING_ITERATIONS, tol_fraction=TOL_FRACTION)
    except DegenerateMixtureError as error:
        return error
    return Scored(states[-1].parameters, states[-1].lower_bound)


def _follow(start: MixtureParameters, shared: _Following) -> Scored | DegenerateMixtureError:
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
    return scored(states[-1].parameters, shared.judged_on, shared.settings)
