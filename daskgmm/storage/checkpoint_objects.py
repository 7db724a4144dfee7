"""Checkpoints in an object store: one immutable object a state, and a small one that points to the last two.

::

    URL/latest                     {"states": [the last, the one before it]}
    URL/state-<16 random digits>
    URL/sample

Object stores have no renaming, but replace a small object at once or not at all: the pointer is written after what it
points to, and what it no longer points to is removed after that.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from json import dumps
from re import fullmatch
from typing import Any

from fsspec.core import url_to_fs

from daskgmm.errors import CheckpointError, DaskGMMError, StorageError
from daskgmm.storage.checkpoint_format import MAGIC
from daskgmm.storage.json_values import strict_json
from daskgmm.storage.redaction import brief, public_address, secrets_in, shareable_cause

__all__ = ["ObjectPlace"]

POINTER, SAMPLE = "latest", "sample"
STATE = r"state-[0-9a-f]{16}"
# Of a pointer; two names take 60 bytes.
MOST_POINTER_BYTES = 1000


class ObjectPlace:
    """The objects below a URL.

    Parameters
    ----------
    url : str
        fsspec opens it; credentials are where its filesystem looks for them.

    Raises
    ------
    CheckpointError
        If fsspec does not understand the URL.
    """

    def __init__(self, url: str) -> None:
        self.name = public_address(url)
        self.remedy = f"what is below {self.name}"
        self._secrets = secrets_in(None, url)
        try:
            self._filesystem: Any
            self._filesystem, root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise CheckpointError(
                f"{self.name}: expected a path, or a URL that fsspec understands: {brief(error, self._secrets)}"
            ) from shareable_cause(error, self._secrets)
        self._root = root.rstrip("/")
        self._states: list[str] | None = None

    def check(self) -> None:
        """Raise StorageError unless objects can be written and removed, CheckpointError if the sample is not ours."""
        probe = self._at(f"check-{secrets.token_hex(8)}")
        with self._asked("written to"):
            self._filesystem.pipe_file(probe, b"")
            self._filesystem.rm_file(probe)
        with suppress(FileNotFoundError), self._asked("read"):
            if self._filesystem.cat_file(self._at(SAMPLE), end=len(MAGIC)) != MAGIC:
                raise CheckpointError(
                    f"{self.name}/{SAMPLE}: expected the sample of a checkpoint; it is something else, which is left "
                    "alone. Choose another place"
                )

    def write(self, parts: Sequence[bytes]) -> None:
        """Write a state, then the pointer, and remove what that no longer points to."""
        name = f"state-{secrets.token_hex(8)}"
        with self._asked("written to"):
            before = self._pointed_to()[:1]
            self._filesystem.pipe_file(self._at(name), b"".join(parts))
            self._filesystem.pipe_file(self._at(POINTER), dumps({"states": [name, *before]}).encode())
        left, self._states = self._left_over(), [name, *before]
        for other in left - {name, *before}:
            with suppress(Exception):  # it only takes room, and the next write tries again
                self._filesystem.rm_file(self._at(other))

    def states(self) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """Yield the states that are pointed to."""
        with self._asked("read"):
            names = self._pointed_to()
        for name in names:
            yield f"{self.name}/{name}", partial(self._read, name)

    def write_sample(self, parts: Sequence[bytes]) -> None:
        """Write the sample."""
        with self._asked("written to"):
            self._filesystem.pipe_file(self._at(SAMPLE), b"".join(parts))

    def read_sample(self) -> bytes:
        """Return the sample."""
        return self._read(SAMPLE)

    def remove(self) -> None:
        """Remove the pointer, and then what it pointed to."""
        states = self._left_over()
        for name in (POINTER, SAMPLE, *sorted(states)):
            with suppress(FileNotFoundError), self._asked("read"):
                self._filesystem.rm_file(self._at(name))
        self._states = []

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _read(self, name: str) -> bytes:
        with self._asked("read"):
            content: bytes = self._filesystem.cat_file(self._at(name))
        return content

    def _pointed_to(self) -> list[str]:
        """Return the names of the last states; none where there is no pointer. CheckpointError: it is damaged."""
        try:
            text = self._filesystem.cat_file(self._at(POINTER), end=MOST_POINTER_BYTES)
        except FileNotFoundError:
            return []
        try:
            names = strict_json(text)["states"]
            if not names or any(fullmatch(STATE, name) is None for name in names):
                raise ValueError(f"expected names of states; got {names!r:.100}")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise CheckpointError(
                f"{self.name}/{POINTER}: not a pointer to checkpoints of daskgmm: {error}. Remove {self.remedy} to "
                "start anew"
            ) from None
        return list(names)

    def _left_over(self) -> set[str]:
        """Return the names of the states that are there; after the first time, those that this place has written."""
        if self._states is not None:
            return set(self._states)
        try:
            self._filesystem.invalidate_cache(self._root)
            found = self._filesystem.ls(self._root, detail=False)
        except Exception:  # noqa: BLE001 - every filesystem has its own; what is left over only takes room
            return set()
        names = {str(path).rstrip("/").rsplit("/", 1)[-1] for path in found}
        return {name for name in names if fullmatch(STATE, name)}

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        """Raise StorageError, without secrets, in place of what the filesystem raises; what may be missing is read."""
        try:
            yield
        except (DaskGMMError, MemoryError):
            raise
        except Exception as error:  # every filesystem has exceptions of its own, and what they say may hold secrets
            if what == "read" and isinstance(error, FileNotFoundError):
                raise
            raise StorageError(
                f"{self.name}: the checkpoint cannot be {what}: {brief(error, self._secrets)}"
            ) from shareable_cause(error, self._secrets)
