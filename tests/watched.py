"""Instruments: a scheduler that keeps what it is handed, rows that know who holds them, records that count."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dask
import dask.array as da
import dask.threaded
import numpy as np
from threadpoolctl import threadpool_info


@contextmanager
def watched_computes() -> Iterator[list[dict[Any, Any]]]:
    """Make a scheduler ambient that notes the optimised graph of each compute, and yield the list of graphs."""
    graphs: list[dict[Any, Any]] = []

    def get(collection, keys, **settings):
        graphs.append(dict(collection.__dask_graph__()))
        return dask.threaded.get(collection, keys, **settings)

    with dask.config.set(scheduler=get):
        yield graphs


class WatchedArray:
    """An array-like that is read in slices and counts reads and slices still held by somebody."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim
        self.n_reads = 0
        self.alive = 0
        self.most_alive = 0
        self.blas_threads: set[int] = set()
        self._slices: list[weakref.ref[np.ndarray]] = []
        self._lock = threading.Lock()

    def __getitem__(self, index: Any) -> np.ndarray:
        block = self.values[index].copy()
        with self._lock:
            self.n_reads += 1
            self.alive += 1
            self.most_alive = max(self.most_alive, self.alive)
            self.blas_threads |= {
                library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
            }
            self._slices.append(weakref.ref(block))
        weakref.finalize(block, self._freed)
        return block

    def handed_out(self, array: np.ndarray) -> bool:
        """Whether an array is a slice that was read here, or a view of one, rather than a copy."""
        return any((block := kept()) is not None and np.shares_memory(array, block) for kept in self._slices)

    def _freed(self) -> None:
        with self._lock:
            self.alive -= 1

    def as_dask(self, block_rows: int) -> da.Array:
        """Return a lazy array that reads this one block by block."""
        return da.from_array(self, chunks=(block_rows, *self.shape[1:]), meta=np.empty((0,) * self.ndim, self.dtype))


@dataclass(frozen=True)
class Trail:
    """A mergeable result that remembers what was merged, in which order and where."""

    blocks: tuple[int, ...]
    n_rows: int = 0
    log: tuple[Any, ...] = ()

    def merge(self, other: Trail) -> Trail:
        return Trail(self.blocks + other.blocks, self.n_rows + other.n_rows, self.log + other.log)


class CountedRecord:
    """Counts in each process how often it is pickled and rebuilt there."""

    n_pickled = 0
    n_rebuilt = 0

    def __init__(self, payload: Any = None) -> None:
        self.payload = payload

    def __reduce__(self) -> tuple[Callable[[Any], CountedRecord], tuple[Any]]:
        CountedRecord.n_pickled += 1
        return _rebuilt, (self.payload,)


def _rebuilt(payload: Any) -> CountedRecord:
    CountedRecord.n_rebuilt += 1
    return CountedRecord(payload)


def counts_reset() -> None:
    CountedRecord.n_pickled = CountedRecord.n_rebuilt = 0


def count_rebuilt() -> int:
    return CountedRecord.n_rebuilt


def bits(*arrays: Any) -> bytes:
    """The bytes of some arrays and numbers, to compare to the last bit."""
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
