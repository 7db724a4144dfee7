"""The memory of a fit, known before anything is read, and the refusal of a fit that has too little."""

from __future__ import annotations

import math

from daskgmm.engine.memory import DASK_BLOCKS, MERGING, STREAMED_BLOCKS, PassSizes, WorkerMemory, waiting, worker_memory
from daskgmm.engine.parts import range_size
from daskgmm.engine.workers import Worker, ambient_workers, this_process
from daskgmm.errors import MemoryLimitError
from daskgmm.fitting.exploring import EXPLORED_ROWS, EXPLORED_ROWS_A_PARAMETER, MOST_OPTIMA
from daskgmm.kernels import fused
from daskgmm.mixture.covariance import covariance_structure
from daskgmm.mixture.distribution import DISTRIBUTION_ROWS
from daskgmm.settings import FitSettings, sample_size
from daskgmm.storage.dataset import RowBlocks

__all__ = ["check_memory", "fit_memory", "pass_sizes", "sample_rows", "workers_of"]

FLOAT = 8
# A kernel's tile: 4 MiB, or a thousand rows of whitened columns for each component. Twice that, for what NumPy makes.
TILE_BYTES, TILE_BYTES_A_COMPONENT = 2**23, 2**17
# Coefficients, sums over a tile and over a block, and their conversion.
COEFFICIENTS = 4
# K-means centres a copy, and holds distances and labels.
K_MEANS_COPIES = 3


def workers_of(blocks: RowBlocks) -> tuple[Worker, ...]:
    """Return who works on these blocks; at least one."""
    return (() if blocks.in_memory else ambient_workers()) or (this_process(),)


def check_memory(memory: WorkerMemory | None) -> None:
    """Refuse a fit that needs more memory than a worker has.

    Raises
    ------
    MemoryLimitError
        With both numbers and what to change.
    """
    if memory is None or memory.needed <= memory.limit:
        return
    there = f"the fit needs {_mebibytes(memory.needed)} of memory a worker; {_mebibytes(memory.limit)} are there"
    if memory.process + memory.block > memory.limit:
        raise MemoryLimitError(
            f"{there}: one block of {_mebibytes(memory.block)} does not fit beside the {_mebibytes(memory.process)} of "
            "the process itself. Give workers more memory (--memory-limit), or store the rows in smaller chunks "
            "(X.rechunk for a Dask array)"
        )
    raise MemoryLimitError(
        f"{there}: {_mebibytes(memory.process)} for the process, {_mebibytes(memory.blocks)} for the blocks of its "
        f"{memory.n_threads} threads, {_mebibytes(max(memory.results, memory.sample))} for statistics or the sample. "
        "Give workers more memory (--memory-limit) or fewer threads (--threads-per-worker), store the rows in smaller "
        "chunks (X.rechunk for a Dask array), or use fewer components or a smaller init_size"
    )


def fit_memory(blocks: RowBlocks, settings: FitSettings, *, has_start: bool) -> WorkerMemory | None:
    """Return what the worker with the least to spare holds, or None when lengths of blocks are unknown."""
    workers = workers_of(blocks)
    sizes = pass_sizes(blocks, settings, workers, has_start=has_start)
    if sizes is None:
        return None
    is_local = blocks.in_memory or not ambient_workers()
    # Of many workers, few differ.
    memories = [worker_memory(sizes, worker, cache=settings.cache, is_local=is_local) for worker in set(workers)]
    return max(memories, key=lambda memory: memory.needed / memory.limit)


