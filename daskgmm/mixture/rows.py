"""What a block of rows must be before any arithmetic touches it, and which row to blame when arithmetic fails."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import InputDataError, RowError
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.dense import check_dense

__all__ = ["UNKNOWN_BLOCK", "bad_row", "checked_rows", "checked_weights", "tile_rows"]

# Code that works on one block does not know which one it is; whoever does fills the number in (RowError.located).
UNKNOWN_BLOCK = 0

# Elements of one (n_components, n_features, rows) temporary: 2 MiB of float64, so that the few a tile needs stay in a
# second-level cache; measured best within 10 % from (2, 3) to (32, 32) features and components.
TILE_ELEMENTS = 2**18
# More rows than this gain nothing; fewer make the matrix products too thin.
MOST_TILE_ROWS, FEWEST_TILE_ROWS = 4096, 16


def tile_rows(n_components: int, n_features: int) -> int:
    """Return how many rows to work on at a time, a function of the mixture's shape alone."""
    return min(MOST_TILE_ROWS, max(FEWEST_TILE_ROWS, TILE_ELEMENTS // (n_components * n_features)))


def checked_rows(block: Any, n_features: int) -> NDArray[Any]:
    """Return the block if it is a dense real array of shape (n_rows, n_features).

    Raises
    ------
    InputTypeError
        If the block is masked, sparse, complex, structured, of objects or of dates.
    InputDataError
        If it has other dimensions or another number of features.
    """
    check_dense(block, "rows")
    if block.ndim != 2 or block.shape[1] != n_features:
        raise InputDataError(f"expected blocks of shape (rows, {n_features}); got shape {block.shape}")
    rows: NDArray[Any] = block
    return rows


def checked_weights(weights: Any, n_rows: int) -> Floats:
    """Return sample weights (n_rows,) as float64.

    Raises
    ------
    InputDataError
        If their number is not that of the rows.
    RowError
        If one is negative, NaN or infinite; its row is named.
    """
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != (n_rows,):
        raise InputDataError(
            f"sample_weight: expected shape ({n_rows},) for a block of {n_rows} rows; got {array.shape}"
        )
    sound = np.isfinite(array) & (array >= 0)
    if not sound.all():
        row = int(np.argmin(sound))
        raise RowError(
            f"sample_weight is {array[row]:g}; expected finite weights >= 0. Use 0 to leave a row out",
            UNKNOWN_BLOCK,
            row,
        )
    return array


def bad_row(rows: NDArray[Any], present: NDArray[np.bool_] | None) -> RowError:
    """Return the error that names the first row to blame for a result that is not finite.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
    present : bool array of shape (n_rows,) or None
        Which rows have positive weight; None means all.
    """
    values = np.asarray(rows, dtype=np.float64)
    finite = np.isfinite(values).all(axis=1)
    if present is not None:
        finite |= ~present
    if not finite.all():
        row = int(np.argmin(finite))
        feature = int(np.argmin(np.isfinite(values[row])))
        return RowError(
            f"feature {feature} is {values[row, feature]:g}; expected finite numbers without NaN or infinity (inf). "
            "Repair the row, drop it, or give it sample_weight 0",
            UNKNOWN_BLOCK,
            row,
        )
    size = np.abs(values).max(axis=1, initial=0.0)
    row = int(np.argmax(size if present is None else np.where(present, size, 0.0)))
    return RowError(
        f"a value of size {size[row]:g} overflows when squared; expected values below about 1e150. Scale the features",
        UNKNOWN_BLOCK,
        row,
    )
