"""Tiles: some rows of a block laid out as vectors, small enough to stay in cache. Importing this module needs Numba."""

from __future__ import annotations

from typing import Any

from daskgmm.kernels.fused.compiled import compiled
from daskgmm.kernels.fused.layout import BLOCK
from daskgmm.kernels.fused.vectors import LANES

__all__ = ["GROUP", "INDICES", "ROWS", "TABLE", "VALUES", "WEIGHTS", "fill"]

GROUP = BLOCK * LANES
"""Rows worked on together; tiles are filled up to a multiple of it."""

# Types of arguments. Rows may be of any strides.
ROWS, WEIGHTS = "Array(float64, 2, 'A', readonly=True)", "Array(float64, 1, 'C', readonly=True)"
VALUES, TABLE, INDICES = "float64[::1]", "float64[:, ::1]", "int64[::1]"


@compiled
def fill(rows: Any, weights: Any, row: int, x: Any, tile_weights: Any) -> Any:
    """Lay out rows of positive weight from `row` on, up to the tile's size; return the next row and the rows laid out.

    The last group is filled up with copies of the first row that have weight 0.
    """
    n_rows, n_features = rows.shape
    n_filled = 0
    while row < n_rows and n_filled < tile_weights.size:
        weight = weights[row] if weights.size else 1.0
        if weight > 0.0:
            place = n_filled // LANES * n_features * LANES + n_filled % LANES
            for feature in range(n_features):
                x[place + feature * LANES] = rows[row, feature]
            tile_weights[n_filled] = weight
            n_filled += 1
        row += 1
    n_padded = (n_filled + GROUP - 1) // GROUP * GROUP
    for t in range(n_filled, n_padded):
        place = t // LANES * n_features * LANES + t % LANES
        for feature in range(n_features):
            x[place + feature * LANES] = x[feature * LANES]
        tile_weights[t] = 0.0
    return row, n_padded
