"""The Zarr array that results are written into: there whole at the end, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import DTypeLike, NDArray
from zarr.codecs import BloscCodec, ZstdCodec
from zarr.storage import FsspecStore, LocalStore

from daskgmm.errors import ParameterError, StorageError
from daskgmm.storage.output_place import MARKER, check_target, local_place, remote_place, wanted
from daskgmm.storage.redaction import brief, public_address, secrets_of, shareable_cause
from daskgmm.storage.zarr_open import local_path

__all__ = ["OutputRows", "check_apart", "check_output", "create_output", "output_chunk_rows"]

# Blocks that share only a small divisor would end up as a file for every few rows; bringing them into shape is cheaper.
MOST_CHUNKS_IN_BLOCK = 8


@dataclass(frozen=True, slots=True, eq=False)
class OutputRows:
    """What results are assigned to, from any process that sees the same storage: `output[start:stop] = values`.

    Raises StorageError when they cannot be stored, or when the output was given up because something else failed.
    """

    array: zarr.Array[Any] = field(repr=False)
    """The Zarr array being filled; workers log what their tasks were given, and this would tell credentials."""
    path: str
    """Where it shall be, for messages."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_samples,) or (n_samples, n_columns)."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the numbers."""
        return np.dtype(self.array.dtype)

    def __setitem__(self, key: Any, values: NDArray[Any]) -> None:
        with wanted(self.array.store, self.path):
            try:
                self.array[key] = values
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - every codec and every store has exceptions of its own
                secrets = secrets_of(self.array.store)
                raise StorageError(
                    f"{self.path}: results cannot be written ({brief(error, secrets)}). Make room or mend the storage, "
                    "and start again"
                ) from shareable_cause(error, secrets)


@contextmanager
def create_output(
    path: str | os.PathLike[str],
    *,
    shape: tuple[int, ...],
    chunk_rows: int,
    dtype: DTypeLike,
    compressed: bool = True,
    overwrite: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> Iterator[OutputRows]:
    """Create a Zarr array, let the caller fill it, and put it in its place when the body ends without an exception.

    On disk it is filled under a temporary name beside its place and renamed, so that it appears whole or not at all. An
    object store has no renaming: there it is filled in place, and its attribute {"daskgmm": {"complete": true}} is
    written last. Whatever fails, what was written is removed; what a run that was killed could not remove is removed
    by the next one to the same place.

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
    overwrite : bool
        Whether an output that is there is replaced: on disk at once when the new one is complete, at a URL it is
        removed first. Only what this package wrote is replaced.
    storage_options : mapping or None
        What fsspec needs to open a URL.

    Yields
    ------
    OutputRows
        To write into, from any process that sees the same storage. Each chunk written is stored, also where it is 0
        throughout, so that a chunk that is missing later was lost.

    Raises
    ------
    OutputExistsError
        If something is there that must not be replaced, before any work or at its end.
    OutputInUseError
        If another run is writing to the same place.
    StoreNotFoundError
        If the directory it belongs in is not there.
    StorageError
        If the output cannot be written.
    """
    target = local_path(path)
    if target is None:
        place: Any = remote_place(os.fspath(path), storage_options, overwrite=overwrite)
    else:
        place = local_place(target, overwrite=overwrite)
    source = public_address(path)
    with place as store:
        secrets = secrets_of(store)
        try:
            array = zarr.create_array(
                store=store,
                shape=shape,
                chunks=(max(1, chunk_rows), *shape[1:]),
                dtype=np.dtype(dtype),
                compressors=_compressor(np.dtype(dtype)) if compressed else None,
                attributes={MARKER: {"complete": False}},
                config={"write_empty_chunks": True},
            )
        except OSError as error:
            raise StorageError(f"{source}: the output cannot be created: {brief(error, secrets)}") from shareable_cause(
                error, secrets
            )
        yield OutputRows(array, source)
        try:
            array.update_attributes({MARKER: {"complete": True}})
        except OSError as error:
            raise StorageError(
                f"{source}: the output cannot be completed: {brief(error, secrets)}"
            ) from shareable_cause(error, secrets)


def _compressor(dtype: np.dtype[Any]) -> BloscCodec | ZstdCodec:
    """Return the codec that takes the least time for results, of Zstandard at several levels, with and without Blosc.

    Measured on labels, probabilities and log densities of 16 components: bytes of integers put together by their place
    take half the time of Zarr's default and three quarters of the space, floating numbers at level 1 up to a half of
    the time at the same size.
    """
    if dtype.kind in "iu":
        return BloscCodec(typesize=dtype.itemsize, cname="zstd", clevel=1, shuffle="shuffle")
    return ZstdCodec(level=1)


def check_output(path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Make sure, before any work, that an output on disk can be put in its place; what a URL holds is seen later.

    Raises OutputExistsError, StoreNotFoundError and StorageError as `create_output`.
    """
    target = local_path(path)
    if target is not None:
        check_target(target, overwrite=overwrite)


def check_apart(source: zarr.Array[Any], path: str | os.PathLike[str]) -> None:
    """Raise ParameterError if an output would replace the array that it is computed from."""
    target = local_path(path)
    store = source.store
    if target is not None and isinstance(store, LocalStore):
        is_inside = (Path(store.root) / source.path).resolve().is_relative_to(target.resolve())
    elif target is None and isinstance(store, FsspecStore):
        place = os.fspath(path).split("://")[-1].strip("/")
        is_inside = f"{store.path.strip('/')}/{source.path}/".startswith(f"{place}/")
    else:
        is_inside = False
    if is_inside:
        raise ParameterError(f"{public_address(path)}: expected an output apart from the rows; it would replace them")


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
