"""Per-row results written to a Zarr array, whole or not at all."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sklearn.utils.validation import check_is_fitted

from daskgmm.engine.rows import map_rows, store_rows, stream_rows
from daskgmm.engine.schedule import one_thread_per_task
from daskgmm.errors import InputDataError, ParameterError
from daskgmm.fitted import parameters_of
from daskgmm.inputs import row_blocks_of
from daskgmm.kernels.per_row import labels, log_density, responsibilities
from daskgmm.storage.output import check_apart, check_output, create_output, output_chunk_rows
from daskgmm.storage.result_chunks import result_chunks

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["RESULTS", "check_result", "write_results", "write_rows"]


@dataclass(frozen=True, slots=True)
class _Result:
    """A kind of result."""

    function: Callable[..., NDArray[Any]]
    dtypes: tuple[str, ...]
    """What its numbers may be; the first unless asked otherwise."""
    has_columns: bool
    """Whether each row has one entry for each component."""


RESULTS = {
    "labels": _Result(labels, ("int64", "int32", "int16"), has_columns=False),
    "proba": _Result(responsibilities, ("float64", "float32"), has_columns=True),
    "log-density": _Result(log_density, ("float64", "float32"), has_columns=False),
}
"""What can be written: as `predict`, `predict_proba` and `score_samples` return."""


def check_result(what: str, dtype: DTypeLike | None, n_components: int) -> np.dtype[Any]:
    """Return the dtype of a kind of result.

    Parameters
    ----------
    what : {"labels", "proba", "log-density"}
    dtype : dtype or None
        int64, int32 or int16 for labels, float64 or float32 for the others; None means the first of these.
    n_components : int

    Raises
    ------
    ParameterError
        If there is no such result, or the dtype is none of these or cannot hold the labels.
    """
    if what not in RESULTS:
        raise ParameterError(f"what: expected one of {', '.join(RESULTS)}; got {what!r}")
    allowed = RESULTS[what].dtypes
    try:
        chosen = np.dtype(allowed[0] if dtype is None else dtype)
    except TypeError:
        raise ParameterError(f"dtype: expected one of {', '.join(allowed)}; got {dtype!r}") from None
    if chosen.name not in allowed:
        raise ParameterError(f"dtype: expected one of {', '.join(allowed)} for {what}; got {chosen.name}")
    if chosen.kind == "i" and n_components - 1 > np.iinfo(chosen).max:
        raise ParameterError(
            f"dtype: expected one that holds the labels 0 to {n_components - 1}; {chosen.name} ends at "
            f"{np.iinfo(chosen).max}. Use int32"
        )
    return chosen


def write_results(
    mixture: Any,
    X: Any,
    path: str | os.PathLike[str],
    *,
    what: str = "labels",
    dtype: DTypeLike | None = None,
    compressed: bool = True,
    overwrite: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> None:
    """Apply a fitted mixture to each row of data and write the results to a new Zarr array, in one pass.

    Rows of a Zarr array, or of what `open_zarr` made of one, are streamed: each task holds two blocks of about 32 MiB
    and as much of results. Blocks of other Dask arrays are held as they are.

    Parameters
    ----------
    mixture : GaussianMixture
        Fitted.
    X : dask array, zarr array, path of a Zarr array, or array-like of shape (n_samples, n_features)
    path : str or path
        Where the results shall be, a path or a URL; local ones appear only when they are complete.
    what : {"labels", "proba", "log-density"}
        What `predict`, `predict_proba` or `score_samples` return.
    dtype : dtype or None
        int64, int32 or int16 for labels, float64 or float32 for the others; None means the first of these.
    compressed : bool
        Whether chunks are compressed.
    overwrite : bool
        Whether results that are there are replaced, once the new ones are complete; see `create_output`.
    storage_options : mapping or None
        What fsspec needs to open a URL that results go to.

    Raises
    ------
    ParameterError
        If an argument is not valid, or the output would replace the rows.
    InputDataError
        If the data do not go with the mixture, a row holds NaN or infinity, or the lengths of blocks are unknown.
    OutputExistsError, OutputInUseError
        If something is there already, or another run is writing there.
    StorageError
        If the rows cannot be read or the results cannot be written.
    """
    check_is_fitted(mixture)
    parameters = parameters_of(mixture)
    number = check_result(what, dtype, parameters.n_components)
    check_output(path, overwrite=overwrite)
    blocks = row_blocks_of(mixture, X, None, reset=False)
    function = partial(RESULTS[what].function, dtype=number)
    n_columns = parameters.n_components if RESULTS[what].has_columns else None
    stored = blocks.stored
    if stored is None:
        lazy = map_rows(blocks.rows, function, parameters, dtype=number, n_columns=n_columns)
        write_rows(lazy, path, compressed=compressed, overwrite=overwrite, storage_options=storage_options)
        return
    check_apart(stored.rows.array, path)
    reader, chunk_rows = result_chunks(stored, (n_columns or 1) * number.itemsize)
    output = create_output(
        path,
        shape=(reader.rows.shape[0],) if n_columns is None else (reader.rows.shape[0], n_columns),
        chunk_rows=chunk_rows,
        dtype=number,
        compressed=compressed,
        overwrite=overwrite,
        storage_options=storage_options,
    )
    with output as target, one_thread_per_task():
        stream_rows(reader, function, parameters, target, chunk_rows=chunk_rows)


def write_rows(
    rows: da.Array,
    path: str | os.PathLike[str],
    *,
    compressed: bool = True,
    overwrite: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> None:
    """Compute a lazy per-row array block by block into a new Zarr array.

    Parameters
    ----------
    rows : dask array of shape (n_samples,) or (n_samples, n_columns)
        Whole along the columns.
    path, compressed, overwrite, storage_options
        As `write_results`.

    Raises
    ------
    InputDataError
        If the lengths of blocks are unknown.
    OutputExistsError, OutputInUseError
        If something is there already, or another run is writing there.
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
    output = create_output(
        path,
        shape=rows.shape,
        chunk_rows=chunk_rows,
        dtype=rows.dtype,
        compressed=compressed,
        overwrite=overwrite,
        storage_options=storage_options,
    )
    with output as target, one_thread_per_task():
        store_rows(rows, target)
