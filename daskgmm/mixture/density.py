"""Densities of rows under a mixture: the arithmetic of one tile, and per-row results of one block."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.mixture.covariance import CovarianceStructure, Floats, covariance_structure
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.rows import bad_row, checked_rows, tile_rows

__all__ = ["TileDensity", "labels", "log_density", "normalize", "responsibilities"]

# Log densities below this stand for zero. It keeps rows finite whose squared distance overflows; the sum of any number
# of rows' log densities stays finite as well.
LOWEST_LOG_PROB = -1e290
# exp(-100) = 4e-44 is as good as zero beside the largest term, 1. Smaller ones would become denormal numbers in the
# products that follow, and those run several times slower.
SMALLEST_EXPONENT = -100.0


@dataclass(frozen=True, slots=True, eq=False)
class TileDensity:
    """Densities of the tiles of one block: what they need from the parameters, and memory that every tile reuses.

    Fresh temporaries would cost more than the arithmetic where freed memory goes back to the system at once, as it does
    in processes that Dask's nannies start. Each tile overwrites the results of the one before.
    """

    structure: CovarianceStructure
    means: Floats
    precisions_cholesky: Floats
    log_factors: Floats
    """Log weight plus log of the normalising constant of each component, shape (n_components, 1)."""
    step: int
    """Rows of a tile."""
    buffers: tuple[Floats, Floats, Floats, Floats]
    """Memory for rows, centred rows, whitened rows and log densities of one tile."""

    @classmethod
    def of(cls, parameters: MixtureParameters, n_rows: int) -> TileDensity:
        """Prepare the tiles of a block of n_rows rows."""
        structure = covariance_structure(parameters.covariance_type)
        n_components, n_features = parameters.means.shape
        with np.errstate(divide="ignore"):  # a component of weight 0 has log weight -inf
            log_weights = np.log(parameters.weights)
        log_factors = (
            log_weights
            + structure.log_determinants(parameters.precisions_cholesky, n_features)
            - n_features / 2 * math.log(2 * math.pi)
        )
        step = tile_rows(n_components, n_features)
        longest = min(step, n_rows)
        rows_of = (n_features, n_components * n_features, n_components * n_features, n_components)
        rows, centred, whitened, log_prob = (np.empty(width * longest) for width in rows_of)
        return cls(
            structure=structure,
            means=parameters.means[:, :, None],
            precisions_cholesky=parameters.precisions_cholesky,
            log_factors=log_factors.reshape(n_components, 1),
            step=step,
            buffers=(rows, centred, whitened, log_prob),
        )

    def log_prob(self, tile: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
        """Evaluate a tile of rows (n_rows, n_features).

        Returns
        -------
        log_prob : array of shape (n_components, n_rows)
            Log weight plus log density.
        centred : array of shape (n_components, n_features, n_rows)
            Rows minus each mean.
        scratch : array shaped as `centred`
            Free for the caller to write to.
        """
        n_rows, n_features = tile.shape
        shapes = ((n_features,), self.means.shape[:2], self.means.shape[:2], self.means.shape[:1])
        columns, centred, whitened, log_prob = (
            buffer[: math.prod(shape) * n_rows].reshape(*shape, n_rows)
            for buffer, shape in zip(self.buffers, shapes, strict=True)
        )
        columns[...] = tile.T
        np.subtract(columns, self.means, out=centred)
        self.structure.whiten(centred, self.precisions_cholesky, out=whitened)
        np.einsum("kdn,kdn->kn", whitened, whitened, out=log_prob)
        log_prob *= -0.5
        log_prob += self.log_factors
        np.maximum(log_prob, LOWEST_LOG_PROB, out=log_prob)
        return log_prob, centred, whitened


def normalize(log_prob: Floats) -> Floats:
    """Turn log_prob (n_components, n_rows) into responsibilities in place; return the log densities (n_rows,).

    The largest term is taken out before exponentials are summed (log-sum-exp), so that rows on which every density
    underflows still get responsibilities that sum to one.
    """
    largest = log_prob.max(axis=0)
    log_prob -= largest
    np.maximum(log_prob, SMALLEST_EXPONENT, out=log_prob)
    np.exp(log_prob, out=log_prob)
    total = log_prob.sum(axis=0)
    log_prob /= total
    log_norm: Floats = np.log(total, out=total)
    log_norm += largest
    return log_norm


def log_density(block: NDArray[Any], parameters: MixtureParameters) -> Floats:
    """Return the log density of each row of a block, shape (n_rows,).

    Raises
    ------
    InputDataError
        If the block is not dense, real and of shape (n_rows, n_features), or a row holds NaN or infinity.
    """
    rows = checked_rows(block, parameters.n_features)
    result = np.empty(len(rows))
    for span, log_prob in _tiles(rows, parameters):
        result[span] = normalize(log_prob)
    return result


def responsibilities(block: NDArray[Any], parameters: MixtureParameters) -> Floats:
    """Return the posterior probability of each component for each row, shape (n_rows, n_components).

    Raises
    ------
    InputDataError
        As `log_density`.
    """
    rows = checked_rows(block, parameters.n_features)
    result = np.empty((len(rows), parameters.n_components))
    for span, log_prob in _tiles(rows, parameters):
        normalize(log_prob)
        result[span] = log_prob.T
    return result


def labels(block: NDArray[Any], parameters: MixtureParameters) -> NDArray[np.int64]:
    """Return the most probable component of each row, shape (n_rows,).

    Raises
    ------
    InputDataError
        As `log_density`.
    """
    rows = checked_rows(block, parameters.n_features)
    result = np.empty(len(rows), dtype=np.int64)
    for span, log_prob in _tiles(rows, parameters):
        result[span] = log_prob.argmax(axis=0)
    return result


def _tiles(rows: NDArray[Any], parameters: MixtureParameters) -> Iterator[tuple[slice, Floats]]:
    """Yield (rows of the tile, log_prob) through a block; raises RowError at a tile that holds NaN or infinity."""
    density = TileDensity.of(parameters, len(rows))
    for start in range(0, len(rows), density.step):
        span = slice(start, min(start + density.step, len(rows)))
        tile = rows[span]
        with np.errstate(over="ignore", invalid="ignore"):
            log_prob, _, _ = density.log_prob(tile)
            sound = math.isfinite(tile.sum(dtype=np.float64)) or np.isfinite(tile).all()
        if not sound:
            raise bad_row(rows, None)
        yield span, log_prob
