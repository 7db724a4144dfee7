"""The pass over the rows of a block about each component's mean. Importing this module needs Numba."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from daskgmm.kernels.fused.compiled import compiled, compiled_for
from daskgmm.kernels.fused.densities import densities_of_few, densities_of_many, diagonal_densities
from daskgmm.kernels.fused.layout import BLOCK
from daskgmm.kernels.fused.moments import (
    chosen_deviations,
    count_kept,
    diagonal_moments,
    moments_of_few,
    moments_of_panel,
    scaled_deviations,
)
from daskgmm.kernels.fused.number_formats import BYTES
from daskgmm.kernels.fused.shares import roots_of_halves, shares_of_logs, shares_of_unit_rows
from daskgmm.kernels.fused.tiles import add_lanes, aligned, clear, fill

__all__ = ["accumulate"]

# A row that is packed by itself costs about as much as the whole arithmetic on a row of this many features.
PACKING_FEATURES = 32


@compiled
def choose_rows(
    n_vectors: int,
    n_features: int,
    component: int,
    n_components: int,
    smallest: float,
    roots: Any,
    chosen_roots: Any,
    places: Any,
) -> Any:
    """Write down the places and roots of the rows that matter; return how many vectors they fill.

    The last vector is filled up with a row whose root is made 0.
    """
    lanes = BYTES // roots.itemsize
    n_chosen = 0
    for vector in range(n_vectors):
        place = (vector * n_components + component) * lanes
        for lane in range(lanes):
            root = roots[place + lane]
            places[n_chosen] = vector * n_features * lanes + lane
            chosen_roots[n_chosen] = root
            n_chosen += root >= smallest
    n_filled = (n_chosen + lanes - 1) // lanes
    for t in range(n_chosen, n_filled * lanes):
        places[t], chosen_roots[t] = places[0], 0.0
    return n_filled


@compiled
def add_moments(
    x: Any,
    n_vectors: int,
    mean: Any,
    component: int,
    n_components: int,
    smallest: float,
    roots: Any,
    panel: Any,
    panel_roots: Any,
    places: Any,
    kept_lanes: Any,
    out: Any,
) -> None:
    """Add a component's moments of one tile to out, leaving out rows whose responsibility is as good as zero."""
    n_features = mean.size
    n_rows = n_vectors * (BYTES // x.itemsize)
    count_kept(roots, n_vectors, component, n_components, smallest, kept_lanes)
    n_kept = kept_lanes.sum()
    if n_kept == 0:
        return
    if n_kept * (n_features + PACKING_FEATURES) < n_rows * n_features:
        n_vectors = choose_rows(n_vectors, n_features, component, n_components, smallest, roots, panel_roots, places)
        chosen_deviations(x, places, n_vectors, mean, n_features, panel, panel_roots)
    else:
        scaled_deviations(x, n_vectors, mean, n_features, component, n_components, roots, panel, panel_roots)
    moments_of_panel(panel, panel_roots, n_vectors, n_features, out)


@compiled_for(
    "void({rows}, {weights}, {values}, {table}, {table}, {values}, boolean, float64, float64, int64,"
    " {totals}, {totals}, {sums})"
)
def accumulate(
    rows: Any,
    weights: Any,
    centre: Any,
    means: Any,
    factors: Any,
    constants: Any,
    has_matrices: bool,
    least_responsibility: float,
    least_of_mean: float,
    tile_rows: int,
    log_likelihood: Any,
    counts: Any,
    out: Any,
) -> None:
    """Add the statistics of rows to the lanes of log_likelihood and counts and to the sums in out.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
    weights : array of shape (n_rows,) or (0,)
        Positive; no weights mean 1 each.
    centre : array of shape (n_features,)
        What means are relative to.
    means : array of shape (n_components, n_features)
    factors : array of shape (n_components, n_numbers)
        Upper triangular roots of the precisions if has_matrices, for more than BLOCK features as
        `layout.in_blocks` lays them out; else their diagonals. Scaled as `densities` has them.
    constants : array of shape (n_components,)
        Logarithm to base 2 of the density at the mean, component's weight included; half of it for matrices of more
        than BLOCK features.
    least_responsibility, least_of_mean : float
        Rows with a smaller responsibility are left out of the moments of more than BLOCK features; the second is in
        units of the component's mean responsibility in the tile.
    tile_rows : int
        A multiple of BLOCK * lanes.
    log_likelihood, counts : arrays of shape (lanes,) and (n_components * lanes,)
    out : array of shape (n_components, n_sums)
        Sums in the order of `layout`.
    """
    n_components, n_features = means.shape
    lanes = BYTES // rows.itemsize
    x, panel = aligned(tile_rows * n_features, centre), aligned(tile_rows * n_features, centre)
    shares = aligned(tile_rows * n_components, centre)
    weight, panel_roots, places = aligned(tile_rows, centre), aligned(tile_rows, centre), np.empty(tile_rows, np.int64)
    kept_lanes, deviations = aligned(lanes, centre), aligned(BLOCK * lanes * n_features, centre)
    logs, lane_counts = aligned(lanes, centre), aligned(n_components * lanes, centre)
    clear(logs)
    clear(lane_counts)
    has_roots = has_matrices and n_features > BLOCK
    row = 0
    while row < len(rows):
        row, n = fill(rows, weights, row, centre, n_features, x, weight)
        for k in range(n_components):
            mean, factor, constant = means[k], factors[k], constants[k]
            if has_roots:
                densities_of_many(x, n, mean, n_features, factor, constant, k, n_components, shares, deviations)
            elif has_matrices:
                densities_of_few(x, n, mean, n_features, factor, constant, k, n_components, shares)
            else:
                diagonal_densities(x, n, mean, n_features, factor, constant, k, n_components, shares)
        if has_roots:
            roots_of_halves(shares, n, n_components, weight, lane_counts, logs)
        elif weights.size:
            shares_of_logs(shares, n, n_components, weight, lane_counts, logs)
        else:
            shares_of_unit_rows(shares, n, n_components, weight, lane_counts, logs)
        for k in range(n_components):
            mean, sums = means[k], out[k]
            if has_roots:
                count = 0.0
                for lane in range(k * lanes, (k + 1) * lanes):
                    count += lane_counts[lane]
                smallest_root = math.sqrt(max(least_responsibility, least_of_mean * count / (n * lanes)))
                args = (panel, panel_roots, places, kept_lanes, sums)
                add_moments(x, n, mean, k, n_components, smallest_root, shares, *args)
            elif has_matrices:
                moments_of_few(x, n, mean, n_features, k, n_components, shares, sums)
            else:
                diagonal_moments(x, n, mean, n_features, k, n_components, shares, sums)
        add_lanes(logs, log_likelihood)
        add_lanes(lane_counts, counts)
