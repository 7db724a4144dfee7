"""The records of a fit: where it begins, one run over the data, and what comes out."""

from __future__ import annotations

import math
from dataclasses import dataclass

from daskgmm.history import HistoryEntry
from daskgmm.mixture.acceleration import Standing
from daskgmm.mixture.distribution import RowDistribution
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["FitResult", "Progress", "Run", "Start"]


@dataclass(frozen=True, slots=True)
class Start:
    """Where a run over the data begins."""

    parameters: MixtureParameters
    lower_bound: float = -math.inf
    """What an earlier fit had reached when this one goes on from it."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run over the data found."""

    parameters: MixtureParameters
    converged: bool
    lower_bounds: tuple[float, ...]
    """Mean log-likelihood of the parameters that each pass of the run evaluated."""
    lower_bound: float
    """That of the last pass of plain EM, or of the best one of an accelerated run."""


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """Where a run over the data stands between two passes."""

    parameters: MixtureParameters
    """What it would return now."""
    lower_bound: float
    """Mean log-likelihood of the last pass of plain EM, or of the best one of an accelerated run."""
    lower_bounds: tuple[float, ...] = ()
    """Of each pass so far."""
    converged: bool = False
    standing: Standing | None = None
    """What an accelerated run has learned."""

    @property
    def hope(self) -> float:
        """What the run may still gain at most, generously; infinite where nothing tells."""
        return math.inf if self.standing is None else self.standing.hope

    @property
    def run(self) -> Run:
        """The run, if it ends here."""
        return Run(self.parameters, self.converged, self.lower_bounds, self.lower_bound)


@dataclass(frozen=True, slots=True)
class FitResult:
    """What a fit found and how it got there."""

    run: Run
    """The best one."""
    n_samples: int
    """Rows in the data."""
    n_passes: int
    """Full passes over the data, the first look included."""
    history: tuple[HistoryEntry, ...]
    weight: float | None = None
    """Sum of the weights of the rows that were fitted to; None when no pass has told."""
    distribution: RowDistribution | None = None
    """How the rows are distributed under the mixture; None when no pass has drawn any."""

    @property
    def parameters(self) -> MixtureParameters:
        """The mixture found."""
        return self.run.parameters

    @property
    def converged(self) -> bool:
        """Whether the best run stopped because there was less than `tol` to gain."""
        return self.run.converged

    @property
    def n_iter(self) -> int:
        """Passes of the best run."""
        return len(self.run.lower_bounds)

    @property
    def lower_bounds(self) -> tuple[float, ...]:
        """Mean log-likelihood of each pass of the best run."""
        return self.run.lower_bounds

    @property
    def lower_bound(self) -> float:
        """Mean log-likelihood of the best run, minus infinity when there was no iteration."""
        return self.run.lower_bound
