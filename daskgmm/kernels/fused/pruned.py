"""Moments of many components by the compiled loops, with a look at only those that matter to a row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.kernels.fused.formulations import TILE_ROWS, CentredSums
from daskgmm.kernels.fused.number_formats import FLOAT64
from daskgmm.kernels.moments import Moments
from daskgmm.kernels.pruned import owners_worth_finding
from daskgmm.kernels.pruned.bounds import required_gap
from daskgmm.kernels.pruned.owners import OwnedRows, float64_rows, owned_rows
from daskgmm.kernels.pruned.whitened import WhitenedMixture
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["pruned_moments"]

# Components near a few dozen rows from which on nothing is gained. At (8, 1024) features and components, 42 in 100
# near: 5,000 nanoseconds a row by looking at all, 7,800 pruned; with 1 in 100 near, 4,800 and 1,150.
MOST_NEAR = 0.2
# Pieces to which more than this share of the components may matter are left to the loops over all: copying components
# for a piece takes about as long as their arithmetic on it.
MOST_KEPT = 0.5
# Rows left over that are copied at once.
LEFT_ROWS = 2**14


def pruned_moments(rows: NDArray[Any], weights: Floats | None, parameters: MixtureParameters) -> Moments | None:
    """Return the moments of rows (n_rows, n_features) about the means, or None where looking at all is faster."""
    found = owners_worth_finding(rows, parameters, most_near=MOST_NEAR)
    if found is None:
        return None
    from daskgmm.kernels.fused.loops import accumulate

    mixture, ownership = found
    loops = CentredSums.of(parameters, FLOAT64)
    left = [np.flatnonzero(~ownership.is_owned)]
    left += [
        _add_owned(part, _taken(weights, part.places), mixture, loops) for part in owned_rows(rows, ownership, mixture)
    ]
    places = np.concatenate(left)
    add = accumulate("float64")
    for start in range(0, len(places), LEFT_ROWS):
        chosen = places[start : start + LEFT_ROWS]
        add(float64_rows(rows[chosen]), _taken(weights, chosen), *loops.given, TILE_ROWS, *loops.sums)
    return loops.moments(float(len(rows) if weights is None else weights.sum()))


def _add_owned(part: OwnedRows, weights: Floats, mixture: WhitenedMixture, loops: CentredSums) -> NDArray[np.intp]:
    """Add sorted rows to the sums; return the places of those left out, to which nearly all components matter."""
    # Numba is looked for when it is needed.
    from daskgmm.kernels.fused.pruned_loops import accumulate_owned

    n_components = len(mixture.means)
    is_left = np.zeros(len(part.rows), dtype=bool)
    accumulate_owned("float64")(
        part.rows,
        weights,
        part.offsets,
        part.distances,
        part.radii,
        part.owners,
        part.edges,
        *loops.given,
        mixture.means,
        mixture.precisions.reshape(len(mixture.precisions), -1),
        mixture.widths,
        mixture.log_factors,
        required_gap(n_components),
        int(MOST_KEPT * n_components),
        *loops.sums,
        is_left,
    )
    return part.places[is_left]


def _taken(weights: Floats | None, places: NDArray[np.intp]) -> Floats:
    """Return weights of rows as the loops take them."""
    return np.empty(0) if weights is None else weights[places]