def pass_sizes(
    blocks: RowBlocks, settings: FitSettings, workers: tuple[Worker, ...], *, has_start: bool
) -> PassSizes | None:
    """Return what the passes of a fit handle, or None when lengths of blocks are unknown."""
    n_samples, n_bytes = blocks.n_samples, blocks.n_bytes
    if n_samples is None or n_bytes is None:
        return None
    stored = blocks.stored
    block_rows = max(blocks.rows.chunks[0]) if stored is None else min(stored.step, n_samples)
    blocks_a_task, n_tasks = 1, int(blocks.rows.numblocks[0])
    if stored is not None:
        blocks_a_task = range_size(stored.n_blocks, sum(worker.n_threads for worker in workers))
        n_tasks = -(-stored.n_blocks // blocks_a_task)
    n_components, n_features = settings.n_components, blocks.n_features
    structure = covariance_structure(settings.covariance_type)
    # Runs from several starts share each pass.
    n_runs = 1 if has_start else MOST_OPTIMA if settings.acceleration else settings.n_init
    means, second = n_components * (n_features + 1), math.prod(structure.shape(n_components, n_features))
    coefficients = n_components * (structure.n_quadratic(n_features) + n_features + 1)
    sampled = sample_rows(blocks, settings, has_start=has_start) or 0
    weighted = blocks.weights is not None
    sample_row = FLOAT * (n_features + 1 + weighted)
    # With weights, each block puts forward as many rows as the sample has.
    put_forward = min(n_samples, sampled * waiting(n_tasks)) if weighted else 0
    drawn = _drawn_rows(sampled, n_samples, settings)
    drawn_forward = min(n_samples, drawn * waiting(n_tasks)) if weighted else 0
    explored = min(sampled, max(EXPLORED_ROWS, EXPLORED_ROWS_A_PARAMETER * _n_free(settings, n_features)))
    return PassSizes(
        n_bytes=n_bytes,
        n_tasks=n_tasks,
        blocks_a_task=blocks_a_task,
        block=block_rows * n_features * blocks.rows.dtype.itemsize,
        blocks_held=0 if blocks.in_memory else DASK_BLOCKS if stored is None else STREAMED_BLOCKS,
        # A key and a flag for each row, and its weight.
        look=block_rows * (FLOAT + 1 + weighted * FLOAT),
        result=n_runs * FLOAT * (means + second),
        workspace=TILE_BYTES + TILE_BYTES_A_COMPONENT * n_components + COEFFICIENTS * FLOAT * coefficients,
        # Covariances and their factors, as they arrive and as they are used.
        shared=n_runs * 2 * FLOAT * (means + 2 * second),
        sample=sampled * sample_row,
        sample_pieces=put_forward * sample_row,
        drawn=(MERGING * drawn + drawn_forward) * sample_row,
        explored=K_MEANS_COPIES * explored * n_features * FLOAT,
        uses_numba=settings.kernel != "blas" and fused.is_available(),
        can_keep=not blocks.in_memory,
        keeps_files=stored is not None and (settings.cache == "disk" or (settings.cache == "auto" and stored.is_dear)),
    )


def sample_rows(blocks: RowBlocks, settings: FitSettings, *, has_start: bool) -> int | None:
    """Return the most rows that a first look samples; 0 without a first look, None when that cannot be known."""
    n_samples = blocks.n_samples
    size = sample_size(settings, _n_free(settings, blocks.n_features), blocks.n_features)
    is_whole = size is None or (n_samples is not None and n_samples <= size)
    if has_start and (settings.acceleration is None or is_whole or settings.max_iter < 2):
        return 0
    if size is None:
        return n_samples
    return size if n_samples is None else min(size, n_samples)


def _drawn_rows(sampled: int, n_samples: int, settings: FitSettings) -> int:
    """Return the rows that the first E-step draws: none where a sample that large guides the passes."""
    if settings.acceleration is not None and DISTRIBUTION_ROWS <= sampled < n_samples:
        return 0
    return min(DISTRIBUTION_ROWS, n_samples)


def _n_free(settings: FitSettings, n_features: int) -> int:
    """Return the number of free parameters of the mixture."""
    structure = covariance_structure(settings.covariance_type)
    return structure.n_parameters(settings.n_components, n_features) + settings.n_components * (n_features + 1) - 1


def _mebibytes(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:,.0f} MiB"
