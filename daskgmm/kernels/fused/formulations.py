"""Moments of the rows of a block by the compiled loops: their arguments, and what their sums mean."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.kernels.fused.layout import BLOCK, diagonal_moments, in_blocks, matrix_moments, n_sums
from daskgmm.kernels.fused.number_formats import FLOAT64, NumberFormat
from daskgmm.kernels.moments import Moments
from daskgmm.kernels.quadratic_form import QuadraticForm, common_centre
from daskgmm.mixture.covariance import Floats, covariance_structure
from daskgmm.mixture.density import log_factors
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["LOG2_E", "TILE_ROWS", "centred_moments", "clipped_logs", "product_moments", "root_rows"]

TILE_ROWS = 512
"""Rows of a tile: half and double are within 5 % from (2, 3) to (64, 16) features and components."""
# Bytes of a tile's quadratic features, which are read again for every few components: from 20 features on they leave
# the second-level cache with as many rows as other tiles have, and 64 rows take 11 to 17 % less time (1,600 nanoseconds
# a row against 1,930 at (32, 32)).
FEATURE_BYTES = 2**17
# Sums of quadratic features about a common centre lose digits to numbers that are all alike, one way, as many as are
# added up in float32: half as many rows cost 2 % of the time.
TILE_ROWS_OF_FLOAT32_FEATURES = 256

LOG2_E = 1 / math.log(2.0)

Rows = NDArray[np.float32] | NDArray[np.float64]
Slabs = Iterable[tuple[Rows, Floats]]
"""Aligned rows of shape (n_rows, n_features), all of one type, and positive weights of shape (n_rows,) or (0,)."""


def centred_moments(slabs: Slabs, parameters: MixtureParameters, *, number_format: NumberFormat = FLOAT64) -> Moments:
    """Return moments from deviations from each mean: exact wherever clusters lie, if rows are float64.

    Arithmetic within a tile is in the format given, which is the rows' own; sums over tiles are float64.
    """
    from daskgmm.kernels.fused.loops import accumulate

    loops = CentredSums.of(parameters, number_format)
    add, weight = accumulate(number_format.name), 0.0
    for rows, weights in slabs:
        weight += weights.sum() if weights.size else len(rows)
        add(rows, weights, *loops.given, TILE_ROWS, *loops.sums)
    return loops.moments(weight)


@dataclass(frozen=True, slots=True, eq=False)
class CentredSums:
    """What the loops about each mean take and fill."""

    parameters: MixtureParameters
    usual_log: float
    """What is taken out of all log densities."""
    given: tuple[Any, ...]
    """Arguments of the loops from the centre to the least share of a mean."""
    log_likelihood: Floats
    """Shape (lanes,)."""
    counts: Floats
    """Shape (n_components * lanes,)."""
    out: Floats
    """Shape (n_components, n_sums)."""

    @classmethod
    def of(cls, parameters: MixtureParameters, number_format: NumberFormat) -> CentredSums:
        """Return arguments in a format of numbers, and sums of nothing."""
        n_components, n_features = parameters.means.shape
        matrices = covariance_structure(parameters.covariance_type).has_matrices
        dtype, lanes = np.dtype(number_format.name), number_format.lanes
        centre = _centre(parameters, number_format)
        means = np.array(parameters.means - centre, dtype, order="C")
        # Logarithms to base 2, halved where responsibilities' roots are wanted.
        scale = LOG2_E / 2 if matrices and n_features > BLOCK else LOG2_E
        factors = (root_rows(parameters) * math.sqrt(scale / 2)).astype(dtype)
        logs = log_factors(parameters).ravel()
        usual = float(parameters.weights @ logs) - n_features / 2
        constants = clipped_logs((logs - usual) * scale, number_format)
        least = (number_format.least_responsibility, number_format.least_of_mean)
        given = (centre.astype(dtype), means, factors, constants, matrices, *least)
        sums = np.zeros((n_components, n_sums(n_features, has_matrices=matrices)))
        return cls(parameters, usual, given, np.zeros(lanes), np.zeros(n_components * lanes), sums)

    @property
    def sums(self) -> tuple[Floats, Floats, Floats]:
        """Sums, as the loops take them."""
        return self.log_likelihood, self.counts, self.out

    def moments(self, weight: float) -> Moments:
        """Return the moments of what was summed, given the weight of all rows."""
        n_components, n_features = self.parameters.means.shape
        structure = covariance_structure(self.parameters.covariance_type)
        matrices = structure.has_matrices
        first, second = (matrix_moments if matrices else diagonal_moments)(self.out, n_features)
        if second.ndim > len(structure.shape(n_components, n_features)):
            second = second.sum(axis=0 if matrices else 1)  # tied over components, spherical over features
        counts = self.counts.reshape(n_components, -1).sum(axis=1)
        log_likelihood = float(self.log_likelihood.sum() / LOG2_E + self.usual_log * weight)
        return Moments(log_likelihood, counts, first, second)


def _centre(parameters: MixtureParameters, number_format: NumberFormat) -> Floats:
    """Return what rows are taken relative to before any mean is: the origin, where that loses no digits of means.

    float32 numbers cannot tell means far from the origin. The mixture's mean, rounded so that they can, is subtracted
    from rows without loss.
    """
    if number_format is FLOAT64:
        return np.zeros(parameters.n_features)
    return common_centre(parameters).astype(np.float32).astype(np.float64)


def clipped_logs(logs: Floats, number_format: NumberFormat) -> NDArray[Any]:
    """Return logarithms in the format, not below its lowest."""
    return np.maximum(logs, number_format.lowest_log).astype(number_format.name)


def root_rows(parameters: MixtureParameters) -> Floats:
    """Return the roots of each component's precisions, their matrices in blocks or their diagonals, in one row each."""
    n_components, n_features = parameters.means.shape
    factors = parameters.precisions_cholesky
    if covariance_structure(parameters.covariance_type).has_matrices:
        factors = np.broadcast_to(factors, (n_components, n_features, n_features))
        factors = in_blocks(factors) if n_features > BLOCK else factors
    else:
        factors = np.broadcast_to(factors.reshape(n_components, -1), (n_components, n_features))
    return np.array(factors, dtype=np.float64, order="C").reshape(n_components, -1)


