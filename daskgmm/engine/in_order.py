"""Blocks one after the other in this process, for work whose every step needs the one before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from daskgmm.engine.parts import Parts
from daskgmm.engine.read_ahead import read_ahead
from daskgmm.engine.schedule import compute

__all__ = ["blocks_in_order"]

Block = tuple[NDArray[Any], NDArray[Any] | None]


def blocks_in_order(parts: Parts) -> Iterator[tuple[int, NDArray[Any], NDArray[Any] | None]]:
    """Yield index, rows (n_rows, n_features) and weights (n_rows,) or None of each block, in the order of the blocks.

    Each block is read once, while the one before it is worked on. A Dask array's blocks are computed one by one, on the
    ambient scheduler, and come here.
    """
    if parts.reader is not None:
        for index, rows in read_ahead(parts.reader.read, range(parts.reader.n_blocks)):
            yield index, rows, None
        return
    if parts.local:
        # Views that Dask holds under their names: nothing is to be computed.
        for index in range(parts.array.numblocks[0]):
            kept = None if parts.weights is None else parts.weights.dask[parts.weights.name, index]
            yield index, parts.array.dask[parts.array.name, index, 0], kept
        return

    def read(index: int) -> Block:
        weights = None if parts.weights is None else parts.weights.blocks[index]
        block: Block = compute((parts.array.blocks[index], weights))
        return block

    for index, (rows, weights) in read_ahead(read, range(parts.array.numblocks[0])):
        yield index, rows, weights
