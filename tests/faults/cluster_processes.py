"""A scheduler and workers in processes of their own, as on a cluster."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.small_fits import environment


class ClusterProcesses:
    """Starts a scheduler and workers, kills them, and starts them again at the same address.

    Parameters
    ----------
    folder : Path
        Where they may write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"tcp://127.0.0.1:{unused_port()}"
        self._schedulers: list[subprocess.Popen[bytes]] = []
        self._workers: list[subprocess.Popen[bytes]] = []

    def start_scheduler(self) -> None:
        port = self.address.rpartition(":")[2]
        arguments = ["dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard", "--no-jupyter"]
        self._schedulers.append(self._start(*arguments))

    @property
    def scheduler_pid(self) -> int:
        return self._schedulers[-1].pid

    def start_worker(self, *more: str) -> None:
        arguments = ["dask_worker", self.address, "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard"]
        self._workers.append(self._start(*arguments, "--no-nanny", "--local-directory", str(self.folder), *more))

    def kill_scheduler(self) -> None:
        """SIGKILL; returns when it has ended, so that its port is free."""
        self._schedulers[-1].send_signal(signal.SIGKILL)
        self._schedulers[-1].wait(30)

    def kill_all(self) -> None:
        for process in (*self._workers, *self._schedulers):
            process.kill()
        for process in (*self._workers, *self._schedulers):
            process.wait(30)

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{module}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{module}", *arguments],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env=environment(),
            )


@contextmanager
def cluster_processes(folder: Path) -> Iterator[ClusterProcesses]:
    """Start a scheduler, and leave no process behind."""
    cluster = ClusterProcesses(folder)
    try:
        cluster.start_scheduler()
        yield cluster
    finally:
        cluster.kill_all()


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
