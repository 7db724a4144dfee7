"""What a fit leaves behind."""

from __future__ import annotations

import os
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from distributed import Client


def tasks_left(client: Client) -> list[str]:
    """Return the keys that the scheduler knows, once it has heard all that the client has told it so far."""
    # What a client says arrives in order: the probe after all that was let go before.
    probe = client.submit(int, key=f"probe-{uuid.uuid4().hex}")
    probe.result(30)
    known = client.run_on_scheduler(lambda dask_scheduler: [str(key) for key in dask_scheduler.tasks])
    return sorted(set(known) - {probe.key})


@dataclass(frozen=True)
class Footprint:
    """What a process holds."""

    rss: int
    threads: tuple[str, ...]
    """Names of Python's threads but those of event loops' pools, which grow to a handful as they are needed."""
    n_other_threads: int
    """Those that libraries started."""
    n_files: int
    """File descriptors."""


def footprint() -> Footprint:
    process = psutil.Process()
    names = sorted(thread.name for thread in threading.enumerate())
    own = tuple(name for name in names if not name.startswith("asyncio_"))
    return Footprint(process.memory_info().rss, own, process.num_threads() - len(names), process.num_fds())


def files_of_worker(dask_worker: Any) -> list[str]:
    """Return what lies in the directory of the worker that this runs on; Dask fills in which that is."""
    folder = dask_worker.local_directory
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))


def files_in(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))
