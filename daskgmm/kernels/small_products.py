"""Matrix products in parts that BLAS multiplies where they lie.

OpenBLAS copies the operands of a product into an order of its own before it multiplies, except where the product is
small; with a few dozen components that copy takes as long as a third of the work. So products are cut into parts that
are small enough, many to one call. Measured on one core with AVX-512, in billions of operations a second: (32, 153) by
(153, 1,000) 45 whole and 53 in parts, (153, 1,000) by (1,000, 32) 38 and 56, (2145, 120) by (120, 16) 34 and 53.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["multiply", "part_shape"]

# Multiplications up to which OpenBLAS counts a product as small.
MOST_MULTIPLICATIONS = 10**6
# Columns and rows of a part fill vector registers in these multiples.
COLUMNS, ROWS = 32, 8


def multiply(
    left: NDArray[Any], right: NDArray[Any], *, out: NDArray[Any], part: tuple[int, int] | None = None
) -> None:
    """Write left (n_rows, n_inner) times right (n_inner, n_columns), neither empty, to out; all are of one dtype.

    Rows of all three are to be contiguous: with a transposed operand small products are slower than large ones. `part`
    is how many rows of left are multiplied with how many columns of right at a time, otherwise as `part_shape` has it.
    """
    (n_rows, n_inner), n_columns = left.shape, right.shape[1]
    height, width = part_shape(n_rows, n_inner, n_columns) if part is None else part
    height, width = min(height, n_rows), min(width, n_columns)
    whole_rows, whole_columns = n_rows // height * height, n_columns // width * width
    if whole_rows < n_rows:
        multiply(left[whole_rows:], right, out=out[whole_rows:], part=(n_rows - whole_rows, width))
        left, out = left[:whole_rows], out[:whole_rows]
    if whole_columns < n_columns:
        rest = slice(whole_columns, None)
        multiply(left, right[:, rest], out=out[:, rest], part=(height, n_columns - whole_columns))
        right, out = right[:, :whole_columns], out[:, :whole_columns]
    # The outer loop of the stack of products is that over parts of columns: each stays in cache for all rows.
    columns = right.reshape(n_inner, -1, width).swapaxes(0, 1)[:, None]
    results = out.reshape(len(left) // height, height, -1, width).transpose(2, 0, 1, 3)
    np.matmul(left.reshape(-1, height, n_inner), columns, out=results)


def part_shape(n_rows: int, n_inner: int, n_columns: int) -> tuple[int, int]:
    """Return how many rows of the left and columns of the right operand make a small product."""
    most = MOST_MULTIPLICATIONS // n_inner
    if n_rows * n_columns <= most or most < ROWS * COLUMNS:
        return n_rows, n_columns
    if n_rows * COLUMNS <= most:
        return n_rows, most // n_rows // COLUMNS * COLUMNS
    columns = min(n_columns, COLUMNS)
    return most // columns // ROWS * ROWS, columns
