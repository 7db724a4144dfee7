"""A pass over a store beside what it cannot do without: reading the store, and computing on rows in memory.

`python -m tests.benchmarks.passes` writes stores of `--gigabytes` to a temporary directory, times them, prints whether
the bars hold, and removes them; with `--markdown` it prints the table of README.md as well. Stores are read from the
operating system's page cache. Times are medians of three, or of what `--repeats` says, in turns.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import dask
from distributed import Client

from daskgmm import GaussianMixture
from daskgmm.engine.cache import KeptParts
from daskgmm.engine.cluster import ClusterSettings, connected, peak_worker_memory
from daskgmm.engine.parts import parts_of_reader
from daskgmm.engine.schedule import one_thread_per_task
from daskgmm.engine.sweep import sweep
from daskgmm.kernels import choose_kernel
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics
from daskgmm.storage.dataset import as_row_blocks
from daskgmm.storage.stored_blocks import StoredBlocks
from daskgmm.writing import write_results
from tests.benchmarks.stores import (
    LARGE,
    N_COMPONENTS,
    N_FEATURES,
    SMALL,
    Layout,
    drawn_parameters,
    repeat_store,
    write_store,
)

__all__ = ["Bar", "Times", "main", "measure"]

N_THREADS = 2
MIB = 2**20
KERNEL = choose_kernel("auto")
LAYOUTS = (Layout("Zstandard", compressed=True), Layout("uncompressed", compressed=False))


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure and what it may be at most."""

    name: str
    value: float
    at_most: float

    @property
    def holds(self) -> bool:
        """Whether the figure is within the bar."""
        return self.value <= self.at_most

    def __str__(self) -> str:
        return f"{'holds ' if self.holds else 'MISSED'}  {self.value:8.3g} <= {self.at_most:<8.3g} {self.name}"


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds."""

    wall: float
    cpu: float

    @classmethod
    def of(cls, function: Callable[[], object]) -> Times:
        """Time one call; CPU time is that of this process."""
        wall, cpu = perf_counter(), process_time()
        function()
        return cls(perf_counter() - wall, process_time() - cpu)


@dataclass(frozen=True, slots=True)
class Scaling:
    """Seconds of the same work on one and on two."""

    one: float
    two: float

    @property
    def ratio(self) -> float:
        """What of the time two take."""
        return self.two / self.one


def e_step(rows: Any, weights: Any, parameters: MixtureParameters, block: int) -> SufficientStatistics:
    """Return the statistics of a block."""
    return KERNEL(rows, weights, parameters)


def nothing(rows: Any, weights: Any, parameters: MixtureParameters, block: int) -> SufficientStatistics:
    """Return the statistics of no rows: what is left of a pass is what it costs to organise it."""
    return SufficientStatistics.zero(parameters)


def in_turns(functions: dict[str, Callable[[], object]], n_repeats: int) -> dict[str, Times]:
    """Time functions one after the other, several times after once that is not timed, and return the medians."""
    times: dict[str, list[Times]] = {name: [] for name in functions}
    for repeat in range(n_repeats + 1):
        for name, function in functions.items():
            taken = Times.of(function)
            if repeat:
                times[name].append(taken)
    return {name: Times(median(t.wall for t in of), median(t.cpu for t in of)) for name, of in times.items()}


def passes(path: Path, parameters: MixtureParameters, n_repeats: int) -> dict[str, Times]:
    """Time passes over a store, and their parts, on two threads."""
    reader = stored(path)
    rows = [reader.read(block) for block in range(reader.n_blocks)]
    written = iter(range(n_repeats + 1))
    mixture = mixture_of(parameters)
    with KeptParts(parts_of_reader(reader), "memory", n_bytes=None) as data, ThreadPoolExecutor(N_THREADS) as pool:
        return in_turns(
            {
                "reading": lambda: list(pool.map(lambda block: reader.read(block).shape, range(reader.n_blocks))),
                "computing": lambda: compute_on(pool, rows, parameters),
                "cold pass": lambda: sweep(parts_of_reader(reader), e_step, parameters),
                "cached pass": lambda: sweep(data.parts, e_step, parameters),
                "organising": lambda: sweep(data.parts, nothing, parameters),
                "labels": lambda: write_results(
                    mixture, path, path.with_suffix(f".labels-{next(written)}"), what="labels"
                ),
            },
            n_repeats,
        )


def stored(path: Path) -> StoredBlocks:
    """Return a store as what a fit streams."""
    blocks = as_row_blocks(path).stored
    assert blocks is not None
    return blocks


def mixture_of(parameters: MixtureParameters) -> GaussianMixture:
    """Return an estimator with given parameters, fitted in no iterations."""
    precisions = parameters.precisions_cholesky @ parameters.precisions_cholesky.transpose(0, 2, 1)
    mixture = GaussianMixture(
        N_COMPONENTS,
        weights_init=parameters.weights,
        means_init=parameters.means,
        precisions_init=precisions,
        max_iter=0,
    )
    return mixture.fit(parameters.means)


def pass_bars(name: str, times: dict[str, Times]) -> list[Bar]:
    """Return how passes over a store compare with what they are made of."""
    reading, computing, cold, cached = (times[key] for key in ("reading", "computing", "cold pass", "cached pass"))
    floor = max(reading.wall, computing.wall, (reading.cpu + computing.cpu) / N_THREADS)
    return [
        Bar(f"{name}: cold pass / the most of reading, computing, both on {N_THREADS} cores", cold.wall / floor, 1.15),
        Bar(f"{name}: cached pass / computing", cached.wall / computing.wall, 1.15),
        Bar(f"{name}: organising a pass / pass", times["organising"].wall / cached.wall, 0.05),
        Bar(f"{name}: labels written / cold pass", times["labels"].wall / cold.wall, 1.3),
    ]


@contextmanager
def workers(n_workers: int, *, gigabytes: int = 4) -> Iterator[Client]:
    """Start workers of one thread, as commands do, and make them the ambient cluster."""
    with connected(ClusterSettings(n_workers=n_workers, memory_limit=gigabytes * 2**30)) as client:
        assert client is not None
        yield client


def cached_passes(path: Path, parameters: MixtureParameters, n_repeats: int) -> tuple[Scaling, Scaling]:
    """Time passes over rows that one worker of one thread has in memory, and that two have.

    And beside these, in turns, computing on the same blocks with one thread and with two of this process: what the
    machine gives to the second of two at that moment.
    """
    functions = {}
    reader = stored(path)
    rows = [reader.read(block) for block in range(reader.n_blocks)]
    with ExitStack() as stack:
        for n_threads in (1, 2):
            pool = stack.enter_context(ThreadPoolExecutor(n_threads))
            functions[f"{n_threads} threads"] = partial(compute_on, pool, rows, parameters)
        for n_workers in (1, 2):
            # Two fifths of a worker's memory are for rows: all of them fit one worker's.
            client = stack.enter_context(workers(n_workers, gigabytes=12))
            with client.as_current():
                data = stack.enter_context(KeptParts(parts_of_reader(stored(path)), "memory", n_bytes=None))
            functions[f"{n_workers} workers"] = partial(one_pass_on, client, data, parameters)
        times = in_turns(functions, n_repeats)
    on_workers, on_threads = (Scaling(times[f"1 {on}"].wall, times[f"2 {on}"].wall) for on in ("workers", "threads"))
    return on_workers, on_threads


def compute_on(pool: ThreadPoolExecutor, rows: Sequence[Any], parameters: MixtureParameters) -> list[int]:
    """Compute on blocks in memory, with the threads of a pool."""
    return list(pool.map(lambda one: KERNEL(one, None, parameters).n_samples, rows))


def one_pass_on(client: Client, data: KeptParts, parameters: MixtureParameters) -> SufficientStatistics:
    """Run a pass over rows that the workers of a client keep."""
    with client.as_current():
        return sweep(data.parts, e_step, parameters)


def memory_above_start(path: Path) -> float:
    """Return by how many MiB a fit on two fresh workers raised the memory of one of them at most."""
    # As many as a fit of sixteen components may want, and less where that would be most of the rows.
    init_size = min(100_000, stored(path).rows.shape[0] // 10)
    with workers(2) as client:
        before = max(client.run(resident_memory).values())
        GaussianMixture(N_COMPONENTS, random_state=0, max_iter=3, tol=1e9, init_size=init_size, cache=None).fit(path)
        return (peak_worker_memory(client) - before) / MIB


def resident_memory() -> int:
    """Return this process's resident memory in bytes."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def measure(directory: Path, n_rows: int, n_repeats: int) -> Iterator[str | Bar]:
    """Write stores, time passes over them, and yield lines to print and bars."""
    parameters = drawn_parameters()
    block_mib = LARGE * N_FEATURES * 8 / MIB
    for layout in LAYOUTS:
        path = write_store(directory / f"{layout.name}.zarr", layout, n_rows)
        times = passes(path, parameters, n_repeats)
        yield f"\n{layout.name}, {n_rows:,} rows of {N_FEATURES} features, {n_rows * N_FEATURES * 8 / MIB:,.0f} MiB"
        for name, taken in times.items():
            nanoseconds = 1e9 * taken.wall / n_rows
            yield f"  {name:12} {taken.wall:7.3f} s wall {taken.cpu:7.3f} s CPU {nanoseconds:7.1f} ns a row"
        yield from pass_bars(layout.name, times)
    yield from chunk_bars(directory, n_rows, parameters, n_repeats)
    plain = directory / f"{LAYOUTS[1].name}.zarr"
    on_workers, on_threads = cached_passes(plain, parameters, 3 * n_repeats)
    yield f"\nrows in the workers' memory: one worker {on_workers.one:.3f} s, two workers {on_workers.two:.3f} s a pass"
    yield f"two threads / one thread on the same blocks without Dask: {on_threads.ratio:.3f}, the machine's own figure"
    yield Bar("two workers / one worker, seconds a pass", on_workers.ratio, 1 / 1.8)
    # Blocks of less than 2 GiB are smaller, so that there are enough of them: growth shows beyond that.
    once, more = memory_above_start(plain), memory_above_start(repeat_store(directory / "more.zarr", plain, 4))
    yield f"\nMiB of a worker above its start: {once:.0f} for {n_rows:,} rows, {more:.0f} for {4 * n_rows:,}"
    yield Bar("MiB above the start", max(once, more), 150 + 2.5 * block_mib)
    yield Bar("MiB for four times the rows beyond those for the rows", more - once, 0.25 * block_mib)


