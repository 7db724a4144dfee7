"""The records of a fit: where it begins, one run of EM, and what comes out."""

from __future__ import annotations

import math
from dataclasses import dataclass

from daskgmm.history import HistoryEntry
from daskgmm.mixture.em import EMState
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["FitResult", "Run", "Start"]


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
class Run:
    """One run of EM over the data."""

    parameters: MixtureParameters
    states: tuple[EMState, ...]

    @property
    def lower_bound(self) -> float:
        """Mean log-likelihood at the last E-step, minus infinity when there was none."""
        return self.states[-1].lower_bound if self.states else -math.inf
