"""The files of this layout that are put through the same faults; a further one is a further entry of `FORMATS`."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from daskgmm import GaussianMixture, load
from daskgmm.errors import ModelFormatError, StorageError


@dataclass(frozen=True)
class ArchiveFormat:
    """What the faults need to know of one kind of file."""

    header: str
    """Name of the member of JSON, which says format, version and the arrays with their digests."""
    write: Callable[[Path, int], None]
    """(path, seed) -> None: writes a small sound file; another seed, another one."""
    read: Callable[[Path], Any]
    """path -> what the file holds, as the user gets it."""
    write_again: Callable[[Any, Path], None]
    """(what was read, path) -> None: writes a file that holds it."""
    refusals: tuple[type[Exception], ...] = (ModelFormatError, StorageError)
    """What `read` may raise for a file that is not sound."""
    passing: tuple[str, ...] = ("package_version", "random_state")
    """Keys in the header, at any depth, that need not come back: who wrote the file, and what is no seed."""

    def members(self, content: bytes) -> dict[str, Any]:
        """What a file says: its header as a value, without what passes, and the other members as bytes."""
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members: dict[str, Any] = {name: archive.read(name) for name in archive.namelist()}
        members[self.header] = json.loads(members[self.header], object_pairs_hook=self._without_passing)
        return members

    def _without_passing(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key: value for key, value in pairs if key not in self.passing}


def _write_model(path: Path, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(60, 2)) + np.repeat([[0.0], [9.0]], 30, axis=0)
    GaussianMixture(2, random_state=seed, means_init=[[0.0, 0.1], [9.0, 1 / 3]]).fit(rows).save(path)


FORMATS = {
    "model": ArchiveFormat("model.json", _write_model, load, lambda model, path: model.save(path)),
}
