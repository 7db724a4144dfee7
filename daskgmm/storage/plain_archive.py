"""Records as files: one uncompressed zip archive of plain arrays and one JSON text, without any pickle.

::

    HEADER.json               what it is, what else it says, and dtype, shape and SHA-256 of each array
    NAME.npy, ...             the arrays: float64, little-endian, C order

Reading trusts nothing: sizes are compared with the length of the file before they are allocated, and digests before the
arrays are used. What the numbers and the words mean is for the caller to check.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import stat
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from daskgmm import __version__
from daskgmm.errors import (
    DegenerateMixtureError,
    ModelFormatError,
    ParameterError,
    StorageError,
    StoreNotFoundError,
)
from daskgmm.mixture.covariance import Floats
from daskgmm.storage.json_values import MOST_BYTES, MOST_VALUES, is_too_large, strict_json
from daskgmm.storage.new_file import whole_file

__all__ = ["ArchiveFormat", "read_archive", "write_archive"]

FLOAT64 = "<f8"
# Of few members. Each entry of 46 bytes takes 600 once it is read.
MOST_DIRECTORY_BYTES = 2**16
# Version 1.0 of the .npy format: a signature, a length of two bytes, and what that length can count.
NPY_SIGNATURE = b"\x93NUMPY\x01\x00"
NPY_HEADER_START = len(NPY_SIGNATURE) + 2
MOST_NPY_HEADER_BYTES = NPY_HEADER_START + 2**16
# As the format wants it to be written, keys in order. NumPy's own reader evaluates what it finds.
NPY_HEADER = re.compile(rb"\{'descr': '<f8', 'fortran_order': False, 'shape': \(([0-9]+(?:, [0-9]+)*),?\), \} *\n")
MOST_AXES = 3
# Of a message about what a file says, which may be long.
MOST_WORDS = 500
# The least date that a zip archive can hold: the same record gives the same bytes whenever it is written.
DATE = (1980, 1, 1, 0, 0, 0)

# What reading a damaged archive raises, by looking at zipfile and numpy.lib.format: wrong signatures, cut members,
# encryption and compression that these formats do not use, text that is not UTF-8.
UNREADABLE = (zipfile.BadZipFile, ValueError, RuntimeError, EOFError, OSError, KeyError, OverflowError, MemoryError)

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class ArchiveFormat:
    """One kind of file."""

    name: str
    """What the header says that it is."""
    version: int
    """The one version that is written and read."""
    what: str
    """What errors call such a file."""
    subject: str
    """What errors call its content."""
    header: str
    """Name of the JSON text."""
    arrays: tuple[str, ...]
    """Names of the arrays."""
    facts: Mapping[str, type]
    """What the header says besides, and of which types."""
    remedy: str = ""
    """What to do when the header becomes too large."""

    @property
    def members(self) -> set[str]:
        """Names of all members."""
        return {self.header, *(f"{name}.npy" for name in self.arrays)}

    @property
    def keys(self) -> set[str]:
        """All that the header says."""
        return {"format", "version", "package_version", "arrays", *self.facts}


def write_archive(
    kind: ArchiveFormat, path: str | os.PathLike[str], *, facts: Mapping[str, Any], arrays: Mapping[str, Floats]
) -> None:
    """Write a file, replacing the one that is there; it appears whole or not at all.

    Raises
    ------
    ParameterError
        If the facts are too many.
    StoreNotFoundError
        If the directory is not there.
    StorageError
        If the file cannot be written.
    """
    members = {f"{name}.npy": _npy(arrays[name]) for name in kind.arrays}
    header = {
        "format": kind.name,
        "version": kind.version,
        "package_version": __version__,
        **{name: facts[name] for name in kind.facts},
        "arrays": {
            name: {
                "dtype": FLOAT64,
                "shape": list(arrays[name].shape),
                "sha256": hashlib.sha256(members[f"{name}.npy"]).hexdigest(),
            }
            for name in kind.arrays
        },
    }
    text = json.dumps(header, allow_nan=False, indent=1).encode("utf-8")
    if is_too_large(text):  # refused here rather than by whoever loads it
        raise ParameterError(
            f"expected settings and a record of at most {MOST_BYTES} bytes and {MOST_VALUES} values as JSON"
            f"{kind.remedy}"
        )
    with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {kind.header: text, **members}.items():
            archive.writestr(zipfile.ZipInfo(name, DATE), content)


def read_archive(
    kind: ArchiveFormat,
    path: str | os.PathLike[str],
    make: Callable[[Mapping[str, Any], Mapping[str, Floats]], Record],
) -> Record:
    """Read what `write_archive` wrote.

    Parameters
    ----------
    kind : ArchiveFormat
    path : str or path
    make : callable
        (facts, arrays) -> what is returned. It raises ModelFormatError, ParameterError, DegenerateMixtureError or
        ValueError when they make no sense.

    Raises
    ------
    StoreNotFoundError
        If there is no such file.
    StorageError
        If the file cannot be read.
    ModelFormatError
        If it is not a whole and valid file of its kind. No code is run and nothing larger than the file is allocated.
    """
    try:
        with _GuardedFile(io.FileIO(path, opener=_open_at_once)) as file:
            file.n_members = len(kind.members)
            return make(*_read(kind, file))
    except FileNotFoundError:
        raise StoreNotFoundError(f"{path}: there is no such {kind.what}; check the path") from None
    except IsADirectoryError:
        raise ModelFormatError(f"{path}: expected a {kind.what} of daskgmm; got a directory") from None
    except PermissionError as error:
        raise StorageError(f"{path}: the {kind.what} cannot be read: {error}") from error
    except (ParameterError, DegenerateMixtureError, ModelFormatError) as error:
        raise ModelFormatError(f"{path}: not a valid {kind.what} of daskgmm: {str(error)[:MOST_WORDS]}") from error
    except UNREADABLE as error:
        raise ModelFormatError(
            f"{path}: expected a {kind.what} of daskgmm, a zip archive of {', '.join(sorted(kind.members))}; this is "
            f"another kind of file, or it was truncated or changed ({type(error).__name__}: {str(error)[:MOST_WORDS]})"
        ) from error


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting, if it is a pipe, for somebody to write to it."""
    return os.open(path, flags | os.O_NONBLOCK)


