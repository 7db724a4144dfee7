"""Where an output is filled, and how it gets to its place: beside it and renamed on disk, in place at a URL."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import zarr
from zarr.abc.store import Store
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore

from daskgmm.errors import OutputExistsError, ParameterError, StorageError
from daskgmm.storage.lock import hold
from daskgmm.storage.new_file import check_parent, sync_directory
from daskgmm.storage.redaction import brief, public_address, secrets_in, shareable_cause
from daskgmm.storage.zarr_open import DAMAGED

__all__ = ["MARKER", "abandon", "check_target", "local_place", "remote_place", "wanted"]

MARKER = "daskgmm"
"""Attribute of every output: {"complete": whether all of it has been written}."""
METADATA = "zarr.json"
"""The file that makes a directory an array. A task whose output has lost it knows that its results are not wanted."""
# From <fcntl.h> and <linux/fs.h>.
AT_FDCWD, RENAME_EXCHANGE = -100, 2
WITHOUT_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}


def check_target(target: Path, *, overwrite: bool) -> None:
    """Make sure that an output can be put in a place on disk.

    Raises
    ------
    OutputExistsError
        If something is there, unless it is an output of this package that may be replaced.
    StoreNotFoundError, StorageError
        If the directory it belongs in is not there, or does not accept files.
    """
    if os.path.lexists(target):
        _refuse(target, _is_complete(LocalStore(target, read_only=True)) if target.is_dir() else None, overwrite)
    check_parent(target)


@contextmanager
def local_place(target: Path, *, overwrite: bool) -> Iterator[LocalStore]:
    """Yield a store beside the target that takes its place at the end; raises as `check_target` and `hold` do."""
    check_target(target, overwrite=overwrite)
    stem = f".{target.name}.partial-{_this_host()}-"
    with hold(target.with_name(f".{target.name}.lock"), target) as is_held:
        if is_held:
            _remove_leftovers(target.parent, stem)
        temporary = target.with_name(stem + secrets.token_hex(8))
        try:
            yield LocalStore(temporary)
            # Somebody may have made something in the meantime.
            check_target(target, overwrite=overwrite)
            try:
                _sync_files(temporary)
                _put(temporary, target)
                sync_directory(target.parent)
            except OSError as error:
                raise StorageError(f"{target}: the output cannot be put in its place: {error}") from error
        finally:
            with suppress(OSError):
                os.unlink(temporary / METADATA)
            _writes.wait_for_none(temporary)
            abandon(temporary)


class _Writes:
    """The writes of this process's threads that have begun and not ended; tasks may outlive the run that failed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._folders: Counter[Path] = Counter()

    @contextmanager
    def counted(self, folder: Path) -> Iterator[None]:
        """Count the body as one of them."""
        with self._changed:
            self._folders[folder] += 1
        try:
            yield
        finally:
            with self._changed:
                self._folders[folder] -= 1
                if not self._folders[folder]:
                    del self._folders[folder]
                    self._changed.notify_all()

    def wait_for_none(self, folder: Path) -> None:
        """Return when nothing is being written into a folder."""
        with self._changed:
            self._changed.wait_for(lambda: folder not in self._folders)


_writes = _Writes()


@contextmanager
def wanted(store: Store, path: str) -> Iterator[None]:
    """Write into an output that is being filled; raises StorageError if it was given up, and leaves nothing on disk."""
    if not isinstance(store, LocalStore):
        if not sync(store.exists(METADATA)):
            raise _given_up(path)
        yield
        return
    with _writes.counted(store.root):
        if not (store.root / METADATA).exists():
            raise _given_up(path)
        yield
        if not (store.root / METADATA).exists():
            # Another process gave it up in the meantime, and this one may have made the directory anew.
            abandon(store.root)
            raise _given_up(path)


def _given_up(path: str) -> StorageError:
    return StorageError(f"{path}: the output was given up while it was being written")