def chunk_bars(directory: Path, n_rows: int, parameters: MixtureParameters, n_repeats: int) -> Iterator[str | Bar]:
    """Compare passes over small and over large chunks."""
    n_rows = min(n_rows, 10_000 * SMALL)
    functions: dict[str, Callable[[], object]] = {}
    for name, chunk_rows in (("64 KiB", SMALL), ("128 MiB", LARGE)):
        layout = replace(LAYOUTS[0], name=name, chunk_rows=chunk_rows)
        reader = stored(write_store(directory / f"chunks-{chunk_rows}.zarr", layout, n_rows))
        functions[name] = lambda reader=reader: sweep(parts_of_reader(reader), e_step, parameters)
    times = in_turns(functions, n_repeats)
    yield f"\n{n_rows:,} rows in chunks of " + ", of ".join(f"{name}: {t.wall:.3f} s" for name, t in times.items())
    yield Bar("64 KiB chunks / 128 MiB chunks", times["64 KiB"].wall / times["128 MiB"].wall, 1.5)


def say(line: str) -> None:
    """Print a line now."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def report(results: Iterable[str | Bar]) -> list[Bar]:
    """Print lines as they come, the bars at the end, and return the bars."""
    bars = []
    for result in results:
        if isinstance(result, Bar):
            bars.append(result)
        else:
            say(result)
    say("\nbars")
    for bar in bars:
        say(f"  {bar}")
    return bars


def markdown(bars: Sequence[Bar]) -> str:
    """Return the bars as a table."""
    lines = ["| figure | seen | at most |", "|---|--:|--:|"]
    lines += [f"| {bar.name} | {bar.value:.2f} | {bar.at_most:.2f} |" for bar in bars]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Time passes; return 0 when every bar holds, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=4.0, help="decoded size of a store")
    parser.add_argument("--repeats", type=int, default=3, help="how many times each is timed")
    parser.add_argument("--markdown", action="store_true", help="print the table of README.md")
    options = parser.parse_args(arguments)
    n_rows = max(4, int(options.gigabytes * 1e9 / (8 * N_FEATURES)))
    with (
        tempfile.TemporaryDirectory(prefix="daskgmm-passes-") as directory,
        dask.config.set(num_workers=N_THREADS),
        one_thread_per_task(),
    ):
        bars = report(measure(Path(directory), n_rows, options.repeats))
    if options.markdown:
        say("\n" + markdown(bars))
    return 0 if all(bar.holds for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
