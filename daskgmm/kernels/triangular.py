"""Moments of a block of many features, with full covariances.

Log densities come from whitened rows, y = P^T x with P upper triangular: panels of a few columns of all components'
factors are multiplied with only as many features as their columns have, which halves the work of a square product.
Second moments take only the rows whose responsibility matters; between separated clusters that is a few in a hundred.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.kernels.moments import Moments
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.density import log_factors, normalize_and_sum
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics

__all__ = ["triangular_moments"]

# Columns of a panel: fewer leave less of the upper triangle's zeros in the product, more make the products larger.
# Measured on 64 and 128 features: 8 is faster than 16 by 3 % and than 32 by 10 %.
PANEL = 8
# Rows of a tile: 1,024 is faster than 512 by 12 % and than 256 by 25 %.
TILE_ROWS = 1024
# A responsibility below this is left out of second moments if what is left out adds up to no more than rounding.
SMALL_RESPONSIBILITY = 1e-14
LEFT_OUT = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, eq=False)
class _Panel:
    """A few columns of all components' factors."""

    n_features: int
    """How many features these columns of the triangle reach down to."""
    factors: Floats
    """Rows for [1, x], shape (n_components * columns, 1 + n_features)."""


def triangular_moments(rows: NDArray[Any], weights: Floats | None, parameters: MixtureParameters) -> Moments:
    """Return the moments of rows (n_rows, n_features) about the means; not finite if a row's are not.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
        Any real dtype.
    weights : array of shape (n_rows,) or None
        Positive sample weights; None means 1 each.
    parameters : MixtureParameters
        With full covariances.
    """
    n_components, n_features = parameters.means.shape
    centre = parameters.weights @ parameters.means
    panels = _panels(parameters, centre)
    offsets = log_factors(parameters)
    zero = SufficientStatistics.zero(parameters)
    log_likelihood, counts, first, second = 0.0, zero.counts, zero.first, zero.second
    longest = min(TILE_ROWS, len(rows))
    columns_memory = np.empty((n_features + 1) * longest)
    whitened_memory = np.empty(n_components * PANEL * longest)
    for start in range(0, len(rows), TILE_ROWS):
        tile = np.asarray(rows[start : start + TILE_ROWS], dtype=np.float64)
        columns = columns_memory[: (n_features + 1) * len(tile)].reshape(n_features + 1, len(tile))
        columns[0] = 1.0
        np.subtract(tile.T, centre[:, None], out=columns[1:])
        distances = _squared_distances(columns, panels, n_components, whitened_memory)
        log_prob = offsets - distances / 2
        tile_weights = None if weights is None else weights[start : start + TILE_ROWS]
        log_likelihood += normalize_and_sum(log_prob, tile_weights)
        counts += log_prob.sum(axis=1)
        for k in range(n_components):
            _add_moments(tile, log_prob[k], distances[k], parameters.means[k], first[k], second[k])
    return Moments(log_likelihood, counts, first, second)


def _panels(parameters: MixtureParameters, centre: Floats) -> list[_Panel]:
    """Return the factors of all components in panels of columns, rows taken relative to a common centre.

    Deviations from each mean are left to the product as well: P^T (x - mean) = P^T (x - centre) - P^T (mean - centre).
    """
    factors = parameters.precisions_cholesky
    shifts = np.einsum("kd,kde->ke", parameters.means - centre, factors)
    panels = []
    for start in range(0, parameters.n_features, PANEL):
        stop = min(start + PANEL, parameters.n_features)
        columns = factors[:, :stop, start:stop].transpose(0, 2, 1)
        panel = np.concatenate([-shifts[:, start:stop, None], columns], axis=2)
        panels.append(_Panel(stop, panel.reshape(-1, stop + 1)))
    return panels


def _squared_distances(columns: Floats, panels: list[_Panel], n_components: int, memory: Floats) -> Floats:
    """Return squared Mahalanobis distances (n_components, n_rows) of [1, x] in columns from all means."""
    n_rows = columns.shape[1]
    distances = np.zeros((n_components, n_rows))
    for panel in panels:
        n_whitened = len(panel.factors)
        whitened = memory[: n_whitened * n_rows].reshape(n_whitened, n_rows)
        np.matmul(panel.factors, columns[: panel.n_features + 1], out=whitened)
        by_component = whitened.reshape(n_components, -1, n_rows)
        distances += np.einsum("kbn,kbn->kn", by_component, by_component)
    return distances


def _add_moments(
    tile: Floats, responsibilities: Floats, distances: Floats, mean: Floats, first: Floats, second: Floats
) -> None:
    """Add one component's moments of a tile of rows to `first` and `second`.

    What is left out of the second moment has a trace, in units of the covariance, of responsibility times squared
    distance; it is left out only when that is lost in rounding beside the trace of what is kept.
    """
    kept = responsibilities >= SMALL_RESPONSIBILITY
    spread = responsibilities * distances
    if spread.sum(where=~kept) <= LEFT_OUT * spread.sum(where=kept):
        tile, responsibilities = tile[kept], responsibilities[kept]
    deviations = tile - mean
    first += responsibilities @ deviations
    deviations *= np.sqrt(responsibilities)[:, None]
    second += deviations.T @ deviations