def product_moments(slabs: Slabs, parameters: MixtureParameters, *, number_format: NumberFormat = FLOAT64) -> Moments:
    """Return moments from quadratic features about one centre.

    `kernels.quadratic_form.lost_digits_ratio` tells what that costs in digits. Arithmetic within a tile is in the
    format given, which is the rows' own; sums over tiles are float64.
    """
    from daskgmm.kernels.fused.product_loops import accumulate_products

    dtype = np.dtype(number_format.name)
    centre = common_centre(parameters).astype(dtype)
    form = QuadraticForm.of(parameters, centre=centre.astype(np.float64))
    n_components, n_features = form.means.shape
    # The loops count rows apart from the other features.
    coefficients = np.ascontiguousarray(in_blocks(form.coefficients[:, :-1].T * LOG2_E), dtype)
    usual = _usual_log(form, parameters.weights)
    constants = clipped_logs((form.coefficients[:, -1] - usual) * LOG2_E, number_format)
    log_likelihood, counts = np.zeros(number_format.lanes), np.zeros((n_components, number_format.lanes))
    n_blocks, n_coefficients = coefficients.shape[:2]
    blocks = np.zeros((n_blocks, -(-n_coefficients // BLOCK), BLOCK, BLOCK))
    shares = form.structure.shares_scatter
    scatter = np.zeros((1, n_sums(n_features, has_matrices=True) if shares else 0))
    tile_rows = _rows_of_features(n_coefficients, number_format)
    given = (centre, coefficients.reshape(n_blocks, -1), constants, form.structure.has_matrices, tile_rows)
    add, weight = accumulate_products(number_format.name), 0.0
    for rows, weights in slabs:
        weight += weights.sum() if weights.size else len(rows)
        add(rows, weights, *given, log_likelihood, counts.reshape(-1), blocks.reshape(-1), scatter.reshape(-1))
    sums = blocks.transpose(0, 2, 1, 3).reshape(n_blocks * BLOCK, -1)[:n_components, :n_coefficients]
    return form.moments(
        float(log_likelihood.sum() / LOG2_E + usual * weight),
        np.concatenate([sums, counts.sum(axis=1)[:, None]], axis=1),
        matrix_moments(scatter, n_features)[1][0] if shares else np.empty((n_features, n_features)),
    )


def _rows_of_features(n_coefficients: int, number_format: NumberFormat) -> int:
    """Return the rows of a tile, given how many numbers each has."""
    most = TILE_ROWS if number_format is FLOAT64 else TILE_ROWS_OF_FLOAT32_FEATURES
    step = BLOCK * number_format.lanes
    affordable = FEATURE_BYTES // (n_coefficients * number_format.n_bits // 8)
    return max(2 * step, min(most, affordable // step * step))


def _usual_log(form: QuadraticForm, weights: Floats) -> float:
    """Return about what the features give for the log density of a row.

    Taken out of all of them, it leaves float32 numbers near 0, where they are dense.
    """
    quadratic = np.empty((form.n_quadratic, len(weights)))
    form.structure.quadratic_features(np.ascontiguousarray(form.means.T), out=quadratic)
    features = np.concatenate([quadratic.T, form.means, np.ones((len(weights), 1))], axis=1)
    at_means = np.einsum("kp,kp->k", form.coefficients, features)
    # A row is off its mean by n_features / 2 nats in the mean, unless that term is left out of the features.
    return float(weights @ at_means) - (0.0 if form.structure.shares_scatter else form.means.shape[1] / 2)