class _GuardedFile(io.BufferedReader):
    """A file that gives small pieces only until its archive's directory has been read."""

    n_members = 0
    has_directory = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes; raises ModelFormatError when a directory says that it is larger than ours ever are."""
        if size is not None and size > MOST_DIRECTORY_BYTES and not self.has_directory:
            raise ModelFormatError(f"expected a directory of {self.n_members} members; got one of {size} bytes")
        return super().read(size)


def _read(kind: ArchiveFormat, file: _GuardedFile) -> tuple[dict[str, Any], dict[str, Floats]]:
    """Read facts and arrays; damage shows as one of UNREADABLE, or as a ModelFormatError that says more."""
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        raise ModelFormatError("expected a regular file; got a directory, a pipe or a device")
    with zipfile.ZipFile(file) as archive:
        file.has_directory = True
        _check_members(kind, archive, os.fstat(file.fileno()).st_size)
        text = archive.read(kind.header)
        if is_too_large(text):
            raise ModelFormatError(f"{kind.header}: expected at most {MOST_VALUES} values")
        header = _checked_header(kind, strict_json(text))
        arrays = {name: _array(kind, archive, name, header["arrays"].get(name)) for name in kind.arrays}
    return {name: header[name] for name in kind.facts}, arrays


def _check_members(kind: ArchiveFormat, archive: zipfile.ZipFile, n_bytes: int) -> None:
    """Raise ModelFormatError unless the archive holds each member once, uncompressed, and none beyond the file."""
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if len(names) != len(kind.members) or set(names) != kind.members:
        raise ModelFormatError(f"expected the members {sorted(kind.members)}; got {sorted(names)[:10]}")
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise ModelFormatError(f"{info.filename}: expected an uncompressed member; it is compressed")
    total = sum(info.file_size for info in infos)
    if total > n_bytes:
        raise ModelFormatError(f"expected members of at most {n_bytes} bytes, the length of the file; got {total}")
    if archive.getinfo(kind.header).file_size > MOST_BYTES:
        raise ModelFormatError(f"{kind.header}: expected at most {MOST_BYTES} bytes")


def _checked_header(kind: ArchiveFormat, header: Any) -> dict[str, Any]:
    """Return the header if it is of a version that can be read and each of its parts is of the right type."""
    if not isinstance(header, dict) or header.get("format") != kind.name:
        raise ModelFormatError(f"{kind.header}: expected the format {kind.name!r}")
    version = header.get("version")
    if type(version) is not int or version != kind.version:
        raise ModelFormatError(
            f"{kind.header}: this daskgmm reads version {kind.version} of the format; got version {version!r}, written "
            f"by daskgmm {header.get('package_version')!r}. Upgrade daskgmm, or save the {kind.subject} with the "
            "version you have"
        )
    if set(header) != kind.keys:
        raise ModelFormatError(f"{kind.header}: expected the keys {sorted(kind.keys)}; got {sorted(header)[:20]}")
    for key, expected in {**kind.facts, "arrays": dict}.items():
        value = header[key]
        # To Python, true is a number.
        if not isinstance(value, expected) or (isinstance(value, bool) and expected not in (bool, object)):
            raise ModelFormatError(f"{kind.header}: {key}: expected {expected.__name__}; got {type(value).__name__}")
    return header


def _array(kind: ArchiveFormat, archive: zipfile.ZipFile, name: str, declared: Any) -> Floats:
    """Return one array after comparing its declared shape with its bytes, and its bytes with their digest."""
    if not isinstance(declared, dict) or set(declared) != {"dtype", "shape", "sha256"}:
        raise ModelFormatError(f"{kind.header}: arrays.{name}: expected dtype, shape and sha256")
    shape = declared["shape"]
    is_shape = isinstance(shape, list) and len(shape) <= MOST_AXES and all(type(n) is int and n > 0 for n in shape)
    if declared["dtype"] != FLOAT64 or not is_shape:
        raise ModelFormatError(
            f"{kind.header}: arrays.{name}: expected dtype {FLOAT64!r} and a shape of positive lengths"
        )
    member = f"{name}.npy"
    n_bytes, size = 8 * math.prod(shape), archive.getinfo(member).file_size
    if not n_bytes < size <= n_bytes + MOST_NPY_HEADER_BYTES:
        raise ModelFormatError(
            f"{member}: expected {n_bytes} bytes of numbers for the shape {shape}; it has {size} bytes"
        )
    content = archive.read(member)
    if hashlib.sha256(content).hexdigest() != declared["sha256"]:
        raise ModelFormatError(f"{member}: its SHA-256 digest is not the one in {kind.header}; the file was changed")
    if not content.startswith(NPY_SIGNATURE):
        raise ModelFormatError(f"{member}: expected version 1.0 of the .npy format")
    start = NPY_HEADER_START + int.from_bytes(content[NPY_HEADER_START - 2 : NPY_HEADER_START], "little")
    described = NPY_HEADER.fullmatch(content[NPY_HEADER_START:start])
    stored_shape = [] if described is None else [int(length) for length in described[1].split(b", ")]
    if described is None or stored_shape != shape or len(content) != start + n_bytes:
        raise ModelFormatError(f"{member}: expected float64 in C order of shape {shape}, as {kind.header} says")
    return np.frombuffer(content, FLOAT64, offset=start).reshape(shape)


def _npy(array: Floats) -> bytes:
    """Return an array in version 1.0 of the .npy format."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array, FLOAT64), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()
