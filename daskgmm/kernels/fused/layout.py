"""Where the compiled loops leave which sum, and the moments made of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from daskgmm.mixture.covariance import Floats

__all__ = ["BLOCK", "DIAGONAL_SLOTS", "SLOTS", "diagonal_moments", "in_blocks", "matrix_moments", "n_sums"]

BLOCK = 4
"""Features of a block, and vectors of rows worked on together: 4 x 4 sums fill half of 32 registers."""
SLOTS = BLOCK * BLOCK
"""Sums of one block: 4 x 4 second moments off the diagonal; 10 second and then 4 first ones on it."""
DIAGONAL_SLOTS = 2 * BLOCK
"""Sums of one block of variances: 4 first moments, then 4 second ones."""

Indices = NDArray[np.intp]


def n_sums(n_features: int, *, has_matrices: bool) -> int:
    """Return how many sums the compiled loops make for each component."""
    n_blocks = -(-n_features // BLOCK)
    return n_blocks * (n_blocks + 1) // 2 * SLOTS if has_matrices else n_blocks * DIAGONAL_SLOTS


def in_blocks(columns: Floats) -> Floats:
    """Return the columns of matrices (..., n_rows, n_columns) in blocks, the last filled up with zeros.

    The shape is (..., n_blocks, n_rows, BLOCK).
    """
    n_columns = columns.shape[-1]
    padded = np.zeros((*columns.shape[:-1], -(-n_columns // BLOCK) * BLOCK))
    padded[..., :n_columns] = columns
    return padded.reshape(*columns.shape[:-1], -1, BLOCK).swapaxes(-3, -2)


def matrix_moments(sums: Floats, n_features: int) -> tuple[Floats, Floats]:
    """Return first (n_components, n_features) and second moments (n_components, n_features, n_features)."""
    first, second = _matrix_places(n_features)
    # Indexing would leave the components innermost in memory, and all that is made of it: M-steps take 7 ms, not 4.
    return sums.take(first, axis=1), sums.take(second, axis=1)


def diagonal_moments(sums: Floats, n_features: int) -> tuple[Floats, Floats]:
    """Return first moments and those of squares, both (n_components, n_features)."""
    blocks = sums.reshape(len(sums), -1, 2, BLOCK)
    first, second = (blocks[:, :, moment].reshape(len(sums), -1)[:, :n_features] for moment in (0, 1))
    return first, second


@lru_cache(maxsize=16)
def _matrix_places(n_features: int) -> tuple[Indices, Indices]:
    """Return the places of first and second moments among the sums: blocks of the upper triangle, row by row."""
    first = np.empty(n_features, dtype=np.intp)
    second = np.empty((n_features, n_features), dtype=np.intp)
    block = 0
    for top in range(0, n_features, BLOCK):
        for left in range(top, n_features, BLOCK):
            rows, columns = range(top, min(top + BLOCK, n_features)), range(left, min(left + BLOCK, n_features))
            pairs = [(i, j) for i in rows for j in columns if i <= j]
            for place, (i, j) in enumerate(pairs, block * SLOTS):
                second[i, j] = second[j, i] = place
            if top == left:
                first[rows] = block * SLOTS + len(pairs) + np.arange(len(rows))
            block += 1
    return first, second
