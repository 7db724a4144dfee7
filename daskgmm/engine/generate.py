"""Rows made up block by block, lazily, the same on any scheduler."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import numpy as np
from numpy.typing import NDArray

__all__ = ["generate_rows"]

Generate = Callable[[np.random.Generator, int, Any], NDArray[np.float64]]
"""(random generator of the block, number of rows, argument) -> rows (n_rows, n_features)."""


def generate_rows(
    function: Generate, argument: object, *, n_samples: int, n_features: int, block_rows: int, entropy: int
) -> da.Array:
    """Return n_samples rows as a lazy array in blocks of `block_rows`, each with a random generator of its own."""
    full, rest = divmod(n_samples, block_rows)
    lengths = (block_rows,) * full + ((rest,) if rest else ())
    run = uuid.uuid4().hex
    lazy: da.Array = da.map_blocks(
        _generate_block,
        da.from_array(np.array(lengths)[:, None], chunks=1, name=f"lengths-{run}"),
        function=function,
        argument=dask.delayed(argument, name=f"argument-{run}", traverse=False),
        entropy=entropy,
        name=f"generate-{run}",
        dtype=np.float64,
        chunks=(lengths, (n_features,)),
        meta=np.empty((0, 0)),
    )
    return lazy


def _generate_block(
    length: NDArray[Any], *, function: Generate, argument: Any, entropy: int, block_id: tuple[int, ...] = (0, 0)
) -> NDArray[np.float64]:
    return function(np.random.default_rng([entropy, block_id[0]]), int(length[0, 0]), argument)