def abandon(folder: Path) -> None:
    """Remove an unfinished output, its metadata first: tasks that are still at work on it see that and stop."""
    with suppress(OSError):
        os.unlink(folder / METADATA)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def remote_place(url: str, storage_options: Mapping[str, Any] | None, *, overwrite: bool) -> Iterator[Store]:
    """Yield an empty store at the URL, and clear it unless all goes well; raises as `check_target` and `hold` do.

    Object stores have no locks, so only runs of this user on this machine are kept apart.
    """
    source, secrets = public_address(url), secrets_in(storage_options, url)
    try:
        store = FsspecStore.from_url(url, storage_options=dict(storage_options or {}))
    except (ImportError, OSError) as error:
        raise StorageError(f"{source}: the output cannot be created: {brief(error, secrets)}") from shareable_cause(
            error, secrets
        )
    except ValueError as error:
        raise ParameterError(
            f"{source}: expected a path or a URL that fsspec understands: {brief(error, secrets)}"
        ) from shareable_cause(error, secrets)
    name = hashlib.sha256(url.encode()).hexdigest()[:32]
    with hold(Path(tempfile.gettempdir()) / f"daskgmm-{os.getuid()}-{name}.lock", source):
        try:
            if not sync(store.is_empty("")):
                is_complete = _is_complete(store)
                if is_complete is not False:
                    _refuse(source, is_complete, overwrite)
                _clear(store)
        except OutputExistsError:
            raise
        except OSError as error:
            raise StorageError(f"{source}: the output cannot be created: {brief(error, secrets)}") from shareable_cause(
                error, secrets
            )
        try:
            yield store
        except BaseException:
            # What went wrong before matters more than what may go wrong here.
            with suppress(OSError):
                _clear(store)
            raise


def _clear(store: Store) -> None:
    """Remove an output, its metadata last: what a run leaves that ends here is known for an unfinished output."""
    sync(store.delete_dir("c"))
    sync(store.delete_dir(""))


def _is_complete(store: Store) -> bool | None:
    """Whether the output in a store is complete; None if it is not an output of this package."""
    try:
        marker = zarr.open_array(store=store, mode="r").attrs.get(MARKER)
    except (OSError, *DAMAGED):
        return None
    return marker.get("complete") is True if isinstance(marker, dict) else None


def _refuse(place: object, is_complete: bool | None, overwrite: bool) -> None:
    """Raise OutputExistsError unless what is there is an output that may be replaced."""
    if is_complete is None and overwrite:
        raise OutputExistsError(
            f"{place}: expected nothing, or an output of daskgmm to replace; what is there was made by something else. "
            "Choose another name or remove it"
        )
    if not overwrite:
        replace = ", or replace it with overwrite=True (--overwrite)" if is_complete is not None else " or remove it"
        raise OutputExistsError(f"{place}: the output exists already; choose another name{replace}")


def _this_host() -> str:
    """Return the name of this machine as part of a file name."""
    return re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())


def _remove_leftovers(folder: Path, stem: str) -> None:
    """Remove what runs of this machine that were killed left behind; the lock says that none of them is alive.

    Where several machines share a directory without sharing its locks, another machine's run may well be.
    """
    pattern = re.compile(re.escape(stem) + "[0-9a-f]{16}")
    for name in os.listdir(folder):
        if pattern.fullmatch(name):
            abandon(folder / name)


def _sync_files(folder: Path) -> None:
    """Put on disk what was written, so that the name never appears before the content, whatever stops the machine."""
    for directory, _, names in os.walk(folder):
        for name in names:
            descriptor = os.open(os.path.join(directory, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_directory(Path(directory))


def _put(temporary: Path, target: Path) -> None:
    """Give the target's name to a directory; what had it before goes by the temporary name."""
    if not os.path.lexists(target):
        os.rename(temporary, target)
        return
    if _exchange(temporary, target):
        return
    # Without an exchange there is a moment in which there is neither.
    aside = temporary.with_name(temporary.name[:-16] + secrets.token_hex(8))
    os.rename(target, aside)
    try:
        os.rename(temporary, target)
    except OSError:
        os.rename(aside, target)
        raise
    os.rename(aside, temporary)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names at once; False where the system or the filesystem cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in WITHOUT_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(other))
