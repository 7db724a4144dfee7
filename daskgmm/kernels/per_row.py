"""What a mixture says of each row of one block: its most probable component, all probabilities, its log density.

Log densities are a product with quadratic features about one centre where that is exact enough, in less than half of
the time that deviations from each mean take; deviations are left for clusters far apart, and for rows so far out that
their squares overflow. Where Numba is installed and there are many rows, compiled loops take a half to a third of that:
labels 46 nanoseconds a row against 89 with 8 features and 16 components, 1,400 against 4,200 with 64 and 16.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from daskgmm.kernels.fused import is_available
from daskgmm.kernels.fused.row_results import CompiledRows
from daskgmm.kernels.quadratic_form import MOST_LOST_DIGITS, QuadraticForm, lost_digits_ratio
from daskgmm.mixture.covariance import Floats, covariance_structure
from daskgmm.mixture.density import TileDensity, normalize
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.rows import bad_row, checked_rows

__all__ = ["labels", "log_density", "responsibilities"]

# Elements of a tile's features and log densities, 2 MiB. Long tiles make many calls of NumPy cheap, one for each
# component; from 4,096 rows on nothing is gained. Measured on (2, 3) to (32, 32) features and components: within 10 %
# of the best of four lengths on each shape.
TILE_ELEMENTS = 2**18
MOST_TILE_ROWS, FEWEST_TILE_ROWS = 4096, 64
# Quadratic features for each feature: beyond 24, that is 48 features with full covariances, making and using them
# costs as much as deviations do (measured at 64 features, 16 components: 4.4 against 4.6 microseconds a row).
MOST_QUADRATIC_A_FEATURE = 24

# Rows times components times features from which the compiled loops are taken: about 2 ms of NumPy's work, a hundredth
# of what loading Numba takes once.
LEAST_WORK = 2**22
# The compiled loops do not share the quadratic term that tied covariances have in common.
MOST_TIED_FEATURES = 8
# Numbers that the compiled loops leave of one slab of rows before these are put in their place, 4 MiB.
SLAB_ELEMENTS = 2**19


def labels(block: NDArray[Any], parameters: MixtureParameters, *, dtype: DTypeLike = np.int64) -> NDArray[Any]:
    """Return the most probable component of each row, shape (n_rows,); the first of equal ones.

    Parameters
    ----------
    block : array of shape (n_rows, n_features)
        Any real dtype; computed in float64.
    parameters : MixtureParameters
    dtype : dtype
        An integer type that holds n_components - 1.

    Raises
    ------
    InputDataError
        If the block is not dense, real and of shape (n_rows, n_features), or a row holds NaN or infinity.
    """
    rows = checked_rows(block, parameters.n_features)
    result = np.empty(len(rows), dtype=dtype)
    return _filled(result, rows, parameters, compiled=CompiledRows.labels, of_tile=_first_of_largest)


def responsibilities(
    block: NDArray[Any], parameters: MixtureParameters, *, dtype: DTypeLike = np.float64
) -> NDArray[Any]:
    """Return the posterior probability of each component for each row, shape (n_rows, n_components).

    Arguments and errors as `labels`; `dtype` is a floating type.
    """
    rows = checked_rows(block, parameters.n_features)
    result = np.empty((len(rows), parameters.n_components), dtype=dtype)
    return _filled(result, rows, parameters, compiled=CompiledRows.responsibilities, of_tile=_normalized)


def log_density(block: NDArray[Any], parameters: MixtureParameters, *, dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Return the log density of each row in nats, shape (n_rows,).

    Arguments and errors as `labels`; `dtype` is a floating type.
    """
    rows = checked_rows(block, parameters.n_features)
    result = np.empty(len(rows), dtype=dtype)
    return _filled(result, rows, parameters, compiled=CompiledRows.log_density, of_tile=_log_sums)


