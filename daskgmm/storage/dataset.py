"""Anything the user has, as a Dask array in blocks of rows.

The only file of this room that knows Dask. Blocks hold all features of their rows; nothing is read here beyond the
metadata and the names of the stored chunks.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from daskgmm.engine.workers import ambient_workers, this_process
from daskgmm.errors import InputDataError, InputTypeError, ParameterError
from daskgmm.mixture.dense import check_dense
from daskgmm.storage.blocks import TARGET_BYTES, BlockChoice, block_lengths, cut, worker_block_bytes
from daskgmm.storage.stored_blocks import StoredBlocks, stored_blocks
from daskgmm.storage.zarr_open import ZarrSource, is_zarr, open_array
from daskgmm.storage.zarr_rows import ZarrRows, check_complete, check_layout, zarr_rows

__all__ = ["RowBlocks", "as_row_blocks", "is_out_of_core", "open_zarr"]

# Blocks of rows that are in memory already: small, so that data of a few of them keep every thread busy.
IN_MEMORY_BYTES = 2**25
MISSING_CHUNKS = ("raise", "fill")


@dataclass(frozen=True, slots=True, eq=False)
class RowBlocks:
    """Rows in blocks that hold all features, and their weights in the same blocks."""

    rows: da.Array
    """Shape (n_samples, n_features), one block along the features."""
    weights: da.Array | None
    """Shape (n_samples,), in the same blocks of rows; None means that each row counts once."""
    in_memory: bool
    """Whether the rows came as a NumPy array, so that no cluster need see them."""

    @property
    def stored(self) -> StoredBlocks | None:
        """The Zarr array that these are all rows of, to be streamed; None where there are only Dask's blocks.

        An array that `open_zarr` made and nobody has changed since still holds what it was made of.
        """
        source = None if self.weights is not None else self.rows.dask.get(f"original-{self.rows.name}")
        return stored_blocks(source, max(self.rows.chunks[0])) if isinstance(source, ZarrRows) else None

    @property
    def n_samples(self) -> int | None:
        """Number of rows; None until blocks of unknown length have been computed."""
        return None if math.isnan(self.rows.shape[0]) else int(self.rows.shape[0])

    @property
    def n_features(self) -> int:
        """Number of features."""
        return int(self.rows.shape[1])

    @property
    def n_bytes(self) -> int | None:
        """Decoded bytes of all rows; None when their number is unknown."""
        n_samples = self.n_samples
        return None if n_samples is None else n_samples * self.n_features * self.rows.dtype.itemsize

    @property
    def block_starts(self) -> tuple[int, ...] | None:
        """Index of each block's first row; None when the lengths of blocks are unknown."""
        if self.n_samples is None:
            return None
        return tuple(accumulate(self.rows.chunks[0][:-1], initial=0))


def is_out_of_core(X: object) -> bool:
    """Whether data are a Dask collection, a Zarr array or its path: they stay where they are and give lazy results."""
    return isinstance(X, da.Array) or hasattr(X, "to_dask_array") or is_zarr(X)


def as_row_blocks(X: Any, sample_weight: Any = None) -> RowBlocks:
    """Return data as row blocks.

    Parameters
    ----------
    X : dask array, NumPy array, zarr.Array, str or path of a Zarr array
        Of shape (n_samples, n_features); a one-dimensional Zarr array is one feature. Dask arrays keep their row
        blocks, whose lengths need not be known.
    sample_weight : dask array or array-like of shape (n_samples,), or None
        Brought into the blocks of the rows.

    Raises
    ------
    InputTypeError
        If X or the weights are masked, sparse, complex, dates, text, objects, structured, or no array.
    InputDataError
        If X is not two-dimensional, has no rows or features, or the weights do not fit its rows.
    StorageError
        If a store cannot be used.
    """
    in_memory = isinstance(X, np.ndarray)
    if is_zarr(X):
        rows = open_zarr(X)
    elif isinstance(X, da.Array):
        rows = _checked_dask_rows(X)
    elif hasattr(X, "to_dask_array"):
        raise InputTypeError(
            f"X: expected a Dask array; got {type(X).__name__}. Convert it with .to_dask_array(lengths=True)"
        )
    elif in_memory:
        rows = _numpy_rows(X)
    else:
        raise InputTypeError(
            f"X: expected a Dask array, a NumPy array, a Zarr array or its path; got {type(X).__module__}."
            f"{type(X).__qualname__}. Convert it with numpy.asarray, or .toarray() if it is sparse"
        )
    weights = None if sample_weight is None else _aligned_weights(sample_weight, rows)
    return RowBlocks(rows, weights, in_memory)


