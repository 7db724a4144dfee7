"""Results with one entry per row, computed lazily block by block."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Protocol

import dask
import dask.array as da
import numpy as np
from numpy.typing import DTypeLike, NDArray

from daskgmm.engine.parts import BlockRange, BlockReader, parts_of_reader
from daskgmm.engine.schedule import compute, one_thread_per_task
from daskgmm.engine.waiting import redone
from daskgmm.errors import RowError

__all__ = ["RowFunction", "RowTarget", "map_rows", "rows_here", "store_rows", "stream_rows"]

RowFunction = Callable[[NDArray[Any], Any], NDArray[Any]]
"""(rows, argument) -> one entry per row."""


class RowTarget(Protocol):
    """Where results are stored, such as a Zarr array; it travels to the workers."""

    def __setitem__(self, key: slice, values: NDArray[Any], /) -> None:
        """Store the results of some rows."""


def map_rows(
    rows: da.Array, function: RowFunction, argument: object, *, dtype: DTypeLike, n_columns: int | None = None
) -> da.Array:
    """Return function(rows, argument) as a lazy array chunked as the rows.

    Parameters
    ----------
    rows : dask array of shape (n_samples, n_features)
        Whole along the features.
    function : callable
        Returns an array of shape (rows,), or (rows, n_columns).
    argument : object
        Handed to every block; sent to each worker once.
    dtype : dtype
        Of the result.
    n_columns : int or None
        Columns of the result; None makes it one-dimensional.
    """
    run = uuid.uuid4().hex
    shared = dask.delayed(argument, name=f"argument-{run}", traverse=False)
    # Dropping an axis in map_blocks would copy each block first; a column is dropped afterwards instead.
    lazy: da.Array = da.map_blocks(
        _on_block,
        rows,
        function=function,
        argument=shared,
        name=f"rows-{run}",
        dtype=dtype,
        chunks=(rows.chunks[0], (1 if n_columns is None else n_columns,)),
        meta=np.empty((0, 0), dtype=dtype),
    )
    return lazy[:, 0] if n_columns is None else lazy


def rows_here(lazy: da.Array) -> NDArray[Any]:
    """Compute a per-row result of rows that are here, on this process's threads."""
    with one_thread_per_task():
        values: NDArray[Any] = compute(lazy, local=True)
    return values


def store_rows(lazy: da.Array, target: Any) -> None:
    """Compute a per-row result block by block into an array-like that already exists, such as a Zarr array."""
    compute(da.store(lazy, target, compute=False, lock=False))


def stream_rows(
    reader: BlockReader, function: RowFunction, argument: object, target: RowTarget, *, chunk_rows: int
) -> None:
    """Store function(rows, argument) of all rows of a reader, in one pass.

    Each task has a range of blocks and holds two of them, and the results of one chunk.

    Parameters
    ----------
    reader : BlockReader
        Where the rows are.
    function : callable
        Returns an array with one entry, or one row of entries, per row.
    argument : object
        Handed to every chunk; sent to each worker once.
    target : RowTarget
        Assigned to chunk by chunk, by several tasks at a time.
    chunk_rows : int
        Rows of a chunk; each block but the last must be a whole number of chunks, so that no two tasks share one.

    Raises
    ------
    RowError
        If the function blames a row; the error tells the row's place in the data.
    """
    run = uuid.uuid4().hex
    parts = parts_of_reader(reader)
    written = da.map_blocks(
        _on_range,
        parts.array,
        function=function,
        reader=dask.delayed(reader, name=f"reader-{run}", traverse=False),
        argument=dask.delayed(argument, name=f"argument-{run}", traverse=False),
        target=dask.delayed(target, name=f"target-{run}", traverse=False),
        chunk_rows=chunk_rows,
        name=f"written-{run}",
        dtype=np.int64,
        chunks=parts.array.chunks,
        meta=np.empty((0, 0), dtype=np.int64),
    )
    redone(lambda: compute(written))


def _on_range(
    part: BlockRange, *, reader: BlockReader, function: RowFunction, argument: Any, target: RowTarget, chunk_rows: int
) -> NDArray[np.int64]:
    """Store the results of a range of blocks chunk by chunk, and return the number of rows."""
    n_rows = 0
    for block, rows in part.blocks(reader):
        block_start = reader.start(block)
        for start in range(0, len(rows), chunk_rows):
            chunk = rows[start : start + chunk_rows]
            try:
                values = function(chunk, argument)
            except RowError as error:
                raise RowError(error.problem, block, start + error.row, block_start) from None
            target[block_start + start : block_start + start + len(chunk)] = values
            del chunk, values
        n_rows += len(rows)
        del rows
    return np.array([[n_rows]])


def _on_block(
    rows: NDArray[Any], *, function: RowFunction, argument: Any, block_info: dict[Any, Any] | None = None
) -> NDArray[Any]:
    """Run the function on one block and note in its errors which block it was."""
    try:
        result = function(rows, argument)
        return result[:, None] if result.ndim == 1 else result
    except RowError as error:
        place = (block_info or {}).get(0, {})
        block = place.get("chunk-location", (0,))[0]
        start = place.get("array-location", ((None, None),))[0][0]
        known = start is not None and not np.isnan(start)
        raise error.located(block=block, block_start=int(start) if known else None) from None