def _filled(
    result: NDArray[Any],
    rows: NDArray[Any],
    parameters: MixtureParameters,
    *,
    compiled: Callable[[CompiledRows, NDArray[Any]], Floats | None],
    of_tile: Callable[[Floats, Floats], NDArray[Any]],
) -> NDArray[Any]:
    """Fill in the result of each row by the compiled loops where they pay, else from log densities of tiles.

    `of_tile` makes results of log_prob (n_components, n_rows), which it may overwrite, and the largest of each row.
    """
    loops = CompiledRows.of(parameters) if _compiling_pays(len(rows), parameters) else None
    step = max(1, len(rows) if loops is None else SLAB_ELEMENTS // sum(parameters.means.shape))
    for start in range(0, len(rows), step):
        slab = slice(start, min(start + step, len(rows)))
        values = None if loops is None else compiled(loops, rows[slab])
        if values is not None:
            np.copyto(result[slab], values, casting="unsafe")
            continue
        for span, log_prob, largest in _tiles(rows, slab, parameters):
            result[span] = of_tile(log_prob, largest)
    return result


def _compiling_pays(n_rows: int, parameters: MixtureParameters) -> bool:
    """Return whether the compiled loops are at hand, and how long they take matters."""
    if (
        parameters.n_features > MOST_TIED_FEATURES
        and covariance_structure(parameters.covariance_type).shares_scatter
        and _is_exact_and_fast(parameters)
    ):
        return False
    return n_rows * parameters.means.size >= LEAST_WORK and is_available()


def _first_of_largest(log_prob: Floats, largest: Floats) -> NDArray[Any]:
    """Return the first component of each row's largest, shape (n_rows,)."""
    n_components = len(log_prob)
    number = np.min_scalar_type(n_components).type
    # How many components there are from the first of the largest on. In numbers this small, and with the largest at
    # hand, that takes two thirds of the time of argmax.
    n_left = np.zeros(len(largest), dtype=number)
    for k in range(n_components):
        np.maximum(n_left, (log_prob[k] == largest) * number(n_components - k), out=n_left)
    return n_components - n_left.astype(np.int64)


def _normalized(log_prob: Floats, largest: Floats) -> NDArray[Any]:
    normalize(log_prob)
    return log_prob.T


def _log_sums(log_prob: Floats, largest: Floats) -> NDArray[Any]:
    return normalize(log_prob)


def _tiles(rows: NDArray[Any], span: slice, parameters: MixtureParameters) -> Iterator[tuple[slice, Floats, Floats]]:
    """Yield the tiles of some rows: which rows, their log_prob (n_components, n_rows), and the largest of each row's.

    The arrays of a tile are overwritten with the next. Raises RowError at a tile that holds NaN or infinity.
    """
    if not _is_exact_and_fast(parameters):
        yield from _centred_tiles(rows, span, parameters)
        return
    density = _QuadraticDensity.of(parameters, span.stop - span.start)
    for start in range(span.start, span.stop, density.step):
        part = slice(start, min(start + density.step, span.stop))
        with np.errstate(over="ignore", invalid="ignore"):
            log_prob = density.log_prob(rows[part])
            largest = log_prob.max(axis=0)
            is_finite = math.isfinite(largest.sum())
        if is_finite:
            yield part, log_prob, largest
        else:
            yield from _centred_tiles(rows, part, parameters)


def _centred_tiles(
    rows: NDArray[Any], span: slice, parameters: MixtureParameters
) -> Iterator[tuple[slice, Floats, Floats]]:
    """Yield the tiles of some rows by deviations from each mean, which are right for all finite numbers."""
    density = TileDensity.of(parameters, span.stop - span.start)
    for start in range(span.start, span.stop, density.step):
        part = slice(start, min(start + density.step, span.stop))
        tile = rows[part]
        with np.errstate(over="ignore", invalid="ignore"):
            log_prob, _, _ = density.log_prob(tile)
            is_sound = math.isfinite(tile.sum(dtype=np.float64)) or np.isfinite(tile).all()
        if not is_sound:
            raise bad_row(rows, None)
        yield part, log_prob, log_prob.max(axis=0)


def _is_exact_and_fast(parameters: MixtureParameters) -> bool:
    """Return whether to take quadratic features rather than deviations from each mean."""
    n_features = parameters.n_features
    n_quadratic = covariance_structure(parameters.covariance_type).n_quadratic(n_features)
    return n_quadratic <= MOST_QUADRATIC_A_FEATURE * n_features and lost_digits_ratio(parameters) <= MOST_LOST_DIGITS


@dataclass(frozen=True, slots=True, eq=False)
class _QuadraticDensity:
    """Log densities of tiles as a product with their quadratic features, in memory that every tile reuses."""

    form: QuadraticForm
    step: int
    """Rows of a tile."""
    features: Floats
    log_probs: Floats

    @classmethod
    def of(cls, parameters: MixtureParameters, n_rows: int) -> _QuadraticDensity:
        """Prepare the tiles of a block of n_rows rows."""
        form = QuadraticForm.of(parameters)
        n_components, n_coefficients = form.coefficients.shape
        step = min(MOST_TILE_ROWS, max(FEWEST_TILE_ROWS, TILE_ELEMENTS // (n_components + n_coefficients)))
        longest = min(step, n_rows)
        return cls(form, step, np.empty(n_coefficients * longest), np.empty(n_components * longest))

    def log_prob(self, tile: NDArray[Any]) -> Floats:
        """Return log weight plus log density of a tile of rows, shape (n_components, n_rows)."""
        form = self.form
        n_components, n_coefficients = form.coefficients.shape
        n_rows, n_features = tile.shape
        phi = self.features[: n_coefficients * n_rows].reshape(n_coefficients, n_rows)
        log_prob = self.log_probs[: n_components * n_rows].reshape(n_components, n_rows)
        columns = phi[-n_features - 1 : -1]
        phi[-1] = 1.0
        np.subtract(tile.T, form.centre[:, None], out=columns)
        form.structure.quadratic_features(columns, out=phi[: -n_features - 1])
        np.matmul(form.coefficients, phi, out=log_prob)
        if form.structure.shares_scatter:
            # The term that is the same for all components, which the features leave out.
            log_prob -= np.einsum("dn,dn->n", columns, form.precisions @ columns) / 2
        return log_prob
