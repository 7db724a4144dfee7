"""Who does the work: the ambient cluster's workers, or this process."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

import dask

from daskgmm.errors import SchedulerLostError

__all__ = ["Worker", "ambient_client", "ambient_workers", "this_process"]


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that computes."""

    memory_limit: int
    """Bytes that it may use."""
    n_threads: int
    """Tasks that it works on at a time."""


def ambient_client() -> Any:
    """Return the distributed.Client that work goes to by default, or None."""
    # A process that never imported distributed has no client.
    distributed = sys.modules.get("distributed")
    try:
        client = None if distributed is None else distributed.default_client()
    except ValueError:
        return None
    return None if client is None or client.asynchronous else client


def ambient_workers() -> tuple[Worker, ...]:
    """Return the workers of the ambient cluster; none without one. Raises SchedulerLostError if it does not answer."""
    client = ambient_client()
    if client is None:
        return ()
    try:
        known = client.scheduler_info(n_workers=-1)["workers"].values()
    except OSError as error:
        raise SchedulerLostError(
            f"expected the scheduler to say who its workers are; it cannot be reached ({type(error).__name__}: {error})"
        ) from error
    # A worker without a limit has the machine's memory.
    return tuple(
        Worker(int(worker["memory_limit"]) or this_process().memory_limit, int(worker["nthreads"])) for worker in known
    )


def this_process() -> Worker:
    """Return what this process may use: the memory of the machine or container, and Dask's number of threads."""
    from distributed.system import MEMORY_LIMIT

    threads = dask.config.get("num_workers", None) or os.cpu_count() or 1
    return Worker(int(MEMORY_LIMIT), int(threads))
