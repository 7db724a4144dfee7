"""What a case of a damaged or forged archive is made of."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

ENTRY, DIRECTORY, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
"""How an entry of a zip archive begins, an entry of its directory, and the end of that."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a case is made of."""

    sound: bytes
    """A file that can be read."""
    other: bytes
    """Another one."""
    header: str
    """Name of the member of JSON."""
    rng: Random

    def members(self) -> dict[str, bytes]:
        """The members of the sound file."""
        with zipfile.ZipFile(io.BytesIO(self.sound)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def array_name(self) -> str:
        """One of the members that are arrays."""
        return self.rng.choice(sorted(name for name in self.members() if name.endswith(".npy")))

    def place(self) -> int:
        """A byte of the file, as often as not one where something begins or ends."""
        if self.rng.random() < 0.5:
            return self.rng.randrange(len(self.sound))
        near = self.rng.choice(boundaries(self.sound)) + self.rng.randrange(-2, 31)
        return min(max(near, 0), len(self.sound) - 1)


@lru_cache(maxsize=4)
def boundaries(content: bytes) -> tuple[int, ...]:
    """Return where the parts of an archive begin, and where arrays do."""
    found = []
    for mark in (ENTRY, DIRECTORY, END, b"\x93NUMPY", b"{", b"}\n"):
        start = content.find(mark)
        while start >= 0:
            found.append(start)
            start = content.find(mark, start + 1)
    return (*sorted(found), len(content))


def archive_of(members: dict[str, bytes], **settings: Any) -> bytes:
    """Return an archive with these members, stored as they are unless the settings say otherwise."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **{"compression": zipfile.ZIP_STORED, **settings}) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, settings.get("compression"))
    return buffer.getvalue()


class Mischief:
    """Unpickling it ends the process."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (99,)
