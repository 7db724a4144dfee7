"""The pass over the rows of a block with quadratic features about one centre. Importing this module needs Numba."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from daskgmm.kernels.fused.compiled import compiled_for
from daskgmm.kernels.fused.features import make_products, make_squares, make_sum_of_squares
from daskgmm.kernels.fused.layout import BLOCK
from daskgmm.kernels.fused.moments import moments_of_panel, scaled_deviations
from daskgmm.kernels.fused.number_formats import BYTES
from daskgmm.kernels.fused.products import densities_of_features, moments_of_features
from daskgmm.kernels.fused.shares import shares_of_logs, shares_of_unit_rows
from daskgmm.kernels.fused.tiles import add_lanes, aligned, clear, fill

__all__ = ["accumulate_products"]


@compiled_for(
    "void({rows}, {weights}, {values}, {table}, {values}, boolean, int64, {totals}, {totals}, {totals}, {totals})"
)
def accumulate_products(
    rows: Any,
    weights: Any,
    centre: Any,
    coefficients: Any,
    constants: Any,
    has_matrices: bool,
    tile_rows: int,
    log_likelihood: Any,
    counts: Any,
    out: Any,
    scatter: Any,
) -> None:
    """Add the statistics of rows to the lanes of log_likelihood and counts and to the sums in out and scatter.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
    weights : array of shape (n_rows,) or (0,)
        Positive; no weights mean 1 each.
    centre : array of shape (n_features,)
    coefficients : array of shape (n_blocks, (n_quadratic + n_features) * BLOCK)
        Of quadratic features and of rows relative to the centre, for densities' logarithms to base 2, as
        `layout.in_blocks` lays them out.
    constants : array of shape (n_components,)
        Their constant terms.
    has_matrices : bool
        Whether quadratic features, unless there are none, are products of features rather than of each with itself.
    tile_rows : int
        A multiple of BLOCK * lanes.
    log_likelihood, counts : arrays of shape (lanes,) and (n_components * lanes,)
    out : array
        Sums in blocks, as `moments_of_features` leaves them.
    scatter : array
        Moments of all rows about the centre as `moments_of_panel` leaves them; made unless empty, and then there are no
        quadratic features.
    """
    n_coefficients, n_components = coefficients.shape[1] // BLOCK, constants.size
    n_features = centre.size
    n_quadratic = n_coefficients - n_features
    lanes = BYTES // rows.itemsize
    panel, shares = aligned(tile_rows * n_coefficients, centre), aligned(tile_rows * n_components, centre)
    weight, roots = aligned(tile_rows, centre), aligned(tile_rows, centre)
    scaled, scaled_roots = aligned(tile_rows * n_features, centre), aligned(tile_rows, centre)
    origin = np.zeros(n_features, centre.dtype)
    logs, lane_counts = aligned(lanes, centre), aligned(n_components * lanes, centre)
    clear(logs)
    clear(lane_counts)
    row = 0
    while row < len(rows):
        row, n = fill(rows, weights, row, centre, n_coefficients, panel[n_quadratic * lanes :], weight)
        if has_matrices and n_quadratic > 0:
            make_products(panel, n, n_features, n_quadratic)
        elif n_quadratic == n_features:
            make_squares(panel, n, n_features)
        elif n_quadratic > 0:
            make_sum_of_squares(panel, n, n_features)
        densities_of_features(panel, n, n_coefficients, coefficients, constants, n_components, shares)
        if weights.size:
            shares_of_logs(shares, n, n_components, weight, lane_counts, logs)
        else:
            shares_of_unit_rows(shares, n, n_components, weight, lane_counts, logs)
        moments_of_features(panel, n, n_coefficients, shares, n_components, out)
        if scatter.size:
            for t in range(tile_rows):
                roots[t] = math.sqrt(weight[t])
            scaled_deviations(panel, n, origin, n_features, 0, 1, roots, scaled, scaled_roots)
            moments_of_panel(scaled, scaled_roots, n, n_features, scatter)
        add_lanes(logs, log_likelihood)
        add_lanes(lane_counts, counts)
