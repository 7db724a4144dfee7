"""Waiting for a cluster: as long as it may yet finish, and no longer."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, TypeVar

import dask
from dask.base import get_scheduler
from dask.utils import parse_timedelta

from daskgmm.engine.failures import scheduler_is_lost
from daskgmm.engine.workers import ambient_client
from daskgmm.errors import ClusterError, SchedulerLostError

__all__ = ["cluster_get", "patience", "redone"]

log = logging.getLogger("daskgmm")

# Clusters that grow on demand need minutes for a machine.
PATIENCE = 300.0
# Between two looks at a cluster that is working; passes that take less are never looked at.
SECONDS_BETWEEN_LOOKS = 1.0
# A scheduler that takes in a large graph answers nobody for a while.
SECONDS_TO_ANSWER = 60.0
# Of a scheduler during one pass. One that dies of the pass itself would come back for ever.
MOST_RETURNS = 3

Outcome = TypeVar("Outcome")


def patience() -> float:
    """Return the seconds to wait for workers where there are none: Dask's own setting, or else five minutes."""
    seconds = parse_timedelta(dask.config.get("distributed.scheduler.no-workers-timeout", None))
    return PATIENCE if seconds is None else float(seconds)


def cluster_get() -> Callable[..., Any] | None:
    """Return what computes a graph on the ambient cluster, for Dask's `scheduler`, in bounded time; None without one.

    The function returned raises ClusterError when no worker is there for as long as `patience` says, and
    SchedulerLostError when the connection to the scheduler is lost.
    """
    distributed = sys.modules.get("distributed")
    client = getattr(get_scheduler(), "__self__", None)
    if distributed is None or not isinstance(client, distributed.Client) or _is_in_a_task():
        return None

    def get(graph: Any, keys: Any, **settings: Any) -> Any:
        packed = client.get(graph, keys, sync=False, **settings)
        futures = distributed.client.futures_of(packed)
        try:
            _wait(client, futures)
            return client.gather(packed)
        except ClusterError:
            raise
        except Exception as error:  # a client that loses its scheduler fails in many ways; all others go on as they are
            if scheduler_is_lost(error) or client.status != "running":
                raise SchedulerLostError(
                    f"expected the scheduler to stay; it went away during a pass ({type(error).__name__}: {error})"
                ) from error
            raise
        finally:
            for future in futures:
                future.release()

    return get


def redone(work: Callable[[], Outcome]) -> Outcome:
    """Do some work; do it again when the scheduler went away and came back, with workers, within `patience`.

    Raises
    ------
    SchedulerLostError
        If it did not come back, or went away again and again.
    """
    for _ in range(MOST_RETURNS):
        client = ambient_client()
        try:
            return work()
        except SchedulerLostError as error:
            if client is None:
                raise
            log.warning("the scheduler went away; the pass is done again when it is back")
            _wait_until_back(client, error)
    return work()


def _is_in_a_task() -> bool:
    """Whether this is a Dask task itself, which must let others have its thread while it waits."""
    from distributed import get_worker

    try:
        get_worker()
    except ValueError:
        return False
    return True


def _wait(client: Any, futures: Sequence[Any]) -> None:
    """Wait until all futures are done or one has failed; raise ClusterError if nobody is there to work on them."""
    from distributed import CancelledError, wait

    last_seen = monotonic()
    most = patience()
    for future in futures:
        while future.status == "pending":
            try:
                wait([future], timeout=min(SECONDS_BETWEEN_LOOKS, most / 4))
            except CancelledError:
                return
            except TimeoutError:
                if any(other.status not in ("pending", "finished") for other in futures):
                    return
                if _n_workers(client):
                    last_seen = monotonic()
                elif monotonic() - last_seen > most:
                    raise ClusterError(
                        f"expected workers; the scheduler has had none for {most:g} s. Start workers and try again, or "
                        "wait longer for them (Dask's setting distributed.scheduler.no-workers-timeout)"
                    ) from None


def _wait_until_back(client: Any, lost: SchedulerLostError) -> None:
    """Wait until a client has a scheduler with workers again; raise what it was lost by when it gives up."""
    pause = threading.Event()
    deadline = monotonic() + patience()
    while client.status != "running" or not _n_workers(client):
        # A client looks for its scheduler as long as it was told to when it was made, and closes itself then.
        if client.status in ("closing", "closed") or monotonic() > deadline:
            raise lost
        pause.wait(0.1)


def _n_workers(client: Any) -> int:
    """Return how many workers the scheduler has; 0 when it cannot be asked."""
    try:
        return len(client.sync(client.scheduler.ncores, callback_timeout=SECONDS_TO_ANSWER))
    except (OSError, TimeoutError, AttributeError):  # the last when the client has closed itself in the meantime
        return 0
