"""The features of a tile of rows whose products with coefficients are log densities and with shares are moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from daskgmm.kernels.aligned import aligned_empty
from daskgmm.kernels.quadratic_form import QuadraticForm
from daskgmm.mixture.covariance import CovarianceStructure, Floats

__all__ = ["TileFeatures"]

# Of fewer, row after row of the triangle is as fast. At (4, 8) features and components it takes 3 % longer, at (8, 16)
# 6 %.
FEWEST_FEATURES = 4


@dataclass(frozen=True, slots=True, eq=False)
class TileFeatures:
    """Memory for the features of one tile, and their order: [quadratic features, x, 1].

    With full covariances the quadratic ones are x_i x_(i + s), indices counted round, for s = 0 to n_features / 2. Each
    s takes one multiplication of x by itself s features on, all of them contiguous, and all s take one call of NumPy.
    """

    structure: CovarianceStructure
    centre: Floats
    """The point that rows are taken relative to, shape (n_features,)."""
    order: NDArray[np.intp]
    """Where the features, one after the other, stand in the form's order, shape (n_coefficients,)."""
    memory: NDArray[Any]
    """Of one number for each feature and row, and for the first half of x once more."""

    @classmethod
    def of(cls, form: QuadraticForm, n_rows: int, dtype: DTypeLike) -> TileFeatures:
        """Prepare tiles of up to n_rows rows."""
        n_features, n_quadratic = len(form.centre), form.n_quadratic
        quadratic = np.arange(n_quadratic)
        if _goes_round(form.structure, n_features):
            quadratic = _places_round(n_features)
        order = np.concatenate([quadratic, n_quadratic + np.arange(n_features + 1)])
        memory = aligned_empty((len(order) + n_features // 2) * n_rows, dtype)
        return cls(form.structure, form.centre, order, memory)

    def fill(self, tile: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the features (n_coefficients, n_rows) of rows (n_rows, n_features), and x among them.

        Each tile overwrites the features of the one before.
        """
        n_rows, n_features = tile.shape
        n_coefficients = len(self.order)
        places = self.memory[: (n_coefficients + n_features // 2) * n_rows].reshape(-1, n_rows)
        quadratic, columns = places[: n_coefficients - n_features - 1], places[n_coefficients - n_features - 1 :]
        x = columns[:n_features]
        np.subtract(tile.T, self.centre[:, None], out=x, casting="same_kind")
        if _goes_round(self.structure, n_features):
            columns[n_features : n_features + n_features // 2] = x[: n_features // 2]
            _multiply_round(columns, n_features, out=quadratic)
        else:
            self.structure.quadratic_features(x, out=quadratic)
        columns[n_features] = 1.0
        return places[:n_coefficients], x


def _goes_round(structure: CovarianceStructure, n_features: int) -> bool:
    """Return whether the quadratic features are products of all pairs of features, and enough of them."""
    return n_features >= FEWEST_FEATURES and structure.n_quadratic(n_features) == n_features * (n_features + 1) // 2


def _places_round(n_features: int) -> NDArray[np.intp]:
    """Return the places of x_i x_(i + s), s after s, among the products row after row of the upper triangle."""
    places = np.empty((n_features, n_features), dtype=np.intp)
    i, j = np.triu_indices(n_features)
    places[i, j] = places[j, i] = np.arange(len(i))
    first = np.arange(n_features)
    round_and_round = [places[first, (first + shift) % n_features] for shift in range(n_features // 2 + 1)]
    return np.concatenate(round_and_round)[: len(i)]  # half a round is all there is left of an even number


def _multiply_round(columns: NDArray[Any], n_features: int, *, out: NDArray[Any]) -> None:
    """Write x_i x_(i + s) to out, given x and its first half once more in columns (3 n_features / 2, n_rows)."""
    n_rows = columns.shape[1]
    n_rounds, size = (n_features + 1) // 2, n_features * n_rows
    shifted = np.ndarray((n_rounds, size), columns.dtype, buffer=columns, strides=columns.strides)
    whole = out[: n_rounds * n_features].reshape(n_rounds, size)
    np.multiply(columns[:n_features].reshape(1, size), shifted, out=whole)
    half = n_features // 2
    if n_features % 2 == 0:
        np.multiply(columns[:half], columns[half:n_features], out=out[n_rounds * n_features :])
