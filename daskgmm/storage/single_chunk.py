"""One chunk, fetched first and decoded then: tells a store that fails from a chunk that is damaged."""

from __future__ import annotations

from typing import Any

import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from daskgmm.errors import StorageError
from daskgmm.storage.deadline import answer
from daskgmm.storage.persistence import persistently
from daskgmm.storage.redaction import brief, secrets_of, shareable_cause

__all__ = ["array_of_one_chunk"]


def array_of_one_chunk(array: zarr.Array[Any], key: str, source: str) -> zarr.Array[Any]:
    """Return a Zarr array in memory that has one chunk of another, as stored, and lacks all others.

    Parameters
    ----------
    array : zarr.Array
    key : str
        Of the chunk, or of the shard, below the array.
    source : str
        The store and the component, for messages.

    Raises
    ------
    StorageError
        If the store keeps failing to hand out the chunk.
    """
    place = f"{array.path}/{key}" if array.path else key
    prototype = default_buffer_prototype()
    try:
        content = persistently(lambda: answer(array.store.get(place, prototype)), f"{source}: the chunk {key!r}")
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - every filesystem has exceptions of its own
        secrets = secrets_of(array.store)
        raise StorageError(
            f"{source}: the store cannot read the chunk {key!r}, asked several times ({brief(error, secrets)}). Is it "
            "reachable, and may the chunk be read?"
        ) from shareable_cause(error, secrets)
    contents = dict(array.metadata.to_buffer_dict(prototype))
    if content is not None:
        contents[key] = content
    return zarr.open_array(store=MemoryStore(contents), mode="r")
