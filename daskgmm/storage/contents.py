"""What tells the content of a stored array from another one, without reading its chunks."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import zarr
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore

from daskgmm.storage.fingerprint import METADATA, Fingerprint
from daskgmm.storage.redaction import asking, public_address
from daskgmm.storage.zarr_open import ZarrSource, local_path, open_array

__all__ = ["chunks_digest", "contents_of"]

# What filesystems of fsspec call the marks that an object has another one of when it is written anew.
MARKS = ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "last_modified", "updated", "created")


def contents_of(
    store: ZarrSource, component: str | None = None, storage_options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what tells a stored array from another one, and from itself before it was changed.

    That are the names, sizes and times (at an object store, marks) of its chunks: writing a chunk anew changes them,
    and so may copying the store. Raises as `open_array`.

    Returns
    -------
    dict
        JSON values: store, the address without credentials; shape; metadata, a digest of them; chunks, a digest, or
        None where the store does not list them.
    """
    array, source = open_array(store, component, storage_options)
    return {
        "store": _address(store, component),
        "shape": list(array.shape),
        "metadata": Fingerprint.of(array, source).digest,
        "chunks": chunks_digest(array, source),
    }


def chunks_digest(array: zarr.Array[Any], source: str) -> str | None:
    """Return a digest of the names, sizes and times of an array's chunks; None where the store does not list them.

    Raises StorageError, with the name of the source, if the store cannot be asked.
    """
    with asking(array.store, source):
        listed = _chunks(array)
    return None if listed is None else hashlib.sha256("\n".join(sorted(listed)).encode()).hexdigest()


def _address(store: ZarrSource, component: str | None) -> str:
    """Return where an array is, wherever it is asked from."""
    path = local_path(store) if isinstance(store, str | os.PathLike) else None
    return f"{public_address(store if path is None else path)}{f' ({component})' if component else ''}"


def _chunks(array: zarr.Array[Any]) -> list[str] | None:
    """Return a line for each chunk; None where they cannot be listed."""
    store = array.store
    if isinstance(store, LocalStore):
        folder = store.root / array.path
        return [f"{name} {one.st_size} {one.st_mtime_ns}" for name, one in _files(folder, "")]
    if isinstance(store, FsspecStore):
        found = sync(store.fs._find(f"{store.path}/{array.path}".rstrip("/"), detail=True))
        return [
            f"{name} {one.get('size')} {[str(one.get(mark)) for mark in MARKS]}"
            for name, one in found.items()
            if name.rsplit("/", 1)[-1] not in METADATA
        ]
    return None


def _files(folder: str | os.PathLike[str], name: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the files below a folder, those that describe the array and hidden ones left out."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(entry.path, f"{name}{entry.name}/")
            elif not entry.name.startswith(".") and entry.name not in METADATA:
                yield f"{name}{entry.name}", entry.stat()
