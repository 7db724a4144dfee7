"""Tiles: some rows of a block laid out as vectors, small enough to stay in cache. Importing this module needs Numba."""

from __future__ import annotations

from typing import Any

import numpy as np

from daskgmm.kernels.fused.compiled import compiled
from daskgmm.kernels.fused.layout import BLOCK
from daskgmm.kernels.fused.number_formats import BYTES
from daskgmm.kernels.fused.vectors import Value, Vectors, emitted

__all__ = ["add_lanes", "aligned", "clear", "fill"]


@compiled
def aligned(n_numbers: int, like: Any) -> Any:
    """Return memory for numbers of the type of `like` that starts where a vector may.

    Vectors that straddle two cache lines take twice as long to load: up to a third of all time (at 64 features).
    """
    memory = np.empty(n_numbers + BYTES // like.itemsize, like.dtype)
    start = (-memory.ctypes.data % BYTES) // like.itemsize
    return memory[start : start + n_numbers]


@compiled
def fill(rows: Any, weights: Any, row: int, centre: Any, width: int, x: Any, tile_weights: Any) -> Any:
    """Lay out rows from `row` on relative to a centre, up to the tile's size; return the next row and how many vectors.

    `x` has place for `width` numbers a row, of which as many are filled as rows have features. Vectors are filled up to
    a multiple of BLOCK with copies of the first row that have weight 0.
    """
    n_features = centre.size
    lanes = BYTES // x.itemsize
    n_filled = min(len(rows) - row, tile_weights.size)
    n_whole = n_filled // lanes
    item = rows.itemsize
    lay_out(x, rows[row:], n_whole, rows.strides[0] // item, rows.strides[1] // item, centre, n_features, width)
    n_vectors = (n_filled + BLOCK * lanes - 1) // (BLOCK * lanes) * BLOCK
    for t in range(n_whole * lanes, n_vectors * lanes):
        source = row + (t if t < n_filled else 0)
        place = (t // lanes * width) * lanes + t % lanes
        for feature in range(n_features):
            x[place + feature * lanes] = rows[source, feature] - centre[feature]
    for t in range(n_filled):
        tile_weights[t] = weights[row + t] if weights.size else 1.0
    for t in range(n_filled, n_vectors * lanes):
        tile_weights[t] = 0.0
    return row + n_filled, n_vectors


@emitted
def lay_out(
    vectors: Vectors,
    x: Value,
    rows: Value,
    n_vectors: Value,
    row_stride: Value,
    column_stride: Value,
    centre: Value,
    n_features: Value,
    width: Value,
) -> None:
    """Fill vectors with rows whose numbers lie `row_stride` and `column_stride` apart, minus the centre."""
    with vectors.loop(n_vectors) as vector:
        first = vectors.times(vectors.scaled(vector.index, vectors.lanes), row_stride)
        places = [vectors.plus(first, vectors.scaled(row_stride, lane)) for lane in range(vectors.lanes)]
        start = vectors.scaled(vectors.times(vector.index, width), vectors.lanes)
        with vectors.loop(n_features) as feature:
            offset = vectors.times(feature.index, column_stride)
            value = vectors.gather([vectors.at(rows, place, offset) for place in places])
            deviation = vectors.subtract(value, vectors.broadcast(centre, feature.index))
            vectors.store(deviation, x, start, vectors.scaled(feature.index, vectors.lanes))


@compiled
def clear(lanes: Any) -> None:
    """Make sums 0: assignments to slices would take Numba seconds to compile."""
    for index in range(lanes.size):
        lanes[index] = 0.0


@compiled
def add_lanes(lanes: Any, totals: Any) -> None:
    """Add the lanes of sums to float64 totals of the same shape, and make the lanes 0."""
    for index in range(lanes.size):
        totals[index] += lanes[index]
        lanes[index] = 0.0
