"""What a cluster's own failures mean and what to do about them."""

from __future__ import annotations

from daskgmm.errors import ClusterError

__all__ = ["cluster_failure"]


def cluster_failure(error: Exception) -> ClusterError | None:
    """Return the error that explains a failure of the cluster, or None when the failure is of another kind."""
    # Only a failure pays for the import, and only where work ran on a cluster does it take any time.
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError
    from distributed.comm import CommClosedError
    from distributed.scheduler import NoWorkerError

    cause = f"({type(error).__name__}: {error})"
    if isinstance(error, KilledWorker):
        return ClusterError(
            "expected the workers to survive every block; one block ended several of them. Give workers more memory "
            f"(--memory-limit, fewer threads each) or make blocks smaller (chunks=) {cause}"
        )
    if isinstance(error, NoWorkerError | FutureCancelledError | CommClosedError | TimeoutError):
        return ClusterError(
            f"expected the cluster to finish the pass; its scheduler or all of its workers went away {cause}"
        )
    if isinstance(error, RuntimeError) and "deserialization" in str(error):
        return ClusterError(
            "expected a cluster that understands the work; its scheduler or workers could not load it. Install the "
            f"same versions of daskgmm and of its dependencies on all machines {cause}"
        )
    return None
