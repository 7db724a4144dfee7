"""A Zarr array as rows and features, read with errors that name the chunk.

Zarr fills in a chunk that is not there. That is right for chunks that hold only the fill value, which it does not
write, and a silent loss of data for all others; hence `check_complete`, and a second look at chunks that read as the
fill value.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from math import prod
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.core.sync import sync
from zarr.storage import LocalStore

from daskgmm.errors import ChunkReadError, InputDataError, MissingChunksError
from daskgmm.mixture.dense import check_dtype
from daskgmm.storage.deadline import answer
from daskgmm.storage.fingerprint import Fingerprint
from daskgmm.storage.persistence import persistently
from daskgmm.storage.redaction import asking, brief, secrets_of, shareable_cause
from daskgmm.storage.single_chunk import array_of_one_chunk

__all__ = ["ZarrRows", "check_complete", "check_layout", "zarr_rows"]

# Every chunk is looked for, and its index travels in a graph: more than this many is damaged metadata, not data.
MOST_CHUNKS = 10**8
# Of each chunk within a shard, measured: its entry in the index, and what it takes to find the place of its numbers.
INDEX_BYTES = 64


@dataclass(frozen=True, slots=True, eq=False)
class ZarrRows:
    """What Dask slices: an array-like of shape (n_samples, n_features) over a Zarr array of one or two dimensions.

    Reading raises ChunkReadError, with the chunk's key and store, when a chunk cannot be decoded, StorageError when the
    store keeps failing to hand it out, and MissingChunksError when one has disappeared since the store was opened and
    missing chunks are not accepted.
    """

    array: zarr.Array[Any] = field(repr=False)
    """The stored array; workers log what their tasks were given, and this would tell the address with credentials."""
    source: str
    """The store and the component, for messages."""
    accept_missing: bool
    """Whether a missing chunk means the fill value."""
    fingerprint: Fingerprint
    """Of the array when it was opened."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n_samples, n_features); a one-dimensional array is one feature."""
        return self.array.shape[0], self.array.shape[1] if self.array.ndim == 2 else 1

    @property
    def ndim(self) -> int:
        """Two, whatever the stored array has."""
        return 2

    @property
    def dtype(self) -> np.dtype[Any]:
        """The stored dtype, in native byte order as Zarr decodes it."""
        return np.dtype(self.array.dtype)

    @property
    def unit_rows(self) -> int:
        """Rows of a chunk, or of a shard where chunks are packed into shards."""
        return _unit(self.array)[0]

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[Any]:
        rows = range(*key[0].indices(self.shape[0]))
        selection = key if self.array.ndim == 2 else key[:1]
        block = _read(self.array, selection)
        if isinstance(block, Exception):
            block = self._read_chunk_by_chunk(rows, selection)
        block = block if self.array.ndim == 2 else block[:, np.newaxis]
        self._check_fill(block, rows, key[1])
        return block

    def _read_chunk_by_chunk(self, rows: range, selection: tuple[slice, ...]) -> NDArray[Any]:
        """Return what could not be read at once, or raise the error of the first chunk that cannot be had.

        Chunks are fetched again and again when the store fails in passing; what is damaged is decoded once.
        """
        wanted = [range(*part.indices(n)) for part, n in zip(selection, self.array.shape, strict=True)]
        block = np.empty([len(part) for part in wanted], self.dtype)
        for index in self._chunks_of(rows):
            key = _key(self.array, index)
            region = [
                (max(i * size, part.start), min((i + 1) * size, part.stop))
                for i, size, part in zip(index, _unit(self.array), wanted, strict=True)
            ]
            if any(start >= stop for start, stop in region):
                continue
            chunk = array_of_one_chunk(self.array, key, self.source)
            numbers = _read(chunk, tuple(slice(*bounds) for bounds in region))
            if isinstance(numbers, Exception):
                secrets = secrets_of(self.array.store)
                raise self._broken(index, brief(numbers, secrets)) from shareable_cause(numbers, secrets)
            place = tuple(
                slice(start - part.start, stop - part.start) for (start, stop), part in zip(region, wanted, strict=True)
            )
            block[place] = numbers
        return block

    def _check_fill(self, block: NDArray[Any], rows: range, columns: slice) -> None:
        """Make sure that chunks which read as the fill value are stored: absent and empty ones read so too.

        Only chunks whose first number is the fill value are asked for, so that this costs nothing for most data.
        """
        fill = 0 if self.array.fill_value is None else self.array.fill_value
        unit = _unit(self.array)
        first_column = columns.indices(self.shape[1])[0]
        for index in self._chunks_of(rows):
            row = max(index[0] * unit[0] - rows.start, 0)
            column = max(index[1] * unit[1] - first_column, 0) if self.array.ndim == 2 else 0
            if block.size == 0 or column >= block.shape[1] or not _same(block[row, column], fill):
                continue
            name = _key(self.array, index)
            with asking(self.array.store, self.source):
                size = persistently(partial(_stored_size, self.array, name), f"{self.source}: the chunk {name!r}")
            if size == 0:
                raise self._broken(index, "it is empty")
            if size is None and not self.accept_missing:
                raise MissingChunksError(
                    f"{self.source}: the chunk {name!r} was there when the store was opened and is "
                    "gone; restore it, and do not change a store while it is being read"
                )

    def _chunks_of(self, rows: range) -> Iterator[tuple[int, ...]]:
        """Indices of the chunks that hold the rows, over all features."""
        if not rows:
            return iter(())
        row_chunks = range(rows[0] // self.unit_rows, rows[-1] // self.unit_rows + 1)
        return product(row_chunks, *(range(n) for n in _grid(self.array)[1:]))

    def _broken(self, index: tuple[int, ...], problem: str) -> ChunkReadError:
        return ChunkReadError(
            f"{self.source}: the chunk {_key(self.array, index)!r} cannot be read or decoded ({problem}); it was "
            "truncated or damaged: restore it from its source"
        )


def zarr_rows(array: zarr.Array[Any], source: str, *, accept_missing: bool = False) -> ZarrRows:
    """Check that a Zarr array can hold rows, and return it as such.

    Raises
    ------
    InputTypeError
        If its numbers are not real numbers.
    InputDataError
        If it has neither one nor two dimensions, or no rows or no features.
    """
    check_dtype(array.dtype, source)
    if array.ndim not in (1, 2):
        raise InputDataError(
            f"{source}: expected a Zarr array of shape (n_samples, n_features), or (n_samples,) for one feature; got "
            f"shape {array.shape}"
        )
    if 0 in array.shape:
        raise InputDataError(f"{source}: expected at least one row and one feature; got shape {array.shape}")
    return ZarrRows(array, source, accept_missing, Fingerprint.of(array, source))


def check_layout(rows: ZarrRows, memory: int) -> None:
    """Refuse chunks that no worker could decode, before anything is allocated for them.

    Parameters
    ----------
    rows : ZarrRows
        The array; its metadata may be damaged or hostile.
    memory : int
        Bytes of the smallest worker, or of the machine.

    Raises
    ------
    InputDataError
        If one decoded chunk, or the chunks that make up one row of chunks, exceed the memory, or if there are more
        chunks than can be handled.
    """
    unit = _unit(rows.array)
    if min(unit) < 1:
        raise InputDataError(f"{rows.source}: expected chunks of at least one row and feature; its metadata say {unit}")
    # A chunk is decoded whole even where it reaches beyond the edge of the array; a shard's index is read with it.
    grid = _grid(rows.array)
    n_numbers = unit[0] * prod(size * n for size, n in zip(unit[1:], grid[1:], strict=True))
    index_bytes = INDEX_BYTES * n_numbers // prod(rows.array.chunks) if rows.array.shards else 0
    n_bytes = rows.dtype.itemsize * n_numbers + index_bytes
    if n_bytes > memory:
        raise InputDataError(
            f"{rows.source}: its metadata say chunks of {unit} {rows.dtype}; a block of whole chunks takes {n_bytes:,} "
            f"bytes, and there are {memory:,} bytes of memory. Store it in smaller chunks"
        )
    n_chunks = prod(grid)
    if n_chunks > MOST_CHUNKS:
        raise InputDataError(
            f"{rows.source}: its metadata say {n_chunks:,} chunks; at most {MOST_CHUNKS:,} can be handled. Store it in "
            "larger chunks"
        )


def check_complete(rows: ZarrRows) -> None:
    """Make sure that every chunk, or every shard, was written.

    Raises
    ------
    MissingChunksError
        If chunks are missing, or the store cannot tell: with their number, the key of the first, and the option that
        accepts them.
    """
    keys = (_key(rows.array, index) for index in product(*(range(n) for n in _grid(rows.array))))
    with asking(rows.array.store, rows.source):
        is_stored = _lookup(rows.array, rows.source)
    first, n_missing = None, 0
    for key in keys:
        if not is_stored(key):
            first = first or key
            n_missing += 1
    if n_missing:
        raise MissingChunksError(
            f"{rows.source}: {n_missing:,} of {prod(_grid(rows.array)):,} chunks are missing, the first is {first!r}. "
            "If they were lost, restore them. If they were never written because they hold only the fill value "
            f'{rows.array.fill_value}, accept them with missing_chunks="fill" (--missing-chunks fill)'
        )


def _lookup(array: zarr.Array[Any], source: str) -> Callable[[str], bool]:
    """Return a function that tells whether a chunk's key is stored, fast enough for a million of them."""
    store = array.store
    if isinstance(store, LocalStore):
        folder = os.path.join(store.root, array.path)
        if "/" not in _key(array, (0,) * array.ndim):
            return {entry.name for entry in os.scandir(folder) if entry.is_file()}.__contains__
        # Each chunk may be a directory with one file: asking for known names is ten times faster than listing them.
        return lambda key: os.path.isfile(f"{folder}/{key}")
    if not store.supports_listing:
        raise MissingChunksError(
            f"{source}: this store cannot list its chunks, so missing ones cannot be told from the fill value; accept "
            'them with missing_chunks="fill" (--missing-chunks fill)'
        )
    prefix = f"{array.path}/" if array.path else ""

    async def listed() -> set[str]:
        return {key.removeprefix(prefix) async for key in store.list_prefix(prefix)}

    return sync(listed()).__contains__


def _read(array: zarr.Array[Any], selection: tuple[slice, ...]) -> NDArray[Any] | Exception:
    """Return what was read, or what went wrong."""
    try:
        return np.asarray(answer(array.async_array.getitem(selection)))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - every codec and every store has exceptions of its own
        return error


def _stored_size(array: zarr.Array[Any], key: str) -> int | None:
    """Return the bytes of a stored chunk, None if it is not there."""
    try:
        return answer(array.store.getsize(f"{array.path}/{key}" if array.path else key))
    except FileNotFoundError:
        return None


def _key(array: zarr.Array[Any], index: tuple[int, ...]) -> str:
    """Return the key of a chunk below its array; for a shard, the shard's."""
    return array.metadata.encode_chunk_key(index)


def _unit(array: zarr.Array[Any]) -> tuple[int, ...]:
    """Return the shape of what is stored under one key."""
    return array.shards or array.chunks


def _grid(array: zarr.Array[Any]) -> tuple[int, ...]:
    """Return the number of stored units along each axis."""
    return tuple(-(-length // size) for length, size in zip(array.shape, _unit(array), strict=True))


def _same(value: Any, fill: Any) -> bool:
    """Whether a number is the fill value, which may be NaN."""
    return bool(value == fill or (value != value and fill != fill))
