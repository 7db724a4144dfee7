"""Decoded blocks kept between passes: in the workers' memory, or in files that only they can see.

What is kept is a result of Dask tasks. It stays on the worker that read it, the next pass's tasks run there, a worker
that is lost loses nothing but the time to read again, and all is let go when the fit ends.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from dataclasses import dataclass, replace
from typing import Any, Self

import dask
import dask.array as da
from numpy.typing import NDArray

from daskgmm.engine.kept_file import KeptFile
from daskgmm.engine.parts import OBJECTS, BlockRange, BlockReader, Parts
from daskgmm.engine.schedule import persist, values_on_cluster
from daskgmm.engine.workers import Worker, ambient_client, ambient_workers, this_process
from daskgmm.errors import ClusterError, SchedulerLostError

__all__ = ["CACHES", "KeptParts"]

CACHES = ("auto", "memory", "disk", None)
"""Where decoded blocks may stay; see `KeptParts`."""

# Dask's workers move data to disk from 60 % of their memory on. Two fifths leave a fifth for blocks being worked on.
SHARE_OF_MEMORY = 0.4
# The blocks that a process keeps must not take it above this, whatever else it holds.
MOST_OF_MEMORY = 0.55
# A disk that runs full stops others than us.
SHARE_OF_FREE_DISK = 0.5


@dataclass(frozen=True, slots=True)
class _Room:
    """How much one task may keep."""

    memory: int
    """Bytes in memory."""
    on_disk: bool
    """Whether blocks that do not fit in memory go to disk."""


class KeptParts:
    """The data of several passes: decoded blocks are kept from the first pass on, until the context is left.

    Parameters
    ----------
    parts : Parts
    cache : {"auto", "memory", "disk", None}
        "memory" keeps what fits into two fifths of the workers' memory. "disk" keeps blocks uncompressed in the
        workers' directories, up to half of what is free there. "auto" keeps in memory what fits and, where the stored
        form is dear to read, the rest on disk. None keeps nothing. A Dask array is kept in memory as a whole, or not.
    n_bytes : int or None
        Decoded bytes of all rows; None when unknown.
    """

    def __init__(self, parts: Parts, cache: str | None, *, n_bytes: int | None) -> None:
        self._parts = parts
        self._cache = cache
        self._n_bytes = n_bytes
        self._client = ambient_client()
        self._values = _values(parts)
        """Of the data as they were given, where they are on the cluster already."""
        self._kept: Parts | None = None
        self._kept_values: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._let_go()

    @property
    def parts(self) -> Parts:
        """The data for one pass; asked for the first time, it begins to keep blocks.

        Raises what the reader raises when the store has changed since it was opened, SchedulerLostError when the client
        that was ambient has closed since, and ClusterError when the data went away with their scheduler.
        """
        if self._client is not None and self._client.status in ("closing", "closed") and not self._parts.local:
            # There is no ambient cluster then, and this process would do the work of all its workers.
            raise SchedulerLostError("expected the scheduler to stay; the connection to it was closed")
        if _gone(self._values):
            raise ClusterError(
                "expected the blocks of X on the cluster, where they had been persisted; they went away with its "
                "scheduler. Persist them again, or give data that can be read again"
            )
        if self._parts.reader is not None:
            self._parts.reader.check_unchanged()
        if _gone(self._kept_values):
            self._let_go()
        if self._kept is None:
            self._kept = self._keep()
            self._kept_values = [] if self._kept is self._parts else _values(self._kept)
        return self._kept

    def _let_go(self) -> None:
        for value in self._kept_values:
            value.release()
        self._kept, self._kept_values = None, []

    def _keep(self) -> Parts:
        parts, cache = self._parts, self._cache
        if cache is None or parts.local or not _is_shared_with_tasks():
            return parts
        if parts.reader is not None:
            return _keep_ranges(parts, parts.reader, cache)
        if cache != "disk" and self._n_bytes is not None and self._n_bytes <= _memory_for_blocks():
            return _keep_dask_blocks(parts)
        return parts


def _values(parts: Parts) -> list[Any]:
    return values_on_cluster(parts.array, *([] if parts.weights is None else [parts.weights]))


def _gone(values: list[Any]) -> bool:
    return any(value.cancelled() for value in values)


def _is_shared_with_tasks() -> bool:
    """Whether results of tasks can stay where they were made: on a cluster, or in this process's threads."""
    scheduler = dask.config.get("scheduler", None)
    return ambient_client() is not None or scheduler in (None, "threads", "threading", "sync", "synchronous")


def _workers() -> tuple[Worker, ...]:
    return ambient_workers() or (this_process(),)


def _memory_for_blocks() -> int:
    return int(SHARE_OF_MEMORY * sum(worker.memory_limit for worker in _workers()))


def _keep_dask_blocks(parts: Parts) -> Parts:
    return replace(
        parts,
        array=persist(parts.array),
        weights=None if parts.weights is None else persist(parts.weights),
    )


def _keep_ranges(parts: Parts, reader: BlockReader, cache: str) -> Parts:
    """Return ranges that hold their first blocks."""
    run = uuid.uuid4().hex
    memory = 0 if cache == "disk" else _memory_for_blocks() // parts.array.numblocks[0]
    room = _Room(memory, on_disk=cache == "disk" or (cache == "auto" and reader.is_dear))
    kept = da.map_blocks(
        _keep,
        parts.array,
        reader=dask.delayed(reader, name=f"reader-{run}", traverse=False),
        room=room,
        name=f"kept-{run}",
        dtype=object,
        chunks=parts.array.chunks,
        meta=OBJECTS,
    )
    return replace(parts, array=persist(kept))


def _keep(part: BlockRange, *, reader: BlockReader, room: _Room) -> BlockRange:
    """Read as many blocks of a range as there is room for; those on disk go there one by one."""
    kept: list[NDArray[Any] | KeptFile] = []
    left = room.memory
    for block in range(part.first, part.stop):
        if reader.block_bytes <= left and _has_memory(reader.block_bytes):
            rows = reader.read(block)
            left -= rows.nbytes
            kept.append(rows)
            continue
        file = _on_disk(reader, block) if room.on_disk else None
        if file is None:
            break
        kept.append(file)
    return replace(part, kept=tuple(kept))


def _has_memory(n_bytes: int) -> bool:
    """Whether this process may hold so many bytes more."""
    import psutil

    limit = this_process().memory_limit
    worker = _dask_worker()
    if worker is not None and worker.memory_manager.memory_limit:
        limit = int(worker.memory_manager.memory_limit)
    return int(psutil.Process().memory_info().rss) + n_bytes <= MOST_OF_MEMORY * limit


def _on_disk(reader: BlockReader, block: int) -> KeptFile | None:
    """Return a block read from the store and written to a file, or None when the disk has no room."""
    worker = _dask_worker()
    directory = tempfile.gettempdir() if worker is None else str(worker.local_directory)
    if reader.block_bytes > SHARE_OF_FREE_DISK * shutil.disk_usage(directory).free:
        return None
    rows = reader.read(block)
    try:
        return KeptFile(rows, directory)
    except OSError:
        return None


def _dask_worker() -> Any:
    """Return the Dask worker that this task runs on, or None on this process's threads."""
    from distributed import get_worker

    try:
        return get_worker()
    except ValueError:
        return None
