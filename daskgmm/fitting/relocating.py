"""Better optima on a sample: components that are little missed are moved, and stay where the likelihood gains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daskgmm.engine.tasks import run_tasks
from daskgmm.errors import DegenerateMixtureError
from daskgmm.fitting.in_memory import Rows, Scored, fit_rows, scored
from daskgmm.fitting.optima import Optimum
from daskgmm.kernels.per_row import responsibilities
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.relocation import losses_without, relocated
from daskgmm.settings import FitSettings

__all__ = ["NEAR", "TOLD_BY", "Ground", "with_components_relocated"]

# Each round tries moves of the components that are missed least, one of them or two, to rows of the others.
MOST_MISSED_LEAST = 4
MOST_MOVES, FEWEST_MOVES = 24, 8
# Free parameters that all moves of a round have together, beyond which fewer are tried: with 32 features and components
# eight moves take ten seconds.
MOST_PARAMETERS = 100_000
# Rounds in a row that may fail: few where none has succeeded, and more the more have, for some likelihoods have many
# optima and most have few.
FEWEST_FAILURES, FAILURES_A_SUCCESS, MOST_FAILURES, MOST_ROUNDS = 6, 1, 8, 20
# Optima that moves start from in turn, as long as those from the best fail: the best of many optima is often one
# move away from another one that is good, and not from where most moves lead.
MOST_PLACES = 2
# Rows that tell one place from another.
TOLD_BY = 5_000
# Mixtures of the same rows lie nearer than this to the same optimum, as a share of n_free / n: the optimum of n rows
# itself lies half of that from the data's (Akaike 1974).
NEAR = 1 / 8
# Moves are compared after a few steps, the best of them after some more, and one is followed to its end: the best that
# does not lead to where others have led, as most moves from an optimum lead back to it. Its end is far off where EM is
# slow; mixtures with thousands of parameters take fewer steps.
FIRST_ITERATIONS, SECOND_ITERATIONS, FEWEST_LAST, MOST_LAST = 10, 30, 60, 200
FOLLOWED = 6
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
    ends: Sequence[Scored], ground: Ground, random_state: np.random.RandomState, *, local: bool
) -> list[Scored]:
    """Return optima, and where moves of single components lead from them.

    Parameters
    ----------
    ends : sequence of Scored
        Optima of the rows, at least one, with their mean log-likelihoods on the rows that decide.
    ground : Ground
    random_state : numpy.random.RandomState
        Where the rows that components are moved to are drawn from.
    local : bool
        Whether to stay in this process.
    """
    visited, places = list(ends), _Places(ground, local=local)
    for end in ends:
        places.add(end)
    n_failures, n_successes, most_failures = 0, 0, FEWEST_FAILURES
    for _ in range(MOST_ROUNDS if ends[0].parameters.n_components > 1 else 0):
        base, highest = places.next, places.highest
        there = _best_of(list(_moves(base.parameters, ground.explored, random_state)), ground, places, local=local)
        if there is not None:
            visited.append(there)
            places.add(there)
        if places.highest > highest + ground.settings.tol * ground.tol_fraction:
            n_failures, n_successes = 0, n_successes + 1
            most_failures = min(MOST_FAILURES, FEWEST_FAILURES + FAILURES_A_SUCCESS * n_successes)
        else:
            n_failures += 1
            places.failed(base)
        if n_failures == most_failures:
            break
    return visited


class _Places:
    """Where moves start from: optima that lie apart from each other, the best and, as long as moves fail, others.

    Parameters
    ----------
    ground : Ground
    local : bool
        Whether to stay in this process.
    """

    def __init__(self, ground: Ground, *, local: bool) -> None:
        self._ground = ground
        self._local = local
        self._told_by = ground.explored[:TOLD_BY]
        self._ends: list[Scored] = []
        self._optima: list[Optimum] = []
        self._n_failures: list[int] = []

    @property
    def highest(self) -> float:
        """The best mean log-likelihood so far."""
        return max(end.lower_bound for end in self._ends)

    @property
    def next(self) -> Scored:
        """Where to start from: of the best few the one that failed least, and of equals the best."""
        order = sorted(range(len(self._ends)), key=lambda place: -self._ends[place].lower_bound)[:MOST_PLACES]
        return self._ends[min(order, key=lambda place: self._n_failures[place])]

    def failed(self, base: Scored) -> None:
        """Note that moves from a place led nowhere better."""
        for place, end in enumerate(self._ends):
            self._n_failures[place] += end is base

    def add(self, end: Scored) -> None:
        """Add a place, or improve on what is known of it."""
        ground = self._ground
        # Moves are compared with it when they have been fitted to the rows explored.
        steps = _Steps(ground.explored, ground.settings, SECOND_ITERATIONS, ground.tol_fraction)
        explored = _followed_best([end.parameters], steps, local=self._local)
        here = Optimum.on(self._told_by, *explored or [end.parameters])
        place = self._place_of(here)
        if place is None:
            self._ends.append(end)
            self._optima.append(here)
            self._n_failures.append(0)
        elif end.lower_bound > self._ends[place].lower_bound:
            self._ends[place], self._optima[place] = end, here

    def is_known(self, mixture: MixtureParameters) -> bool:
        """Return whether a mixture that was fitted to the rows explored is at a known place."""
        return self._place_of(Optimum.on(self._told_by, mixture)) is not None

    def _place_of(self, here: Optimum) -> int | None:
        apart = NEAR * here.parameters.n_free / len(self._ground.explored)
        near = (place for place, other in enumerate(self._optima) if here.divergence(other) <= apart)
        return next(near, None)


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


def _best_of(moves: list[MixtureParameters], ground: Ground, places: _Places, *, local: bool) -> Scored | None:
    """Return the end of the most promising move, one that is not known yet if there is one; None when all collapse."""
    settings, tol_fraction = ground.settings, ground.tol_fraction
    for max_iter in (FIRST_ITERATIONS, SECOND_ITERATIONS):
        steps = _Steps(ground.explored, settings, max_iter, tol_fraction)
        moves = _followed_best(moves, steps, local=local)[:FOLLOWED]
    chosen = ([move for move in moves if not places.is_known(move)] or moves)[:1]
    if not chosen:
        return None
    max_iter = max(FEWEST_LAST, min(MOST_LAST, MOST_PARAMETERS // chosen[0].n_free))
    ends = _followed_best(chosen, _Steps(ground.fitted, settings, max_iter, tol_fraction), local=local)
    return scored(ends[0], ground.judged_on, settings) if ends else None


def _followed_best(moves: list[MixtureParameters], steps: _Steps, *, local: bool) -> list[MixtureParameters]:
    """Return where some steps of EM lead from each of the moves, the best first, without those that collapse."""
    outcomes = run_tasks(_followed, moves, steps, local=local)
    ends = sorted((one for one in outcomes if isinstance(one, Scored)), key=lambda one: -one.lower_bound)
    return [end.parameters for end in ends]


def _followed(start: MixtureParameters, shared: _Steps) -> Scored | DegenerateMixtureError:
    """Take some steps of EM."""
    try:
        states = fit_rows(
            start, shared.rows, shared.settings, max_iter=shared.max_iter, tol_fraction=shared.tol_fraction
        )
    except DegenerateMixtureError as error:
        return error
    return Scored(states[-1].parameters, states[-1].lower_bound)
