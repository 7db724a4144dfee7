"""What a block of a Dask array may turn out to be when it is computed, whatever the array announced."""

from __future__ import annotations

import numpy as np
import scipy.sparse


def structured(block):
    return np.zeros(block.shape, dtype=[("x", float), ("y", float)])


BAD_BLOCKS = {
    "complex": lambda block: block.astype(complex),
    "object": lambda block: block.astype(object),
    "text": lambda block: block.astype("U8"),
    "datetime": lambda block: np.zeros(block.shape, dtype="datetime64[s]"),
    "timedelta": lambda block: np.zeros(block.shape, dtype="timedelta64[s]"),
    "structured": structured,
    "masked": lambda block: np.ma.masked_less(block, 0.0),
    "sparse matrix": scipy.sparse.csr_matrix,
    "sparse array": scipy.sparse.csr_array,
    "list": lambda block: block.tolist(),
    "other features": lambda block: np.zeros((len(block), block.shape[1] + 1)),
    "one dimension": lambda block: block[:, 0],
    "three dimensions": lambda block: block[:, :, None],
}
"""By name, functions that turn a sound block of floats into a bad one."""
