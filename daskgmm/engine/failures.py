"""What a cluster's own failures mean and what to do about them."""

from __future__ import annotations

from collections.abc import Callable

from daskgmm.errors import ClusterError

__all__ = ["Place", "cluster_failure", "scheduler_is_lost"]

Place = Callable[[object], str | None]
"""Key of a task -> the data that it works on, in words; None for tasks that work on none."""


def cluster_failure(error: Exception, place: Place | None = None) -> ClusterError | None:
    """Return the error that explains a failure of the cluster, or None when the failure is of another kind.

    Parameters
    ----------
    error : Exception
    place : callable or None
        Tells which data a task works on.
    """
    # Only a failure pays for the import, and only where work ran on a cluster does it take any time.
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError
    from distributed.comm import CommClosedError
    from distributed.scheduler import NoWorkerError

    cause = f"({type(error).__name__}: {error})"
    if isinstance(error, KilledWorker):
        data = (place(error.task) if place is not None else None) or "one block"
        return ClusterError(
            f"expected the workers to survive every block; {error.allowed_failures + 1} of them ended with {data}. "
            "Give workers more memory (--memory-limit, fewer threads each) or make blocks smaller (chunks=); workers' "
            f"logs may say more {cause}"
        )
    if isinstance(error, NoWorkerError | FutureCancelledError | CommClosedError | TimeoutError):
        return ClusterError(
            f"expected the cluster to finish the pass; its scheduler or all of its workers went away {cause}"
        )
    if isinstance(error, RuntimeError) and "no Client active" in str(error):
        return ClusterError(
            "expected a running cluster, which Dask's configuration names; its client has been closed. Make a "
            f"Client, or let this process work: dask.config.set(scheduler=None) {cause}"
        )
    if isinstance(error, RuntimeError) and "deserialization" in str(error):
        return ClusterError(
            "expected a cluster that understands the work; its scheduler or workers could not load it. Install the "
            f"same versions of daskgmm and of its dependencies on all machines {cause}"
        )
    return None


def scheduler_is_lost(error: Exception) -> bool:
    """Whether an error says that the connection to the scheduler broke, with all that was asked of it."""
    from distributed.client import FutureCancelledError
    from distributed.comm import CommClosedError

    if isinstance(error, FutureCancelledError):
        return getattr(error, "reason", None) == "scheduler-connection-lost"
    return isinstance(error, CommClosedError)
