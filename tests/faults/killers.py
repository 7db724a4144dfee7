"""What ends workers at a moment that is known."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distributed import SchedulerPlugin, WorkerPlugin


class KillAt(WorkerPlugin):
    """A signal, SIGKILL unless another is given, when a worker begins its n-th block, by the first to find the order.

    Parameters
    ----------
    order : Path
        A file that goes away when the order is carried out. It holds the number of the process to kill, or nothing:
        the worker kills itself then.
    n_blocks : int
    number : int
        The signal.
    """

    def __init__(self, order: Path | str, n_blocks: int, number: int = signal.SIGKILL) -> None:
        self.order, self.n_blocks, self.number = str(order), n_blocks, number
        self.begun = 0

    def transition(self, key: Any, start: str, finish: str, **details: Any) -> None:
        if finish != "executing" or block_of(key) is None:
            return
        self.begun += 1
        if self.begun < self.n_blocks:
            return
        try:
            whom = Path(self.order).read_text()
            os.unlink(self.order)
        except FileNotFoundError:
            return
        os.kill(int(whom or os.getpid()), self.number)


class Departures(SchedulerPlugin):
    """Counts the workers that a scheduler in this process has lost, and says when there are none."""

    def __init__(self) -> None:
        self.n_lost = 0
        self.deserted = threading.Event()

    def remove_worker(self, scheduler: Any, worker: str, **details: Any) -> None:
        self.n_lost += 1
        if not scheduler.workers:
            self.deserted.set()


class KillAlways(WorkerPlugin):
    """SIGKILL for every worker that begins the pass over one block."""

    def __init__(self, block: int) -> None:
        self.block = block

    def transition(self, key: Any, start: str, finish: str, **details: Any) -> None:
        if finish == "executing" and block_of(key) == self.block:
            os.kill(os.getpid(), signal.SIGKILL)


def block_of(key: Any) -> int | None:
    """Return which block's E-step a task is, with the first step of merging, as Dask names it; None for other tasks."""
    if isinstance(key, tuple) and key[0].startswith("merge-") and "-partial-" not in key[0]:
        return int(key[1])
    # All steps are one task where there is one block.
    return 0 if str(key).startswith("merge-finalize-") else None


def preload(folder: Path, plugin: str) -> Path:
    """Return a file that Dask's workers can be started with, to have a plugin of this file."""
    path = folder / "preload.py"
    path.write_text(
        "from tests.faults.killers import *\n"
        f"async def dask_setup(worker):\n    await worker.plugin_add({plugin}, name='fault')\n"
    )
    return path


class AtPass(logging.Handler):
    """Calls a function once, between the passes of a fit in this process: when the log tells of the n-th."""

    def __init__(self, n_passes: int, call: Callable[[], object]) -> None:
        super().__init__(logging.INFO)
        self.n_passes, self.call = n_passes, call
        self.is_done = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self.is_done and getattr(record, "n_passes", 0) == self.n_passes:
            self.is_done = True
            self.call()

    def __enter__(self) -> AtPass:
        log = logging.getLogger("daskgmm")
        self.level = log.level
        log.setLevel(logging.INFO)
        log.addHandler(self)
        return self

    def __exit__(self, *exception: object) -> None:
        log = logging.getLogger("daskgmm")
        log.removeHandler(self)
        log.setLevel(self.level)


class Tasks(SchedulerPlugin):
    """Keeps the keys of all tasks that a scheduler in this process hands to workers."""

    def __init__(self) -> None:
        self.keys: set[str] = set()

    def transition(self, key: Any, start: str, finish: str, *arguments: Any, **details: Any) -> None:
        if finish == "processing":
            self.keys.add(str(key))
