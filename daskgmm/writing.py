"""Per-row results written to a Zarr array, whole or not at all."""

from __future__ import annotations

import math
import os
from itertools import accumulate
from typing import TYPE_CHECKING

from daskgmm.engine.rows import store_rows
from daskgmm.engine.schedule import one_thread_per_task
from daskgmm.errors import InputDataError
from daskgmm.storage.output import create_output, output_chunk_rows

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["write_rows"]


def write_rows(rows: da.Array, path: str | os.PathLike[str], *, compressed: bool = True) -> None:
    """Compute a lazy per-row array block by block into a new Zarr array.

    Parameters
    ----------
    rows : dask array of shape (n_samples,) or (n_samples, n_columns)
        Whole along the columns.
    path : str or path
        Where the Zarr array shall be; local paths appear only when they are complete.
    compressed : bool
        Whether chunks are compressed.

    Raises
    ------
    InputDataError
        If the lengths of blocks are unknown.
    OutputExistsError
        If something is there already.
    StorageError
        If the output cannot be written.
    """
    if math.isnan(rows.shape[0]):
        raise InputDataError(
            "rows: expected blocks of known lengths; got unknown ones. Call compute_chunk_sizes() on the data first"
        )
    block_rows = rows.chunks[0]
    chunk_rows = output_chunk_rows(block_rows)
    # Two blocks that share a chunk would overwrite each other's part of it.
    if any(start % chunk_rows for start in accumulate(block_rows[:-1])):
        rows = rows.rechunk({0: chunk_rows})
    output = create_output(path, shape=rows.shape, chunk_rows=chunk_rows, dtype=rows.dtype, compressed=compressed)
    with output as target, one_thread_per_task():
        store_rows(rows, target)
