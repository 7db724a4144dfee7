"""What a process that reads files of strangers may not do: take much memory, run code, or write."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_BYTES = 256 * 2**20
"""What reading one file may take, whatever the file says."""

RUNS_CODE = ("compile", "exec", "import", "os.", "subprocess.", "pickle.", "marshal.", "ctypes.", "shutil.", "socket.")
"""Beginnings of the names of audit events that no reading of a file has a reason for."""
# Python imports a text's encoding when it first meets one.
for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "cp437"):
    "".encode(encoding)
READS = {"os.listdir", "os.scandir", "os.fwalk", "os.walk"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended."""

    value: Any
    """What it returned; None if it raised."""
    error: BaseException | None
    forbidden: list[str]
    """What it did that it must not."""
    grown: int
    """Bytes by which the memory of the process grew at its peak."""


class Guard:
    """Calls under a limit on memory, and notes what is forbidden. One for a process: hooks cannot be removed."""

    def __init__(self) -> None:
        self._is_watching = False
        self._seen: list[str] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._is_watching:
            return
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if writes or (event.startswith(RUNS_CODE) and event not in READS):
            self._seen.append(f"{event}{arguments!r}"[:200])

    def call(self, function: Callable[[], Any]) -> Outcome:
        """Return how a call ended."""
        value, error = None, None
        _put_peak_back()
        before = _pages(1)
        with _limited_address_space():
            self._seen, self._is_watching = [], True
            try:
                value = function()
            except BaseException as caught:  # noqa: BLE001 - which ones may come is what is asked
                error = caught
            finally:
                self._is_watching = False
        return Outcome(value, error, self._seen, _peak_bytes() - before)


@contextmanager
def _limited_address_space(more: int = MOST_BYTES) -> Iterator[None]:
    """Let this process take no more than so many bytes beyond what it has now, while the body runs."""
    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_pages(0) + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))


def _peak_bytes() -> int:
    """Return the most memory that this process has had resident since the mark was last put back."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def _put_peak_back() -> None:
    """Let the high-water mark of resident memory begin anew; where it cannot, the old one is higher."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _pages(column: int) -> int:
    """Return bytes of a column of statm: 0 is the address space, 1 what is resident."""
    return int(Path("/proc/self/statm").read_text().split()[column]) * resource.getpagesize()
