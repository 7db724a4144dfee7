"""Lines of Dask's own loggers as JSON, in this process and in the workers of an embedded cluster."""

from __future__ import annotations

import logging

import dask
from distributed import Worker

from daskgmm.progress import JsonLines

__all__ = ["dask_setup", "log_as_json"]

PRELOAD = "distributed.worker.preload"


def log_as_json() -> None:
    """Let the handlers that Dask gives its loggers write JSON, here and in workers that are started later."""
    _format_lines()
    dask.config.set({PRELOAD: [*dask.config.get(PRELOAD), __name__]})


def dask_setup(worker: Worker) -> None:
    """Do the same in a worker's process; Dask calls this in those that preload this module."""
    _format_lines()


def _format_lines() -> None:
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] in ("distributed", "tornado"):
            for handler in logging.getLogger(name).handlers:
                handler.setFormatter(JsonLines())
