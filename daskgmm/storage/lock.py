"""Holding a name, so that no two runs write to one place at the same time."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from daskgmm.errors import OutputInUseError, StorageError

__all__ = ["hold"]

# What filesystems without locks answer.
WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def hold(lock: Path, place: object) -> Iterator[bool]:
    """Hold a lock file while the body runs. The kernel lets go of it when the process ends, in whatever way.

    Parameters
    ----------
    lock : Path
        The file; it is removed in the end. A process that was killed leaves it, which holds nobody up.
    place : object
        What it stands for, for messages.

    Yields
    ------
    bool
        Whether it is held; False on a filesystem that has no locks.

    Raises
    ------
    OutputInUseError
        If another process holds it.
    StorageError
        If the file cannot be made.
    """
    descriptor = _acquired(lock, place)
    if descriptor is None:
        yield False
        return
    try:
        yield True
    finally:
        # While it is held: whoever opened the same file sees that its name is gone, and makes a new one.
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _acquired(lock: Path, place: object) -> int | None:
    """Return the descriptor of a locked file that has the name, or None where there are no locks."""
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            raise StorageError(f"{place}: the lock file {lock} cannot be made: {error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 300).decode(errors="replace")
            os.close(descriptor)
            if error.errno in WITHOUT_LOCKS:
                lock.unlink(missing_ok=True)
                return None
            raise OutputInUseError(
                f"{place}: another run is writing this output ({holder or 'it has just begun'}); wait until it ends, "
                "or choose another name"
            ) from None
        if _has_name(descriptor, lock):
            with suppress(OSError):  # who holds it is told, if there is room for it
                os.truncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
            return descriptor
        os.close(descriptor)


def _has_name(descriptor: int, path: Path) -> bool:
    """Whether a file that is open still is the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
