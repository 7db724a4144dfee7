"""Whether a stored array is still the one that was opened."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from typing import Any

import zarr
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.core.sync import sync

from daskgmm.errors import StoreChangedError
from daskgmm.storage.persistence import persistently
from daskgmm.storage.redaction import asking

__all__ = ["Fingerprint"]

METADATA = ("zarr.json", ".zarray")
"""Where versions 3 and 2 keep what describes an array."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What an array looked like when it was opened."""

    source: str
    """The store and the component, for messages."""
    description: str
    """Shape, dtype and chunks in words."""
    digest: str
    """Of the stored metadata."""

    @classmethod
    def of(cls, array: zarr.Array[Any], source: str) -> Fingerprint:
        """Return the fingerprint of an array as it is stored now; of none, if its metadata are gone.

        Raises StorageError if the store cannot be asked.
        """
        for name in METADATA:
            path = f"{array.path}/{name}" if array.path else name
            with asking(array.store, source):
                stored = persistently(partial(_stored, array, path), f"{source}: {name}")
            if stored is not None:
                content = stored.to_bytes()
                return cls(source, _description(content), hashlib.sha256(content).hexdigest())
        return cls(source, "nothing", "")

    def check(self, array: zarr.Array[Any]) -> None:
        """Raise StoreChangedError when what is stored now is described in another way."""
        now = Fingerprint.of(array, self.source)
        if now.digest != self.digest:
            raise StoreChangedError(
                f"{self.source}: expected the array that was opened, {self.description}; found {now.description}. "
                "Do not change a store while it is being read; start again"
            )


def _stored(array: zarr.Array[Any], path: str) -> Buffer | None:
    return sync(array.store.get(path, default_buffer_prototype()))


def _description(content: bytes) -> str:
    """Return what metadata say of an array, as far as they can be understood."""
    try:
        metadata = json.loads(content)
        dtype = metadata.get("data_type", metadata.get("dtype"))
        chunks = metadata.get("chunks") or metadata["chunk_grid"]["configuration"]["chunk_shape"]
        return f"shape {tuple(metadata['shape'])} of {dtype} in chunks {tuple(chunks)}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return "metadata that cannot be understood"
