"""The pass over the rows of a block about each component's mean, compiled when this module is imported.

Needs Numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from daskgmm.kernels.fused.compiled import compiled, compiled_for
from daskgmm.kernels.fused.densities import (
    densities_of_few,
    densities_of_many,
    diagonal_densities,
    normalize,
)
from daskgmm.kernels.fused.layout import BLOCK
from daskgmm.kernels.fused.moments import (
    count_kept,
    diagonal_moments,
    moments_of_few,
    moments_of_panel,
    scaled_deviations,
)
from daskgmm.kernels.fused.tiles import GROUP, ROWS, TABLE, VALUES, WEIGHTS, fill
from daskgmm.kernels.fused.vectors import LANES

__all__ = ["accumulate"]

# Moments leave out responsibilities below the square of this, 1e-20: of a million rows, less than 1e-14 of a row.
# Leaving out all below 1e-14, which a component that holds few rows could show, is up to 15 % faster (at 16 and 32
# features).
SMALLEST_ROOT = 1e-10
# A row that is packed by itself costs about as much as the whole arithmetic on a row of this many features.
PACKING_FEATURES = 32


@compiled
def pack(
    x: Any,
    n_rows: int,
    mean: Any,
    component: int,
    n_components: int,
    roots: Any,
    panel: Any,
    panel_roots: Any,
    kept: Any,
) -> Any:
    """Fill a panel as `scaled_deviations` does with the rows that matter alone; return its number of vectors."""
    n_features = mean.size
    n_kept = 0
    for vector in range(n_rows // LANES):
        place = (vector * n_components + component) * LANES
        for lane in range(LANES):
            kept[n_kept] = vector * LANES + lane
            n_kept += roots[place + lane] >= SMALLEST_ROOT
    n_vectors = (n_kept + LANES - 1) // LANES
    for t in range(n_kept):
        vector, lane = kept[t] // LANES, kept[t] % LANES
        root = roots[(vector * n_components + component) * LANES + lane]
        panel_roots[t] = root
        source = vector * n_features * LANES + lane
        place = t // LANES * n_features * LANES + t % LANES
        for feature in range(n_features):
            panel[place + feature * LANES] = root * (x[source + feature * LANES] - mean[feature])
    for t in range(n_kept, n_vectors * LANES):
        panel_roots[t] = 0.0
        place = t // LANES * n_features * LANES + t % LANES
        for feature in range(n_features):
            panel[place + feature * LANES] = 0.0
    return n_vectors


@compiled
def add_moments(
    x: Any,
    n_rows: int,
    mean: Any,
    component: int,
    n_components: int,
    roots: Any,
    panel: Any,
    panel_roots: Any,
    kept: Any,
    kept_lanes: Any,
    out: Any,
) -> None:
    """Add a component's moments of one tile to out, leaving out rows whose responsibility is as good as zero."""
    n_features = mean.size
    n_vectors = n_rows // LANES
    count_kept(roots, n_vectors, component, n_components, SMALLEST_ROOT, kept_lanes)
    n_kept = kept_lanes.sum()
    if n_kept == 0:
        return
    if n_kept * (n_features + PACKING_FEATURES) < n_rows * n_features:
        n_vectors = pack(x, n_rows, mean, component, n_components, roots, panel, panel_roots, kept)
    else:
        scaled_deviations(x, n_vectors, mean, n_features, component, n_components, roots, panel, panel_roots)
    moments_of_panel(panel, panel_roots, n_vectors, n_features, out)


@compiled_for(
    f"void({ROWS}, {WEIGHTS}, {TABLE}, {TABLE}, {VALUES}, boolean, int64, {VALUES}, {TABLE}, {TABLE})",
)
def accumulate(
    rows: Any,
    weights: Any,
    means: Any,
    factors: Any,
    constants: Any,
    has_matrices: bool,
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
        Rows without positive weight are left out; no weights mean 1 each.
    means : array of shape (n_components, n_features)
    factors : array of shape (n_components, n_features * n_features) or (n_components, n_features)
        Upper triangular roots of the precisions if has_matrices, else their diagonals.
    constants : array of shape (n_components,)
        Half of the log density at the mean, log weight included.
    tile_rows : int
        A multiple of GROUP.
    log_likelihood, counts : arrays of shape (LANES,) and (n_components, LANES)
    out : array of shape (n_components, n_sums)
        Sums in the order of `layout`.
    """
    n_components, n_features = means.shape
    x, panel = np.empty(tile_rows * n_features), np.empty(tile_rows * n_features)
    roots = np.empty(tile_rows * n_components)
    weight, panel_roots, kept = np.empty(tile_rows), np.empty(tile_rows), np.empty(tile_rows, np.int64)
    kept_lanes, deviations = np.empty(LANES), np.empty(GROUP * n_features)
    row = 0
    while row < len(rows):
        row, n_rows = fill(rows, weights, row, x, weight)
        n = n_rows // LANES
        for k in range(n_components):
            mean, factor, constant = means[k], factors[k], constants[k]
            if not has_matrices:
                diagonal_densities(x, n, mean, n_features, factor, constant, k, n_components, roots)
            elif n_features <= BLOCK:
                densities_of_few(x, n, mean, n_features, factor, constant, k, n_components, roots)
            else:
                densities_of_many(x, n, mean, n_features, factor, constant, k, n_components, roots, deviations)
        normalize(roots, n, n_components, weight, counts, log_likelihood)
        for k in range(n_components):
            if not has_matrices:
                diagonal_moments(x, n, means[k], n_features, k, n_components, roots, out[k])
            elif n_features <= BLOCK:
                moments_of_few(x, n, means[k], n_features, k, n_components, roots, out[k])
            else:
                add_moments(x, n_rows, means[k], k, n_components, roots, panel, panel_roots, kept, kept_lanes, out[k])
