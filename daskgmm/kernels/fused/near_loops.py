"""Which components may matter to the rows of others, by the bounds of `kernels.pruned.bounds`. Needs Numba."""

from __future__ import annotations

from typing import Any

import numpy as np

from daskgmm.kernels.fused.compiled import compiled
from daskgmm.kernels.pruned.whitened import SLACK

__all__ = ["PIECE_ROWS", "choose", "near_pairs"]

PIECE_ROWS = 64
"""Rows for which components are chosen together. At (16, 1024) and (32, 1024) features and components 4,640 and 2,580
nanoseconds a row, with half as many 8,290 and 3,620: components are copied for each piece."""
PIECE_ROWS = 64


@compiled
def near_pairs(
    owners: Any,
    distances: Any,
    radii: Any,
    means: Any,
    precisions: Any,
    widths: Any,
    logs: Any,
    gap: float,
    has_matrices: bool,
) -> Any:
    """Return for each owner which other components may matter to rows within a distance and a radius of it.

    Returns
    -------
    starts, places : arrays of shape (n_owners + 1,) and (n_pairs,)
        The pairs of owners[i] are places[starts[i] : starts[i + 1]] of what follows.
    others : array of shape (n_pairs,)
    lengths : array of shape (n_pairs,)
        D of `kernels.pruned.bounds`.
    directions : array of shape (n_pairs, n_features)
        u of `kernels.pruned.bounds`.
    """
    n_components, n_features = means.shape
    n_owners = owners.size
    columns = np.empty((n_features, n_owners))
    for i in range(n_owners):
        columns[:, i] = means[owners[i]]
    squares, places = np.empty(n_owners), np.empty(n_owners + 1, np.int64)
    deviations, products = np.empty(n_features * n_owners), np.empty(n_features * n_owners)
    found_owners, others, lengths = np.empty(n_owners, np.int64), np.empty(n_owners, np.int64), np.empty(n_owners)
    directions = np.empty((n_owners, n_features))
    n_found = 0
    for other in range(n_components):
        n_near = near_by_widths(
            other, owners, columns, means[other], widths[other], distances, radii, logs, gap, squares, places
        )
        if n_near == 0:
            continue
        shape = (n_features, n_near)
        size = n_features * n_near
        own_deviations, own_products = deviations[:size].reshape(shape), products[:size].reshape(shape)
        for feature in range(n_features):
            for place in range(n_near):
                own_deviations[feature, place] = columns[feature, places[place]] - means[other, feature]
        precision = precisions[other if len(precisions) > 1 else 0]
        if has_matrices:
            np.dot(precision.reshape(n_features, n_features), own_deviations, own_products)
        else:
            for feature in range(n_features):
                for place in range(n_near):
                    own_products[feature, place] = precision[feature] * own_deviations[feature, place]
        if n_found + n_near > others.size:
            n_places = 2 * (n_found + n_near)
            found_owners, others = longer(found_owners, n_places), longer(others, n_places)
            lengths, directions = longer(lengths, n_places), longer(directions, n_places)
        found = (found_owners, others, lengths, directions)
        n_found = add_along_lines(
            other, n_near, places, own_deviations, own_products, owners, distances, radii, logs, gap, n_found, found
        )
    starts = np.zeros(n_owners + 1, np.int64)
    for place in range(n_found):
        starts[found_owners[place] + 1] += 1
    starts = np.cumsum(starts)
    sorted_places, filled = np.empty(n_found, np.int64), starts.copy()
    for place in range(n_found):
        sorted_places[filled[found_owners[place]]] = place
        filled[found_owners[place]] += 1
    return starts, sorted_places, others, lengths, directions


@compiled
def near_by_widths(
    other: int,
    owners: Any,
    columns: Any,
    mean: Any,
    width: float,
    distances: Any,
    radii: Any,
    logs: Any,
    gap: float,
    squares: Any,
    places: Any,
) -> int:
    """Store the places of the owners, with means in columns, to whose rows a component may matter; return how many."""
    squares[:] = 0.0
    for feature in range(mean.size):
        value = mean[feature]
        for i in range(owners.size):
            deviation = columns[feature, i] - value
            squares[i] += deviation * deviation
    n_near = 0
    for i in range(owners.size):
        required = 2.0 * (logs[other] - logs[owners[i]]) + gap
        bound = max(np.sqrt(squares[i]) * (1.0 - SLACK) - radii[i], 0.0) / width
        places[n_near] = i
        n_near += owners[i] != other and not bound * bound - distances[i] * distances[i] > required
    return n_near


@compiled
def add_along_lines(
    other: int,
    n_near: int,
    places: Any,
    deviations: Any,
    products: Any,
    owners: Any,
    distances: Any,
    radii: Any,
    logs: Any,
    gap: float,
    n_found: int,
    found: Any,
) -> int:
    """Add the pairs that the bound along the line between both means leaves; return how many there are now."""
    found_owners, others, lengths, directions = found
    squares, slopes = np.zeros(n_near), np.zeros(n_near)
    for feature in range(len(deviations)):
        for place in range(n_near):
            squares[place] += products[feature, place] * deviations[feature, place]
            slopes[place] += products[feature, place] * products[feature, place]
    for place in range(n_near):
        i = places[place]
        length = np.sqrt(squares[place])
        scale = 1.0 / length if length > 0.0 else 0.0  # at the same mean there is no direction
        required = 2.0 * (logs[other] - logs[owners[i]]) + gap
        bound = max(length * (1.0 - SLACK) - np.sqrt(slopes[place]) * scale * (1.0 + SLACK) * radii[i], 0.0)
        if not bound * bound - distances[i] * distances[i] > required:
            found_owners[n_found], others[n_found], lengths[n_found] = i, other, length
            for feature in range(len(deviations)):
                directions[n_found, feature] = products[feature, place] * scale
            n_found += 1
    return n_found


@compiled
def longer(values: Any, n_places: int) -> Any:
    """Return the values in an array with more places."""
    result = np.empty((n_places, *values.shape[1:]), values.dtype)
    result[: len(values)] = values
    return result


@compiled
def choose(
    columns: Any, squares: Any, others: Any, required: Any, lengths: Any, directions: Any, projected: Any,
    kept: Any,
) -> int:  # fmt: skip
    """Append to kept, after its first, which others may matter to any of up to PIECE_ROWS rows; return their number.

    columns are the rows less their owner's mean, (n_features, PIECE_ROWS), squares their squared distances from it;
    required, lengths and directions are T, D and u of each of the others; projected is memory of their number of rows.
    """
    if others.size:
        np.dot(directions, columns, projected)
    n_kept = 1
    for place in range(others.size):
        n_near, length, values, limit = 0, lengths[place] * (1.0 - SLACK), projected[place], required[place]
        for row in range(PIECE_ROWS):
            bound = max(length + values[row], 0.0)
            n_near += not bound * bound - squares[row] > limit
        kept[n_kept] = others[place]
        n_kept += n_near > 0
    return n_kept
