"""Where checkpoints are kept: files of a directory, or objects of an object store.

A place keeps the state that was written last and the one before it, and one sample, written once, that states refer to
by its digest: it is most of the bytes, and the same after every pass.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from daskgmm.errors import CheckpointError, DaskGMMError, StorageError
from daskgmm.storage.checkpoint_format import MAGIC, checkpoint_parts, checkpoint_value
from daskgmm.storage.checkpoint_objects import ObjectPlace
from daskgmm.storage.new_file import check_parent, remove_left_over, whole_file
from daskgmm.storage.zarr_open import local_path

__all__ = [
    "CheckpointPlace",
    "FilePlace",
    "checkpoint_place",
    "read_checkpoint",
    "read_sample",
    "write_checkpoint",
    "write_sample",
]

# Of a message about what a file says, which may be long.
MOST_WORDS = 300
# What bytes that are no checkpoint lead to.
DAMAGED = (DaskGMMError, ValueError, TypeError, KeyError, OverflowError, RecursionError)


class CheckpointPlace(Protocol):
    """What keeps bytes whole or not at all. What it raises, beside FileNotFoundError, is StorageError."""

    name: str
    """What messages call it; no secrets are in it."""
    remedy: str
    """What to remove in order to start anew."""

    def check(self) -> None:
        """Make sure, before any work, that checkpoints can be kept here; raises a DaskGMMError if not."""

    def write(self, parts: Sequence[bytes]) -> None:
        """Write a state and keep the one before it: a machine that stops at any moment leaves one of the two."""

    def states(self) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """Yield names of the states there may be, the last first, and what reads them; ValueError: not a state."""

    def write_sample(self, parts: Sequence[bytes]) -> None:
        """Write the sample; states that refer to it come after it."""

    def read_sample(self) -> bytes:
        """Return the sample."""

    def remove(self) -> None:
        """Remove all that is kept here, and nothing that is somebody else's."""


def checkpoint_place(path: str | os.PathLike[str]) -> CheckpointPlace:
    """Return where checkpoints go, after making sure, before any work, that they can be written there.

    Raises
    ------
    CheckpointError
        If it is a directory, or a URL that fsspec does not understand.
    StoreNotFoundError, StorageError
        If its directory is not there, or cannot be written to.
    """
    local = local_path(path)
    place: CheckpointPlace = ObjectPlace(os.fspath(path)) if local is None else FilePlace(local)
    place.check()
    return place


def write_checkpoint(place: CheckpointPlace, value: Any, classes: Sequence[type]) -> None:
    """Write a state; raises StorageError if that fails, and what was there stays."""
    place.write(checkpoint_parts(value, classes))


def read_checkpoint(place: CheckpointPlace, classes: Sequence[type]) -> Any:
    """Return what was written last, or before that if the last is damaged; None if there is nothing.

    Raises
    ------
    CheckpointError
        If there are states and none is whole. No code is run, and nothing larger than the state is allocated.
    StorageError
        If a state cannot be read.
    """
    problems = []
    for name, content in place.states():
        try:
            value = checkpoint_value(content(), classes)
        except FileNotFoundError:
            continue
        except StorageError:
            raise
        except DAMAGED as error:
            problems.append(f"{name}: not a whole checkpoint of daskgmm: {str(error)[:MOST_WORDS]}")
            continue
        if problems:
            warnings.warn(f"{problems[0]}; the one before it is used", UserWarning, stacklevel=2)
        return value
    if problems:
        raise CheckpointError(f"{problems[0]}. Remove {place.remedy} to start anew")
    return None


def write_sample(place: CheckpointPlace, value: Any, classes: Sequence[type]) -> str:
    """Write the sample and return its digest, by which states refer to it."""
    parts = checkpoint_parts(value, classes)
    place.write_sample(parts)
    return parts[-1].hex()


def read_sample(place: CheckpointPlace, digest: str, classes: Sequence[type]) -> Any:
    """Return the sample of this digest; raises CheckpointError if it is not there or damaged."""
    try:
        content = place.read_sample()
        value = checkpoint_value(content, classes)
        if content[-len(digest) // 2 :].hex() != digest:
            raise ValueError("it is that of another fit")
    except FileNotFoundError:
        problem = "it is not there"
    except StorageError:
        raise
    except DAMAGED as error:
        problem = str(error)[:MOST_WORDS]
    else:
        return value
    raise CheckpointError(
        f"{place.name}: expected the sample that belongs to this checkpoint: {problem}. Remove {place.remedy} to start "
        "anew"
    )


class FilePlace:
    """A file, the one before it as PATH.previous, and PATH.sample."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = str(path)
        self.remedy = f"{path.name}, {self._previous.name} and {self._sample.name}"

    def check(self) -> None:
        """Raise CheckpointError, StoreNotFoundError or StorageError unless files can be created there."""
        if self._path.is_dir():
            raise CheckpointError(f"{self._path}: expected a file; got a directory. Name a file in it")
        check_parent(self._path)
        # A state that is none is seen when it is read; one that was damaged may have become the one before the last.
        if _is_somebody_elses(self._sample):
            raise CheckpointError(
                f"{self._sample}: expected the sample of a checkpoint; it is something else, which is left alone. "
                "Choose another name for the checkpoint"
            )
        for target in (self._path, self._sample):
            remove_left_over(target)

    def write(self, parts: Sequence[bytes]) -> None:
        """Write the file, and rename the one that was there."""
        with whole_file(self._path, previous=self._previous) as file:
            file.writelines(parts)

    def states(self) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """Yield the file and the one before it."""
        yield self.name, lambda: _content(self._path)
        yield str(self._previous), lambda: _content(self._previous)

    def write_sample(self, parts: Sequence[bytes]) -> None:
        """Write PATH.sample."""
        with whole_file(self._sample) as file:
            file.writelines(parts)

    def read_sample(self) -> bytes:
        """Return what PATH.sample holds."""
        return _content(self._sample)

    def remove(self) -> None:
        """Remove the three files, as far as they are checkpoints."""
        for path in (self._path, self._previous, self._sample):
            if not _is_somebody_elses(path):
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise StorageError(f"{path}: the checkpoint cannot be removed: {error}") from error

    @property
    def _previous(self) -> Path:
        return self._path.with_name(f"{self._path.name}.previous")

    @property
    def _sample(self) -> Path:
        return self._path.with_name(f"{self._path.name}.sample")


def _content(path: Path, *, whole: bool = True) -> bytes:
    """Return what a file holds, only how it begins unless it begins as checkpoints do; a pipe is not waited for."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError("expected a regular file; got a pipe or a device")
            beginning = file.read(len(MAGIC))
            return beginning + file.read() if whole and beginning == MAGIC else beginning
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(f"{path}: the checkpoint cannot be read: {error}") from error


def _is_somebody_elses(path: Path) -> bool:
    """Whether there is something that is no checkpoint."""
    try:
        return _content(path, whole=False) != MAGIC
    except FileNotFoundError:
        return False
    except ValueError:
        return True
