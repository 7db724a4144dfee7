"""Optima of a sample: which of them are one and the same, and which the sample cannot tell from the best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from daskgmm.fitting.in_memory import Rows, Scored
from daskgmm.kernels.per_row import log_density
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["Optimum", "not_merging", "separate", "undecided"]

# Of two optima that are alike in the data, the sample prefers the wrong one by more than two standard errors in 2 % of
# cases.
STANDARD_ERRORS = 2.0
# Ten steps of EM leave less than this of the divergence between two climbs to one optimum unless they are very slow,
# and nearly all of that between two optima or two places on a ridge.
MERGING = 0.6
# A row that one of two mixtures excludes says that they differ, and shall not overflow.
MOST_NATS = 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Optimum:
    """A mixture and what it says of some rows."""

    parameters: MixtureParameters
    rows: Rows
    log_densities: Floats
    """Of the rows, shape (n_rows,)."""

    @classmethod
    def on(cls, rows: Rows, parameters: MixtureParameters) -> Optimum:
        """Return what a mixture says of rows."""
        return cls(parameters, rows, log_density(rows.values, parameters))

    def divergence(self, other: Optimum) -> float:
        """Return how far apart two mixtures lie, in nats a row, whatever the order of their components.

        It is half the variance of the difference of their log densities: near each other that is the relative entropy,
        and far apart it is large as well.
        """
        _, deviations, shares = self._lead_of(other)
        return float(shares @ deviations**2) / 2

    def is_worse_than(self, other: Optimum) -> bool:
        """Return whether another mixture is better by more than what rows happen to prefer.

        The difference of two mean log-likelihoods of the same rows has the standard error of a mean of differences.
        """
        mean, deviations, shares = self._lead_of(other)
        return mean > STANDARD_ERRORS * math.sqrt(float(shares**2 @ deviations**2))

    def _lead_of(self, other: Optimum) -> tuple[float, Floats, Floats]:
        """Return the mean lead of another mixture, the rows' deviations from it, and their shares of the weight."""
        leads = np.clip(other.log_densities - self.log_densities, -MOST_NATS, MOST_NATS)
        weights = np.ones(len(leads)) if self.rows.weights is None else self.rows.weights
        shares = weights / weights.sum()
        mean = float(shares @ leads)
        return mean, leads - mean, shares


def separate(mixtures: Iterable[MixtureParameters], rows: Rows, *, apart: float, most: int) -> list[Optimum]:
    """Return those of some mixtures that lie apart from all that come before them.

    Parameters
    ----------
    mixtures : iterable of MixtureParameters
        The best first.
    rows : Rows
        That tell them apart.
    apart : float
        Least divergence from each other, in nats a row.
    most : int
        How many are enough.
    """
    found: list[Optimum] = []
    for mixture in mixtures:
        if len(found) == most:
            break
        here = Optimum.on(rows, mixture)
        if _lies_apart(here, found, apart):
            found.append(here)
    return found


def undecided(ends: Sequence[Scored], rows: Rows, *, apart: float, most: int) -> list[Optimum]:
    """Return the best of some optima of a sample, and those that it cannot tell from the best, the best first.

    Parameters
    ----------
    ends : sequence of Scored
        With their mean log-likelihoods on the rows.
    rows : Rows
        Those that decide, as far as they can.
    apart : float
        Least divergence from each other, in nats a row.
    most : int
        How many are enough.
    """
    found: list[Optimum] = []
    for end in sorted(ends, key=lambda end: -end.lower_bound):
        here = Optimum.on(rows, end.parameters)
        # Those further behind are worse yet.
        if len(found) == most or (found and here.is_worse_than(found[0])):
            break
        if _lies_apart(here, found, apart):
            found.append(here)
    return found


def not_merging(steps: Sequence[tuple[Optimum, Optimum]], *, apart: float, most: int) -> list[Optimum]:
    """Return optima that more steps of EM do not draw towards one that comes before them.

    Two climbs that have stopped short of the same optimum lie apart from each other as far as two optima may, and come
    closer as they go on.

    Parameters
    ----------
    steps : sequence of (Optimum, Optimum)
        Each before the steps and after them.
    apart : float
        Least divergence after them, in nats a row.
    most : int
        How many are enough.
    """
    kept: list[tuple[Optimum, Optimum]] = []
    for before, after in steps:
        if len(kept) < most and all(
            after.divergence(later) > max(apart, MERGING * before.divergence(earlier)) for earlier, later in kept
        ):
            kept.append((before, after))
    return [after for _, after in kept]


def _lies_apart(here: Optimum, others: Sequence[Optimum], apart: float) -> bool:
    return all(here.divergence(other) > apart for other in others)