def open_zarr(
    store: ZarrSource,
    component: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    chunks: BlockChoice = "auto",
    missing_chunks: str = "raise",
) -> da.Array:
    """Open a Zarr array of version 2 or 3 as a Dask array in blocks of rows.

    Parameters
    ----------
    store : str, path, zarr Store, zarr.Array or zarr.Group
        Where the array is: a path, a URL that fsspec understands, or something opened already.
    component : str or None
        Path of the array inside a group.
    storage_options : mapping or None
        What fsspec needs to open a URL, such as credentials.
    chunks : "auto", int or tuple
        Rows of a block. A block is always a whole number of stored chunks (shards, where there are), which are never
        cut. "auto" makes blocks of about 128 MB, smaller ones when there are few data or the ambient cluster's workers
        have little memory.
    missing_chunks : {"raise", "fill"}
        Zarr does not write chunks that hold only the fill value, so a missing chunk may be right or may be lost data.
        "raise" refuses stores with missing chunks, "fill" takes them as the fill value.

    Returns
    -------
    dask array of shape (n_samples, n_features)
        One block along the features; a one-dimensional Zarr array is one feature. Reading a damaged chunk raises
        ChunkReadError, which names it.

    Raises
    ------
    StoreNotFoundError
        If there is no array at that place.
    MissingChunksError
        If chunks are missing and that was not accepted.
    StorageError
        If the store cannot be reached.
    InputDataError
        If the metadata are damaged, a decoded chunk would not fit in memory, or the array is not one of rows.
    ParameterError
        If an argument is not valid, or `chunks` would cut a stored chunk.
    """
    if missing_chunks not in MISSING_CHUNKS:
        raise ParameterError(f'missing_chunks: expected "raise" or "fill"; got {missing_chunks!r}')
    array, source = open_array(store, component, storage_options)
    rows = zarr_rows(array, source, accept_missing=missing_chunks == "fill")
    workers = ambient_workers()
    worker = min(workers, key=lambda worker: worker.memory_limit / worker.n_threads, default=None)
    check_layout(rows, (worker or this_process()).memory_limit)
    lengths = block_lengths(
        chunks,
        shape=rows.shape,
        itemsize=rows.dtype.itemsize,
        unit_rows=rows.unit_rows,
        most_bytes=TARGET_BYTES if worker is None else worker_block_bytes(worker.memory_limit, worker.n_threads),
    )
    if missing_chunks == "raise":
        check_complete(rows)
    lazy: da.Array = da.from_array(
        rows,
        chunks=(lengths, (rows.shape[1],)),
        # Dask would derive a name from the handle, which does not change when the stored data do.
        name=f"zarr-rows-{uuid.uuid4().hex}",
        # One task holds the handle, and every worker unpickles it once, not once a block.
        inline_array=False,
        # Lists of rows are picked from blocks that were read, not by the reader.
        fancy=False,
        meta=np.empty((0, 0), rows.dtype),
    )
    return lazy


def _checked_dask_rows(X: da.Array) -> da.Array:
    """Return a Dask array with all features in each block, its blocks of rows as they were."""
    check_dense(X._meta, "X")
    _check_shape(X.shape)
    if X.numblocks[1] > 1:
        whole: da.Array = X.rechunk({1: -1})
        return whole
    return X


