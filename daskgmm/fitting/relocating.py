"""Better optima on a sample: components that are little missed are moved, and stay where the likelihood gains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daskgmm.engine.tasks import run_tasks
from daskgmm.errors import DegenerateMixtureError
from daskgmm.fitting.in_memory import Rows, Scored, fit_rows, scored
from daskgmm.kernels.per_row import responsibilities
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.relocation import losses_without, relocated
from daskgmm.settings import FitSettings

__all__ = ["Ground", "with_components_relocated"]

# Each round tries moves of the components that are missed least, one of them or two, to rows of the others.
MOST_MISSED_LEAST = 4
MOST_MOVES, FEWEST_MOVES = 24, 8
# Free parameters that all moves of a round have together, beyond which fewer are tried: with 32 features and components
# eight moves take ten seconds.
MOST_PARAMETERS = 100_000
# Rounds in a row that may fail: few where none has succeeded, and more the more have, for some likelihoods have many
# optima and most have few.
FEWEST_FAILURES, FAILURES_A_SUCCESS, MOST_FAILURES, MOST_ROUNDS = 2, 2, 6, 16
# Moves are compared after a few steps, the best of them after some more, and the very best at its end.
FIRST_ITERATIONS, SECOND_ITERATIONS, LAST_ITERATIONS = 10, 20, 60
FOLLOWED = 4
# Responsibilities that are held at once, 32 MiB.
MOST_ELEMENTS = 2**22


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What moves are tried on."""

    explored: Rows
    """Rows that tell which moves are promising."""
    fitted: Rows
    """Rows that the promising ones are fitted to."""
    judged_on: Rows
    """Rows that decide."""
    settings: FitSettings
    tol_fraction: float
    """Of the settings' tol: EM on the rows may stop at it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """What every move shares."""

    rows: Rows
    settings: FitSettings
    max_iter: int
    tol_fraction: float


def with_components_relocated(
    best: MixtureParameters, ground: Ground, random_state: np.random.RandomState, *, local: bool
) -> MixtureParameters:
    """Return the best mixture that moves of single components lead to, or the one given.

    Parameters
    ----------
    best : MixtureParameters
        An optimum on the rows.
    ground : Ground
    random_state : numpy.random.RandomState
        Where the rows that components are moved to are drawn from.
    local : bool
        Whether to stay in this process.
    """
    n_failures, n_successes = 0, 0
    most_failures = FEWEST_FAILURES
    here = scored(best, ground.judged_on, ground.settings)
    for _ in range(MOST_ROUNDS if best.n_components > 1 else 0):
        moves = list(_moves(here.parameters, ground.explored, random_state))
        there = _best_of(moves, ground, local=local)
        if there is not None and there.lower_bound > here.lower_bound + ground.settings.tol * ground.tol_fraction:
            here, n_failures, n_successes = there, 0, n_successes + 1
            most_failures = min(MOST_FAILURES, FEWEST_FAILURES + FAILURES_A_SUCCESS * n_successes)
        else:
            n_failures += 1
        if n_failures == most_failures:
            break
    return here.parameters


def _moves(
    parameters: MixtureParameters, rows: Rows, random_state: np.random.RandomState
) -> Iterator[MixtureParameters]:
    """Yield mixtures with one component moved beside each of the others in turn, to one of its rows."""
    n_components = parameters.n_components
    rows = rows[: max(n_components, MOST_ELEMENTS // n_components)]
    shares = responsibilities(rows.values, parameters)
    leaving = np.argsort(losses_without(shares, rows.weights), kind="stable")[:MOST_MISSED_LEAST]
    by_owner = _rows_by_owner(shares.argmax(axis=1), rows.weights, n_components)
    n_moves = min(MOST_MOVES, max(FEWEST_MOVES, MOST_PARAMETERS // parameters.n_free))
    for move in range(n_moves):
        moved = parameters
        for component in np.roll(leaving, -move)[: 1 + move // len(leaving) % 2]:
            others = [owner for owner in range(n_components) if owner != component and len(by_owner[owner])]
            if not others:
                return
            beside = others[random_state.randint(len(others))]
            mean = rows.values[by_owner[beside][random_state.randint(len(by_owner[beside]))]]
            moved = relocated(moved, int(component), beside=beside, mean=mean)
        yield moved


def _rows_by_owner(
    owners: NDArray[np.intp], weights: NDArray[np.float64] | None, n_components: int
) -> list[NDArray[np.intp]]:
    """Return for each component the indices of the rows of positive weight that belong to it most."""
    if weights is not None:
        owners = np.where(weights > 0, owners, n_components)
    order = np.argsort(owners, kind="stable")
    ends = np.searchsorted(owners[order], np.arange(n_components), side="right")
    return np.split(order, ends)[:n_components]


def _best_of(moves: list[MixtureParameters], ground: Ground, *, local: bool) -> Scored | None:
    """Return the best end that moves lead to; None when all collapse."""
    settings = ground.settings
    for rows, max_iter, n_kept in (
        (ground.explored, FIRST_ITERATIONS, FOLLOWED),
        (ground.explored, SECOND_ITERATIONS, 1),
        (ground.fitted, LAST_ITERATIONS, 1),
    ):
        steps = _Steps(rows, settings, max_iter, ground.tol_fraction)
        outcomes = run_tasks(_followed, moves, steps, local=local)
        ends = sorted((one for one in outcomes if isinstance(one, Scored)), key=lambda one: -one.lower_bound)
        moves = [end.parameters for end in ends[:n_kept]]
    return scored(moves[0], ground.judged_on, settings) if moves else None


def _followed(start: MixtureParameters, shared: _Steps) -> Scored | DegenerateMixtureError:
    """Take some steps of EM."""
    try:
        states = fit_rows(
            start, shared.rows, shared.settings, max_iter=shared.max_iter, tol_fraction=shared.tol_fraction
        )
    except DegenerateMixtureError as error:
        return error
    return Scored(states[-1].parameters, states[-1].lower_bound)
