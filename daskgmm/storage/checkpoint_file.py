r"""Checkpoints as files: a tree of records and their arrays, whole or not at all, without any pickle.

::

    daskgmm-checkpoint 1\n       what it is, and the version of the format
    8 bytes                     length of the JSON text, little-endian
    JSON                        {"tree": ..., "arrays": [[dtype, shape], ...]}
    arrays                      one after the other, little-endian, C order
    32 bytes                    SHA-256 of all that

The digest is compared before anything is parsed: a file that was cut or changed is refused for that. The checkpoint
before the last stays beside it, as PATH.previous.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from daskgmm.errors import CheckpointError, DaskGMMError, StorageError
from daskgmm.storage.json_values import is_too_large, strict_json
from daskgmm.storage.new_file import check_parent, whole_file
from daskgmm.storage.records import as_records, as_tree
from daskgmm.storage.redaction import public_address

__all__ = ["check_checkpoint_path", "read_checkpoint", "write_checkpoint"]

MAGIC = b"daskgmm-checkpoint 1\n"
N_DIGEST = 32
DTYPES = ("<f8", "<f4", "<i8", "<u4", "|b1")
MOST_AXES = 3


def check_checkpoint_path(path: str | os.PathLike[str]) -> Path:
    """Return where checkpoints go, after making sure, before any work, that they can be written there.

    Raises
    ------
    CheckpointError
        If it is a URL or a directory.
    StoreNotFoundError, StorageError
        If its directory is not there, or cannot be written to.
    """
    if "://" in os.fspath(path):
        raise CheckpointError(
            f"{public_address(path)}: expected a path of this machine or of a file system it mounts; got a URL"
        )
    target = Path(path).absolute()
    if target.is_dir():
        raise CheckpointError(f"{path}: expected a file; got a directory. Name a file in it")
    check_parent(target)
    return target


def write_checkpoint(path: Path, value: Any, classes: Sequence[type]) -> None:
    """Write a checkpoint, and keep the one that was there as PATH.previous.

    A machine that stops at any moment leaves at least one of the two whole.

    Raises StorageError if the file cannot be written; the one that was there stays.
    """
    arrays: list[np.ndarray[Any, Any]] = []
    tree = as_tree(value, arrays, classes)
    stored = [np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False) for array in arrays]
    layout = [[array.dtype.str, list(array.shape)] for array in stored]
    text = json.dumps({"tree": tree, "arrays": layout}, allow_nan=False).encode()
    digest = hashlib.sha256()
    with whole_file(path, previous=_previous(path)) as file:
        for part in (MAGIC, len(text).to_bytes(8, "little"), text, *(array.tobytes() for array in stored)):
            digest.update(part)
            file.write(part)
        file.write(digest.digest())


def read_checkpoint(path: Path, classes: Sequence[type]) -> Any:
    """Return what was written last, or before that if the last file is damaged; None if there is none.

    Raises
    ------
    CheckpointError
        If there are files and none is whole. No code is run, and nothing larger than the file is allocated.
    StorageError
        If a file cannot be read.
    """
    problems = []
    for place in (path, _previous(path)):
        try:
            value = _parsed(_content(place), classes)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageError(f"{place}: the checkpoint cannot be read: {error}") from error
        except (DaskGMMError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            problems.append(f"{place}: not a whole checkpoint of daskgmm: {error}")
            continue
        if problems:
            warnings.warn(f"{problems[0]}; the one before it is used", UserWarning, stacklevel=2)
        return value
    if problems:
        raise CheckpointError(f"{problems[0]}. Remove it to start anew")
    return None


def _previous(path: Path) -> Path:
    return path.with_name(f"{path.name}.previous")


def _content(path: Path) -> bytes:
    """Return what a file holds, if it begins as a checkpoint does; without waiting, if it is a pipe, for a writer."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("expected a regular file; got a pipe or a device")
        beginning = file.read(len(MAGIC))
        if beginning != MAGIC:
            raise ValueError(
                f"expected it to begin with {MAGIC.decode().strip()!r}; it is another kind of file or version"
            )
        return beginning + file.read()


def _parsed(content: bytes, classes: Sequence[type]) -> Any:
    """Return the records; ValueError says what is wrong with the bytes."""
    body, digest = content[:-N_DIGEST], content[-N_DIGEST:]
    if hashlib.sha256(body).digest() != digest:
        raise ValueError("its SHA-256 digest is not that of its content; it was cut or changed")
    start = len(MAGIC) + 8
    stop = start + int.from_bytes(body[len(MAGIC) : start], "little")
    text = body[start:stop]
    if is_too_large(text):
        raise ValueError("expected a description of thousands of values; it has millions")
    header = strict_json(text)
    if not isinstance(header, dict) or set(header) != {"tree", "arrays"} or not isinstance(header["arrays"], list):
        raise ValueError("expected a tree and arrays")
    arrays = []
    for entry in header["arrays"]:
        dtype, shape = _layout(entry)
        n_bytes = dtype.itemsize * math.prod(shape)
        if stop + n_bytes > len(body):
            raise ValueError(f"expected {n_bytes} bytes for an array of shape {shape}; {len(body) - stop} are left")
        arrays.append(np.frombuffer(body, dtype, count=math.prod(shape), offset=stop).reshape(shape))
        stop += n_bytes
    if stop != len(body):
        raise ValueError(f"expected arrays up to the end; {len(body) - stop} bytes are left")
    return as_records(header["tree"], arrays, classes)


def _layout(entry: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    if not isinstance(entry, list) or len(entry) != 2 or entry[0] not in DTYPES or not isinstance(entry[1], list):
        raise ValueError(f"expected an array's dtype, one of {', '.join(DTYPES)}, and its shape")
    if len(entry[1]) > MOST_AXES or not all(type(length) is int and length >= 0 for length in entry[1]):
        raise ValueError(f"expected a shape of up to {MOST_AXES} lengths")
    return np.dtype(entry[0]), tuple(entry[1])
