"""Many starts on a sample in memory, of which the most promising are followed to their end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskgmm.engine.tasks import run_tasks
from daskgmm.errors import DegenerateMixtureError
from daskgmm.fitting.in_memory import Rows, Scored, fit_rows, scored, sound
from daskgmm.fitting.optima import Optimum, not_merging, separate, undecided
from daskgmm.fitting.relocating import NEAR, TOLD_BY, Ground, with_components_relocated
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.settings import FitSettings
from daskgmm.start import GivenStart, start_parameters

__all__ = ["best_on_sample"]

# Starts by the method asked for, by k-means++ and at random rows. k-means leads to the same optimum nearly every time
# and takes longer than many of the others together. On jittered real data one start of 15 to 60 at random rows leads to
# the best optimum known, and so does one of 30 by k-means++.
STARTS_AS_ASKED, OTHER_STARTS = 4, {"k-means++": 20, "random_from_data": 40}
EXPLORING_ITERATIONS = 10
# (starts kept, more iterations): those that lead to the best optimum stand at ranks 8 to 29 of 60 after ten iterations,
# and half of them still behind rank 20 after thirty.
PURSUED = ((32, 20), (16, 40), (8, 60))
# With so few rows half the starts find optima as good (six overlapping components in 3,000 rows, mean of four seeds:
# -4.8936 and -4.8935 nats a row), in half the time: 0.4 seconds of 0.8 for 600 rows, which is most of such a fit.
FEW_ROWS, PURSUED_OF_FEW_ROWS = 10_000, ((16, 20), (8, 60))
# Of these, so many that lie apart are followed to their ends.
FOLLOWED, FOLLOWING_ITERATIONS = 4, 100
# Optima that go on to all rows: on 18 cases the sample left three undecided or fewer, except where there were dozens.
# Twice as many take some steps on the whole sample before.
MOST_OPTIMA, LAST_ITERATIONS = 3, 10
# Ten thousand rows and more rank optima as all rows do (correlations of 0.96), three thousand do not; and many
# parameters need rows of their own. Each round sees several times the rows of the one before it.
EXPLORED_ROWS, EXPLORED_ROWS_A_PARAMETER = 10_000, 2
FOLLOWED_ROWS, FOLLOWED_ROWS_A_PARAMETER = 60_000, 5
# Moves of small components need more rows than whole starts do.
MOVED_ROWS = 16_000
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
    max_iter: int


def best_on_sample(
    rows: Rows,
    given: GivenStart,
    settings: FitSettings,
    random_state: np.random.RandomState,
    *,
    is_complete: bool,
    n_free: int,
    local: bool,
) -> list[MixtureParameters]:
    """Return the best mixture found from many starts on a sample, and others that the sample cannot tell from it.

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
    tol_fraction = COMPLETE_TOL_FRACTION if is_complete else TOL_FRACTION
    ways = _ways_to_start(settings, random_state, n_rows=len(rows))
    found = _pursued(ways, _Exploration(explored, given, settings), local=local)
    following = _Following(fitted, judged_on, settings, tol_fraction, FOLLOWING_ITERATIONS)
    ends = sound(run_tasks(_follow, found, following, local=local))
    if given.is_empty and len(rows) >= max(RELOCATED_ROWS, RELOCATED_ROWS_A_PARAMETER * n_free):
        judged_on, ends = rows, [scored(end.parameters, rows, settings) for end in ends]
        ground = Ground(fitted[: max(MOVED_ROWS, len(explored))], fitted, rows, settings, tol_fraction)
        ends = with_components_relocated(ends, ground, random_state, local=local)
    if is_complete:
        return [max(ends, key=lambda end: end.lower_bound).parameters]
    optima = undecided(ends, judged_on, apart=settings.tol, most=2 * MOST_OPTIMA)
    last = _Following(rows, judged_on, settings, TOL_FRACTION, LAST_ITERATIONS)
    outcomes = run_tasks(_follow, [one.parameters for one in optima], last, local=local)
    # In the order in which they came: rows that were fitted to say less of them.
    steps = [
        (before, Optimum.on(judged_on, after.parameters))
        for before, after in zip(optima, outcomes, strict=True)
        if isinstance(after, Scored)
    ]
    if not steps:
        raise next(outcome for outcome in outcomes if isinstance(outcome, DegenerateMixtureError))
    return [one.parameters for one in not_merging(steps, apart=settings.tol, most=MOST_OPTIMA)]


def _pursued(ways: list[_Way], exploration: _Exploration, *, local: bool) -> list[MixtureParameters]:
    """Return where the most promising starts stand after some steps, of which the others have taken fewer."""
    found = sound(run_tasks(_explore, ways, exploration, local=local))
    rows, settings = exploration.rows, exploration.settings
    for n_kept, max_iter in PURSUED_OF_FEW_ROWS if len(rows) < FEW_ROWS else PURSUED:
        shared = _Following(rows, rows, settings, TOL_FRACTION, max_iter)
        found = sound(run_tasks(_follow, _apart(found, rows, most=n_kept), shared, local=local))
    return _apart(found, rows, most=FOLLOWED)


def _apart(found: list[Scored], rows: Rows, *, most: int) -> list[MixtureParameters]:
    """Return the first of those found that are not near one another."""
    mixtures = [one.parameters for one in found]
    apart = NEAR * mixtures[0].n_free / len(rows)
    return [one.parameters for one in separate(mixtures, rows[:TOLD_BY], apart=apart, most=most)]


def _ways_to_start(settings: FitSettings, random_state: np.random.RandomState, *, n_rows: int) -> list[_Way]:
    """Return the ways to all starts, each with a seed of its own."""
    methods = [settings.init_params] * max(STARTS_AS_ASKED, settings.n_init)
    share = 2 if n_rows < FEW_ROWS else 1
    methods += [method for method, number in OTHER_STARTS.items() for _ in range(number // share)]
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
            max_iter=shared.max_iter,
            tol_fraction=shared.tol_fraction,
        )
    except DegenerateMixtureError as error:
        return error
    return scored(states[-1].parameters, shared.judged_on, shared.settings)
