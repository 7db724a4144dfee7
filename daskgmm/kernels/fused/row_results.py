"""What a mixture says of each row of a block, by the compiled loops, about each component's own mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.kernels.fused.formulations import LOG2_E, TILE_ROWS, clipped_logs, root_rows
from daskgmm.kernels.fused.number_formats import FLOAT64
from daskgmm.mixture.covariance import Floats, covariance_structure
from daskgmm.mixture.density import log_factors
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["CompiledRows"]


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRows:
    """A mixture as the compiled loops take it; results are computed in float64, whatever the rows are.

    Each method returns None if a row holds NaN or infinity, or lies so far out that squares overflow.
    """

    n_components: int
    given: tuple[Any, ...]
    """Arguments of the loops from the centre to the rows of a tile."""

    @classmethod
    def of(cls, parameters: MixtureParameters) -> CompiledRows:
        """Return the arguments for a mixture of any covariance type."""
        matrices = covariance_structure(parameters.covariance_type).has_matrices
        factors = root_rows(parameters) * math.sqrt(LOG2_E / 2)
        constants = clipped_logs(log_factors(parameters).ravel() * LOG2_E, FLOAT64)
        means = np.array(parameters.means, np.float64, order="C")
        return cls(len(means), (np.zeros(means.shape[1]), means, factors, constants, matrices, TILE_ROWS))

    def labels(self, rows: NDArray[Any]) -> Floats | None:
        """Return the first of the most probable components of each row, as numbers of shape (n_rows,)."""
        components = np.empty(len(rows))
        logs = self._described(rows, components=components)
        return None if logs is None else components

    def log_density(self, rows: NDArray[Any]) -> Floats | None:
        """Return the log density of each row in nats, shape (n_rows,)."""
        logs = self._described(rows)
        return None if logs is None else np.divide(logs, LOG2_E, out=logs)

    def responsibilities(self, rows: NDArray[Any]) -> Floats | None:
        """Return the posterior probability of each component for each row, shape (n_rows, n_components)."""
        shares = np.empty((len(rows), self.n_components))
        logs = self._described(rows, shares=shares)
        return None if logs is None else shares

    def _described(
        self, rows: NDArray[Any], *, components: Floats | None = None, shares: Floats | None = None
    ) -> Floats | None:
        """Return logarithms to base 2, and fill in what is given, unless the rows' squares are not finite."""
        from daskgmm.kernels.fused.row_loops import describe_rows

        logs = np.empty(len(rows))
        describe_rows(FLOAT64.name)(
            np.require(rows, dtype=np.float64, requirements="A"),
            *self.given,
            logs,
            np.empty(0) if components is None else components,
            np.empty((0, 0)) if shares is None else shares,
        )
        # Not so where one is NaN; infinite squares leave the lowest logarithm.
        return logs if not len(logs) or logs.min() > FLOAT64.lowest_log else None
