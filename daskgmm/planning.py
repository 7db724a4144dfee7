"""What a fit will read, hold and take, said before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from daskgmm.engine.memory import WorkerMemory, cached_bytes
from daskgmm.engine.timing import BlockTiming
from daskgmm.estimator import GaussianMixture
from daskgmm.fitting.memory import check_memory, fit_memory, pass_sizes, sample_rows, workers_of
from daskgmm.fitting.trial import time_e_step
from daskgmm.inputs import row_blocks_of
from daskgmm.notebook import table_html
from daskgmm.settings import FitSettings, settings_of
from daskgmm.storage.dataset import RowBlocks
from daskgmm.storage.stored_size import stored_size

__all__ = ["FitPlan", "plan", "plan_update"]

# What EM over the data usually takes, in iterations to a gain of 1e-3: the demonstration needs three after its sample;
# plain EM from k-means took two to six on 30 mixtures of 3 to 16 components in 2 to 16 features, the more the more they
# overlapped.
ITERATIONS_AFTER_SAMPLE, PLAIN_ITERATIONS = 3, 6
# Of an update by a night of many: one, or two (`python -m tests.benchmarks.updates`).
UPDATE_ITERATIONS = 2


@dataclass(frozen=True, slots=True)
class FitPlan:
    """What a fit will read, hold and take. Sizes are in bytes, times in seconds.

    What depends on the number of rows is None for a Dask array whose blocks have unknown lengths.
    """

    n_samples: int | None
    """Rows."""
    n_features: int
    n_blocks: int
    """Blocks that a pass works on."""
    block_bytes: int | None
    """Decoded bytes of the largest block."""
    n_tasks: int
    """Dask tasks of a pass that work on blocks."""
    pass_bytes: int | None
    """Decoded bytes that a pass works on."""
    stored_bytes: int | None
    """Bytes of the stored array, which are what is read; None for other data, or where finding out takes long."""
    expected_passes: int
    """Passes that a fit like this usually makes."""
    most_passes: int
    """Passes that it makes at most; `max_iter` decides."""
    n_workers: int
    n_threads: int
    """Threads of all workers."""
    memory: WorkerMemory | None
    """What one worker holds at most, and what it may hold; the worker with the least to spare."""
    cached_bytes: int | None
    """Decoded bytes that all workers keep in memory between passes."""
    disk_cached_bytes: int | None
    """Decoded bytes that go to the workers' disks, if these have room for twice as much."""
    sample_rows: int | None
    """Rows of the sample, which the client holds; 0 when none is drawn."""
    sample_bytes: int | None
    """Bytes of these rows."""
    timing: BlockTiming | None
    """What one block took to read and to work on, measured; None when the fit does not fit the workers."""

    @property
    def peak_memory(self) -> int | None:
        """Most bytes that one worker ever holds."""
        return None if self.memory is None else self.memory.peak

    def check(self) -> None:
        """Raise MemoryLimitError when a worker has less memory than the fit needs, as the fit would."""
        check_memory(self.memory)

    @property
    def expected_seconds(self) -> float | None:
        """Seconds of the expected passes, by the block that was measured; starts on the sample come on top."""
        if not self.n_samples or not self.pass_bytes or self.timing is None or self.timing.n_rows == 0:
            return None
        kept = ((self.cached_bytes or 0) + (self.disk_cached_bytes or 0)) / self.pass_bytes
        reads = 1 + (self.expected_passes - 1) * (1 - kept)
        # The first look costs no E-step.
        e_steps = self.expected_passes - (1 if self.sample_rows else 0)
        a_block = reads * self.timing.read_seconds + e_steps * self.timing.compute_seconds
        return a_block * self.n_samples / self.timing.n_rows / min(self.n_threads, self.n_tasks)

    def _repr_html_(self) -> str:
        # HTML would swallow the spaces that tell parts from their whole.
        lines = [(name.replace("  ", "\u2003"), value) for name, value in _lines(self)]
        return table_html((), lines, caption="FitPlan", is_text=(0, 1))

    def __str__(self) -> str:
        """Return the plan as aligned lines."""
        lines = _lines(self)
        width = max(len(name) for name, _ in lines)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def plan(X: Any, n_components: int = 1, *, sample_weight: Any = None, **settings: Any) -> FitPlan:
    """Say what a fit will read, hold and take, from metadata and one block that is read and timed.

    Parameters
    ----------
    X : dask array, zarr array, path of a Zarr array, or array-like of shape (n_samples, n_features)
        As `GaussianMixture.fit` takes it.
    n_components : int, default=1
        Number of components, >= 1.
    sample_weight : dask array or array-like of shape (n_samples,), default=None
    **settings
        Those of `GaussianMixture`.

    Returns
    -------
    FitPlan
        For the ambient cluster, or this process without one.

    Raises
    ------
    ParameterError
        If a setting is not valid.
    InputDataError
        If the data cannot be fitted.
    StorageError
        If a store is not there, lacks chunks, or its first block cannot be read.
    """
    mixture = GaussianMixture(n_components, **settings)
    blocks = row_blocks_of(mixture, X, sample_weight, reset=True)
    checked = FitSettings(**{field.name: getattr(mixture, field.name) for field in fields(FitSettings)})
    given = (mixture.weights_init, mixture.means_init, mixture.precisions_init)
    return _plan(blocks, checked, has_start=all(array is not None for array in given))


