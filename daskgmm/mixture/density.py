"""Densities of rows under a mixture: the arithmetic of one tile, and the log densities of one block."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.mixture.covariance import CovarianceStructure, Floats, covariance_structure
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.rows import bad_row, checked_rows, tile_rows

__all__ = ["TileDensity", "log_density", "log_factors", "normalize", "normalize_and_sum"]

# Log densities below this stand for zero. It keeps rows finite whose squared distance overflows; the sum of any number
# of rows' log densities stays finite as well.
LOWEST_LOG_PROB = -1e290
# exp(-80) = 2e-35 is as good as zero beside the largest term, 1. Smaller ones would become denormal numbers in float32,
# and those run several times slower in the products that follow.
SMALLEST_EXPONENT = -80.0


def log_factors(parameters: MixtureParameters) -> Floats:
    """Return log weight plus log of the normalising constant of each component, shape (n_components, 1).

    A component of weight 0 gets a number so low that its exponential is 0, not minus infinity, whose product with 0 in
    a matrix product would be NaN.
    """
    structure = covariance_structure(parameters.covariance_type)
    n_components, n_features = parameters.means.shape
    with np.errstate(divide="ignore"):
        log_weights = np.maximum(np.log(parameters.weights), LOWEST_LOG_PROB)
    determinants = structure.log_determinants(parameters.precisions_cholesky, n_features)
    factors: Floats = log_weights + determinants - n_features / 2 * math.log(2 * math.pi)
    return factors.reshape(n_components, 1)


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
    """As the function of that name returns, shape (n_components, 1)."""
    step: int
    """Rows of a tile."""
    buffers: tuple[Floats, Floats, Floats, Floats]
    """Memory for rows, centred rows, whitened rows and log densities of one tile."""

    @classmethod
    def of(cls, parameters: MixtureParameters, n_rows: int) -> TileDensity:
        """Prepare the tiles of a block of n_rows rows."""
        n_components, n_features = parameters.means.shape
        step = tile_rows(n_components, n_features)
        longest = min(step, n_rows)
        rows_of = (n_features, n_components * n_features, n_components * n_features, n_components)
        rows, centred, whitened, log_prob = (np.empty(width * longest) for width in rows_of)
        return cls(
            structure=covariance_structure(parameters.covariance_type),
            means=parameters.means[:, :, None],
            precisions_cholesky=parameters.precisions_cholesky,
            log_factors=log_factors(parameters),
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


def normalize(log_prob: Floats, weights: Floats | None = None) -> Floats:
    """Turn log_prob (n_components, n_rows) into responsibilities in place; return the log densities (n_rows,).

    The largest term is taken out before exponentials are summed (log-sum-exp), so that rows on which every density
    underflows still get responsibilities that sum to one. With weights (n_rows,) they sum to these.
    """
    largest = log_prob.max(axis=0)
    log_prob -= largest
    # With a row of them: NumPy compares with a single number half as fast.
    np.maximum(log_prob, np.full_like(largest, SMALLEST_EXPONENT), out=log_prob)
    np.exp(log_prob, out=log_prob)
    total = log_prob.sum(axis=0)
    log_prob *= ((1.0 if weights is None else weights) / total).astype(log_prob.dtype, copy=False)
    log_norm: Floats = np.log(total, out=total)
    log_norm += largest
    return log_norm


def normalize_and_sum(log_prob: Floats, weights: Floats | None) -> float:
    """Turn log_prob into weighted responsibilities in place; return the weighted sum of the log densities."""
    log_norm = normalize(log_prob, weights)
    return float(log_norm.sum(dtype=np.float64) if weights is None else log_norm @ weights)


def log_density(block: NDArray[Any], parameters: MixtureParameters) -> Floats:
    """Return the log density of each row of a block, shape (n_rows,).

    Raises
    ------
    InputDataError
        If the block is not dense, real and of shape (n_rows, n_features), or a row holds NaN or infinity.
    """
    rows = checked_rows(block, parameters.n_features)
    result = np.empty(len(rows))
    density = TileDensity.of(parameters, len(rows))
    for start in range(0, len(rows), density.step):
        span = slice(start, min(start + density.step, len(rows)))
        tile = rows[span]
        with np.errstate(over="ignore", invalid="ignore"):
            log_prob, _, _ = density.log_prob(tile)
            sound = math.isfinite(tile.sum(dtype=np.float64)) or np.isfinite(tile).all()
        if not sound:
            raise bad_row(rows, None)
        result[span] = normalize(log_prob)
    return result
