"""The Zarr array that results are written into: there whole at the end, or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import DTypeLike
from zarr.abc.store import Store
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore

from daskgmm.errors import OutputExistsError, ParameterError, StorageError
from daskgmm.storage.new_file import check_parent, sync_directory
from daskgmm.storage.zarr_open import local_path

__all__ = ["create_output", "output_chunk_rows"]

# Blocks that share only a small divisor would end up as a file for every few rows; bringing them into shape is cheaper.
MOST_CHUNKS_IN_BLOCK = 8


@contextmanager
def create_output(
    path: str | os.PathLike[str],
    *,
    shape: tuple[int, ...],
    chunk_rows: int,
    dtype: DTypeLike,
    compressed: bool = True,
    storage_options: Mapping[str, Any] | None = None,
) -> Iterator[zarr.Array[Any]]:
    """Create a Zarr array, let the caller fill it, and put it in its place when the body ends without an exception.

    On disk it is filled under a temporary name beside its place and renamed, so that it appears whole or not at all. An
    object store has no renaming: there it is filled in place. Whatever fails, what was written is removed.

    Parameters
    ----------
    path : str or path
        Where it shall be: a path, or a URL that fsspec understands.
    shape : tuple of int
        (n_samples,) or (n_samples, n_columns).
    chunk_rows : int
        Rows of a chunk; two writers must not share one. See `output_chunk_rows`.
    dtype : dtype
        Of the numbers.
    compressed : bool
        Whether chunks are compressed.
    storage_options : mapping or None
        What fsspec needs to open a URL.

    Yields
    ------
    zarr.Array
        To write into, from any process that sees the same storage. Each chunk written is stored, also where it is 0
        throughout, so that a chunk that is missing later was lost.

    Raises
    ------
    OutputExistsError
        If something is there, before any work or at its end.
    StoreNotFoundError
        If the directory it belongs in is not there.
    StorageError
        If the output cannot be written.
    """
    target = local_path(path)
    place = _local_place(target) if target is not None else _remote_place(os.fspath(path), storage_options)
    with place as store:
        try:
            array = zarr.create_array(
                store=store,
                shape=shape,
                chunks=(max(1, chunk_rows), *shape[1:]),
                dtype=np.dtype(dtype),
                compressors="auto" if compressed else None,
                config={"write_empty_chunks": True},
            )
        except OSError as error:
            raise StorageError(f"{path}: the output cannot be created: {error}") from error
        yield array


def output_chunk_rows(block_rows: tuple[int, ...]) -> int:
    """Return rows for the output's chunks.

    When every block starts at a multiple of the result, blocks can be written as they are; otherwise the caller brings
    them into chunks of this many rows first, or two blocks would write to one chunk at the same time.

    Parameters
    ----------
    block_rows : tuple of int
        Rows of each block.
    """
    largest = max(block_rows, default=1)
    shared = gcd(*block_rows[:-1]) or largest
    return max(1, shared if shared * MOST_CHUNKS_IN_BLOCK >= largest else largest)


@contextmanager
def _local_place(target: Path) -> Iterator[LocalStore]:
    """Yield a store beside the target that takes its place at the end."""
    _refuse_existing(os.path.lexists(target), target)
    check_parent(target)
    temporary = target.with_name(f".{target.name}.partial-{secrets.token_hex(8)}")
    try:
        yield LocalStore(temporary)
        # Renaming would replace an empty directory that somebody has made in the meantime.
        _refuse_existing(os.path.lexists(target), target)
        try:
            os.rename(temporary, target)
            sync_directory(target.parent)
        except OSError as error:
            raise StorageError(f"{target}: the output cannot be put in its place: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _remote_place(url: str, storage_options: Mapping[str, Any] | None) -> Iterator[Store]:
    """Yield a store at the URL, and clear it unless all goes well."""
    try:
        store = FsspecStore.from_url(url, storage_options=dict(storage_options or {}))
        is_empty = sync(store.is_empty(""))
    except (ImportError, OSError) as error:
        raise StorageError(f"{url}: the output cannot be created: {error}") from error
    except ValueError as error:
        raise ParameterError(f"{url}: expected a path or a URL that fsspec understands: {error}") from error
    _refuse_existing(not is_empty, url)
    try:
        yield store
    except BaseException:
        # What went wrong before matters more than what may go wrong here.
        with suppress(OSError):
            sync(store.delete_dir(""))
        raise


def _refuse_existing(exists: bool, place: object) -> None:
    if exists:
        raise OutputExistsError(f"{place}: the output exists already; choose another name or remove it")
