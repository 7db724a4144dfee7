"""Moments of a block of many features, with full covariances.

Log densities come from whitened rows, y = P^T x with P upper triangular: panels of a few columns of each component's
factor are multiplied with only as many features as their columns have, which halves the work of a square product.
Second moments take only the rows whose responsibility matters; between separated clusters that is a few in a hundred.
Where it is most of them, second moments are summed about one centre (`SharedMoments`), if that loses no digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.kernels.aligned import aligned_empty
from daskgmm.kernels.moments import Moments
from daskgmm.kernels.quadratic_form import MOST_LOST_DIGITS, common_centre, lost_digits_ratio
from daskgmm.kernels.shared_moments import SharedMoments
from daskgmm.kernels.small_products import MOST_MULTIPLICATIONS, multiply
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.density import log_factors, normalize, normalize_and_sum
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics

__all__ = ["MOST_KEPT", "share_kept", "triangular_moments"]

# Columns of a panel: fewer leave less of the upper triangle's zeros in the product, more make the products larger.
PANEL = 8
# Rows that a panel is multiplied with at a time: all columns' features of so many stay in cache for all components (of
# 480 rows at (64, 16) features and components 51 billion operations a second, all at once 49).
PART_COLUMNS = 240
# Rows of a tile: as many as leave the products with eight rows of a triangle small ones, for what a call of NumPy takes
# of its own is less of longer tiles (480 rows take 5 % longer at (64, 16)).
MOST_TILE_ROWS, FEWEST_TILE_ROWS = 960, 64
# Responsibilities below the first are left out of moments where what is left out adds up to less than the second of
# what is kept: of all of 16 overlapping components with 48 to 128 features. With 1e-14 for both, of three in four.
SMALL_RESPONSIBILITY, LEFT_OUT = 2e-15, 1e-14
MOST_KEPT = 0.6
"""Share of the responsibilities above which leaving out the others gains nothing. At (64, 16) features and components,
second moments about one centre take 1,950 nanoseconds a row, about each mean 3,600 times that share; at (128, 16) it is
6,400 and 9,700."""


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
    zero = SufficientStatistics.zero(parameters)
    log_likelihood, counts, first, second = 0.0, zero.counts, zero.first, zero.second
    step = tile_rows(parameters.n_features)
    longest = min(step, len(rows))
    whitening = _Whitening(parameters, longest)
    shared = SharedMoments(parameters, longest) if lost_digits_ratio(parameters) <= MOST_LOST_DIGITS else None
    for start in range(0, len(rows), step):
        tile = np.asarray(rows[start : start + step], dtype=np.float64)
        distances, centred, columns = whitening.squared_distances(tile)
        responsibilities = whitening.offsets - distances / 2
        tile_weights = None if weights is None else weights[start : start + step]
        log_likelihood += normalize_and_sum(responsibilities, tile_weights)
        counts += responsibilities.sum(axis=1)
        kept = responsibilities >= SMALL_RESPONSIBILITY
        if shared is not None and np.count_nonzero(kept) > MOST_KEPT * kept.size:
            shared.add(responsibilities, centred, columns)
            continue
        for k, places in enumerate(_rows_that_matter(responsibilities, distances, kept)):
            _add_moments(tile, responsibilities[k], places, parameters.means[k], first[k], second[k])
    if shared is not None:
        shared_first, shared_second = shared.about_means()
        first += shared_first
        second += shared_second
    return Moments(log_likelihood, counts, first, second)


def share_kept(rows: NDArray[Any], parameters: MixtureParameters) -> float:
    """Return which share of the responsibilities of a tile of rows (n_rows, n_features) is not small."""
    if not len(rows):
        return 0.0
    whitening = _Whitening(parameters, len(rows))
    distances, _, _ = whitening.squared_distances(rows)
    responsibilities = whitening.offsets - distances / 2
    normalize(responsibilities)
    return float(np.count_nonzero(responsibilities >= SMALL_RESPONSIBILITY) / responsibilities.size)


def tile_rows(n_features: int) -> int:
    """Return the rows of a tile."""
    most = MOST_MULTIPLICATIONS // (PANEL * (n_features + 1)) // 8 * 8
    return max(FEWEST_TILE_ROWS, min(MOST_TILE_ROWS, most))


class _Whitening:
    """The factors of all components in panels of columns, and memory that every tile reuses.

    Rows are taken relative to a common centre. Deviations from each mean are left to the product as well:
    P^T (x - mean) = P^T (x - centre) - P^T (mean - centre).
    """

    def __init__(self, parameters: MixtureParameters, n_rows: int) -> None:
        """Prepare tiles of up to n_rows rows."""
        n_components, n_features = parameters.means.shape
        self.centre, self.offsets = common_centre(parameters), log_factors(parameters)
        factors = parameters.precisions_cholesky
        shifts = np.einsum("kd,kde->ke", parameters.means - self.centre, factors)
        self.panels = []
        """For [1, x], shapes (n_components, columns, 1 + how many features these columns reach down to)."""
        for start in range(0, n_features, PANEL):
            stop = min(start + PANEL, n_features)
            columns = factors[:, :stop, start:stop].transpose(0, 2, 1)
            self.panels.append(np.concatenate([-shifts[:, start:stop, None], columns], axis=2))
        self.rows, self.columns = aligned_empty(n_features * n_rows), aligned_empty((n_features + 1) * n_rows)
        self.whitened = aligned_empty(n_components * PANEL * n_rows)

    def squared_distances(self, tile: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
        """Return squared Mahalanobis distances (n_components, n_rows), and rows less the centre, also as columns.

        Each tile overwrites the last two of the one before.
        """
        n_rows, n_features = tile.shape
        rows = np.subtract(tile, self.centre, out=self.rows[: tile.size].reshape(tile.shape))
        columns = self.columns[: (n_features + 1) * n_rows].reshape(-1, n_rows)
        columns[0], columns[1:] = 1.0, rows.T
        distances, squares = np.zeros((len(self.offsets), n_rows)), np.empty((len(self.offsets), n_rows))
        for panel in self.panels:
            n_components, n_whitened, depth = panel.shape
            whitened = self.whitened[: n_components * n_whitened * n_rows].reshape(-1, n_rows)
            factors = panel.reshape(-1, depth)
            multiply(factors, columns[:depth], out=whitened, part=(n_whitened, PART_COLUMNS))
            by_component = whitened.reshape(n_components, n_whitened, n_rows)
            distances += np.einsum("kbn,kbn->kn", by_component, by_component, out=squares)
        return distances, rows, columns[1:]


def _rows_that_matter(
    responsibilities: Floats, distances: Floats, kept: NDArray[np.bool_]
) -> Iterator[NDArray[np.intp]]:
    """Yield for each component the places of the rows to look at: those that are kept, or all.

    What is left out of the second moment has a trace, in units of the covariance, of responsibility times squared
    distance; it is left out only when that is as good as rounding beside the trace of what is kept.
    """
    spread = responsibilities * distances
    everything = spread.sum(axis=1)
    spread *= ~kept
    left_out = spread.sum(axis=1)
    lost = left_out <= LEFT_OUT * (everything - left_out)
    for k, rows in enumerate(kept):
        yield np.flatnonzero(rows) if lost[k] else np.arange(len(rows))


def _add_moments(
    tile: Floats, responsibilities: Floats, places: NDArray[np.intp], mean: Floats, first: Floats, second: Floats
) -> None:
    """Add one component's moments of some rows of a tile to `first` and `second`."""
    deviations, responsibilities = tile.take(places, axis=0), responsibilities[places]
    deviations -= mean
    first += responsibilities @ deviations
    deviations *= np.sqrt(responsibilities)[:, None]
    second += deviations.T @ deviations
