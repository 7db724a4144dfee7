"""The pass over the rows of a block with quadratic features about one centre, compiled when this module is imported.

Needs Numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from daskgmm.kernels.fused.compiled import compiled_for
from daskgmm.kernels.fused.densities import normalize
from daskgmm.kernels.fused.moments import moments_of_panel, scaled_deviations
from daskgmm.kernels.fused.products import densities_of_features, make_features, moments_of_features, square
from daskgmm.kernels.fused.tiles import INDICES, ROWS, TABLE, VALUES, WEIGHTS, fill
from daskgmm.kernels.fused.vectors import LANES

__all__ = ["accumulate_products"]


@compiled_for(
    f"void({ROWS}, {WEIGHTS}, {VALUES}, {INDICES}, {INDICES}, {INDICES}, {TABLE}, {VALUES}, int64, "
    f"{VALUES}, {TABLE}, {VALUES}, {VALUES})",
)
def accumulate_products(
    rows: Any,
    weights: Any,
    centre: Any,
    left: Any,
    right: Any,
    target: Any,
    coefficients: Any,
    constants: Any,
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
        Rows without positive weight are left out; no weights mean 1 each.
    centre : array of shape (n_features,)
    left, right, target : arrays of shape (n_pairs,)
        Which features' products are added to which quadratic feature.
    coefficients : array of shape (n_quadratic + n_features, n_components)
        Half of the coefficients of quadratic features and of rows relative to the centre.
    constants : array of shape (n_components,)
        Half of the constant terms.
    tile_rows : int
        A multiple of GROUP.
    log_likelihood, counts : arrays of shape (LANES,) and (n_components, LANES)
    out : array
        Sums in blocks, as `moments_of_features` leaves them.
    scatter : array
        Moments of all rows about the centre as `moments_of_panel` leaves them; made unless empty.
    """
    n_coefficients, n_components = coefficients.shape
    n_features = centre.size
    n_quadratic = n_coefficients - n_features
    x, features = np.empty(tile_rows * n_features), np.empty(tile_rows * n_coefficients)
    shares, weight = np.empty(tile_rows * n_components), np.empty(tile_rows)
    panel, panel_roots = np.empty(tile_rows * n_features), np.empty(tile_rows)
    row = 0
    while row < len(rows):
        row, n_rows = fill(rows, weights, row, x, weight)
        n = n_rows // LANES
        make_features(x, n, centre, n_features, left, right, target, left.size, n_quadratic, features)
        densities_of_features(features, n, n_coefficients, coefficients, constants, n_components, shares)
        normalize(shares, n, n_components, weight, counts, log_likelihood)
        square(shares, n * n_components)
        moments_of_features(features, n, n_coefficients, shares, n_components, out)
        if scatter.size:
            weight = np.sqrt(weight)
            scaled_deviations(x, n, centre, n_features, 0, 1, weight, panel, panel_roots)
            moments_of_panel(panel, panel_roots, n, n_features, scatter)
