"""What the tasks of a pass work on: blocks of a Dask array, or ranges of stored blocks read one after the other."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from daskgmm.engine.kept_file import KeptFile
from daskgmm.engine.read_ahead import read_ahead
from daskgmm.engine.workers import ambient_workers, this_process

__all__ = ["OBJECTS", "BlockRange", "BlockReader", "Parts", "parts_of_blocks", "parts_of_reader"]

# A pass ends when its last task does: with at least this many tasks a thread, threads idle for less than an eighth of
# a pass. A power of two blocks a task then makes at most twice as many.
TASKS_A_THREAD = 8
# A task of one block cannot read the next one while it works: pairs, where that leaves so many tasks a thread.
PAIRS_A_THREAD = 4

OBJECTS = np.empty((0, 0), dtype=object)
"""What Dask is told about arrays whose elements are records."""


class BlockReader(Protocol):
    """Rows outside of memory that can be read block by block, from any process."""

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""

    @property
    def block_bytes(self) -> int:
        """Decoded bytes of the largest block."""

    @property
    def is_dear(self) -> bool:
        """Whether reading costs much more than looking at memory: rows are decompressed or come over a network."""

    def check_unchanged(self) -> None:
        """Raise an exception if what would be read now is not what was opened."""

    def start(self, block: int) -> int:
        """Return the index of a block's first row; of the block after the last, the number of rows."""

    def read(self, block: int) -> NDArray[Any]:
        """Return the rows of a block, shape (n_rows, n_features)."""


@dataclass(frozen=True, slots=True, eq=False)
class BlockRange:
    """Some neighbouring blocks of a reader, the first of which may be at hand already."""

    first: int
    """Index of the first block."""
    stop: int
    """Index after the last block."""
    kept: tuple[NDArray[Any] | KeptFile, ...] = field(default=(), repr=False)
    """The first blocks, in memory or in files of this process."""

    def blocks(self, reader: BlockReader) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield block indices and rows; blocks that are not in memory are read, one of them ahead."""
        memory = self.in_memory
        yield from enumerate(memory, self.first)
        yield from read_ahead(partial(self._read, reader), range(self.first + len(memory), self.stop))

    def _read(self, reader: BlockReader, block: int) -> NDArray[Any]:
        index = block - self.first
        rows = self.kept[index] if index < len(self.kept) else reader.read(block)
        return rows.read() if isinstance(rows, KeptFile) else rows

    @property
    def in_memory(self) -> tuple[NDArray[Any], ...]:
        """The blocks before the first that is not in memory."""
        first_file = next((i for i, rows in enumerate(self.kept) if isinstance(rows, KeptFile)), len(self.kept))
        return tuple(rows for rows in self.kept[:first_file] if not isinstance(rows, KeptFile))

    def __sizeof__(self) -> int:
        """Return the bytes it holds in memory, by which Dask decides whether to move it."""
        return object.__sizeof__(self) + sum(rows.nbytes for rows in self.kept if not isinstance(rows, KeptFile))

    def __reduce__(self) -> tuple[Any, ...]:
        # A file of this process means nothing to another one, which reads the block again.
        return partial(BlockRange, self.first, self.stop), (self.in_memory,)


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The data of a pass, cut into what one task works on."""

    array: da.Array
    """Blocks of rows, shape (n_samples, n_features); or ranges of the reader's blocks, shape (n_tasks, 1)."""
    weights: da.Array | None
    """In the blocks of rows; never with a reader."""
    reader: BlockReader | None
    local: bool
    """Whether work stays on this process's threads, whatever cluster is connected."""
    blocks_a_task: int = 1
    """Blocks of the reader that one task works on; the last task may have fewer."""

    def start(self, block: int) -> int | None:
        """Return the index of a block's first row, or None when the sizes of the blocks before it are unknown."""
        if self.reader is not None:
            return self.reader.start(block)
        before = self.array.chunks[0][:block]
        return None if any(np.isnan(length) for length in before) else int(sum(before))

    def place(self, task: int) -> str:
        """Return in words which rows a task works on."""
        first, after = task * self.blocks_a_task, (task + 1) * self.blocks_a_task
        if self.reader is not None:
            after = min(after, self.reader.n_blocks)
        blocks = f"block {first}" if after == first + 1 else f"blocks {first} to {after - 1}"
        start, stop = self.start(first), self.start(after)
        return blocks if start is None or stop is None else f"rows {start} to {stop - 1} ({blocks})"


def parts_of_blocks(rows: da.Array, weights: da.Array | None = None, *, local: bool = False) -> Parts:
    """Return the blocks of a Dask array as parts: one task for each.

    Parameters
    ----------
    rows : dask array of shape (n_samples, n_features)
        Whole along the features. Row counts may be unknown.
    weights : dask array of shape (n_samples,) or None
        Chunked as the rows.
    local : bool
        Whether to run on this process's threads even when a cluster is connected: the rows are already here.
    """
    return Parts(rows, weights, None, local)


def parts_of_reader(reader: BlockReader) -> Parts:
    """Return the blocks of a reader as parts: as many tasks as keep the workers busy, however many blocks there are.

    Each task owns a range of a power of two of blocks, so that its result is a node of the tree that results are merged
    along, and holds two blocks at a time.
    """
    n_threads = sum(worker.n_threads for worker in ambient_workers()) or this_process().n_threads
    size = range_size(reader.n_blocks, n_threads)
    firsts = range(0, reader.n_blocks, size)
    name = f"ranges-{uuid.uuid4().hex}"
    graph = {
        (name, task, 0): BlockRange(first, min(first + size, reader.n_blocks)) for task, first in enumerate(firsts)
    }
    array = da.Array(graph, name, ((1,) * len(firsts), (1,)), meta=OBJECTS)
    return Parts(array, None, reader, local=False, blocks_a_task=size)


def range_size(n_blocks: int, n_threads: int) -> int:
    """Return the blocks of one task: the largest power of two that leaves enough tasks for every thread."""
    if n_blocks >= 2 * PAIRS_A_THREAD * n_threads and n_blocks < 2 * TASKS_A_THREAD * n_threads:
        return 2
    return 1 << max(0, (n_blocks // (TASKS_A_THREAD * max(1, n_threads))).bit_length() - 1)