def _numpy_rows(X: NDArray[Any]) -> da.Array:
    """Return a NumPy array as blocks that are views of it."""
    check_dense(X, "X")
    _check_shape(X.shape)
    rows = max(1, IN_MEMORY_BYTES // max(1, X.shape[1] * X.itemsize))
    return _views(X, cut(X.shape[0], rows))


def _views(array: NDArray[Any], lengths: tuple[int, ...]) -> da.Array:
    """Return a Dask array whose blocks are views; `da.from_array` would copy and hash the data."""
    name = f"array-rows-{uuid.uuid4().hex}"
    other_axes = (0,) * (array.ndim - 1)
    ends = accumulate(lengths)
    views = (array[end - length : end] for end, length in zip(ends, lengths, strict=True))
    graph = {(name, block, *other_axes): view for block, view in enumerate(views)}
    chunks = (lengths, *((n,) for n in array.shape[1:]))
    return da.Array(graph, name, chunks, meta=np.empty((0,) * array.ndim, array.dtype))


def _check_shape(shape: tuple[float, ...]) -> None:
    """Raise InputDataError unless a shape is that of at least one row and feature, or of an unknown number of rows."""
    if len(shape) != 2:
        single = "X.reshape(-1, 1) if it has a single feature"
        several = "X.reshape(n_samples, -1), which makes one feature of each number in a row"
        advice = f"Reshape your data with {single if len(shape) == 1 else several}"
        raise InputDataError(f"Expected 2D array, got {len(shape)}D array instead: shape {shape}. {advice}")
    if math.isnan(shape[1]):
        raise InputDataError(
            "X: expected a known number of features; got unknown chunk sizes on axis 1. "
            "Call X.compute_chunk_sizes() first, or build X with the number of features given"
        )
    if shape[0] == 0:
        raise InputDataError(f"X: found array with 0 sample(s) (shape={shape}) while a minimum of 1 is required")
    if shape[1] == 0:
        raise InputDataError(f"X: found array with 0 feature(s) (shape={shape}) while a minimum of 1 is required")


def _aligned_weights(sample_weight: Any, rows: da.Array) -> da.Array:
    """Return weights (n_samples,) in the blocks of the rows."""
    lengths = rows.chunks[0]
    unknown = math.isnan(rows.shape[0])
    if not isinstance(sample_weight, da.Array):
        weights = sample_weight if isinstance(sample_weight, np.ndarray) else np.asarray(sample_weight)
        check_dense(weights, "sample_weight")
        if unknown and weights.ndim == 1:
            raise InputDataError(
                "sample_weight: expected a Dask array in the blocks of X, whose lengths are unknown; got an array in "
                "memory. Call X.compute_chunk_sizes() first"
            )
        _check_weight_shape(weights.shape, rows.shape)
        return _views(weights, lengths)
    check_dense(sample_weight._meta, "sample_weight")
    if sample_weight.ndim == 1 and (unknown or math.isnan(sample_weight.shape[0])):
        if sample_weight.numblocks[0] != rows.numblocks[0]:
            raise InputDataError(
                f"sample_weight: expected the {rows.numblocks[0]} blocks of X, because lengths of blocks are unknown; "
                f"got {sample_weight.numblocks[0]} blocks. Call compute_chunk_sizes() on X and on sample_weight first"
            )
        # That each block has as many weights as rows is seen when it is read.
        return da.Array(sample_weight.dask, sample_weight.name, (lengths,), meta=sample_weight._meta)
    _check_weight_shape(sample_weight.shape, rows.shape)
    aligned: da.Array = sample_weight.rechunk((lengths,))
    return aligned


def _check_weight_shape(shape: tuple[float, ...], rows_shape: tuple[float, ...]) -> None:
    if shape != rows_shape[:1]:
        raise InputDataError(
            f"sample_weight: expected shape ({rows_shape[0]},), one weight for each row of X with shape {rows_shape}; "
            f"got shape {shape}"
        )
