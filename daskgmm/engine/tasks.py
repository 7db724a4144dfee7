"""Independent calls of one function, on the ambient scheduler."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import dask

from daskgmm.engine.schedule import compute, one_openmp_thread
from daskgmm.engine.waiting import redone

__all__ = ["run_tasks"]

Item = TypeVar("Item")
Shared = TypeVar("Shared")
Outcome = TypeVar("Outcome")


def run_tasks(
    function: Callable[[Item, Shared], Outcome], items: Sequence[Item], shared: Shared, *, local: bool = False
) -> list[Outcome]:
    """Return function(item, shared) for each item, computed at the same time where there are threads or workers.

    Parameters
    ----------
    function : callable
        (item, shared) -> outcome.
    items : sequence
        One task each.
    shared : object
        Sent to each worker once.
    local : bool
        Whether to run on this process's threads even when a cluster is connected.
    """
    run = uuid.uuid4().hex
    once = dask.delayed(shared, name=f"shared-{run}", traverse=False)
    called = dask.delayed(_called, name=f"function-{run}", traverse=False)
    calls = [
        called(
            function,
            dask.delayed(item, name=f"item-{run}-{index}", traverse=False),
            once,
            dask_key_name=f"task-{run}-{index}",
        )
        for index, item in enumerate(items)
    ]
    together = dask.delayed(_listed)(*calls, dask_key_name=f"all-{run}")
    outcomes: list[Outcome] = redone(lambda: compute(together, local=local))
    return outcomes


def _called(function: Callable[[Any, Any], Any], item: Any, shared: Any) -> Any:
    with one_openmp_thread():
        return function(item, shared)


def _listed(*outcomes: Any) -> list[Any]:
    return list(outcomes)
