"""The pass over rows sorted by owner that looks at the components near them, compiled when asked for. Needs Numba."""

from __future__ import annotations

from typing import Any

import numpy as np

from daskgmm.kernels.fused.compiled import compiled, compiled_for
from daskgmm.kernels.fused.layout import BLOCK
from daskgmm.kernels.fused.loops import accumulate
from daskgmm.kernels.fused.near_loops import PIECE_ROWS, choose, near_pairs
from daskgmm.kernels.fused.number_formats import BYTES

__all__ = ["accumulate_owned"]

# Owners whose pairs are held at once: of 4,096 components with 16 features, 40 in 100 of them near, 60 MiB.
OWNERS = 256

accumulate_float64 = accumulate("float64")


@compiled
def add_piece(
    rows: Any,
    weights: Any,
    kept: Any,
    centre: Any,
    means: Any,
    factors: Any,
    constants: Any,
    has_matrices: bool,
    least_responsibility: float,
    least_of_mean: float,
    own: Any,
    log_likelihood: Any,
    counts: Any,
    out: Any,
) -> None:
    """Add the statistics of rows of the components in kept, all others left out.

    own is memory for as many components: means, factors, constants, counts and sums.
    """
    own_means, own_factors, own_constants, own_counts, own_sums = own
    n_kept, lanes = kept.size, BYTES // rows.itemsize
    for place in range(n_kept):
        k = kept[place]
        own_means[place], own_factors[place], own_constants[place] = means[k], factors[k], constants[k]
    own_counts[: n_kept * lanes] = 0.0
    own_sums[:n_kept] = 0.0
    group = BLOCK * lanes
    accumulate_float64(
        rows,
        weights,
        centre,
        own_means[:n_kept],
        own_factors[:n_kept],
        own_constants[:n_kept],
        has_matrices,
        least_responsibility,
        least_of_mean,
        (len(rows) + group - 1) // group * group,
        log_likelihood,
        own_counts[: n_kept * lanes],
        own_sums[:n_kept],
    )
    for place in range(n_kept):
        k = kept[place]
        counts[k * lanes : (k + 1) * lanes] += own_counts[place * lanes : (place + 1) * lanes]
        out[k] += own_sums[place]


@compiled_for(
    "void({table}, {weights}, {table}, {values}, {values}, int64[::1], int64[::1],"
    " {values}, {table}, {table}, {values}, boolean, float64, float64,"
    " {table}, {table}, {values}, {values}, float64, int64, {totals}, {totals}, {sums}, boolean[::1])"
)
def accumulate_owned(
    rows: Any,
    weights: Any,
    offsets: Any,
    distances: Any,
    radii: Any,
    owners: Any,
    edges: Any,
    centre: Any,
    means: Any,
    factors: Any,
    constants: Any,
    has_matrices: bool,
    least_responsibility: float,
    least_of_mean: float,
    whitened: Any,
    precisions: Any,
    widths: Any,
    logs: Any,
    gap: float,
    most_kept: int,
    log_likelihood: Any,
    counts: Any,
    out: Any,
    is_left: Any,
) -> None:
    """Add the statistics of sorted rows to the lanes of log_likelihood and counts and to the sums in out.

    Parameters
    ----------
    rows, weights, offsets, distances, radii, owners, edges : arrays
        As `kernels.pruned.owners.OwnedRows` has them, weights in the order of the rows or of shape (0,).
    centre, means, factors, constants, has_matrices, least_responsibility, least_of_mean
        As `loops.accumulate` takes them.
    whitened, precisions, widths, logs : arrays
        As `kernels.pruned.whitened.WhitenedMixture` has them; precisions in one row each.
    gap : float
        As `kernels.pruned.bounds.required_gap` returns it.
    most_kept : int
        Pieces to which more components may matter are left out.
    log_likelihood, counts, out : arrays
        As `loops.accumulate` has them.
    is_left : array of shape (n_rows,)
        Set for the rows that are left out.
    """
    n_owners, n_features = owners.size, means.shape[1]
    farthest, widest = np.empty(n_owners), np.empty(n_owners)
    for i in range(n_owners):
        farthest[i] = distances[edges[i] : edges[i + 1]].max()
        widest[i] = radii[edges[i] : edges[i + 1]].max()
    columns, squares = np.zeros((n_features, PIECE_ROWS)), np.empty(PIECE_ROWS)
    for first in range(0, n_owners, OWNERS):
        last = min(first + OWNERS, n_owners)
        pairs = near_pairs(
            owners[first:last], farthest[first:last], widest[first:last], whitened, precisions, widths, logs, gap,
            has_matrices,
        )  # fmt: skip
        starts, places, others, lengths, directions = pairs
        most_near = 0
        for i in range(last - first):
            most_near = max(most_near, starts[i + 1] - starts[i])
        own_others, own_required = np.empty(most_near, np.int64), np.empty(most_near)
        own_lengths, own_directions = np.empty(most_near), np.empty((most_near, n_features))
        projected, kept = np.empty((most_near, PIECE_ROWS)), np.empty(most_near + 2, np.int64)
        most = min(most_near + 1, most_kept)
        own = (
            np.empty((most, n_features)),
            np.empty((most, factors.shape[1])),
            np.empty(most),
            np.empty(most * (BYTES // rows.itemsize)),
            np.empty((most, out.shape[1])),
        )
        for i in range(first, last):
            owner, n_near = owners[i], starts[i - first + 1] - starts[i - first]
            for place in range(n_near):
                pair = places[starts[i - first] + place]
                own_others[place], own_lengths[place] = others[pair], lengths[pair]
                own_required[place] = 2.0 * (logs[others[pair]] - logs[owner]) + gap
                own_directions[place] = directions[pair]
            kept[0] = owner
            for start in range(edges[i], edges[i + 1], PIECE_ROWS):
                stop = min(start + PIECE_ROWS, edges[i + 1])
                squares[:] = -np.inf  # of rows that are not there
                for row in range(start, stop):
                    squares[row - start] = distances[row] * distances[row]
                    for feature in range(n_features):
                        columns[feature, row - start] = offsets[row, feature]
                n_kept = choose(
                    columns, squares, own_others[:n_near], own_required, own_lengths,
                    own_directions[:n_near], projected[:n_near], kept,
                )  # fmt: skip
                if n_kept > most:
                    is_left[start:stop] = True
                    continue
                add_piece(
                    rows[start:stop],
                    weights[start:stop] if weights.size else weights,
                    kept[:n_kept],
                    centre,
                    means,
                    factors,
                    constants,
                    has_matrices,
                    least_responsibility,
                    least_of_mean,
                    own,
                    log_likelihood,
                    counts,
                    out,
                )
