"""EM on rows in memory, and the best of several outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import DegenerateMixtureError
from daskgmm.kernels import choose_kernel
from daskgmm.mixture.em import EMState, expectation_maximization
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.settings import FitSettings

__all__ = ["Rows", "Scored", "fit_rows", "scored", "sound"]


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
class Scored:
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


def scored(parameters: MixtureParameters, rows: Rows, settings: FitSettings) -> Scored:
    """Return a mixture with its mean log-likelihood on some rows."""
    statistics = choose_kernel(settings.kernel)(rows.values, rows.weights, parameters)
    return Scored(parameters, statistics.lower_bound)


def sound(outcomes: Sequence[Scored | DegenerateMixtureError]) -> list[Scored]:
    """Return the mixtures found, the best first; raise the first error when there are none."""
    found = [outcome for outcome in outcomes if isinstance(outcome, Scored)]
    if not found:
        raise next(outcome for outcome in outcomes if isinstance(outcome, DegenerateMixtureError))
    return sorted(found, key=lambda one: -one.lower_bound)
