"""The pass over the rows of a block that tells something of each of them. Importing this module needs Numba."""

from __future__ import annotations

from typing import Any

import numpy as np

from daskgmm.kernels.fused.compiled import compiled_for
from daskgmm.kernels.fused.densities import densities_of_few, densities_of_many, diagonal_densities
from daskgmm.kernels.fused.layout import BLOCK
from daskgmm.kernels.fused.number_formats import BYTES
from daskgmm.kernels.fused.shares import largest_of_logs, rows_of_logs
from daskgmm.kernels.fused.tiles import aligned, fill

__all__ = ["describe_rows"]


@compiled_for("void({rows}, {values}, {table}, {table}, {values}, boolean, int64, {totals}, {totals}, {sums})")
def describe_rows(
    rows: Any,
    centre: Any,
    means: Any,
    factors: Any,
    constants: Any,
    has_matrices: bool,
    tile_rows: int,
    logs: Any,
    components: Any,
    shares: Any,
) -> None:
    """Fill in what is said of each row.

    Parameters
    ----------
    rows, centre, means, factors, constants, has_matrices, tile_rows
        As `loops.accumulate` takes them, logarithms never halved.
    logs : array of shape (n_rows,)
        Logarithms to base 2 of rows' densities, or of the largest component's where components are asked for.
    components : array of shape (n_rows,) or (0,)
        The first of the components with the largest density; asked for unless empty.
    shares : array of shape (n_rows, n_components) or (0, 0)
        Responsibilities; filled in unless empty. Not looked at where components are asked for.
    """
    n_components, n_features = means.shape
    lanes = BYTES // rows.itemsize
    x, panel = aligned(tile_rows * n_features, centre), aligned(tile_rows * n_components, centre)
    weight, deviations = aligned(tile_rows, centre), aligned(BLOCK * lanes * n_features, centre)
    tile_logs, tile_components = aligned(tile_rows, centre), aligned(tile_rows, centre)
    nothing = np.empty(0)
    row = 0
    while row < len(rows):
        first = row
        row, n = fill(rows, nothing, row, centre, n_features, x, weight)
        for k in range(n_components):
            mean, factor, constant = means[k], factors[k], constants[k]
            if has_matrices and n_features > BLOCK:
                densities_of_many(x, n, mean, n_features, factor, constant, k, n_components, panel, deviations)
            elif has_matrices:
                densities_of_few(x, n, mean, n_features, factor, constant, k, n_components, panel)
            else:
                diagonal_densities(x, n, mean, n_features, factor, constant, k, n_components, panel)
        if components.size:
            largest_of_logs(panel, n, n_components, tile_logs, tile_components)
            for t in range(row - first):
                components[first + t] = tile_components[t]
        else:
            rows_of_logs(panel, n, n_components, tile_logs)
        for t in range(row - first):
            logs[first + t] = tile_logs[t]
        if shares.size and not components.size:
            for t in range(row - first):
                place = t // lanes * n_components * lanes + t % lanes
                for k in range(n_components):
                    shares[first + t, k] = panel[place + k * lanes]