def plan_update(mixture: GaussianMixture, X: Any) -> FitPlan:
    """Say what `mixture.update(X)` will read, hold and take; arguments as it has them, errors as `plan` has them."""
    blocks = row_blocks_of(mixture, X, None, reset=False)
    settings = replace(settings_of(mixture), acceleration=None)
    most = max(1, settings.max_iter)
    # The first look draws rows for the distribution, and starts nothing.
    return replace(
        _plan(blocks, settings, has_start=True),
        expected_passes=1 + min(UPDATE_ITERATIONS, most),
        most_passes=1 + most,
    )


def _plan(blocks: RowBlocks, settings: FitSettings, *, has_start: bool) -> FitPlan:
    """Return the plan of a fit."""
    workers = workers_of(blocks)
    stored = blocks.stored
    sizes = pass_sizes(blocks, settings, workers, has_start=has_start)
    memory = fit_memory(blocks, settings, has_start=has_start)
    in_memory = on_disk = 0
    if sizes is not None:
        in_memory = cached_bytes(sizes, workers, cache=settings.cache, in_ranges=stored is not None)
        on_disk = sizes.n_bytes - in_memory if sizes.keeps_files else 0
    rows = sample_rows(blocks, settings, has_start=has_start)
    looks = 0 if rows == 0 else 1
    usual = PLAIN_ITERATIONS if settings.acceleration is None or looks == 0 else ITERATIONS_AFTER_SAMPLE
    fits = memory is None or memory.needed <= memory.limit
    return FitPlan(
        n_samples=blocks.n_samples,
        n_features=blocks.n_features,
        n_blocks=int(blocks.rows.numblocks[0]) if stored is None else stored.n_blocks,
        block_bytes=None if sizes is None else sizes.block,
        n_tasks=int(blocks.rows.numblocks[0]) if sizes is None else sizes.n_tasks,
        pass_bytes=blocks.n_bytes,
        stored_bytes=None if stored is None else stored_size(stored.rows),
        expected_passes=looks + min(usual, settings.max_iter),
        most_passes=looks + settings.max_iter,
        n_workers=len(workers),
        n_threads=sum(worker.n_threads for worker in workers),
        memory=memory,
        cached_bytes=None if sizes is None else in_memory,
        disk_cached_bytes=None if sizes is None else on_disk,
        sample_rows=rows,
        sample_bytes=None if rows is None else rows * blocks.n_features * 8,
        timing=time_e_step(blocks, settings) if fits else None,
    )


def _lines(planned: FitPlan) -> list[tuple[str, str]]:
    """Return what a plan says, as names and values."""
    memory, timing = planned.memory, planned.timing
    rows = "of unknown number" if planned.n_samples is None else f"{planned.n_samples:,}"
    lines = [
        ("rows", f"{rows} of {planned.n_features} features"),
        ("bytes a pass", _size(planned.pass_bytes) + _stored(planned.stored_bytes)),
        ("blocks", f"{planned.n_blocks:,} of up to {_size(planned.block_bytes)}, in {planned.n_tasks:,} tasks"),
        ("passes", f"about {planned.expected_passes}, at most {planned.most_passes}"),
        ("workers", f"{planned.n_workers:,} with {planned.n_threads:,} threads in all"),
        ("peak memory", _peak(memory)),
    ]
    if memory is not None:
        lines += [
            ("  process", _size(memory.process)),
            ("  blocks", _size(memory.blocks)),
            ("  statistics", f"{_size(memory.results)}, or {_size(memory.sample)} for the sample"),
            ("  kept", f"{_size(memory.cache)}, less where memory is short"),
        ]
        if memory.retained:
            lines.append(("  allocator", f"{_size(memory.retained)}, freed but perhaps not returned"))
    lines += [
        ("kept in memory", _size(planned.cached_bytes)),
        ("kept on disk", _size(planned.disk_cached_bytes)),
        ("sample", f"{_count(planned.sample_rows)} rows, {_size(planned.sample_bytes)} in this process"),
    ]
    if timing is not None:
        lines += [
            ("measured", f"{timing.n_rows:,} rows on one thread"),
            ("  reading", f"{timing.read_seconds:.3g} s"),
            ("  E-step", f"{timing.compute_seconds:.3g} s"),
        ]
    seconds = planned.expected_seconds
    lines.append(("time", "unknown" if seconds is None else f"about {seconds:.2g} s of passes, starts on top"))
    return lines


def _peak(memory: WorkerMemory | None) -> str:
    """Return the most that a worker holds and what it may hold."""
    if memory is None:
        return "unknown, as are the lengths of blocks: call X.compute_chunk_sizes() first"
    return f"{_size(memory.peak)} a worker ({_size(memory.needed)} needed) of {_size(memory.limit)}"


def _stored(n_bytes: int | None) -> str:
    return "" if n_bytes is None else f" decoded, {_size(n_bytes)} stored"


def _size(n_bytes: int | None) -> str:
    """Return bytes as a reader likes them."""
    if n_bytes is None:
        return "unknown"
    size = float(n_bytes)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:,.4g} GiB"


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"
