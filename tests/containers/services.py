"""What containers run, as processes of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[2]
SCRIPTS = sysconfig.get_path("scripts")
# Longer than a scheduler or worker takes to start on a busy machine.
SECONDS = 60.0


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(values: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what a container's processes see: no setting of whoever runs the tests, and the installed commands."""
    inherited = {name: os.environ[name] for name in ("HOME", "TMPDIR") if name in os.environ}
    return {**inherited, **(values or {}), "PATH": f"{SCRIPTS}:{os.environ['PATH']}"}


class Service:
    """A process that runs until it is told to end; its log is a file.

    Parameters
    ----------
    words : sequence of str
        What it runs.
    folder : Path
        Where its log goes.
    environment : mapping or None
        What it finds in its environment beside PATH.
    """

    def __init__(
        self, words: Sequence[str], *, folder: Path, environment: Mapping[str, str] | None = None, name: str = "service"
    ) -> None:
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                list(words), cwd=folder, stdout=log, stderr=log, env=clean_environment(environment)
            )
        self.pid = self._process.pid

    def __enter__(self) -> Service:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        finally:
            self._process.kill()
            self._process.wait(20)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_until_healthy(self, port: int) -> None:
        """Run the image's health check until it says so, as `depends_on` does."""
        check = [sys.executable, str(ROOT / "docker" / "healthcheck.py"), "--port", str(port)]
        deadline = time.monotonic() + SECONDS
        while subprocess.run([*check, "--process", str(self.pid)], capture_output=True, check=False).returncode:
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
