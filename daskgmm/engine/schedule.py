"""The one place where Dask computes: on the ambient scheduler, or on this process's threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import dask
from threadpoolctl import ThreadpoolController

from daskgmm.engine.failures import Place, cluster_failure
from daskgmm.engine.waiting import cluster_get
from daskgmm.errors import DaskGMMError

__all__ = ["compute", "one_openmp_thread", "one_thread_per_task", "persist", "values_on_cluster"]


def compute(collection: Any, *, local: bool = False, place: Place | None = None) -> Any:
    """Compute one Dask collection and return its value.

    Parameters
    ----------
    collection : dask collection
    local : bool
        Whether to use this process's threads whatever scheduler is ambient.
    place : callable or None
        Key of a task -> the data that it works on, for messages.

    Raises
    ------
    ClusterError
        If the cluster failed, rather than the work.
    """
    with _failures_explained(place):
        # Not through dask.config, which is one for the whole process: fits in other threads would see it.
        (value,) = dask.compute(collection, scheduler="threads" if local else cluster_get())
    return value


def persist(collection: Any) -> Any:
    """Return a collection whose values stay with the workers that compute them; errors as `compute` has them."""
    with _failures_explained():
        (kept,) = dask.persist(collection)
    return kept


def values_on_cluster(*collections: Any) -> list[Any]:
    """Return what stands for the values of collections that were persisted on a cluster; nothing without one.

    Each value has `cancelled()`, which is true when it went away with its scheduler, and `release()`, which frees it
    whoever still holds the collection, such as the traceback of a failure.
    """
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return []
    # Unlike distributed.futures_of, this does not raise for those that are gone.
    every = (value for collection in collections for value in dict(collection.dask).values())
    return [value for value in every if isinstance(value, distributed.Future)]


@contextmanager
def _failures_explained(place: Place | None = None) -> Iterator[None]:
    """Raise ClusterError in place of a cluster's own failures."""
    try:
        yield
    except DaskGMMError:
        raise
    except Exception as error:  # user code and schedulers raise anything; what is no cluster's failure goes on as it is
        failure = cluster_failure(error, place)
        if failure is None:
            raise
        raise failure from error


@contextmanager
def one_thread_per_task() -> Iterator[None]:
    """Let numerical libraries of this process use one thread each while tasks run on many.

    Blocks already keep every core busy, and sums that a library splits over threads have other bits on other machines.
    Processes started by Dask's nannies have this limit from the start.
    """
    _blas_limit.enter()
    try:
        with one_openmp_thread():
            yield
    finally:
        _blas_limit.leave()


@contextmanager
def one_openmp_thread() -> Iterator[None]:
    """Let OpenMP use one thread, in the calling thread alone; scikit-learn's k-means sums in OpenMP threads."""
    with _controller().limit(limits=1, user_api="openmp"):
        yield


class _BlasLimit:
    """The limit on BLAS, one for the whole process: set by the first fit that enters, lifted by the last that leaves.

    Only the thread that set the limit can lift it. Fits begin and end in any order on any threads, so a thread of its
    own holds the limit.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._done = threading.Event()
        self._holder = threading.Thread()

    def enter(self) -> None:
        with self._lock:
            if self._users == 0:
                held = threading.Event()
                self._done = threading.Event()
                self._holder = threading.Thread(target=self._hold, args=(held, self._done), daemon=True)
                self._holder.start()
                held.wait()
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._done.set()
                self._holder.join()

    @staticmethod
    def _hold(held: threading.Event, done: threading.Event) -> None:
        with _controller().limit(limits=1, user_api="blas"):
            held.set()
            done.wait()


_blas_limit = _BlasLimit()


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    """Return the handle of the loaded libraries; finding them takes milliseconds, so it is done once."""
    return ThreadpoolController()
