"""What a worker holds at most while passes run: arithmetic on sizes alone.

Constants are peaks of resident memory, measured on worker processes of Dask 2026.8 with Zarr 3.1 and Numba 0.68, and
rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass

from daskgmm.engine.cache import MOST_OF_MEMORY, SHARE_OF_MEMORY
from daskgmm.engine.sweep import FAN_IN
from daskgmm.engine.workers import Worker

__all__ = [
    "DASK_BLOCKS",
    "MERGING",
    "STREAMED_BLOCKS",
    "PassSizes",
    "WorkerMemory",
    "cached_bytes",
    "waiting",
    "worker_memory",
]

MEBIBYTE = 2**20
# A worker with NumPy, SciPy, scikit-learn, Dask and Zarr loaded, after a fit.
PROCESS_BYTES = 190 * MEBIBYTE
# The same before it has worked on a block: blocks are kept from the first pass on.
LIGHT_PROCESS_BYTES = 90 * MEBIBYTE
# Numba adds 110 MiB when it loads compiled kernels and 140 when it has to compile them.
COMPILED_BYTES = 140 * MEBIBYTE
# While one block is worked on and the next is read, Zarr holds the stored bytes of the latter and, unless `zarrs`
# decodes them into place, the decoded chunk as well. Measured with blocks of one chunk: 3.9 blocks a thread, and 3.0
# with `zarrs` or without compression.
STREAMED_BLOCKS = 4
# One block that is worked on, one that waits for a thread, and one that the first was made from.
DASK_BLOCKS = 3
# Dask starts its workers with an allocator that returns freed blocks at once. Any other process keeps those below
# 32 MiB for later, in the heap of each thread that read one: up to 8.9 blocks a thread were measured where 3.9 are
# held.
RETAINED = 1.3
# Results are merged pairwise: two, and their sum. So are samples.
MERGING = 3


@dataclass(frozen=True, slots=True)
class PassSizes:
    """What the passes of a fit handle, in bytes unless said otherwise."""

    n_bytes: int
    """Decoded bytes of all rows."""
    n_tasks: int
    """Tasks of a pass."""
    blocks_a_task: int
    """Blocks that a task works on, one after the other."""
    block: int
    """Decoded bytes of the largest block."""
    blocks_held: int
    """Blocks that a thread holds at a time; 0 when tasks work on views of what is in memory anyway."""
    look: int
    """What a first look at a block takes beside it."""
    result: int
    """One result of a pass."""
    workspace: int
    """What a thread needs beside its block and its results."""
    shared: int
    """What is sent to each worker once a pass."""
    sample: int
    """The sample; 0 without a first look."""
    sample_pieces: int
    """What blocks put forward for the sample, as far as it may wait to be merged."""
    drawn: int
    """What the rows that an E-step draws in passing take where they are merged; 0 when it draws none."""
    explored: int
    """What a thread needs to try a start on the sample."""
    uses_numba: bool
    """Whether kernels are compiled ones."""
    can_keep: bool
    """Whether blocks may be kept between passes: what is in memory anyway is not."""
    keeps_files: bool
    """Whether blocks may be kept on disk."""


@dataclass(frozen=True, slots=True)
class WorkerMemory:
    """The most that one worker holds, and of what, in bytes."""

    limit: int
    """What the worker may use."""
    n_threads: int
    process: int
    """Python with the libraries that a fit imports."""
    block: int
    """Decoded bytes of the largest block."""
    blocks: int
    """Blocks being worked on and being read."""
    results: int
    """Results of blocks that wait to be merged, and what computing them takes."""
    sample: int
    """The sample while it is drawn and looked at; never at the same time as `results`."""
    cache: int
    """Blocks kept in memory between passes; there are fewer where it is short."""
    retained: int
    """Freed blocks that the allocator may keep for later."""

    @property
    def needed(self) -> int:
        """Bytes without which a fit cannot run."""
        return self.process + self.blocks + max(self.results, self.sample)

    @property
    def peak(self) -> int:
        """Most bytes that the worker ever holds."""
        return self.needed + self.cache + self.retained


def worker_memory(sizes: PassSizes, worker: Worker, *, cache: str | None, is_local: bool) -> WorkerMemory:
    """Return the most that a worker holds during a fit.

    Parameters
    ----------
    sizes : PassSizes
    worker : Worker
    cache : {"auto", "memory", "disk", None}
    is_local : bool
        Whether the worker is the process that starts the fit.
    """
    threads = worker.n_threads
    process = PROCESS_BYTES + (COMPILED_BYTES if sizes.uses_numba else 0)
    blocks = threads * sizes.blocks_held * sizes.block
    # One node of the tree waits on each level within a task.
    within = sizes.blocks_a_task.bit_length() + MERGING
    results = threads * (within * sizes.result + sizes.workspace) + waiting(sizes.n_tasks) * sizes.result
    # Tasks need not be spread evenly over the workers: only the limit of each of them is certain.
    kept = 0
    if sizes.can_keep and cache in ("auto", "memory"):
        kept = min(sizes.n_bytes, max(0, int(MOST_OF_MEMORY * worker.memory_limit) - LIGHT_PROCESS_BYTES))
    return WorkerMemory(
        limit=worker.memory_limit,
        n_threads=threads,
        process=process,
        block=sizes.block,
        blocks=blocks + threads * sizes.look,
        results=results + sizes.shared + sizes.drawn,
        sample=sizes.sample_pieces + MERGING * sizes.sample + threads * sizes.explored,
        cache=kept,
        retained=int(RETAINED * blocks) if is_local else 0,
    )


def waiting(n_tasks: int) -> int:
    """Return how many results of tasks may wait to be merged: as many as one task merges, on each level of the tree."""
    levels, left = 0, n_tasks
    while left > 1:
        left = -(-left // FAN_IN)
        levels += 1
    return min(n_tasks, FAN_IN * levels)


def cached_bytes(sizes: PassSizes, workers: tuple[Worker, ...], *, cache: str | None, in_ranges: bool) -> int:
    """Return the bytes that all workers together keep in memory between passes.

    Parameters
    ----------
    sizes : PassSizes
    workers : tuple of Worker
    cache : {"auto", "memory", "disk", None}
    in_ranges : bool
        Whether each task reads blocks, and keeps those that it has room for; a Dask array is kept whole or not at all.
    """
    if cache not in ("auto", "memory") or not sizes.can_keep:
        return 0
    room = int(SHARE_OF_MEMORY * sum(worker.memory_limit for worker in workers))
    if not in_ranges:
        return sizes.n_bytes if sizes.n_bytes <= room else 0
    blocks = min(sizes.blocks_a_task, room // sizes.n_tasks // sizes.block)
    return min(sizes.n_bytes, sizes.n_tasks * blocks * sizes.block)
