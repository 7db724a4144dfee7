"""Writing a file so that it is there whole or not at all."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import BinaryIO

from daskgmm.errors import OutputExistsError, StorageError, StoreNotFoundError

__all__ = ["check_new_file", "check_parent", "check_place", "remove_left_over", "sync_directory", "whole_file"]

# Temporary files that nobody has written to for so many seconds belong to a process that was killed.
ABANDONED = 3600.0


def check_new_file(path: str | os.PathLike[str]) -> None:
    """Make sure, before any work, that a file can be created.

    Raises
    ------
    OutputExistsError
        If something of that name is there.
    StoreNotFoundError
        If the directory it belongs in is not there.
    StorageError
        If that directory does not accept files.
    """
    target = Path(path).absolute()
    if os.path.lexists(target):
        raise OutputExistsError(f"{path}: the output exists already; choose another name or remove it")
    check_parent(target)


def check_parent(target: Path) -> None:
    """Raise StoreNotFoundError or StorageError unless files can be created beside the target."""
    if not target.parent.is_dir():
        raise StoreNotFoundError(f"{target}: expected an existing directory {target.parent}; create it first")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise StorageError(f"{target}: expected a directory that can be written to; {target.parent} cannot")


def check_place(path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Make sure, before any work, that a file can be created, or replace a file that is there if it may.

    Raises
    ------
    OutputExistsError
        If something is there that may not be replaced.
    StoreNotFoundError, StorageError
        If the directory is not there, or does not accept files.
    """
    if not overwrite:
        check_new_file(path)
        return
    if os.path.lexists(path) and not os.path.isfile(path):
        raise OutputExistsError(f"{path}: expected a file to replace; what is there is none")
    check_parent(Path(path).absolute())


@contextmanager
def whole_file(path: str | os.PathLike[str], *, previous: Path | None = None) -> Iterator[BinaryIO]:
    """Write a file under a temporary name beside its place, then put it there, replacing what was.

    Whatever fails, the old file stays as it was and no other is left. The content is on disk before the name changes,
    so a machine that stops at any moment leaves the old file or the new one.

    Parameters
    ----------
    path : str or path
    previous : path or None
        Another name in the same directory, that the file which was there gets; None lets it go.

    Yields
    ------
    binary file
        Open for writing.

    Raises
    ------
    StoreNotFoundError
        If the directory is not there.
    StorageError
        If the file cannot be written.
    """
    target = Path(path).absolute()
    check_parent(target)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and target.exists():
            os.replace(target, previous)
        os.replace(temporary, target)
        sync_directory(target.parent)
    except OSError as error:
        raise StorageError(f"{path}: the file cannot be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_left_over(target: Path) -> None:
    """Remove temporary files beside a place that killed processes had begun to write for it."""
    for temporary in target.parent.glob(f".{escape(target.name)}.{'[0-9a-f]' * 16}.tmp"):
        with suppress(OSError):  # somebody else's, or removed by somebody else
            if time.time() - temporary.stat().st_mtime > ABANDONED:
                temporary.unlink()


def sync_directory(directory: Path) -> None:
    """Put on disk that a name in a directory has changed."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
